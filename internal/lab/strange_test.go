package lab

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"paylink/internal/pace"
)

// drawStrange adds what emitters, operators and a gateway do that concerns one
// intent, one merchant, or the order in which intents wait. It comes after everything
// else, so that a seed's other part stays what it was.
func (d *drawing) drawStrange() {
	d.plan.world.jitter = one[time.Duration](d, 0, 0, 1, 5) * time.Millisecond
	switch pick := d.IntN(100); {
	case pick < 10:
		d.drawBurst()
	case pick < 20:
		d.drawOld()
	case pick < 32:
		d.drawEarly()
	case pick < 40:
		d.drawRejoin()
	case pick < 48:
		d.add(fault{at: d.when(), what: begin, seat: d.IntN(int(d.plan.world.partitions))})
	}
	if d.often(35) {
		d.drawTimes()
	}
	if d.often(25) {
		d.drawOrder()
	}
	if d.often(20) {
		d.drawRefusedLooks()
	}
}

// drawTimes gives some records a time that is none, or one of another age, and some
// an expires_at of another age.
func (d *drawing) drawTimes() {
	for _, e := range d.plan.emissions {
		for i := range e.records {
			switch r := &e.records[i]; {
			case d.often(30):
				r.stamp = one(d, absent, absent, zero, seconds, micros, nanos, farPast, farAhead, aLot, soon, secondOld)
			case r.expires == 0 && r.id != "" && d.often(10):
				r.until = one(d, "0001-01-01T00:00:00Z", "0001-06-01T00:00:00Z", "1500-06-01T00:00:00Z", "1677-01-01T00:00:00Z", "1969-12-31T23:59:59Z",
					"2263-01-01T00:00:00Z", "9999-12-31T23:59:59Z")
			}
		}
	}
}

// quiet leaves nothing in the plan but one merchant's intents in a partition or two,
// at a slow rate, and a gateway that is fast.
func (d *drawing) quiet() (interval time.Duration) {
	w := &d.plan.world
	w.partitions, w.slowest, w.concurrency, w.giveUp = one[int32](d, 1, 1, 1, 2), 50*time.Millisecond, 64, 25*time.Second
	w.outcomes = w.partitions
	w.merchants = w.merchants[:1]
	w.merchants[0] = one(d, pace.Rate{Events: 1, Per: 250 * time.Millisecond, Burst: 1}, pace.Rate{Events: 8, Per: time.Second, Burst: 4})
	d.plan.emissions, d.plan.faults, d.old = nil, nil, nil
	return w.merchants[0].Interval()
}

// arrive has intents arrive one by one.
func (d *drawing) arrive(name string, n int, from, every time.Duration) {
	for i := range n {
		d.plan.emissions = append(d.plan.emissions, emission{
			at: from + time.Duration(i)*every, partition: d.Int32N(d.plan.world.partitions),
			records: []record{{id: fmt.Sprintf("%s-%03d", name, i), amount: "10.00"}},
		})
	}
}

// at has intents arrive at once, over all partitions.
func (d *drawing) atOnce(name string, n int, at time.Duration, s stamp) {
	for p := range d.plan.world.partitions {
		e := emission{at: at, partition: p}
		for i := int(p); i < n; i += int(d.plan.world.partitions) {
			e.records = append(e.records, record{id: fmt.Sprintf("%s-%03d", name, i), amount: "10.00", stamp: s})
		}
		d.plan.emissions = append(d.plan.emissions, e)
	}
}

// drawBurst is a burst, or an outage, and then arrivals around the merchant's rate: in
// the order of their times nobody waits too long.
func (d *drawing) drawBurst() {
	each := d.quiet()
	every := each * time.Duration(one(d, 95, 110, 115)) / 100
	d.atOnce("burst", int(15*time.Second/each), 6*time.Second, "")
	d.arrive("later", int(25*time.Second/every), 6200*time.Millisecond, every)
	if d.often(30) {
		d.add(fault{at: 6 * time.Second, what: down, lasts: d.between(time.Second, 5*time.Second), arg: one(d, "503", "cut")})
	}
}

// drawOld are intents that are hours old when members start, and that an owner before
// them may have called, among fresh ones.
func (d *drawing) drawOld() {
	each := d.quiet()
	d.atOnce("old", int(42*time.Second/each), 0, hoursOld)
	d.arrive("fresh", int(20*time.Second/each), 6*time.Second, each*3/2)
	if d.often(30) {
		d.add(fault{at: d.between(8*time.Second, 20*time.Second), what: kill, seat: d.seat(), lasts: one(d, 0, 500*time.Millisecond)})
	}
}

// drawEarly are look-ups that come before the call: a member is killed while its calls
// are on their way, and is back at once, when their intents expire.
func (d *drawing) drawEarly() {
	w := &d.plan.world
	w.static, w.latency, w.concurrency = true, min(w.latency, 5*time.Millisecond), 64
	if d.often(60) {
		d.plan.emissions, d.plan.faults, d.old = nil, nil, nil
	}
	for range 1 + d.IntN(3) {
		at, seat := d.when()+4*time.Second, d.seat()
		d.add(fault{at: at, what: delay, seat: seat, lasts: 1800 * time.Millisecond, count: 2 + d.IntN(4)})
		d.add(fault{at: at + d.between(300*time.Millisecond, 600*time.Millisecond), what: kill, seat: seat})
		for p := range w.partitions {
			e := emission{at: at + 20*time.Millisecond, partition: p}
			for range 1 + d.IntN(3) {
				d.ids++
				e.records = append(e.records, record{id: fmt.Sprintf("e-%02d", d.ids), amount: "10.00", expires: at + d.between(800*time.Millisecond, 1400*time.Millisecond)})
			}
			d.plan.emissions = append(d.plan.emissions, e)
		}
	}
}

// drawRejoin is a member whose joins are lost for longer than the group waits for it,
// with heartbeats that come late.
func (d *drawing) drawRejoin() {
	at, seat, s := d.when(), d.seat(), d.plan.world.session
	d.add(fault{at: at, what: lose, seat: seat, key: 11, count: 200, lasts: 20 * time.Second}) // JoinGroup
	d.add(fault{at: at + 200*time.Millisecond, what: join, lasts: one(d, 0, 19*time.Second)})
	d.add(fault{at: at + d.between(10*time.Second, 15*time.Second), what: late, seat: seat, key: 12, count: 20, lasts: s * time.Duration(one(d, 5, 8, 9)) / 10}) // Heartbeat
	d.arrive("rejoin", 30, at+10*time.Second, 300*time.Millisecond)
}

// drawOrder is one order that the gateway refuses as if our credentials were wrong.
func (d *drawing) drawOrder() {
	e := &d.plan.emissions[d.IntN(len(d.plan.emissions))]
	r := &e.records[d.IntN(len(e.records))]
	if r.id == "" || r.amount != "10.00" || e.ending == aborted || d.comesAgain(r.id) {
		return
	}
	r.strange = "sim:" + one(d, "credentials:9997", "credentials:9998", "signed-error:9997", "signed-error:9998")
	if d.plan.jumps() || d.often(30) {
		r.strange += fmt.Sprintf("_%d", 1+d.IntN(3))
		return
	}
	if r.expires == 0 { // or, with none of its merchant behind it, it waits for ever: what is refused may be the merchant
		r.expires, r.until = e.at+4*time.Minute, ""
	}
}

func (d *drawing) comesAgain(id string) bool {
	n := 0
	for _, e := range d.plan.emissions {
		for _, r := range e.records {
			if r.id == id {
				n++
			}
		}
	}
	return n > 1
}

// drawRefusedLooks has look-ups refused as if our credentials were wrong, of all or of
// one merchant, while Init works; and some intents expire meanwhile, of which owners
// that died may have called.
func (d *drawing) drawRefusedLooks() {
	arg := "status/" + one(d, "credentials:9998", "credentials:9997", "signed-error:9997")
	if d.often(50) {
		arg += "@" + merchantID(d.IntN(len(d.plan.world.merchants)))
	}
	at := d.when() / 2
	if d.plan.jumps() || d.often(40) {
		d.add(fault{at: at, what: misbehave, arg: arg, lasts: 40 * time.Second})
	} else {
		d.plan.world.looks, d.plan.world.giveUp = arg, min(d.plan.world.giveUp, 4*time.Minute) // nothing else ends some doubts
	}
	if d.plan.world.static || d.often(50) {
		d.add(fault{at: at + d.between(time.Second, 4*time.Second), what: kill, seat: d.seat(), lasts: one(d, 0, 200*time.Millisecond)})
	}
	d.arrive("looks", 20, at+time.Second, 700*time.Millisecond)
	for i := range d.plan.emissions {
		if e := &d.plan.emissions[i]; strings.HasPrefix(e.records[0].id, "looks-") && d.often(30) {
			e.records[0].expires = e.at + d.between(300*time.Millisecond, 3*time.Second)
		}
	}
}

// latest is by how much later calls may arrive.
func (p plan) latest() (by time.Duration) {
	for _, f := range p.faults {
		if f.what == delay {
			by = max(by, f.lasts)
		}
	}
	return by
}

// denies says that a merchant may really be on hold.
func (p plan) denies() bool {
	return slices.ContainsFunc(p.faults, func(f fault) bool {
		return f.what == secret || f.what == rotate || strings.Contains(f.arg, "credentials")
	})
}

func (p plan) widens() bool {
	return slices.ContainsFunc(p.faults, func(f fault) bool { return f.what == widen })
}
