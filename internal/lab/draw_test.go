package lab

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"paylink/internal/devstack"
	"paylink/internal/gatewaysim"
	"paylink/internal/pace"
)

// draw makes the plan of a seed. It is a pure function: nothing else decides
// what is tried.
func draw(seed uint64) plan {
	d := &drawing{Rand: rand.New(rand.NewPCG(seed, 0x6c6162))}
	d.plan = plan{seed: seed, world: d.world()}
	d.span = time.Duration(4+d.IntN(7)) * time.Second
	d.drawEmissions()
	d.drawFaults()
	d.drawRegistry()
	d.drawClocks()
	d.drawStrange()
	d.drawTopics()
	d.drawRotation()
	d.plan.world.tampered = d.often(40)
	d.drawMistakes()
	d.drawTurns()
	d.drawTwice()
	d.plan.world.remade = d.often(15)
	return d.plan
}

// A drawing is a plan in the making.
type drawing struct {
	*rand.Rand
	plan plan
	span time.Duration // within which things begin
	ids  int
	old  []dated // records that may come again
}

// dated is a record with its partition.
type dated struct {
	record
	partition int32
}

// one picks one of several.
func one[T any](d *drawing, of ...T) T { return of[d.IntN(len(of))] }

// often is true in so many of a hundred cases.
func (d *drawing) often(percent int) bool { return d.IntN(100) < percent }

// between is a time from low up to high.
func (d *drawing) between(low, high time.Duration) time.Duration {
	return (low + time.Duration(d.Int64N(int64(high-low)))).Round(time.Millisecond)
}

func (d *drawing) when() time.Duration { return d.between(0, d.span) }

func (d *drawing) world() world {
	w := world{
		brokers: one(d, 1, 2, 3), partitions: int32(1 + d.IntN(4)), seats: one(d, 2, 2, 3), static: d.often(30),
		repeat: one(d, gatewaysim.FirstAnswer, gatewaysim.DuplicateError, gatewaysim.NewPayment), signed: d.often(50),
		slowest:     one[time.Duration](d, 5, 50, 300, 1200) * time.Millisecond,
		session:     one[time.Duration](d, 2, 3, 5) * time.Second,
		giveUp:      one(d, time.Hour, time.Hour, 25*time.Second),
		concurrency: one(d, 1, 3, 64, 64),
		latency:     one[time.Duration](d, 0, 1, 5, 20) * time.Millisecond,
	}
	w.outcomes = w.partitions
	if d.often(25) {
		w.outcomes = int32(1 + d.IntN(int(w.partitions)))
	}
	for range one(d, 1, 1, 2, 3) {
		w.merchants = append(w.merchants, one(d,
			pace.Rate{Events: 100, Per: time.Second, Burst: 50}, pace.Rate{Events: 20, Per: time.Second, Burst: 1},
			pace.Rate{Events: 8, Per: time.Second, Burst: 4}, pace.Rate{Events: 1, Per: 250 * time.Millisecond, Burst: 1}))
	}
	return w
}

func (d *drawing) drawEmissions() {
	for n := 15 + d.IntN(46); n > 0; {
		e := emission{at: d.when(), partition: d.Int32N(d.plan.world.partitions)}
		if d.often(15) {
			e.ending, e.open = one(d, committed, aborted, aborted), one(d, 0, 100*time.Millisecond, 2*time.Second)
		}
		for range min(n, 1+d.IntN(5)) {
			e.records = append(e.records, d.record(e))
			n--
		}
		d.plan.emissions = append(d.plan.emissions, e)
	}
}

// record draws a record: mostly a new intent, sometimes one that comes again,
// with the same content or another, sometimes a broken one.
func (d *drawing) record(e emission) record {
	pick := d.IntN(100)
	if again := d.before(e.partition); pick < 12 && again.id != "" {
		if pick < 3 {
			again.amount = "99.00" // a conflict
		}
		return again
	}
	r := record{merchant: d.IntN(len(d.plan.world.merchants)), amount: "10.00"}
	if !d.often(20) {
		r.key = fmt.Sprintf("k%d", d.IntN(5))
	}
	if pick == 12 || pick == 99 {
		return r
	}
	d.ids++
	r.id = fmt.Sprintf("i-%02d", d.ids)
	switch {
	case pick == 13:
		r.amount = "-1"
	case pick < 30:
		r.expires = e.at + d.between(300*time.Millisecond, 8*time.Second)
	}
	if e.ending != aborted {
		d.old = append(d.old, dated{r, e.partition})
	}
	return r
}

// before picks a record of the partition that was drawn before.
func (d *drawing) before(partition int32) record {
	if len(d.old) == 0 {
		return record{}
	}
	if o := d.old[d.IntN(len(d.old))]; o.partition == partition {
		return o.record
	}
	return record{}
}

func (d *drawing) drawFaults() {
	kind := d.IntN(100)
	if w := &d.plan.world; kind < 16 && w.repeat == gatewaysim.DuplicateError {
		w.repeat = gatewaysim.FirstAnswer // nor because of its answer
	}
	for n := 3 + d.IntN(7); n > 0; n-- {
		switch {
		case kind < 16: // nothing after which a call must be repeated
			d.add(d.gentle())
		case kind < 30:
			d.add(d.ofMember())
		case kind < 45:
			d.add(d.ofRequests())
		default:
			d.add(one(d, d.ofMember, d.ofMember, d.ofRequests, d.ofRequests, d.ofBrokers, d.ofGateway, d.ofGateway, d.gentle, d.ofHandOver, d.ofFence, d.ofZombie, d.ofDoubt, d.ofDoubt, d.ofBurial, d.ofLies, d.ofLies, d.ofOutage)())
		}
	}
}

func (d *drawing) add(f fault) { d.plan.faults = append(d.plan.faults, f) }

func (d *drawing) seat() int { return d.IntN(d.plan.world.seats) }

func (d *drawing) gentle() fault {
	f := fault{at: d.when(), what: one(d, leave, join, join, leaders, hash), seat: d.seat()}
	switch f.what {
	case leave:
		f.lasts = one(d, 0, 500*time.Millisecond, 4*time.Second)
	case join:
		f.lasts = d.between(time.Second, 8*time.Second)
	}
	return f
}

func (d *drawing) ofMember() fault {
	f := fault{at: d.when(), what: one(d, kill, kill, kill, freeze, stall, stall, cutKafka, cutPay), seat: d.seat()}
	s := d.plan.world.session
	switch f.what {
	case kill:
		f.lasts = one(d, 0, 200*time.Millisecond, s/2, 2*s)
		if d.often(40) { // what it was just saying arrives when it is dead
			d.add(fault{at: f.at - d.between(0, 300*time.Millisecond), what: late, seat: f.seat, lasts: d.between(s/2, 3*s), key: d.deadly(), count: 1 + d.IntN(3)})
		}
	default:
		f.lasts = one(d, s/4, s+s/2, 3*s)
	}
	return f
}

// ofHandOver is a member that is killed while partitions are handed over.
func (d *drawing) ofHandOver() fault {
	at := d.when()
	d.add(fault{at: at, what: join, lasts: one(d, 0, d.between(3*time.Second, 8*time.Second))})
	return fault{at: at + d.between(100*time.Millisecond, 2500*time.Millisecond), what: kill, seat: d.IntN(d.plan.world.seats + 1), lasts: one(d, 0, 200*time.Millisecond, time.Second)}
}

// ofFence is a fence that is broken just after something was published whose
// acknowledgement got lost.
func (d *drawing) ofFence() fault {
	at := d.when()
	d.add(fault{at: at, what: mute, seat: d.seat(), key: int16(kmsg.Produce), count: 1 + d.IntN(3)})
	if d.often(50) {
		return fault{at: at, what: refuse, key: int16(kmsg.Produce), topic: devstack.Outcomes, count: 1 + d.IntN(4), arg: one(d, "INVALID_PRODUCER_EPOCH", "OUT_OF_ORDER_SEQUENCE_NUMBER")}
	}
	return fault{at: at + d.between(0, 300*time.Millisecond), what: steal, seat: d.IntN(int(d.plan.world.partitions))}
}

// ofZombie is a member that is killed while what it publishes is on its way, and
// arrives when somebody else has taken over.
func (d *drawing) ofZombie() fault {
	at, seat, s := d.when(), d.seat(), d.plan.world.session
	d.add(fault{at: at, what: late, seat: seat, key: int16(kmsg.Produce), count: 3, lasts: s + d.between(2*time.Second, 5*time.Second)})
	return fault{at: at + d.between(100*time.Millisecond, 1500*time.Millisecond), what: kill, seat: seat, lasts: one(d, 0, 2*s)}
}

// ofDoubt is a member that is killed, or all of them, while they wait for answers
// that were lost, and a gateway that refuses what the next ones ask.
func (d *drawing) ofDoubt() fault {
	at := d.when()
	d.add(fault{at: at, what: misbehave, lasts: 2 * time.Second, arg: one(d, "lost-answer=0.8", "slow:3s=0.8", "500-after=0.8")})
	first, n := d.seat(), one(d, 1, d.plan.world.seats)
	for i := range n {
		d.add(fault{at: at + d.between(300*time.Millisecond, 1900*time.Millisecond), what: kill, seat: (first + i) % d.plan.world.seats})
	}
	return fault{at: at + 2*time.Second, what: misbehave, lasts: d.between(2*time.Second, 8*time.Second), arg: one(d, "signed-error:11005=0.8", "error:11005=0.8", "duplicate-before=0.5")}
}

// ofLies is a gateway whose answers must not be believed.
func (d *drawing) ofLies() fault {
	return fault{at: d.when(), what: misbehave, lasts: d.between(time.Second, 3*time.Second),
		arg: one(d, "wrong-signature", "unsigned-ok", "bad-url", "error-after:11005", "error-after:9403") + "=0.6"}
}

// ofOutage is a member that cannot reach the gateway, and meanwhile hands
// partitions over.
func (d *drawing) ofOutage() fault {
	at := d.when() / 2
	d.add(fault{at: at, what: cutPay, seat: d.seat(), lasts: d.between(4*time.Second, 8*time.Second)})
	return fault{at: at + d.between(2*time.Second, 4*time.Second), what: join}
}

// ofBurial is a broker that does not take the next dead letters.
func (d *drawing) ofBurial() fault {
	return fault{at: d.when() / 2, what: refuse, key: int16(kmsg.Produce), topic: devstack.DeadLetters, count: 1 + d.IntN(3), arg: one(d, strings.Fields(refusals[kmsg.Produce])...)}
}

// deadly is a kind of request that changes something.
func (d *drawing) deadly() int16 {
	return int16(one(d, kmsg.Produce, kmsg.Produce, kmsg.Produce, kmsg.OffsetCommit, kmsg.InitProducerID, kmsg.EndTxn, kmsg.AddPartitionsToTxn, kmsg.JoinGroup, kmsg.SyncGroup, kmsg.LeaveGroup))
}

// spoken are the kinds of requests that the service uses.
var spoken = []kmsg.Key{
	kmsg.Produce, kmsg.Produce, kmsg.Fetch, kmsg.ListOffsets, kmsg.Metadata, kmsg.OffsetCommit, kmsg.OffsetFetch, kmsg.FindCoordinator,
	kmsg.JoinGroup, kmsg.Heartbeat, kmsg.LeaveGroup, kmsg.SyncGroup, kmsg.ApiVersions, kmsg.InitProducerID, kmsg.AddPartitionsToTxn, kmsg.EndTxn,
}

func (d *drawing) ofRequests() fault {
	f := fault{at: d.when(), what: one(d, lose, mute, late, late, refuse), seat: d.seat(), key: int16(one(d, spoken...)), count: 1 + d.IntN(4)}
	switch f.what {
	case late:
		f.lasts = one(d, 150*time.Millisecond, d.plan.world.session/2, 2*d.plan.world.session)
	case refuse:
		if f.key, f.arg = d.refusal(); f.key == int16(kmsg.Produce) {
			f.topic = one(d, devstack.Outcomes, devstack.DeadLetters) // the emitter's are its own business
		}
	}
	return f
}

// refusals are errors that brokers give, by the request that gets them. Some
// are given though the request was carried out.
var refusals = map[kmsg.Key]string{
	kmsg.Produce: "NOT_LEADER_FOR_PARTITION REQUEST_TIMED_OUT NOT_ENOUGH_REPLICAS NOT_ENOUGH_REPLICAS_AFTER_APPEND " +
		"INVALID_PRODUCER_EPOCH OUT_OF_ORDER_SEQUENCE_NUMBER UNKNOWN_PRODUCER_ID INVALID_TIMESTAMP",
	kmsg.Fetch:              "NOT_LEADER_FOR_PARTITION UNKNOWN_TOPIC_OR_PARTITION KAFKA_STORAGE_ERROR",
	kmsg.ListOffsets:        "NOT_LEADER_FOR_PARTITION",
	kmsg.OffsetCommit:       "REQUEST_TIMED_OUT COORDINATOR_LOAD_IN_PROGRESS NOT_COORDINATOR REBALANCE_IN_PROGRESS",
	kmsg.OffsetFetch:        "NOT_COORDINATOR COORDINATOR_LOAD_IN_PROGRESS",
	kmsg.FindCoordinator:    "COORDINATOR_NOT_AVAILABLE",
	kmsg.JoinGroup:          "COORDINATOR_LOAD_IN_PROGRESS NOT_COORDINATOR UNKNOWN_MEMBER_ID",
	kmsg.SyncGroup:          "NOT_COORDINATOR REBALANCE_IN_PROGRESS UNKNOWN_MEMBER_ID",
	kmsg.Heartbeat:          "NOT_COORDINATOR COORDINATOR_NOT_AVAILABLE UNKNOWN_MEMBER_ID ILLEGAL_GENERATION",
	kmsg.InitProducerID:     "CONCURRENT_TRANSACTIONS COORDINATOR_LOAD_IN_PROGRESS NOT_COORDINATOR",
	kmsg.AddPartitionsToTxn: "CONCURRENT_TRANSACTIONS NOT_COORDINATOR INVALID_PRODUCER_EPOCH",
	kmsg.EndTxn:             "CONCURRENT_TRANSACTIONS COORDINATOR_NOT_AVAILABLE INVALID_PRODUCER_EPOCH",
}

func (d *drawing) refusal() (key int16, name string) {
	for {
		k := one(d, spoken...)
		if names := refusals[k]; names != "" {
			return int16(k), one(d, strings.Fields(names)...)
		}
	}
}

func (d *drawing) ofBrokers() fault {
	f := fault{at: d.when(), what: one(d, leaders, hash, remove, pause, offsets, steal, widen)}
	switch f.what {
	case remove, pause:
		f.seat, f.lasts = d.IntN(d.plan.world.brokers), one(d, 500*time.Millisecond, 4*time.Second)
	case offsets:
		f.count = d.IntN(4)
	case steal:
		f.seat = d.IntN(int(d.plan.world.partitions))
	}
	return f
}

// unkindnesses are what the gateway does at its worst (internal/README.md, what the gateway does), but for
// a look-up that denies a payment that exists: after it nobody can tell the truth.
var unkindnesses = []string{
	"cut-before", "500-before", "html", "html:404", "429", "429:3s", "429-date:2s", "credentials", "error:9999", "error:11005", "signed-error:11005", "signed-error:9999",
	"duplicate-before", "lost-answer", "lost-answer", "500-after", "error-after:11005", "error-after:9403", "error-after:1000", "duplicate", "slow:1s", "slow:3s", "pending",
	"unknown-status", "unsigned-ok", "wrong-signature", "no-url", "no-payment-id", "bad-url", "payment-system", "html-type", "broken-xml", "truncated-xml", "redirect", "empty-body",
	"status/500-before", "status/lost-answer", "status/wrong-signature", "status/unsigned-ok",
}

func (d *drawing) ofGateway() fault {
	f := fault{at: d.when(), what: one(d, misbehave, misbehave, misbehave, down, secret), lasts: d.between(500*time.Millisecond, 6*time.Second)}
	switch f.what {
	case misbehave:
		for range 1 + d.IntN(3) {
			f.arg += fmt.Sprintf("%s=%.2f,", one(d, unkindnesses...), 0.1+0.23*d.Float64())
		}
	case down:
		f.arg = one(d, "503", "cut")
	case secret:
		f.seat, f.arg = d.IntN(len(d.plan.world.merchants)), "another"
	}
	return f
}

// drawTwice is a gateway, or a proxy before it, that writes each of its answers twice: what
// came unasked must not be taken for the answer to the next call. Members make few calls at
// once, and intents come in bunches, so that one call follows upon the other.
func (d *drawing) drawTwice() {
	if !d.often(12) {
		return
	}
	w := &d.plan.world
	w.concurrency, w.merchants[0] = one(d, 1, 1, 3), pace.Rate{Events: 100, Per: time.Second, Burst: 50}
	for range 1 + d.IntN(2) {
		f := fault{at: d.when(), what: echo, lasts: d.between(time.Second, 5*time.Second)}
		d.add(f)
		e := emission{at: f.at + 100*time.Millisecond, partition: d.Int32N(w.partitions)}
		for range 10 {
			d.ids++
			e.records = append(e.records, record{id: fmt.Sprintf("i-%02d", d.ids), amount: "10.00"})
		}
		d.plan.emissions = append(d.plan.emissions, e)
	}
}

// Schemas of the registry. Each is fetched when a record first names it.
const (
	knownSchemas  = 8
	unknownSchema = 99
)

// drawRegistry has a plan use a schema registry, which is down now and then.
func (d *drawing) drawRegistry() {
	if !d.often(40) {
		return
	}
	d.plan.world.registry = true
	for _, e := range d.plan.emissions {
		for i := range e.records {
			switch r := &e.records[i]; {
			case r.id == "" && d.often(50):
				r.schema = unknownSchema
			case d.often(50):
				r.schema = 1 + d.IntN(knownSchemas)
			}
		}
	}
	for range 1 + d.IntN(3) {
		d.add(fault{at: d.when(), what: unregister, lasts: d.between(500*time.Millisecond, 8*time.Second), arg: one(d, "cut", "frozen", "404", "503")})
	}
}

// drawClocks has the members' wall clocks jump, forward and back.
func (d *drawing) drawClocks() {
	if !d.often(35) {
		return
	}
	for range 1 + d.IntN(4) {
		by := one(d, 400*time.Millisecond, 7*time.Second, 90*time.Second, 50*time.Minute)
		f := fault{at: d.when(), what: jump, seat: d.seat(), by: one(d, by, -by)}
		switch d.IntN(3) {
		case 0: // and it hears no broker from then on
			f.by = -90 * time.Second
			d.add(fault{at: f.at + d.between(0, 500*time.Millisecond), what: stall, seat: f.seat, lasts: 3 * d.plan.world.session})
		case 1: // and so does everybody's, while intents wait because the gateway asked for it
			f.by = -50 * time.Minute
			d.add(fault{at: max(0, f.at-3*time.Second), what: misbehave, lasts: 3 * time.Second, arg: "429:10s=0.8"})
			for other := range d.plan.world.seats - 1 {
				d.add(fault{at: f.at, what: jump, seat: (f.seat + 1 + other) % d.plan.world.seats, by: f.by})
			}
		}
		d.add(f)
	}
}

// anyRepeats says that a call may have to be repeated whatever the members do:
// it gets an answer that is not the last word.
func (p plan) anyRepeats() bool {
	if p.world.repeat == gatewaysim.DuplicateError {
		return true
	}
	for _, f := range p.faults {
		switch f.what {
		case misbehave, down, secret, rotate, echo:
			return true
		}
	}
	return false
}

// jumps says that clocks jump.
func (p plan) jumps() bool {
	return clocksJump && slices.ContainsFunc(p.faults, func(f fault) bool { return f.what == jump })
}
