package schedule

import "time"

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
	LookUp bool   // it was a status look-up: those begin no hold, and end none
	Late   bool   // its partition is handed over, or lost: it begins no hold
	Proves bool   // our credentials were taken
	Ends   bool   // its intent has its outcome by it
	Code   string // the gateway's error code
	Cause  string
	Error  string // class and cause, and why it was not sent; empty: none
}

// End says how a call ended.
func (s *Scheduler) End(w *Work, r Result, now time.Time) {
	// The endpoint is that of when the call began: the lane may have moved since.
	c, l := w.call, w.lane
	w.call = nil
	l.leave(w, now)
	s.ends(c, now)
	p := c.endpoint
	if l.endpoint.own && l.endpoint.name == p.name { // it fails alone, as it has turned out since
		p = l.endpoint
	}
	p.judge(c.began, now, r.How)
	if r.How == Unanswered {
		p.last = r.Error
	}
	s.told(p, now)
	s.release(c.endpoint, now)
	s.tellApart(l, p, c, r.How, now)

	l.repeated(w, c.probe, r)
	switch {
	case r.LookUp:
	case r.How == Denied:
		w.failed = time.Time{}
	case r.How == Unanswered && c.probe && !w.failed.After(l.hold.began):
		w.failed = now
	}
	l.lastErr = r.Error
	l.heard = l.heard || r.How != Denied
	denied := r.How == Denied && !l.gone && !r.Late
	switch {
	case r.LookUp:
		s.lookedUp(l, r, denied, now)
	case r.Proves:
		l.proven, l.since = true, time.Time{}
		l.proofs++
		l.hold.learn(w.denied > 0)
		s.endHold(l, false, now)
	case denied:
		s.denied(w, c.probe, r, now)
	}
}

// lookedUp takes in a look-up. One that is refused where no call has shown yet
// that our credentials work may mean a hold that we have not seen begin: until an
// Init shows what is true, no age counts, and nothing else is held up.
func (s *Scheduler) lookedUp(l *Lane, r Result, denied bool, now time.Time) {
	switch {
	case denied && !l.proven:
		if !l.hold.on {
			s.beginHold(l, now, r, now)
		}
	case denied && !l.blind:
		l.blind = true
		s.changed(Change{Kind: Blinded, Merchant: l.merchant, Code: r.Code, Cause: r.Cause})
	case r.Proves && l.blind:
		l.blind = false
		s.changed(Change{Kind: SeesAgain, Merchant: l.merchant})
	}
}

// denied takes in an Init that was refused for our credentials or set-up.
func (s *Scheduler) denied(w *Work, probe bool, r Result, now time.Time) {
	l := w.lane
	// w.denied is one more than the proofs there were when it was refused first, so
	// that zero can say: never.
	alone := w.denied > 0 && l.proofs >= w.denied // others were accepted since it was refused first
	if w.denied == 0 {
		w.denied = l.proofs + 1
	}
	w.denials++
	change := Change{Merchant: l.merchant, Intent: w.ID, Code: r.Code, Cause: r.Cause}
	switch {
	case alone:
		w.alone = true
		change.Kind = DeniedAlone
		s.changed(change)
		return
	case l.since.IsZero():
		l.suspect, l.since = w.ID, now
		switch {
		case l.hold.on:
		case !l.proven: // nothing speaks for it yet
			s.beginHold(l, now, r, now)
		default:
			change.Kind = Suspected
			s.changed(change)
		}
		return
	case !l.hold.on:
		s.beginHold(l, l.since, r, now)
	}
	l.hold.code = r.Code
	if w.ID != l.suspect && !l.hold.believed {
		l.hold.believe(now)
		change.Kind = HoldBelieved
	} else if change.Kind = ProbeRefused; !probe {
		s.reschedule(l, now) // it was in flight when the hold began: no news
		return
	}
	if w.denials > 1 || !l.hold.retry(now) {
		s.tellHold(l, r)
		change.Wait = max(0, l.probeAt().Sub(now))
		s.changed(change)
	}
	s.reschedule(l, now)
}

// beginHold says that a merchant is on hold, believed or not.
func (s *Scheduler) beginHold(l *Lane, since time.Time, r Result, now time.Time) {
	l.hold.begin(since, l.proven, now)
	l.hold.code = r.Code
	if l.hold.spare == 0 {
		s.tellHold(l, r)
	}
}

// tellHold says that a merchant is on hold, once.
func (s *Scheduler) tellHold(l *Lane, r Result) {
	if !l.hold.told {
		l.hold.told = true
		s.changed(Change{Kind: HoldBegan, Merchant: l.merchant, Code: r.Code, Cause: r.Cause})
	}
}

// endHold lets a held lane go on. Those that were put aside need not wait longer, but for
// those that an end before it has shown to be refused alone, unless all may be otherwise now.
func (s *Scheduler) endHold(l *Lane, mended bool, now time.Time) {
	if !l.hold.on {
		return
	}
	for w := range s.waiting.All() {
		if w.lane == l && w.denied > 0 && (mended || w.denied >= l.proofs) {
			w.until, w.look = now, now
		}
	}
	s.waiting.FixAll()
	l.hold.end(now)
	l.since = time.Time{}
	if l.hold.told {
		s.changed(Change{Kind: HoldEnded, Merchant: l.merchant, Since: l.hold.began})
	}
	s.reschedule(l, now)
}
