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
	endpoints map[string]*Endpoint
	ready     *pq.Heap[*Lane] // lanes with queued work, by when they have to be looked at
	waiting   *pq.Heap[*Work] // work that backs off

	inFlight  int       // calls
	unsettled int       // outcomes that are not durable yet
	busySince time.Time // since when there has been no room for a call; zero: there is

	share      *pace.Share // of the slots of all merchants' limits
	partitions int         // ours
	changes    []Change
}

// New returns a scheduler with no work and no share of any limit.
func New(cfg Config) *Scheduler {
	return &Scheduler{
		cfg: cfg, lanes: map[payment.MerchantID]*Lane{}, endpoints: map[string]*Endpoint{}, share: pace.NewShare(nil, 1),
		ready:   pq.New(func(a, b *Lane) bool { return a.next.Before(b.next) }, func(l *Lane, i int) { l.index = i }),
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
	if step := s.nextWaiting(now); step.Kind != Nothing {
		return step
	}
	for {
		for s.ready.Len() > 0 && !s.ready.Peek().next.After(now) {
			step, again := s.nextOf(s.ready.Peek(), now)
			if step.Kind != Nothing {
				return step
			}
			if !again {
				return s.rest(now)
			}
		}
		if !s.releaseAll(now) {
			return s.rest(now)
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
	for s.waiting.Len() > 0 && !s.waiting.Peek().look.After(now) {
		w := s.waiting.Peek()
		if w.lane == nil {
			s.stopWaiting(w)
			return Step{Kind: Resume, Work: w}
		}
		if !w.until.After(now) {
			s.stopWaiting(w)
			s.Queue(w, w.class, now)
			continue
		}
		if why, over := s.timeUp(w, now); over {
			s.stopWaiting(w)
			return Step{Kind: Overdue, Work: w, Why: why}
		}
		w.look = earlier(w.until, moment(w.by, now))
		s.waiting.Fix(w.index)
	}
	return Step{}
}

// nextOf is what is to be done in a lane that has to be looked at. again says
// whether to look at the next lane when it is nothing.
func (s *Scheduler) nextOf(l *Lane, now time.Time) (step Step, again bool) {
	for w := l.overdue(now); w != nil; w = l.overdue(now) { // all: any may be the next to call
		if why, over := s.timeUp(w, now); over {
			s.takeOut(w, now)
			return Step{Kind: Overdue, Work: w, Why: why}, false
		}
		l.queues[w.class].Fix(w.index)
	}
	if l.gone {
		w := l.head(now)
		s.takeOut(w, now)
		return Step{Kind: Dismiss, Work: w}, false
	}
	if l.mayCall(now).After(now) { // looked at because of a time that turned out not to be up
		s.reschedule(l, now)
		return Step{}, l.next.After(now)
	}
	if !s.hasRoom() {
		return Step{}, false
	}
	w := l.head(now)
	s.takeOut(w, now)
	return Step{Kind: Start, Work: w}, false
}

// timeUp reports whether the time of work is up, and why. Time on hold does not
// count towards giving up. If it is not up, by becomes when to look again, which
// is always later than now.
func (s *Scheduler) timeUp(w *Work, now time.Time) (Why, bool) {
	if w.Endless {
		w.by = now.Add(s.cfg.GiveUpAfter)
		return "", false
	}
	if !w.ExpiresAt.IsZero() && !now.Before(w.ExpiresAt) {
		return payment.Expired, true
	}
	held := w.lane.hold.heldSince(w.At, now)
	if now.Sub(w.At)-held >= s.cfg.GiveUpAfter {
		return payment.GaveUp, true
	}
	w.by = deadline(w.At, w.ExpiresAt, max(s.cfg.GiveUpAfter+held, now.Sub(w.At)+lookAgain))
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

// Wake is when to ask for the next step, if nothing changes before.
func (s *Scheduler) Wake(now time.Time) time.Time {
	wake := now.Add(never)
	if s.waiting.Len() > 0 {
		wake = earlier(wake, s.waiting.Peek().look)
	}
	if s.ready.Len() > 0 && (s.hasRoom() || s.ready.Peek().next.After(now)) {
		wake = earlier(wake, s.ready.Peek().next)
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
	}
	s.waiting.Push(w)
}

func (s *Scheduler) stopWaiting(w *Work) {
	s.waiting.Remove(w.index)
	w.stage = idle
	if w.lane != nil {
		w.lane.waiting--
	}
}

// Remove takes work back, wherever it stands.
func (s *Scheduler) Remove(w *Work, now time.Time) {
	switch w.stage {
	case queued:
		s.takeOut(w, now)
	case waiting:
		s.stopWaiting(w)
	}
}

// takeOut takes work out of its lane.
func (s *Scheduler) takeOut(w *Work, now time.Time) {
	l := w.lane
	l.queues[w.class].Remove(w.index)
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
	if l.limit != nil {
		l.limit.Take(now)
	}
	if w.class == Again {
		l.budget.Take(now)
	}
	w.call = &call{began: now, endpoint: l.endpoint, probe: l.hold.on}
	if l.hold.on {
		l.hold.probe(now)
	}
	l.called = now
	l.endpoint.began(now)
	s.inFlight++
	s.reschedule(l, now)
}

// How is how a call ended, as far as it concerns others than its intent.
type How int

const (
	Answered   How = iota // with anything that shows that our credentials were taken
	Unanswered            // no answer, or none to rely on
	Denied                // our credentials or set-up were refused
	Unasked               // nobody was asked, or the answer is nobody's
)

// A Result is what a call has shown.
type Result struct {
	How    How
	Hold   bool   // Denied, and to be believed
	Late   bool   // its partition is handed over, or lost: it begins no hold
	Proves bool   // our credentials were taken
	Code   string // the gateway's error code
	Cause  string
	Error  string // class and cause; empty: none
}

// End says how a call ended. It reports whether the answer holds the merchant.
func (s *Scheduler) End(w *Work, r Result, now time.Time) (held bool) {
	c, l := w.call, w.lane
	w.call = nil
	s.inFlight--
	c.endpoint.inFlight--
	c.endpoint.judge(c.began, now, r.How)
	if r.How == Unanswered {
		c.endpoint.last = r.Error
	}
	s.told(c.endpoint, now)
	s.release(c.endpoint, now)

	denied := r.How == Denied && !r.Hold
	r.Hold = !l.gone && (r.Hold || denied && l.suspect)
	l.suspect = denied
	l.proven = l.proven || !r.Hold
	l.lastErr = r.Error
	switch {
	case r.Proves:
		s.endHold(l, now)
	case r.Hold && !r.Late:
		s.beginHold(l, c.probe, r, now)
	}
	return r.Hold
}

// beginHold holds a lane, or says that a probe failed. What other calls answer
// that were in flight when the hold began is no news.
func (s *Scheduler) beginHold(l *Lane, probe bool, r Result, now time.Time) {
	if l.hold.on && !probe {
		return
	}
	kind := ProbeRefused
	if !l.hold.on {
		kind = HoldBegan
		l.hold.begin(l.proven, now)
	}
	l.hold.code = r.Code
	s.changed(Change{Kind: kind, Merchant: l.merchant, Code: r.Code, Cause: r.Cause, Wait: l.hold.probeAt.Sub(now)})
	s.reschedule(l, now)
}

// endHold lets a held lane go on.
func (s *Scheduler) endHold(l *Lane, now time.Time) {
	if !l.hold.on {
		return
	}
	l.hold.end(now)
	s.changed(Change{Kind: HoldEnded, Merchant: l.merchant, Since: l.hold.began})
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
