package service

import (
	"context"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"paylink/internal/console"
	"paylink/internal/kafkaio"
	"paylink/internal/pipeline"
)

const (
	// sampleEvery is how often the console notes how things stand.
	sampleEvery = time.Hour / console.Steps

	// groupEvery is how often the coordinator is asked for the group, while somebody
	// looks at the console.
	groupEvery = 30 * time.Second

	// soonGivenUp is what the console calls near to being given up.
	soonGivenUp = 10 * time.Minute

	// newly is the time of which it is told how many turns were lent.
	newly = 5 * time.Minute

	// slowToPublish is how long an answer may wait until Kafka has taken it, before that
	// is worth a line.
	slowToPublish = 5 * time.Second
)

// A sample is what was counted up to a moment, and how things stood then.
type sample struct {
	at      time.Time
	counts  pipeline.Counts
	kafka   kafkaio.Counters
	spread  pipeline.Spread
	lag     int64 // -1: not known
	inDoubt int
}

// A lastHour keeps samples of the last hour, in memory alone: about 1 MB. Several
// goroutines may use it.
type lastHour struct {
	looked atomic.Int64 // when somebody looked at the console, in unix nanoseconds; 0: never

	mu    sync.Mutex
	ring  [console.Steps + 1]sample
	n     int           // samples ever taken
	group console.Group // as of the coordinator's last answer
}

func (h *lastHour) add(s sample) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ring[h.n%len(h.ring)] = s
	h.n++
}

// list returns the samples of the last hour, the oldest first. A process that stood
// still has older ones.
func (h *lastHour) list(now time.Time) (out []sample) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := max(0, h.n-len(h.ring)); i < h.n; i++ {
		if s := h.ring[i%len(h.ring)]; now.Sub(s.at) <= time.Hour+sampleEvery {
			out = append(out, s)
		}
	}
	return out
}

// sample takes samples until ctx ends, and asks for the group while somebody looks.
func (s *service) sample(ctx context.Context) {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		s.hour.add(s.takeSample())
		if now := time.Now(); now.UnixNano()-s.hour.looked.Load() < int64(2*groupEvery) {
			s.askGroup(ctx, now)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *service) takeSample() sample {
	k, r := s.source.State(), s.engine.Risk(soonGivenUp)
	is := sample{at: time.Now(), counts: s.engine.Counts(), kafka: k.Counters, spread: s.engine.Spread(), lag: -1, inDoubt: r.InDoubt}
	if k.Membership.Live {
		is.lag = int64(r.Waiting)
		for _, p := range k.Partitions {
			is.lag += max(0, p.Lag())
		}
	}
	return is
}

// askGroup asks who is in the group. Without an answer, or the right, the page does
// without.
func (s *service) askGroup(ctx context.Context, now time.Time) {
	s.hour.mu.Lock()
	fresh := now.Sub(s.hour.group.At) < groupEvery
	s.hour.mu.Unlock()
	if fresh {
		return
	}
	state, members, err := s.source.Group(ctx)
	g := console.Group{At: now}
	if err == nil {
		g.State = state
	}
	for _, m := range members {
		g.Members = append(g.Members, console.Member{ID: m.ID, Us: m.Us, Partitions: m.Partitions})
	}
	s.hour.mu.Lock()
	defer s.hour.mu.Unlock()
	s.hour.group = g
}

// groupNow is what is known of the group, and notes that somebody looks.
func (s *service) groupNow(now time.Time) console.Group {
	s.hour.looked.Store(now.UnixNano())
	s.hour.mu.Lock()
	defer s.hour.mu.Unlock()
	g := s.hour.group
	g.Partitions = s.source.Partitions()
	return g
}

// since is what was counted since another moment of the same process.
func (s sample) since(before sample) hourCounts {
	return hourCounts{settled: rise(s.counts.Settled, before.counts.Settled), dead: rise(s.counts.Dead, before.counts.Dead),
		skipped: rise(s.counts.Skipped, before.counts.Skipped), calls: rise(s.counts.Calls, before.counts.Calls),
		turns:   rise(s.counts.Turns, before.counts.Turns),
		repeats: s.counts.Repeats - before.counts.Repeats, mayExist: s.counts.MayExist - before.counts.MayExist,
		second: s.counts.Second - before.counts.Second, shared: s.counts.Shared - before.counts.Shared,
		appended: s.kafka.RecordsAppended - before.kafka.RecordsAppended, appendRetries: s.kafka.AppendRetries - before.kafka.AppendRetries,
		fetchErrors: s.kafka.FetchErrors - before.kafka.FetchErrors, brokenFences: s.kafka.BrokenFences - before.kafka.BrokenFences}
}

// hourCounts are the counts of the last hour, or of as much of it as there was.
type hourCounts struct {
	settled, dead, skipped, calls, turns               map[[2]string]uint64
	repeats, mayExist, second, shared                  uint64
	appended, appendRetries, fetchErrors, brokenFences uint64
}

func rise(now, before []pipeline.Count) map[[2]string]uint64 {
	out := map[[2]string]uint64{}
	for _, c := range now {
		out[c.Labels] = c.N
	}
	for _, c := range before {
		out[c.Labels] -= c.N
	}
	return out
}

// sum adds those of a first label; "" is all.
func sum(of map[[2]string]uint64, first string) (n uint64) {
	for labels, c := range of {
		if first == "" || labels[0] == first {
			n += c
		}
	}
	return n
}

// charts draw the samples: each value is of the time between two of them, or as of
// the later one.
func charts(all []sample) []console.Chart {
	var created, failed, dead, half, most, lag, doubt []float64
	for i := 1; i < len(all); i++ {
		was, is := all[i-1], all[i]
		minutes := is.at.Sub(was.at).Minutes()
		d := is.since(was)
		created = append(created, float64(sum(d.settled, "created"))/minutes)
		failed = append(failed, float64(sum(d.settled, "failed"))/minutes)
		dead = append(dead, float64(sum(d.dead, ""))/minutes)
		half = append(half, quantile(0.5, was.spread, is.spread))
		most = append(most, quantile(0.95, was.spread, is.spread))
		doubt = append(doubt, float64(is.inDoubt))
		if is.lag < 0 {
			lag = append(lag, math.NaN())
			continue
		}
		lag = append(lag, float64(is.lag))
	}
	return []console.Chart{
		{Title: "Flow", Unit: "a minute", Lines: []console.Line{{Name: "created", Values: created}, {Name: "failed", Values: failed, Bad: true}, {Name: "dead letters", Values: dead, Bad: true}}},
		{Title: "Latency", Unit: "s to the outcome", Lines: []console.Line{{Name: "half within", Values: half}, {Name: "95 % within", Values: most}}},
		{Title: "Lag", Unit: "records not settled", Lines: []console.Line{{Name: "lag", Values: lag}}},
		{Title: "In doubt", Unit: "intents", Lines: []console.Line{{Name: "in doubt", Values: doubt, Bad: true}}},
	}
}

// quantile is within how many seconds a part of the intents was settled that were
// settled between two moments, as near as the buckets tell; NaN: none was.
func quantile(part float64, was, is pipeline.Spread) float64 {
	in := func(i int) float64 {
		n := is.N[i]
		if i < len(was.N) {
			n -= was.N[i]
		}
		return float64(n)
	}
	total := float64(is.Total - was.Total)
	if total == 0 {
		return math.NaN()
	}
	lower, below := 0.0, 0.0
	for i, upper := range is.Within {
		if n := in(i); n >= part*total {
			return lower + (upper-lower)*(part*total-below)/(n-below)
		}
		lower, below = upper, in(i)
	}
	return lower // longer than the last bucket tells
}

// from is the first sample at or after a moment; none: nothing was counted before.
func from(all []sample, at time.Time) sample {
	i := slices.IndexFunc(all, func(s sample) bool { return !s.at.Before(at) })
	return first(all[max(0, i):])
}

// first is the oldest sample; none: nothing was counted before.
func first(all []sample) sample {
	if len(all) == 0 {
		return sample{}
	}
	return all[0]
}
