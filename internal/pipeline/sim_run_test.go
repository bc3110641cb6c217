package pipeline

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"paylink/internal/event"
	"paylink/internal/payment"
	"paylink/internal/pq"
)

// A sim performs one plan: one thread, and an event queue in virtual time. It does
// what an Engine, a Source and the world around them do, and asks the core as they
// do.
type sim struct {
	plan   *simPlan
	now    time.Duration // since the start
	events *pq.Heap[simEvent]
	count  uint64 // events so far
	drawn  int

	parts    []*simPartition
	members  []*simMember
	callsOf  []int
	payments []int64 // the newest of each intent; 0: none
	made     int64
	mended   time.Duration // when all is

	down                      map[string]int
	deny, denyUnsigned, blind map[payment.MerchantID]int
	tight, silent, hangs      map[payment.MerchantID]int
	rates                     map[payment.MerchantID]Terms
	gone                      map[payment.MerchantID]int

	h simHistory
}

type simEvent struct {
	at    time.Duration
	order uint64
	do    func()
}

// A simMember is a process.
type simMember struct {
	s        *sim
	number   int
	life     int
	alive    bool
	joined   bool
	core     core
	cfg      Config
	offset   time.Duration // of its wall clock
	lease    time.Duration // until when it may believe that it is in the group
	cuts     int
	cutIn    map[int]int // in which life a fault began
	frozen   int         // it says nothing to Kafka
	expelled bool
	fewer    int
	flying   int
	claims   []*simClaim
	ledgers  map[int32]*simLedger
	wakes    uint64
	draws    uint64
}

const simForever = 1 << 62

// after has something done so much later.
func (s *sim) after(d time.Duration, do func()) {
	s.count++
	s.events.Push(simEvent{s.now + max(0, d), s.count, do})
}

// What chance is about.
const (
	simRollThere = iota + 1
	simRollBack
	simRollMood
	simRollRefuse
	simRollBury
	simRollLand
	simRollAck
	simRollDead
	simRollCommit
	simRollRead
	simRollFence
	simRollPoll
	simRollCore
	simRollLate
	simRollBeat
	simRollNote
)

// roll is chance that follows from the seed and from what it is about.
func (s *sim) roll(kind, about int, n uint64) uint64 {
	x := s.plan.seed*0x9E3779B97F4A7C15 ^ uint64(kind)<<56 ^ uint64(about)<<32 ^ n
	for range 2 { // splitmix64
		x += 0x9E3779B97F4A7C15
		x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
		x = (x ^ x>>27) * 0x94D049BB133111EB
		x ^= x >> 31
	}
	return x
}

func (s *sim) between(kind, about, n int, least, most time.Duration) time.Duration {
	if most <= least {
		return least
	}
	return least + time.Duration(s.roll(kind, about, uint64(n))%uint64(most-least))
}

func (s *sim) next() int { s.drawn++; return s.drawn }

// simulate performs a plan.
func simulate(p *simPlan) *simHistory {
	s := &sim{
		plan: p, events: pq.New(func(a, b simEvent) bool { return a.at < b.at || a.at == b.at && a.order < b.order }, nil),
		down: map[string]int{}, deny: map[payment.MerchantID]int{}, denyUnsigned: map[payment.MerchantID]int{}, blind: map[payment.MerchantID]int{},
		tight: map[payment.MerchantID]int{}, silent: map[payment.MerchantID]int{}, hangs: map[payment.MerchantID]int{}, rates: map[payment.MerchantID]Terms{}, gone: map[payment.MerchantID]int{},
	}
	s.h.plan = p
	for i := range p.world.partitions {
		s.parts = append(s.parts, &simPartition{number: int32(i)})
	}
	ids := 0
	for _, e := range p.emits {
		ids = max(ids, (e.id+1)*len(s.parts))
		s.mended = max(s.mended, e.at)
		s.after(e.at, func() { s.emit(e) })
	}
	s.callsOf, s.payments = make([]int, ids), make([]int64, ids)
	s.h.ids = ids
	for _, m := range p.world.merchants {
		s.rates[m.id] = Terms{Rate: m.rate, Endpoint: m.host}
	}
	for i := range p.world.members {
		m := &simMember{s: s, number: i, cutIn: map[int]int{}}
		s.members = append(s.members, m)
		s.after(0, m.start)
	}
	for i, f := range p.faults {
		s.after(f.at, func() { s.fault(i, f, 1) })
		if f.ever {
			continue
		}
		s.mended = max(s.mended, f.at+f.lasts)
		s.after(f.at+f.lasts, func() { s.fault(i, f, -1) })
	}
	s.run()
	s.h.parts = s.parts
	s.h.payments = s.payments
	s.h.events = s.count
	return &s.h
}

// run lets time pass until all is settled and committed.
func (s *sim) run() {
	end := s.mended + 4*s.plan.world.giveUp + time.Hour
	if s.plan.world.clocks { // what is to be looked at by a clock that is set back later is looked at later
		end += 2 * time.Hour
	}
	still := 0
	for s.events.Len() > 0 {
		e := s.events.Pop()
		if still++; e.at > s.now {
			still = 0
		}
		if s.now = e.at; s.now > end || still > 20_000 {
			s.h.stuck = fmt.Sprintf("at %v, %d events at one time", s.now, still)
			break
		}
		e.do()
		if s.now > s.mended && s.isDone() {
			break
		}
	}
	s.h.ended = s.now
}

// isDone reports whether all is settled and committed.
func (s *sim) isDone() bool {
	for _, p := range s.parts {
		if p.committed < int64(len(p.records)) {
			return false
		}
	}
	return true
}

// emit appends a record to its partition.
func (s *sim) emit(e simEmit) {
	p := s.parts[e.part]
	m := s.plan.world.merchants[e.merchant]
	id := payment.IntentID(fmt.Sprintf("i%d", e.id))
	at := simStart.Add(s.now - e.recordAge)
	rec := &simRecord{id: e.id*len(s.parts) + e.part, key: e.key, strange: e.strange, odd: e.odd, host: m.host}
	rec.Offset = int64(len(p.records))
	if rec.Time = at; e.timeless {
		rec.Time = time.UnixMilli(-1)
	}
	if e.key != "" {
		rec.Key = []byte(e.key)
	}
	in := payment.Intent{ID: id, Merchant: m.id, OrderID: string(id), IdempotencyKey: string(id)}
	rec.due = at.Add(s.plan.world.giveUp)
	if e.expires > 0 {
		in.ExpiresAt = simStart.Add(e.expires)
		if in.ExpiresAt.Before(rec.due) {
			rec.due = in.ExpiresAt
		}
	}
	rec.dec = event.Decoded{Intent: in}
	binary.BigEndian.PutUint64(rec.dec.Digest[:], uint64(e.content)<<48|uint64(e.merchant)<<40)
	if e.broken {
		rec.dec.Violations = []payment.Violation{{Field: "amount", Rule: "must be"}}
		rec.dec.Digest[0] = 77
	}
	if e.garbage {
		rec.dead = &event.Unreadable{Reason: event.NotJSON}
	}
	p.records = append(p.records, rec)
	s.h.emitted = append(s.h.emitted, simEmitted{s.now, p.number, rec})
	if c := p.owner; c != nil && c.waiting {
		c.waiting = false
		s.after(s.between(simRollPoll, int(p.number), int(rec.Offset), 0, 5*time.Millisecond), func() { s.poll(c) })
	}
}

// fault begins or ends what goes wrong.
func (s *sim) fault(i int, f simFault, by int) {
	merchant := func() payment.MerchantID { return s.plan.world.merchants[f.who].id }
	switch f.kind {
	case simKill:
		s.members[f.who].kill(by)
	case simLeave:
		s.members[f.who].leave(by)
	case simCut, simFreeze:
		s.members[f.who].cut(i, by, f.kind == simFreeze)
	case simFence:
		if by > 0 {
			s.parts[f.who].epoch++
		}
	case simDown:
		s.down[s.plan.world.merchants[f.who].host] += by
	case simDeny:
		s.deny[merchant()] += by
	case simDenyUnsigned:
		s.deny[merchant()] += by
		s.denyUnsigned[merchant()] += by
	case simBlind:
		s.blind[merchant()] += by
	case simClock:
		if m := s.members[f.who]; m.alive {
			m.offset += time.Duration(by) * f.by
		}
	case simTerms, simGone:
		s.renew(f, by, merchant())
	case simTight:
		s.tight[merchant()] += by
	case simSilent:
		s.silent[merchant()] += by
	case simHang:
		s.hangs[merchant()] += by * f.share
	case simFewer:
		m := s.members[f.who]
		if m.fewer += by; m.alive {
			n := s.plan.world.concurrency
			if m.fewer > 0 {
				n = 1
			}
			m.do(func(now time.Time) {
				m.cfg.Concurrency = n
				m.core.sched.SetConcurrency(n, now)
			})
		}
	}
}

// renew changes a merchant's terms, or removes it for a while.
func (s *sim) renew(f simFault, by int, m payment.MerchantID) {
	if f.kind == simGone {
		s.gone[m] += by
	} else if t := s.rates[m]; by > 0 && t.Rate.Events > 0 {
		t.Rate.Events++
		s.rates[m] = t
		s.h.rateChanged = true
	}
	for _, member := range s.members {
		if member.alive {
			member.do(func(now time.Time) {
				member.core.renew(func(payment.MerchantID) bool { return f.lasts%2 == 0 }, now)
			})
		}
	}
}

// time is the member's, by both of its clocks.
func (m *simMember) time() time.Time {
	return clocksAt(simStart.Add(m.s.now+m.offset), m.s.now+time.Hour)
}

// do tells the core of something, and does what it has decided: as Engine.do.
func (m *simMember) do(event func(now time.Time)) {
	now := m.time()
	event(now)
	m.core.pump(now)
	m.sleep(m.core.wake(now).Sub(now))
	d := m.core.take()
	for _, t := range d.calls {
		m.s.call(t.worker.claim.(*simClaim), t)
	}
	for _, p := range d.publish {
		m.s.append(p.task.worker.claim.(*simClaim), p)
	}
	for _, b := range d.bury {
		m.s.bury(b.task.worker.claim.(*simClaim), b)
	}
	for _, r := range d.reads {
		m.s.read(r.worker.claim.(*simClaim), r)
	}
	for _, c := range d.commits {
		m.s.commit(c.claim.(*simClaim), c.next)
	}
	for _, n := range d.notes {
		m.s.say(m, n)
	}
	for _, w := range d.idle {
		c := w.claim.(*simClaim)
		m.s.after(0, func() { m.s.leftIdle(c) })
	}
	for _, c := range m.claims {
		if len(c.pending) > 0 && !c.admits && len(c.w.room) > 0 {
			c.admits = true
			m.s.after(0, func() { m.s.admit(c) })
		}
	}
}

// sleep sets the timer.
func (m *simMember) sleep(d time.Duration) {
	at := m.s.now + max(0, d)
	if late := m.s.plan.world.late; late > 0 {
		m.draws++
		at += time.Duration(m.s.roll(simRollLate, m.number, m.draws) % uint64(late))
	}
	m.wakes++
	wakes, life := m.wakes, m.life
	m.s.after(at-m.s.now, func() {
		if m.alive && m.wakes == wakes && m.life == life {
			m.do(func(time.Time) {})
		}
	})
}

// start begins a process.
func (m *simMember) start() {
	if m.alive {
		return
	}
	w := &m.s.plan.world
	m.life++
	m.alive, m.joined, m.lease, m.expelled, m.flying, m.claims = true, true, simForever, false, 0, nil
	m.ledgers = map[int32]*simLedger{}
	m.cuts, m.frozen = 0, 0
	m.cfg = Config{
		Concurrency: w.concurrency, GiveUpAfter: w.giveUp, CallTimeout: w.callTimeout, Backoff: w.backoff, WindowCount: w.window, WindowBytes: 8 << 20, MostBacklog: mostBacklog,
		Terms: m.s.terms, Merchants: func() int { return len(w.merchants) }, Partitions: func() int { return w.partitions },
	}
	if w.notes != (simNotes{}) {
		m.cfg.Turns = simTurns{name: strconv.Itoa(m.id())}
	}
	m.core = newCore(&m.cfg, func() float64 {
		m.draws++
		return float64(m.s.roll(simRollCore, m.number, m.draws)>>11) / (1 << 53)
	})
	m.s.rebalance()
}

// id is unlike that of any other life of any member.
func (m *simMember) id() int { return m.number*1000 + m.life }

// terms are a merchant's; none if it is removed.
func (s *sim) terms(m payment.MerchantID) Terms {
	if s.gone[m] > 0 {
		return Terms{}
	}
	return s.rates[m]
}

// kill ends a process without a word. After a session the group knows.
func (m *simMember) kill(by int) {
	s := m.s
	switch {
	case by > 0 && m.alive:
		m.alive, m.joined = false, false
		life := m.life
		s.after(s.plan.world.session, func() { s.forget(m, life) })
	case by < 0 && !m.alive:
		life := m.life
		s.forget(m, life)
		s.after(s.plan.world.session, m.start)
	}
}

// forget takes a dead member's partitions from it.
func (s *sim) forget(m *simMember, life int) {
	for _, p := range s.parts {
		if c := p.owner; c != nil && c.m == m && c.life == life && (!m.alive || m.life != life) {
			p.owner = nil
		}
	}
	s.rebalance()
}

// leave leaves the group, or joins it again.
func (m *simMember) leave(by int) {
	if m.alive {
		m.joined = by < 0
		m.s.rebalance()
	}
}

// cut loses a member's heartbeats, or all that it says to Kafka.
func (m *simMember) cut(fault, by int, all bool) {
	s := m.s
	if !m.alive || by < 0 && m.cutIn[fault] != m.life {
		return // it began to live since
	}
	m.cutIn[fault] = m.life
	if all {
		m.frozen += by
	}
	m.cuts += by
	switch {
	case by > 0 && m.cuts == 1:
		m.lease = s.now + s.plan.world.session - s.between(simRollBeat, m.number, s.next(), 0, s.plan.world.session/5)
		life, lease := m.life, m.lease
		s.after(lease-s.now+s.between(simRollBeat, m.number, s.next(), time.Millisecond, 300*time.Millisecond), func() {
			if m.alive && m.life == life && m.cuts > 0 && m.lease == lease {
				s.expel(m)
			}
		})
	case m.cuts == 0 && m.expelled:
		for _, c := range append([]*simClaim(nil), m.claims...) {
			if c.part.owner != c {
				s.lose(c)
			}
		}
		m.expelled, m.joined, m.lease = false, true, simForever
		s.rebalance()
	case m.cuts == 0:
		m.lease = simForever
		m.do(func(time.Time) {})
	}
}

// expel has the group count a member out, which does not know yet.
func (s *sim) expel(m *simMember) {
	m.expelled, m.joined = true, false
	for _, p := range s.parts {
		if c := p.owner; c != nil && c.m == m {
			p.owner = nil
		}
	}
	s.rebalance()
}

// rebalance gives every partition to the member whose it is to be, evenly: by a
// drain, if another has it.
func (s *sim) rebalance() {
	var in []*simMember
	for _, m := range s.members {
		if m.joined && m.alive {
			in = append(in, m)
		}
	}
	for i, p := range s.parts {
		switch {
		case p.owner != nil && (len(in) == 0 || in[i%len(in)] != p.owner.m):
			s.drain(p.owner)
		case p.owner == nil && !p.coming && len(in) > 0:
			p.coming = true
			m := in[i%len(in)]
			life := m.life
			s.after(s.between(simRollFence, i, s.next(), 20*time.Millisecond, 200*time.Millisecond), func() {
				p.coming = false
				if m.alive && m.joined && m.life == life && p.owner == nil && m.cuts == 0 && !m.has(p) {
					s.claim(m, p)
				}
				s.rebalance()
			})
		}
	}
}

// has reports whether a member still has a claim on a partition, ended or not.
func (m *simMember) has(p *simPartition) bool {
	for _, c := range m.claims {
		if c.part == p {
			return true
		}
	}
	return false
}

// claim fences a partition, reads its ledger, and begins to work on it.
func (s *sim) claim(m *simMember, p *simPartition) {
	p.epoch++
	c := &simClaim{s: s, m: m, life: m.life, part: p, epoch: p.epoch, fresh: int64(len(p.records)), next: p.committed, began: s.now}
	c.ledger = m.ledger(p)
	c.ledger.read(m, p)
	p.owner = c
	c.w = newWorker(c, &m.cfg)
	m.claims = append(m.claims, c)
	m.do(func(now time.Time) { m.core.open(c.w, now) })
	s.after(0, func() { s.poll(c) })
}

// poll takes records in, as Engine.serve does.
func (s *sim) poll(c *simClaim) {
	if !c.m.alive || c.life != c.m.life || c.lost || c.draining || c.closed || len(c.pending) > 0 {
		return
	}
	if c.m.core.sched.IsDown(s.hosts(), c.m.time()) {
		if c.down == 0 {
			c.down = s.now
		}
		if len(s.plan.world.merchants) == 1 || s.now < c.down+mostDown {
			s.after(downLook, func() { s.poll(c) })
			return
		}
	}
	c.down = 0
	n := min(int64(len(c.part.records)), c.next+int64(s.plan.world.batch))
	if c.m.frozen > 0 || n <= c.next {
		c.waiting = n <= c.next
		if !c.waiting {
			s.after(100*time.Millisecond, func() { s.poll(c) })
		}
		return
	}
	for _, rec := range c.part.records[c.next:n] {
		c.pending = append(c.pending, rec.task(c.w))
	}
	c.next = n
	s.admit(c)
}

func (s *sim) hosts() int {
	seen := map[string]bool{}
	for _, m := range s.plan.world.merchants {
		if s.gone[m.id] == 0 {
			seen[m.host] = true
		}
	}
	return len(seen)
}

// admit lets records in as there is room, as Engine.admit does.
func (s *sim) admit(c *simClaim) {
	c.admits = false
	if !c.m.alive || c.life != c.m.life || c.lost || c.draining || c.closed {
		return
	}
	select {
	case <-c.w.room:
	default:
	}
	c.m.do(func(now time.Time) {
		for len(c.pending) > 0 && c.m.core.arrive(c.pending[0], now) {
			c.m.core.takeTurns(now)
			c.pending = c.pending[1:]
		}
	})
	if len(c.pending) == 0 {
		c.m.do(func(now time.Time) {
			c.w.part.Passed(c.next)
			c.m.core.mark(c.w)
		})
		s.after(0, func() { s.poll(c) })
	}
}

// drain hands a claim over once nothing is in flight.
func (s *sim) drain(c *simClaim) {
	if c.draining || c.lost {
		return
	}
	c.draining = true
	c.m.do(func(now time.Time) { c.m.core.shut(c.w, now) })
	s.after(s.plan.world.drain, func() {
		if !c.drained && c.m.alive && c.life == c.m.life {
			s.lose(c)
		}
	})
	if c.w.active == 0 {
		s.after(0, func() { s.leftIdle(c) })
	}
}

// leftIdle ends a drain.
func (s *sim) leftIdle(c *simClaim) {
	if c.drained || c.lost || !c.draining || !c.m.alive || c.life != c.m.life || c.w.active > 0 {
		return
	}
	c.drained = true
	c.m.do(func(time.Time) { c.m.core.mark(c.w) })
	s.after(time.Millisecond, func() {
		if c.m.alive && c.life == c.m.life {
			s.close(c)
		}
	})
}

// lose tells a member that a claim is lost. Its calls are cut off.
func (s *sim) lose(c *simClaim) {
	if c.lost || c.closed {
		return
	}
	c.lost = true
	for _, f := range append([]*simFlight(nil), c.calls...) {
		s.after(time.Millisecond, func() { s.answer(f, answer{err: simCancelled}) })
	}
	s.after(s.between(simRollFence, int(c.part.number), s.next(), 0, 2*time.Millisecond), func() {
		if c.m.alive && c.life == c.m.life {
			s.close(c)
		}
	})
}

// close ends a claim, and lets the group give its partition to another.
func (s *sim) close(c *simClaim) {
	if c.closed {
		return
	}
	c.closed = true
	m := c.m
	m.do(func(now time.Time) { m.core.close(c.w, now) })
	for i, other := range m.claims {
		if other == c {
			m.claims = append(m.claims[:i], m.claims[i+1:]...)
			break
		}
	}
	if c.part.owner == c {
		c.part.owner = nil
	}
	s.rebalance()
}
