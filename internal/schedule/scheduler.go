package schedule

import (
	"time"

	"paylink/internal/pace"
	"paylink/internal/payment"
	"paylink/internal/pq"
)

// A Scheduler holds all loaded work of a process. Make one with New.
type Scheduler struct {
	cfg       Config
	lanes     map[payment.MerchantID]*Lane
	ordered   []*Lane              // all lanes, in the order they were made: a map has none
	endpoints []*Endpoint          // that merchants have, or had, in the order they were made
	byName    map[string]*Endpoint // the same
	blocked   bool                 // lanes may wait for a call of some endpoint to end
	ready     *pq.Heap[*Lane]      // lanes with queued work, by when they have to be looked at
	waiting   *pq.Heap[*Work]      // work that backs off

	crowded   []*Lane   // those that wait until there is room for a call at all, in their order
	usage               // of all calls
	young     []*call   // the oldest first: those of which it is not known yet whether they hang
	unsettled int       // outcomes that are not durable yet
	busySince time.Time // since when there has been no room for a call; zero: there is

	share      *pace.Share // of the slots of all merchants' limits
	ownings    ownings
	partitions int // ours
	changes    []Change

	notes     []pace.Note      // to be said
	turns     Turns            // since they were asked for
	numbers   uint64           // asks said
	owners    map[int64]string // of the places of a round, as far as answers have shown
	borrowers []*Lane          // that were lent a turn since the last step
}

// New returns a scheduler with no work and no share of any limit.
func New(cfg Config) *Scheduler {
	return &Scheduler{
		cfg: cfg, lanes: map[payment.MerchantID]*Lane{}, byName: map[string]*Endpoint{}, share: pace.NewShare(nil, 1), owners: map[int64]string{},
		ready:   pq.New((*Lane).goesBefore, func(l *Lane, i int) { l.index = i }),
		waiting: newWaitQueue(),
	}
}

// A Kind is what a Step is about.
type Kind int

const (
	Nothing Kind = iota
	Start        // call for it: Begin, or give it back
	Overdue      // its time is up, for the step's Why: settle it, or have it looked up first (LookFirst)
	Dismiss      // its merchant is not configured any more: settle it
	Resume       // work without a merchant: its wait is over
)

// A Step is what is to be done now. Its work is its owner's from then on.
type Step struct {
	Kind Kind
	Work *Work
	Why  Why
}

// Next returns what is to be done now. Ask until it is Nothing; then Wake says
// when to ask again, unless something changes before.
func (s *Scheduler) Next(now time.Time) Step {
	// First what backs off: once its wait is over it joins its lane, and may be what
	// must be settled soonest there.
	if step := s.nextWaiting(now); step.Kind != Nothing {
		return step
	}
	s.notice(now)
	s.makeWay(now)
	for {
		for s.ready.Len() > 0 && !s.ready.Peek().next.After(now) {
			if step := s.nextOf(s.ready.Peek(), now); step.Kind != Nothing {
				return step
			}
		}
		// Room at an endpoint may have been given to a lane that made no call of it.
		if !s.releaseAll(now) {
			s.loseLoans(now)
			return s.rest(now)
		}
	}
}

// crowd has a lane wait until there is room for a call at all. What is overdue in
// it is settled meanwhile.
func (s *Scheduler) crowd(l *Lane, now time.Time) {
	l.crowded = true
	s.crowded = append(s.crowded, l)
	if l.hangs() {
		s.crowds(l)
	}
	s.reschedule(l, now)
}

// makeWay lets lanes go that waited for room, as many as there is room for.
func (s *Scheduler) makeWay(now time.Time) {
	for free := s.free(); free > 0 && len(s.crowded) > 0; {
		l := firstToGo(&s.crowded, s.mayTake)
		if l == nil {
			break
		}
		l.crowded = false
		if l.index < 0 {
			continue
		}
		if s.reschedule(l, now); !l.next.After(now) {
			free--
		}
	}
}

// rest notes since when there is no room for calls.
func (s *Scheduler) rest(now time.Time) Step {
	switch {
	case s.hasRoom():
		s.busySince = time.Time{}
	case s.busySince.IsZero():
		s.busySince = now
	}
	return Step{}
}

// nextWaiting looks at work that backs off. However long the gateway wants it to
// wait, it is settled when its time is up.
func (s *Scheduler) nextWaiting(now time.Time) Step {
	for n := s.waiting.Len(); n > 0 && !s.waiting.Peek().look.After(now); n-- {
		w := s.waiting.Peek()
		if w.lane == nil {
			s.stopWaiting(w, now)
			return Step{Kind: Resume, Work: w}
		}
		if !w.until.After(now) {
			s.stopWaiting(w, now)
			s.Queue(w, w.class, now)
			continue
		}
		if why, over := s.timeUp(w, now); over {
			s.stopWaiting(w, now)
			return Step{Kind: Overdue, Work: w, Why: why}
		}
		w.look = earlier(w.until, later(moment(w.by, now), now.Add(time.Millisecond)))
		s.waiting.Fix(w.index)
	}
	return Step{}
}

// nextOf is what is to be done in a lane that has to be looked at. If it is nothing,
// the lane is looked at later.
func (s *Scheduler) nextOf(l *Lane, now time.Time) Step {
	for range l.len() { // all that are overdue: any may be the next to call
		w := l.overdue(now)
		if w == nil {
			break
		}
		if why, over := s.timeUp(w, now); over {
			s.takeOut(w, now)
			return Step{Kind: Overdue, Work: w, Why: why}
		}
		l.queues[w.class].Fix(w.index)
	}
	if l.gone {
		w := l.head(now)
		s.takeOut(w, now)
		return Step{Kind: Dismiss, Work: w}
	}
	if l.mayCall(now).After(now) { // looked at to ask for a turn, or because of a time that turned out not to be up
		s.ask(l, now)
		s.reschedule(l, now)
		if !l.next.After(now) { // cannot be; and must never be a loop
			l.next = now.Add(time.Millisecond)
			s.ready.Fix(l.index)
		}
		return Step{}
	}
	if !s.hasRoom() || !s.mayTake(l) {
		s.crowd(l, now)
		return Step{}
	}
	// Only now the one that is next is chosen: what comes in while the lane waits for
	// its pace may have to be settled sooner.
	w := l.head(now)
	s.takeOut(w, now)
	if w.hasExpired(now) { // by a wall clock that was wrong when its turn was reckoned
		return Step{Kind: Overdue, Work: w, Why: payment.Expired}
	}
	return Step{Kind: Start, Work: w}
}

// timeUp reports whether the time of work is up, and why. Time on hold does not
// count towards giving up. If it is not up, by becomes when to look again, which
// is always later than now.
func (s *Scheduler) timeUp(w *Work, now time.Time) (Why, bool) {
	if w.Endless {
		w.by = now.Add(s.cfg.GiveUpAfter)
		return "", false
	}
	if w.hasExpired(now) {
		return payment.Expired, true
	}
	held := w.lane.held(w, now)
	if now.Sub(w.At)-held >= s.cfg.GiveUpAfter {
		return payment.GaveUp, true
	}
	w.by = deadline(w.At, w.ExpiresAt, max(s.cfg.GiveUpAfter+held, now.Sub(w.At)+lookAgain))
	if !w.by.After(now) { // of a record time so far away that differences are at their bounds
		w.by = now.Add(lookAgain)
	}
	return "", false
}

// lookAgain is how soon to look again at work that its hold alone keeps from being
// given up. When it expires is looked at in time.
const lookAgain = time.Second

// hasRoom reports whether there is room for one more call. Answers that are not
// durable yet count too: while nothing can be published, calling on would only
// make more calls that somebody has to repeat.
func (s *Scheduler) hasRoom() bool {
	return s.inFlight < s.cfg.Concurrency && s.inFlight+s.unsettled < 2*s.cfg.Concurrency
}

// free is for how many calls there is room.
func (s *Scheduler) free() int {
	return min(s.cfg.Concurrency-s.inFlight, 2*s.cfg.Concurrency-s.inFlight-s.unsettled)
}

// Wake is when to ask for the next step, if nothing changes before.
func (s *Scheduler) Wake(now time.Time) time.Time {
	wake := now.Add(never)
	if s.waiting.Len() > 0 {
		wake = earlier(wake, s.waiting.Peek().look)
	}
	if s.ready.Len() > 0 {
		wake = earlier(wake, s.ready.Peek().next)
	}
	if len(s.crowded) > 0 && len(s.young) > 0 { // those that wait for calls that hang may be in somebody's way
		wake = earlier(wake, s.young[0].began.Add(hangTime))
	}
	return wake
}

// Own gives work to a lane. It is called for once it is queued.
func (w *Work) Own(l *Lane) { w.lane = l }

// Queue has work called for in its lane's turn.
func (s *Scheduler) Queue(w *Work, c Class, now time.Time) {
	l := w.lane
	l.push(w, c, s.cfg.GiveUpAfter)
	l.schedule(now)
	if l.index < 0 {
		s.ready.Push(l)
	} else {
		s.ready.Fix(l.index)
	}
}

// BackOff has work wait, and then be called for, or, if it has no lane, given back.
func (s *Scheduler) BackOff(w *Work, c Class, wait time.Duration, now time.Time) {
	w.class, w.until = c, now.Add(wait)
	w.look = w.until
	if w.lane != nil {
		w.look = earlier(w.until, moment(w.due(s.cfg.GiveUpAfter), now))
	}
	s.startWaiting(w)
}

// LookFirst has work looked up whose time is up, before it is settled. What backs
// off does so until its wait is over.
func (s *Scheduler) LookFirst(w *Work, now time.Time) {
	if w.until.After(now) {
		w.class, w.look = Last, w.until
		s.startWaiting(w)
		return
	}
	s.Queue(w, Last, now)
}

func (s *Scheduler) startWaiting(w *Work) {
	w.stage = waiting
	if w.lane != nil {
		w.lane.waiting++
		w.lane.enter(w)
	}
	s.waiting.Push(w)
}

func (s *Scheduler) stopWaiting(w *Work, now time.Time) {
	s.waiting.Remove(w.index)
	w.stage = idle
	if w.lane != nil {
		w.lane.waiting--
		w.lane.leave(w, now)
	}
}

// Remove takes work back, wherever it stands.
func (s *Scheduler) Remove(w *Work, now time.Time) {
	switch w.stage {
	case queued:
		s.takeOut(w, now)
	case waiting:
		s.stopWaiting(w, now)
	}
}

// takeOut takes work out of its lane.
func (s *Scheduler) takeOut(w *Work, now time.Time) {
	l := w.lane
	l.queues[w.class].Remove(w.index)
	l.leave(w, now)
	if w.fresh {
		w.fresh = false
		l.fresh--
	}
	w.stage, w.until = idle, time.Time{}
	if l.len() == 0 && l.index >= 0 {
		s.ready.Remove(l.index)
		return
	}
	s.reschedule(l, now)
}

// reschedule puts a lane where it belongs among those that are ready.
func (s *Scheduler) reschedule(l *Lane, now time.Time) {
	l.schedule(now)
	if l.index >= 0 {
		s.ready.Fix(l.index)
	}
}

// Begin says that a call is made for work that was to be started.
func (s *Scheduler) Begin(w *Work, now time.Time) {
	l := w.lane
	lentBy := l.take(now)
	l.enter(w)
	w.calls++
	switch w.class {
	case First:
		l.firsts++
	case Again:
		l.firsts = 0
		l.budget.Take(now)
	case Last:
		l.looked = now
	}
	if lentBy != "" {
		s.turns.Borrowed++
	}
	w.call = &call{lane: l, began: now, endpoint: l.endpoint, probe: l.hold.on && w.class != Last, lentBy: lentBy, others: l.others()}
	if w.call.probe {
		l.hold.probe(w.denials == 0 && w.mayEndHold(), now)
	}
	l.called = now
	l.endpoint.breaker.Allow(now)
	s.begins(w.call)
	s.reschedule(l, now)
}

// Publishing says that so many more outcomes are being published; fewer, if n is
// negative.
func (s *Scheduler) Publishing(n int) { s.unsettled += n }

// InFlight is how many calls are in flight.
func (s *Scheduler) InFlight() int { return s.inFlight }

func (s *Scheduler) changed(c Change) { s.changes = append(s.changes, c) }

// Changes returns what has changed since it was asked for last.
func (s *Scheduler) Changes() []Change {
	c := s.changes
	s.changes = nil
	return c
}
