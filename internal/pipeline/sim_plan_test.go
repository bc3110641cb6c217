package pipeline

import (
	"fmt"
	"math/rand/v2"
	"time"

	"paylink/internal/pace"
	"paylink/internal/payment"
)

// A simPlan is a history before it happens: data, drawn from one seed, so that it
// can be told, made smaller, and performed again. What chance decides while it is
// performed (latencies, moods of the gateway) follows from the seed and from what it
// is about, and so stays the same when other parts of the plan are left out.
type simPlan struct {
	seed   uint64
	kind   simKind
	world  simWorld
	emits  []simEmit
	faults []simFault
}

// A simKind is what a history is to show.
type simKind int

const (
	simStorm  simKind = iota // everything goes wrong
	simOdd                   // one strange order, and otherwise peace: L2
	simCrowd                 // more than the rate allows, and otherwise peace: L3
	simSparse                // around a merchant's rate, for members that lend each other turns
	simSlow                  // merchants whose calls hang, or are slow, and otherwise peace: L2
	simMany                  // many orders of one kind that are odd for ever, or whole merchants, and otherwise peace: L2
)

type simWorld struct {
	members, partitions        int
	concurrency, window, batch int
	giveUp, callTimeout        time.Duration
	session, drain             time.Duration
	backoff                    pace.Backoff
	quickest, slowest          time.Duration // an answer of the gateway
	appends                    time.Duration // at most, one way
	slow                       time.Duration // after which calls that hang are answered well; 0: they are not
	late                       time.Duration // timers fire so late at most
	repeated                   simRepeated
	moods                      simMoods
	merchants                  []simMerchant
	reach                      time.Duration // the ledger knows what is younger; 0: all
	clocks                     bool          // are set
	notes                      simNotes
}

// simNotes are what becomes of notes that members say to each other. The zero simNotes:
// there are none.
type simNotes struct {
	quickest, slowest time.Duration // on their way
	lost, doubled     int           // percent
}

// A simRepeated is what the gateway answers to a key that it knows.
type simRepeated int

const (
	answersAgain simRepeated = iota
	saysDuplicate
	paysAgain
)

// simMoods are percent of calls that end otherwise than well.
type simMoods struct{ lost, eaten, unsent, wait, unsigned, proxy, refused int }

type simMerchant struct {
	id   payment.MerchantID
	rate pace.Rate
	host string
}

// A simEmit is one record of the intent topic. Records of one id and one content say
// the same.
type simEmit struct {
	at        time.Duration
	part      int
	key       string // empty: none
	id        int
	merchant  int
	content   int
	expires   time.Duration // after the start; 0: never
	recordAge time.Duration // how much older its time is than it is
	timeless  bool          // its time is none
	broken    bool          // it breaks a rule
	garbage   bool          // it is no intent
	strange   bool          // the gateway speaks of our credentials, for this order only
	odd       simOddity     // for ever
}

// A simOddity is what the gateway answers to one order, whenever it is asked.
type simOddity int

const (
	oddNot       simOddity = iota
	oddSilent              // nothing
	oddUnsent              // it cannot be reached
	oddLater               // in an hour
	oddDuplicate           // that the order is known, and it allows no look-up
	oddUnknown             // the same, and it answers no look-up
	oddRefused             // nobody knows whom refuses it, and it allows no look-up
	oddExists              // nobody knows whom refuses it, and the gateway has a payment
	oddities
)

var simOddities = [...]string{"", "silent", "not sent", "later", "duplicate and no look-up", "duplicate and silent", "refused and no look-up", "refused and it exists"}

// A simFault goes wrong, and is mended after a while, or never.
type simFault struct {
	kind  simFaultKind
	at    time.Duration
	lasts time.Duration
	who   int // member, partition or merchant
	by    time.Duration
	ever  bool // it is never mended
	share int  // percent of calls that hang
}

type simFaultKind int

const (
	simKill         simFaultKind = iota // a member dies, and starts anew
	simLeave                            // a member leaves the group, and joins again
	simCut                              // a member's heartbeats are lost: beyond its lease it is a zombie
	simFreeze                           // all that a member says to Kafka is
	simFence                            // a stranger breaks a partition's fence
	simDown                             // a host is not there
	simDeny                             // a merchant's credentials are refused
	simDenyUnsigned                     // by nobody knows whom
	simBlind                            // only its look-ups are
	simClock                            // a member's wall clock is set forward or back
	simTerms                            // a merchant has another rate
	simGone                             // a merchant is removed
	simFewer                            // fewer calls may be in flight
	simTight                            // the settings let a merchant's emitters say less
	simSilent                           // a host answers no call of a merchant
	simFaultKinds
	simHang = simFaultKinds // calls of a merchant hang: not drawn among others
)

var simFaultNames = [...]string{
	"kill member", "leave member", "cut member", "freeze member", "fence partition", "down host of merchant", "deny merchant", "deny (unsigned) merchant",
	"refuse look-ups of merchant", "set clock of member", "other terms of merchant", "remove merchant", "less concurrency of member", "tighten merchant", "silence to merchant", "hanging calls of merchant",
}

func (f simFault) String() string {
	if f.ever {
		return fmt.Sprintf("%8.3f s: %s %d for ever", f.at.Seconds(), simFaultNames[f.kind], f.who)
	}
	return fmt.Sprintf("%8.3f s: %s %d for %v (%v)", f.at.Seconds(), simFaultNames[f.kind], f.who, f.lasts, f.by)
}

func (e simEmit) String() string {
	s := fmt.Sprintf("%8.3f s: emit i%d to %d, key %q, merchant %d", e.at.Seconds(), e.id, e.part, e.key, e.merchant)
	for _, x := range []struct {
		on   bool
		what string
	}{
		{e.content > 0, fmt.Sprint(", content ", e.content)}, {e.expires > 0, fmt.Sprint(", expires ", e.expires)}, {e.recordAge != 0, fmt.Sprint(", aged ", e.recordAge)},
		{e.odd != oddNot, ", odd: " + simOddities[e.odd]}, {e.timeless, ", without a time"}, {e.broken, ", broken"}, {e.garbage, ", garbage"}, {e.strange, ", strange"},
	} {
		if x.on {
			s += x.what
		}
	}
	return s
}

// drawSim draws the plan of a seed.
func drawSim(seed uint64) *simPlan {
	d := simDraw{rand.New(rand.NewPCG(seed, 11)), &simPlan{seed: seed}}
	switch n := d.IntN(20); {
	case n == 0:
		d.odd()
	case n <= 2:
		d.crowd()
	case n <= 4:
		d.sparse()
	case n == 5:
		d.many()
	case n == 6:
		d.slow()
	default:
		d.storm()
	}
	return d.simPlan
}

type simDraw struct {
	*rand.Rand
	*simPlan
}

// span is a time between two, more often a short one.
func (d simDraw) span(least, most time.Duration) time.Duration {
	x := d.Float64()
	return least + time.Duration(x*x*float64(most-least)).Truncate(time.Millisecond)
}

func (d simDraw) chance(percent int) bool { return d.IntN(100) < percent }

func pick[T any](d simDraw, of ...T) T { return of[d.IntN(len(of))] }

// peace is a world in which nothing goes wrong.
func (d simDraw) peace() {
	d.world = simWorld{
		members: 1, partitions: 1, concurrency: 64, window: 1000, batch: 100, giveUp: time.Hour, callTimeout: 30 * time.Second,
		session: 3 * time.Second, drain: 5 * time.Second, backoff: pace.Backoff{Base: time.Second, Max: 8 * time.Second},
		quickest: 20 * time.Millisecond, slowest: 200 * time.Millisecond, appends: 20 * time.Millisecond,
		merchants: []simMerchant{{"540001", pace.Rate{Events: 1, Per: 1500 * time.Millisecond}, "a"}},
	}
}

// odd is one strange order among others.
func (d simDraw) odd() {
	d.kind = simOdd
	d.peace()
	d.world.partitions = 1 + d.IntN(2)
	n := 10 + d.IntN(30)
	for i := range n {
		d.emits = append(d.emits, simEmit{at: d.span(0, 40*time.Second), part: d.IntN(d.world.partitions), id: i, key: pick(d, "", fmt.Sprint("k", i))})
	}
	strange := d.IntN(n)
	d.emits[strange].strange = true
	switch d.IntN(3) {
	case 0: // nobody comes after it who could show that it is alone
		d.emits[strange].at = time.Minute
	case 1: // nobody comes at all
		d.emits = d.emits[strange : strange+1]
	default:
		d.emits = append(d.emits, simEmit{at: 5 * time.Minute, id: n})
	}
}

// many is more odd orders than are loaded at a time, or some of which the gateway speaks of
// our credentials, few or in a bunch, or two merchants of three that it answers no call of.
// The others are few.
func (d simDraw) many() {
	d.kind = simMany
	d.peace()
	w := &d.world
	w.partitions, w.concurrency = 1+d.IntN(2), 256 // as by default: of a slow gateway a 32nd is called at a time
	odd, n, silent, strange := simOddity(1+d.IntN(int(oddities-1))), 40+d.IntN(60), d.chance(30), d.chance(30)
	switch {
	case silent:
		w.merchants = append(w.merchants, simMerchant{"540002", d.rate(), "a"}, simMerchant{"540003", w.merchants[0].rate, "a"})
		for m := range 2 {
			d.faults = append(d.faults, simFault{kind: simSilent, who: m, ever: true})
		}
		odd, strange = oddNot, false
	case strange:
		odd, n = oddNot, 2+d.IntN(4)
	}
	others, from, until := 5+d.IntN(20), time.Duration(0), 15*time.Minute
	bunch := strange && d.chance(50)
	if bunch {
		n, from = 20+d.IntN(60), d.span(0, 5*time.Minute)
		until += from
	}
	for i := range n {
		at := d.span(0, 5*time.Minute)
		if bunch {
			at = from
		}
		d.emits = append(d.emits, simEmit{
			at: at, part: d.IntN(w.partitions), id: i, merchant: d.IntN(max(1, len(w.merchants)-1)), odd: odd, strange: strange,
		})
	}
	if silent { // a burst, in which every call counts
		others, from, until = 60, 5*time.Minute, 5*time.Minute+20*time.Second
	}
	for i := range others {
		d.emits = append(d.emits, simEmit{
			at: d.span(from, until), part: d.IntN(w.partitions), id: n + i, merchant: len(w.merchants) - 1, key: pick(d, "", fmt.Sprint("k", i)),
		})
	}
	if odd != oddNot && d.chance(50) {
		d.follow(n)
	}
}

// follow puts three orders behind each of the first n, of one key. They wait with it.
func (d simDraw) follow(n int) {
	for i := range n {
		d.emits[i].key = fmt.Sprint(simFollows, i)
		for range 3 {
			e := d.emits[i]
			e.id, e.odd, e.strange = len(d.emits), oddNot, false
			d.emits = append(d.emits, e)
		}
	}
}

// simFollows is how keys begin of orders that are behind odd ones.
const simFollows = "behind "

// slow is one merchant, or two of three, of which most calls hang, or are answered after
// long. The other has been there before.
func (d simDraw) slow() {
	d.kind = simSlow
	d.peace()
	w := &d.world
	w.partitions, w.concurrency, w.giveUp, w.slow = 1+d.IntN(2), pick(d, 8, 64, 256), 5*time.Minute, pick(d, 0, 0, 20*time.Second)
	ill, until := 1+d.IntN(2), pick(d, time.Minute, 3*time.Minute)
	rate := pick(d, pace.Rate{Events: 5, Per: time.Second, Burst: 1}, pace.Rate{Events: 20, Per: time.Second, Burst: 10})
	w.merchants = nil
	for m := range ill + 1 {
		w.merchants = append(w.merchants, simMerchant{payment.MerchantID(fmt.Sprint(540001 + m)), rate, "a"})
	}
	for m := range ill {
		d.faults = append(d.faults, simFault{kind: simHang, at: 10 * time.Second, who: m, share: pick(d, 50, 90, 100), ever: true})
	}
	emit := func(n, merchant int, from, until time.Duration) {
		for range n {
			d.emits = append(d.emits, simEmit{at: d.span(from, until), part: d.IntN(w.partitions), id: len(d.emits), merchant: merchant})
		}
	}
	emit(ill*(50+d.IntN(200)), d.IntN(ill), 10*time.Second, until)
	emit(ill*(50+d.IntN(200)), d.IntN(ill), 10*time.Second, until)
	emit(3, ill, 0, 5*time.Second)
	emit(20, ill, 10*time.Second, until+time.Minute)
}

// crowd is a burst, and then arrivals around the rate, so that some are given up.
func (d simDraw) crowd() {
	d.kind = simCrowd
	d.peace()
	d.world.giveUp = d.span(time.Minute, 3*time.Minute)
	old := pick(d, 10, 10, 50)
	for i := range 30 + d.IntN(90) {
		e := simEmit{at: d.span(0, 3*time.Minute), id: i}
		if d.chance(20) {
			e.expires = e.at + d.span(5*time.Second, 2*time.Minute)
		}
		if d.chance(old) {
			e.recordAge = d.span(0, time.Minute)
		}
		d.emits = append(d.emits, e)
	}
}

// storm is everything.
func (d simDraw) storm() {
	w := &d.world
	*w = simWorld{
		members: 1 + d.IntN(3), partitions: 1 + d.IntN(4), concurrency: pick(d, 1, 2, 4, 16, 64), window: pick(d, 3, 8, 40, 1000), batch: pick(d, 1, 5, 100),
		giveUp: pick(d, time.Minute, 5*time.Minute, time.Hour), callTimeout: pick(d, 2*time.Second, 10*time.Second), session: 3 * time.Second, drain: pick(d, time.Second, 12*time.Second),
		backoff: pace.Backoff{Base: time.Second, Max: pick(d, 8*time.Second, time.Minute)}, quickest: time.Millisecond, slowest: pick(d, 50*time.Millisecond, time.Second, 3*time.Second),
		appends: pick(d, 5*time.Millisecond, 300*time.Millisecond, 2*time.Second), late: pick(d, 0, 2*time.Millisecond),
		repeated: pick(d, answersAgain, saysDuplicate, paysAgain),
	}
	if d.chance(10) {
		w.reach = d.span(time.Minute, time.Hour)
	}
	for i := range 1 + d.IntN(3) {
		w.merchants = append(w.merchants, simMerchant{payment.MerchantID(fmt.Sprint(540001 + i)), d.rate(), pick(d, "a", "a", "b")})
	}
	if d.chance(70) {
		most := pick(d, 2, 10, 30)
		w.moods = simMoods{d.IntN(most), d.IntN(most), d.IntN(most), d.IntN(most), d.IntN(most), d.IntN(most), d.IntN(most)}
	}
	horizon := pick(d, 10*time.Second, 40*time.Second, 3*time.Minute)
	d.intents(3+d.IntN(pick(d, 8, 20, 60)), horizon)
	for range d.IntN(7) {
		d.fault(horizon)
	}
	if d.chance(50) {
		d.lend()
	}
	if d.chance(20) {
		d.hurry(horizon)
	}
}

// hurry is more of a merchant than is loaded at a time, all at once, of few keys: some that
// come later are in more of a hurry than those before them.
func (d simDraw) hurry(horizon time.Duration) {
	at, part, merchant, n := d.span(0, horizon), d.IntN(d.world.partitions), d.IntN(len(d.world.merchants)), len(d.emits)
	d.world.merchants[merchant].rate, d.world.window = pace.Rate{Events: 2, Per: time.Second, Burst: 1}, 1000
	for i := range 30 + d.IntN(30) {
		e := simEmit{at: at + d.span(0, 5*time.Second), part: part, id: n + i, merchant: merchant, key: fmt.Sprint("h", d.IntN(20))}
		if d.chance(30) {
			e.expires = at + d.span(time.Second, time.Minute)
		}
		d.emits = append(d.emits, e)
	}
}

// lend has members lend each other turns.
func (d simDraw) lend() {
	quickest := pick(d, time.Millisecond, 10*time.Millisecond)
	d.world.notes = simNotes{quickest, quickest + pick(d, 10*time.Millisecond, 100*time.Millisecond, time.Second), pick(d, 0, 0, 10, 50), pick(d, 0, 20)}
}

// sparse is a merchant that uses a part of its rate, or more than that, of members that come and go.
func (d simDraw) sparse() {
	d.kind = simSparse
	d.peace()
	w := &d.world
	w.members, w.partitions = 2+d.IntN(3), pick(d, 3, 4, 6, 12)
	w.merchants[0].rate = pick(d, pace.Rate{Events: 1, Per: 1500 * time.Millisecond, Burst: 1}, pace.Rate{Events: 1, Per: 1500 * time.Millisecond, Burst: 3}, pace.Rate{Events: 3, Per: time.Second, Burst: 6}, pace.Rate{Events: 20, Per: time.Second, Burst: 1})
	interval := w.merchants[0].rate.Interval()
	n := 20 + d.IntN(80)
	horizon := time.Duration(n) * interval * time.Duration(pick(d, 1, 2, 3))
	begin, kinds, longest := time.Duration(0), []simFaultKind{simKill, simLeave, simCut, simFreeze}, 2*w.session
	if d.chance(30) { // its rate is used up, when there are zombies
		begin, horizon, kinds, longest = w.session, time.Duration(n)*interval/2, []simFaultKind{simCut}, 6*w.session
	}
	for i := range n {
		d.emits = append(d.emits, simEmit{at: begin + time.Duration(d.Float64()*float64(horizon)), part: d.IntN(w.partitions), id: i})
	}
	for range d.IntN(6) {
		f := simFault{kind: pick(d, kinds...), at: d.span(0, horizon), lasts: d.span(0, longest), who: d.IntN(w.members)}
		d.faults = append(d.faults, f)
	}
	d.lend()
}

func (d simDraw) rate() pace.Rate {
	return pick(d, pace.Rate{}, pace.Rate{Events: 1, Per: 1500 * time.Millisecond, Burst: 1}, pace.Rate{Events: 2, Per: time.Second, Burst: 1}, pace.Rate{Events: 40, Per: time.Second, Burst: 10})
}

// intents draws records: of few keys, some repeated, some of them odd.
func (d simDraw) intents(n int, horizon time.Duration) {
	w := &d.world
	burst, conflicts := d.span(0, horizon), pick(d, 3, 3, 60)
	for i := range n {
		e := simEmit{at: d.span(0, horizon), part: d.IntN(w.partitions), id: i, merchant: d.IntN(len(w.merchants)), key: pick(d, "", "", "a", "b", "c", "d")}
		if d.chance(30) {
			e.at = burst
		}
		if d.chance(5) {
			e.at = 0 // before anybody came
		}
		switch p := d.IntN(100); {
		case p < 10:
			e.expires = max(time.Millisecond, e.at+d.span(-time.Second, time.Minute))
		case p < 15:
			e.recordAge = d.span(0, 2*w.giveUp)
		case p < 17:
			e.timeless = true
		case p < 20:
			e.broken = true
		case p < 23:
			e.garbage, e.key = true, pick(d, "", "a")
		case p < 24:
			e.strange = true
		case p < 27:
			e.odd = simOddity(1 + d.IntN(int(oddities-1)))
		}
		d.emits = append(d.emits, e)
		key := e.key
		if d.chance(15) {
			e.at += d.span(0, horizon/2)
			if d.chance(50) {
				e.key = pick(d, "", "a", "b", "c")
			}
			d.emits = append(d.emits, e)
		}
		if d.chance(conflicts) && !e.garbage {
			e.at, e.key, e.content, e.broken = e.at+d.span(0, horizon/2), pick(d, key, "", "a", "b"), 1, false
			if d.chance(30) { // it may be in more of a hurry than the first
				e.expires = e.at + d.span(time.Second, time.Minute)
			}
			d.emits = append(d.emits, e)
		}
	}
}

func (d simDraw) fault(horizon time.Duration) {
	w := &d.world
	f := simFault{kind: simFaultKind(d.IntN(int(simFaultKinds))), at: d.span(0, horizon), lasts: d.span(0, 30*time.Second)}
	switch f.kind {
	case simFence:
		f.who = d.IntN(w.partitions)
	case simKill, simLeave, simFewer:
		f.who = d.IntN(w.members)
	case simCut, simFreeze:
		f.who, f.lasts = d.IntN(w.members), d.span(0, 2*w.session)
	case simClock:
		f.who, f.by = d.IntN(w.members), pick(d, time.Duration(1), -1)*pick(d, 50*time.Millisecond, 2*time.Second, time.Minute, 2*time.Hour)
		w.clocks = true
	case simBlind:
		if f.who, f.ever = d.IntN(len(w.merchants)), d.chance(50); f.ever { // and a hold, which the last that could end it may leave
			d.faults = append(d.faults, simFault{kind: pick(d, simDeny, simDenyUnsigned), at: d.span(0, horizon), lasts: d.span(0, time.Minute), who: f.who})
		}
	default:
		f.who = d.IntN(len(w.merchants))
	}
	d.faults = append(d.faults, f)
}
