package lab

import (
	"context"
	"errors"
	"runtime/metrics"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"paylink/internal/devstack"
	"paylink/internal/history"
	"paylink/internal/history/records"
	"paylink/internal/pace"
)

// watchCommits looks at every commit when it is made, and right after at how
// far the topics reach. It has stopped when stop returns.
func (s *scene) watchCommits() (stop func()) {
	made, done, stopped := make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	s.brokers.ControlKey(int16(kmsg.OffsetCommit), func(kmsg.Request) (kmsg.Response, error, bool) {
		select {
		case made <- struct{}{}:
		default:
		}
		return nil, nil, false
	})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-made:
				s.sawCommits()
			case <-done:
				return
			}
		}
	}()
	return func() { close(done); <-stopped }
}

func (s *scene) sawCommits() {
	info := s.brokers.GroupInfo(group)
	if info == nil {
		return
	}
	outcomes, dead := s.ends(devstack.Outcomes), s.ends(devstack.DeadLetters)
	s.mu.Lock()
	defer s.mu.Unlock()
	for p, c := range info.Commits[devstack.Intents] {
		s.commits = append(s.commits, history.Commit{Next: history.Place{Partition: p, Offset: c.Offset}, Outcomes: outcomes, DeadLetters: dead})
	}
}

func (s *scene) ends(topic string) map[int32]int64 {
	ends := map[int32]int64{}
	for _, p := range s.brokers.PartitionInfos(topic) {
		ends[p.Partition] = p.HighWatermark
	}
	return ends
}

// history collects the run. The client that reads is not the service's, and may
// stumble over leaders that have just moved.
func (s *scene) history() (h history.Run, err error) {
	for range 5 {
		if h, err = s.collect(); err == nil {
			break
		}
		time.Sleep(time.Second)
	}
	return h, err
}

func (s *scene) collect() (h history.Run, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if err := s.awaitStable(ctx); err != nil {
		return h, err
	}
	w, k := s.plan.world, s.brokers.Kafka()
	h = history.Run{
		Faults: s.faults, Leaps: s.leaps, Silences: s.silences, Loans: s.loans, OutcomePartitions: w.outcomes, AnyRepeats: s.plan.anyRepeats(),
		Concurrency: w.concurrency, Ends: s.ends(devstack.Intents), Alone: true, Memory: inUse(), MostMemory: mostMemory,
	}
	if slices.ContainsFunc(s.plan.faults, func(f fault) bool { return f.what == late && kmsg.Key(f.key) == kmsg.OffsetCommit }) {
		h.Ends = nil // a commit that arrives after all others moves the offset back, which costs reading only
	}
	if s.plan.latest() > 0 {
		h.Concurrency = 0 // calls of the dead arrive, too
	}
	s.sawCommits()
	h.Commits = s.commits
	intents, visible, err1 := s.readBoth(ctx, devstack.Intents)
	outcomes, committed, err2 := s.readBoth(ctx, devstack.Outcomes)
	dead, err3 := k.Read(ctx, devstack.DeadLetters, devstack.ReadUncommitted)
	if err := errors.Join(err1, err2, err3); err != nil {
		return h, err
	}
	h.Intents = intentsOf(intents, visible)
	s.times = map[history.Place]time.Time{}
	for _, r := range intents {
		s.times[records.Place(r)] = r.Time
	}
	unread := s.unread()
	for i := range h.Intents {
		h.Intents[i].Deleted = unread[h.Intents[i].At]
		h.Intents[i].Passed = s.wasPassed(h.Intents[i].At)
	}
	if h.Outcomes, err = records.Outcomes(outcomes); err != nil {
		return h, err
	}
	if h.Committed, err = records.Outcomes(committed); err != nil {
		return h, err
	}
	if h.DeadLetters, err = records.DeadLetters(dead); err != nil {
		return h, err
	}
	h.Tight, h.Misled, h.Forgotten = s.tight, s.misled, s.forgotten(h.Outcomes)
	s.collectCalls(&h)
	if s.plan.jumps() {
		return timeless(h), nil
	}
	s.judgedByTime(&h)
	for i, r := range w.merchants {
		h.Rates = append(h.Rates, history.Rate{Merchant: merchantID(i), Calls: float64(r.Events), Per: r.Per, Burst: max(r.Burst, 1), PerMember: true, Loan: pace.LoanFor, Slack: slack(r.Interval()) + s.plan.latest()})
	}
	return h, nil
}

// judgedByTime gives the judge what rules of waiting need.
func (s *scene) judgedByTime(h *history.Run) {
	p := s.plan
	if p.mistaken() {
		h.Alone = false
		return // what is emitted again waits anew
	}
	h.GiveUp, h.Mended, h.Partitions = p.world.giveUp, s.began.Add(p.end()), int(p.world.partitions)
	if p.denies() {
		h.Mended = h.Mended.Add(3 * time.Minute) // a probe of the hold may be so far
	}
	if p.widens() {
		h.Partitions += 4
	}
	if p.world.concurrency < 64 || p.world.slowest > 300*time.Millisecond {
		return // what is free is not up to the rate alone
	}
	first, last := time.Hour, time.Duration(0)
	for _, f := range p.faults {
		first, last = min(first, f.at), p.end()+30*time.Second
	}
	h.Possible = []history.Span{
		{From: s.began.Add(5 * time.Second), To: s.began.Add(first)},
		{From: s.began.Add(max(last, first)), To: s.began.Add(2 * time.Hour)},
	}
}

// timeless leaves out what was noted or is judged by a clock that jumped.
func timeless(h history.Run) history.Run {
	for i := range h.Intents {
		if in := &h.Intents[i]; !in.Expires.IsZero() {
			in.Expires, in.Strange = time.Time{}, "expires"
		}
	}
	for i := range h.Outcomes {
		h.Outcomes[i].Time = time.Time{}
	}
	for i := range h.DeadLetters {
		h.DeadLetters[i].Time = time.Time{}
	}
	return h
}

// slack is how late a call may use a slot: see pace.Limit.
func slack(interval time.Duration) time.Duration {
	return min(max(interval/50, 5*time.Millisecond), 100*time.Millisecond) + 5*time.Millisecond
}

// awaitStable waits until no transaction is open on the outcome topic: that of
// a fence whose owner was killed within it ends by its timeout.
func (s *scene) awaitStable(ctx context.Context) error {
	for ctx.Err() == nil {
		open := false
		for _, p := range s.brokers.PartitionInfos(devstack.Outcomes) {
			open = open || p.LastStableOffset != p.HighWatermark
		}
		if !open {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return errors.New("a transaction stays open on the outcome topic")
}

func (s *scene) collectCalls(h *history.Run) {
	for _, c := range s.sim.Calls() {
		call := history.Call{At: c.At, Until: c.AnsweredAt, Intent: c.OrderID, Merchant: c.Merchant, Member: strings.TrimSuffix(c.Host, ".lab"),
			Lookup: c.Script != "init_payment.php", Key: c.IdempotencyKey, Params: c.Params}
		if c.Answer == "ok" {
			call.Link = c.Payment
		}
		call.Refused = !call.Lookup && slices.Contains(refusesOrder, c.Answer)
		h.Calls = append(h.Calls, call)
	}
	for _, p := range s.sim.Payments() {
		h.Payments = append(h.Payments, history.Payment{ID: p.ID, Intent: p.OrderID, Link: p.RedirectURL})
	}
}

// intentsOf says of all records which of them readers of committed ones see.
func intentsOf(all, visible []devstack.Record) (out []history.Intent) {
	seen := map[history.Place]bool{}
	for _, r := range visible {
		seen[records.Place(r)] = true
	}
	for _, r := range all {
		in := history.Intent{At: records.Place(r), ID: string(r.Header(headerID)), Key: string(r.Key), Content: string(r.Header(headerContent)), Hidden: !seen[records.Place(r)]}
		in.Merchant, in.Strange = string(r.Header(headerMerchant)), string(r.Header(headerStrange))
		in.Beyond = slices.Contains([]bomb{wide, crowded}, bomb(r.Header(headerBomb)))
		in.Schema = len(r.Value) > 0 && r.Value[0] == 0 // Confluent's wire format
		in.Seen, _ = time.Parse(time.RFC3339Nano, string(r.Header(headerSeen)))
		if r.Time.After(in.Seen.AddDate(-1, 0, 0)) && !r.Time.After(in.Seen) {
			in.Time = r.Time
		}
		in.Expires, _ = time.Parse(time.RFC3339Nano, string(r.Header(headerExpires))) // none: never
		out = append(out, in)
	}
	return out
}

// refusesOrder are answers that speak of one order.
var refusesOrder = []string{"error 11005", "error 9403", "error 11013"}

// mostMemory is what this whole process may use, all seeds that are performed at the
// same time, brokers and gateway included: a coarse bound.
const mostMemory = 3 << 30

func inUse() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
