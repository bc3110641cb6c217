package lab

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"paylink/internal/gatewaysim"
	"paylink/internal/pace"
)

// A plan is one experiment. It is made of a seed before anything runs, is data
// and no more, and any part of it is a plan too: that is what minimising does.
type plan struct {
	seed      uint64
	world     world
	emissions []emission
	faults    []fault
}

// A world is what an experiment is set in.
type world struct {
	brokers    int
	partitions int32 // of the intents
	outcomes   int32 // partitions of outcomes and dead letters
	seats      int   // members that are there from the beginning
	static     bool  // they have instance ids

	registry bool // there is a schema registry: records may name schemas, and outcomes do

	merchants []pace.Rate
	repeat    gatewaysim.Repeat
	signed    bool          // the gateway signs its errors
	slowest   time.Duration // the gateway's latency, at most
	login     bool          // members log in at the brokers
	looks     string        // a rule of the gateway that is never mended: look-ups are refused; empty: none

	session     time.Duration
	giveUp      time.Duration
	concurrency int
	latency     time.Duration // of the network to the brokers, of one frame
	jitter      time.Duration // by how much more each frame may take

	interrupted string // how the operator's first attempt to heal ends

	tampered bool // when all is judged, a stranger spoils topics and gateway, for the verbs to find
	remade   bool // or the outcome topic is deleted then, and made again
}

// An emission is one or several records that appear on the intent topic at once.
type emission struct {
	at        time.Duration
	partition int32 // if there is none such yet: the last one
	ending    ending
	open      time.Duration // how long its transaction stays open
	records   []record
}

// An ending is how records were written.
type ending int

const (
	plain ending = iota // without a transaction
	committed
	aborted
)

// A record is one record of the intent topic.
type record struct {
	id       string // empty: no intent can be read from it
	key      string
	merchant int
	amount   string
	expires  time.Duration // after the start; zero: never
	schema   int           // that it names; zero: none
	stamp    stamp         // what stands where its time belongs; zero: its time
	until    string        // what stands in expires_at, instead of expires
	bomb     bomb          // what makes it large; empty: nothing
	strange  string        // how the gateway answers this order only, as a marker of gatewaysim
}

// A bomb is what makes a record large that is small on its way.
type bomb string

const (
	wide    bomb = "8 MiB"               // that no memory has room for
	crowded bomb = "60,000 headers"      // nor for these
	padded  bomb = "900 KiB of no field" // an intent all the same, and there is room for it
)

// A stamp is what a record has for a time.
type stamp string

const (
	absent    stamp = "no time"
	zero      stamp = "zero"
	seconds   stamp = "in seconds"
	micros    stamp = "in microseconds"
	nanos     stamp = "in nanoseconds"
	farPast   stamp = "30 years ago"
	farAhead  stamp = "in 200 years"
	aLot      stamp = "in a day"
	soon      stamp = "in half an hour" // which a clock may be wrong by
	hoursOld  stamp = "two hours ago"
	secondOld stamp = "two seconds ago"
)

// of returns the time that the record has, if it is written now. What no number of
// nanoseconds holds is something else on its way, and as wrong.
func (s stamp) of(now time.Time) time.Time {
	switch s {
	case absent:
		return time.UnixMilli(-1)
	case zero:
		return time.UnixMilli(0)
	case seconds:
		return time.UnixMilli(now.Unix())
	case micros:
		return time.UnixMilli(now.UnixMicro())
	case nanos:
		return time.UnixMilli(now.UnixNano())
	case farPast:
		return now.AddDate(-30, 0, 0)
	case farAhead:
		return now.AddDate(200, 0, 0)
	case aLot:
		return now.AddDate(0, 0, 1)
	case soon:
		return now.Add(30 * time.Minute)
	case hoursOld:
		return now.Add(-2 * time.Hour)
	case secondOld:
		return now.Add(-2 * time.Second)
	}
	return now
}

// content is what the gateway would be told.
func (r record) content() string { return fmt.Sprint(r.id, " ", r.merchant, " ", r.amount, r.strange) }

// A fault is one thing that goes wrong, and for how long. What it needs that is
// not there, such as a member that is not alive, makes it nothing.
type fault struct {
	at    time.Duration
	what  what
	seat  int           // whom it befalls; which broker
	lasts time.Duration // until it is mended; by then others may have begun
	key   int16         // the kind of Kafka request
	count int           // how many requests
	topic string        // of requests; empty: any
	arg   string        // rules of the gateway; a Kafka error
	by    time.Duration // that a clock jumps
}

type what string

const (
	kill       what = "killed, and started anew"  // its network is cut for good, its memory gone
	leave      what = "stopped, and started anew" // as SIGTERM does
	join       what = "one more member"           // which leaves again, if it lasts any time
	freeze     what = "frozen"                    // no byte in or out, and nobody is told
	stall      what = "stalled towards Kafka"     // frozen, but for the gateway
	cutKafka   what = "cut off from Kafka"        // connections break, the gateway stays
	cutPay     what = "cut off from gateway and registry"
	lose       what = "requests lost"
	mute       what = "answers lost"
	late       what = "requests late"
	double     what = "requests carried out twice"
	refuse     what = "requests refused" // by the broker, with a Kafka error
	leaders    what = "leaders move"
	hash       what = "coordinators move"
	remove     what = "broker gone, and back"
	pause      what = "broker frozen"
	offsets    what = "all stopped, offsets reset"
	steal      what = "fence broken by a stranger"
	begin      what = "fence begun by a stranger, and not ended"
	widen      what = "partition added"
	misbehave  what = "gateway misbehaves"
	down       what = "gateway down"
	secret     what = "gateway changes a secret"
	jump       what = "wall clock jumps"
	unregister what = "registry down"
	limit      what = "records may be so large at most"
	tighten    what = "answers lost, and records may be so large at most from then on"
	trim       what = "old records deleted"
	vanish     what = "topic of turns gone, and back"
	litter     what = "strangers write to the topic of turns"
	rotate     what = "a merchant's secret changes"
	relogin    what = "the login at the brokers changes"
	skip       what = "all stopped, offsets set to the end, which nobody had read"
	mislead    what = "registry denies schemas"
	echo       what = "gateway answers twice"
	delay      what = "calls late" // on their way to the gateway, also when their sender is dead
)

// end is when the last thing of the plan is over.
func (p plan) end() (last time.Duration) {
	for _, e := range p.emissions {
		last = max(last, e.at+e.open)
	}
	for _, f := range p.faults {
		last = max(last, f.at+f.lasts)
	}
	return last
}

// String is the timeline.
func (p plan) String() string {
	type line struct {
		at   time.Duration
		text string
	}
	var lines []line
	for _, e := range p.emissions {
		lines = append(lines, line{e.at, e.String()})
	}
	for _, f := range p.faults {
		lines = append(lines, line{f.at, f.String()})
	}
	slices.SortStableFunc(lines, func(a, b line) int { return cmp.Compare(a.at, b.at) })
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %s\n", p.seed, p.world)
	for _, l := range lines {
		fmt.Fprintf(&b, "  %7.3f  %s\n", l.at.Seconds(), l.text)
	}
	fmt.Fprintf(&b, "  %7.3f  all is mended\n", p.end().Seconds())
	return b.String()
}

func (w world) String() string {
	var rates []string
	for _, r := range w.merchants {
		rates = append(rates, r.String())
	}
	kind := map[bool]string{true: "static members", false: "members"}[w.static]
	return fmt.Sprintf("%d brokers, registry %t, %d partitions (%d of outcomes), %d %s, merchants at %s; session %s, give up after %s, %d calls at once; gateway: up to %s, repeat %d, signs errors %t%s; tampered with %t, outcomes made again %t",
		w.brokers, w.registry, w.partitions, w.outcomes, w.seats, kind, strings.Join(rates, " and "), w.session, w.giveUp, w.concurrency, w.slowest, w.repeat, w.signed, strings.TrimSuffix("; for ever "+w.looks, "; for ever "), w.tampered, w.remade)
}

func (e emission) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "emit to %d:", e.partition)
	for _, r := range e.records {
		switch {
		case r.id == "":
			b.WriteString(" garbage")
		default:
			fmt.Fprintf(&b, " %s", r.id)
		}
		fmt.Fprintf(&b, "(%s", r.key)
		if r.id != "" {
			fmt.Fprintf(&b, ", merchant %d, %s", r.merchant, r.amount)
		}
		if r.expires > 0 {
			fmt.Fprintf(&b, ", expires %s", r.expires)
		}
		if r.until != "" {
			fmt.Fprintf(&b, ", expires at %s", r.until)
		}
		if r.stamp != "" {
			fmt.Fprintf(&b, ", time %s", r.stamp)
		}
		if r.strange != "" {
			fmt.Fprintf(&b, ", %s", r.strange)
		}
		if r.bomb != "" {
			fmt.Fprintf(&b, ", %s", r.bomb)
		}
		if r.schema > 0 {
			fmt.Fprintf(&b, ", schema %d", r.schema)
		}
		b.WriteString(")")
	}
	switch e.ending {
	case committed:
		fmt.Fprintf(&b, ", committed after %s", e.open)
	case aborted:
		fmt.Fprintf(&b, ", aborted after %s", e.open)
	}
	return b.String()
}

func (f fault) String() string {
	var b strings.Builder
	switch f.what {
	case delay:
		fmt.Fprintf(&b, "member %d: %d %s", f.seat, f.count, f.what)
	case lose, mute, late, double:
		fmt.Fprintf(&b, "member %d: %d %s %s", f.seat, f.count, strings.TrimSpace(kmsg.NameForKey(f.key)+" "+f.topic), f.what)
	case litter:
		fmt.Fprintf(&b, "%s: %d", f.what, f.count)
	case refuse:
		fmt.Fprintf(&b, "%d %s %s %s: %s", f.count, kmsg.NameForKey(f.key), f.what, f.topic, f.arg)
	case kill, leave, freeze, stall, cutKafka, cutPay:
		fmt.Fprintf(&b, "member %d %s", f.seat, f.what)
	case remove, pause, steal, begin, secret:
		fmt.Fprintf(&b, "%s: %d", f.what, f.seat)
	case misbehave, down, unregister:
		fmt.Fprintf(&b, "%s: %s", f.what, strings.TrimSuffix(f.arg, ","))
	case jump:
		fmt.Fprintf(&b, "member %d: %s by %s", f.seat, f.what, f.by)
	case offsets:
		fmt.Fprintf(&b, "%s to %d/4", f.what, f.count)
	case limit:
		fmt.Fprintf(&b, "%s: %s, %d", f.what, f.topic, f.count)
	case tighten:
		fmt.Fprintf(&b, "member %d: %s: %s, %d", f.seat, f.what, f.topic, f.count)
	case trim:
		fmt.Fprintf(&b, "%s: %s/%d, %d/4", f.what, f.topic, f.seat, f.count)
	case rotate:
		fmt.Fprintf(&b, "%s: %d, first %s", f.what, f.seat, f.arg)
	case relogin:
		fmt.Fprintf(&b, "%s, first %s", f.what, f.arg)
	default:
		b.WriteString(string(f.what))
	}
	if f.lasts > 0 {
		fmt.Fprintf(&b, " (%s)", f.lasts)
	}
	return b.String()
}
