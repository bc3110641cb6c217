package schedule

import (
	"iter"
	"time"

	"paylink/internal/pace"
	"paylink/internal/payment"
)

// A Wait says why work, or a lane, does not go on right now.
type Wait struct {
	// State is one of: paced, backing off, behind its key, held, breaker open, busy
	// (as many calls are in flight as there may be), calling, publishing, in the
	// backlog behind its merchant's pace or its key, handed over, free.
	State string `json:"state"`

	Since time.Time `json:"since,omitzero"`

	// Asks says that meanwhile other members are asked for a turn.
	Asks bool `json:"asks_for_a_turn,omitempty"`

	// Until is when it goes on, or when that is tried, if it is known. Of what is in
	// the backlog it is reckoned by the merchant's pace.
	Until time.Time `json:"until,omitzero"`

	Attempts  int    `json:"attempts,omitempty"`   // of the intent; of a lane: of the one that is next
	LastError string `json:"last_error,omitempty"` // class and cause
}

// A View is what there is to see of a lane.
type View struct {
	Merchant   payment.MerchantID
	Endpoint   string
	Queued     int
	BackingOff int
	Rate       string    // empty: no limit
	OnHold     bool      // the gateway refuses the merchant's credentials or set-up
	Code       string    // with this error code
	HeldSince  time.Time // since when
	Blind      bool      // it refuses the merchant's look-ups, though not its Inits
	NextCall   time.Time
	Wait       Wait
	Next       *Work // the one whose turn it is, or that backs off for the shortest; nil: none
}

// An EndpointView is what there is to see of an endpoint.
type EndpointView struct {
	Name      string
	Down      bool // it fails broadly
	Since     time.Time
	LastError string
}

// Endpoints returns what there is to see of all endpoints that merchants have.
func (s *Scheduler) Endpoints() (out []EndpointView) {
	for _, p := range s.endpoints {
		if p.lanes > 0 {
			out = append(out, EndpointView{Name: p.name, Down: p.was == pace.Open, Since: p.breaker.Since(), LastError: p.last})
		}
	}
	return out
}

// View returns what there is to see of a lane. since tells how long work has stood
// where it stands.
func (s *Scheduler) View(l *Lane, since func(*Work) time.Time, now time.Time) View {
	return s.view(l, s.soonest, since, now)
}

// Views is View of all lanes; what backs off is gone through once, not once a lane.
func (s *Scheduler) Views(since func(*Work) time.Time, now time.Time) iter.Seq2[*Lane, View] {
	return func(yield func(*Lane, View) bool) {
		first := map[*Lane]*Work{}
		for w := range s.waiting.All() {
			if f := first[w.lane]; f == nil || w.until.Before(f.until) {
				first[w.lane] = w
			}
		}
		for l := range s.Lanes() {
			if !yield(l, s.view(l, func(l *Lane) *Work { return first[l] }, since, now)) {
				return
			}
		}
	}
}

func (s *Scheduler) view(l *Lane, soonest func(*Lane) *Work, since func(*Work) time.Time, now time.Time) View {
	v := View{
		Merchant: l.merchant, Endpoint: l.endpoint.name, Queued: l.len(), BackingOff: l.waiting,
		OnHold: l.hold.on, Blind: l.blind, NextCall: l.next, Next: l.head(now),
	}
	if l.hold.on {
		v.Code, v.HeldSince = l.hold.code, l.hold.began
	}
	if l.limit != nil {
		v.Rate = l.limit.Rate().String()
	}
	if v.Next == nil && l.waiting > 0 {
		v.Next = soonest(l)
	}
	v.Wait = s.laneWait(l, v.Next, since, now)
	return v
}

// laneWait says what a lane waits for.
func (s *Scheduler) laneWait(l *Lane, next *Work, since func(*Work) time.Time, now time.Time) Wait {
	w := Wait{State: "free", LastError: l.lastErr}
	at, _ := l.paceAt(now)
	breaker := &l.endpoint.breaker
	switch {
	case l.hold.on:
		w.State, w.Since, w.Until, w.LastError = "held", l.hold.began, l.probeAt(), payment.Misconfigured.String()+": "+l.hold.code
		if next != nil && next.stage == waiting { // all that could probe are put aside
			w.Until = later(w.Until, next.until)
		}
	case breaker.State(now) == pace.Open:
		w.State, w.Since, w.Until, w.LastError = "breaker open", breaker.Since(), breaker.Next(now), l.endpoint.last
	case next == nil, l.gone:
	case next.stage == waiting:
		w.State, w.Since, w.Until = "backing off", since(next), next.until
	case l.limit != nil && at.IsZero(): // no partition is ours long enough yet
		w.State, w.Since = "paced", since(next)
	case at.After(now):
		w.State, w.Since, w.Until = "paced", later(l.called, since(next)), at
		_, w.Asks = l.mayAsk(now)
	case !l.blockedAt.IsZero():
		w.State, w.Since = "busy", l.blockedAt
	case l.crowded && s.hasRoom(): // for others
		w.State, w.Since = "busy", since(next)
	case !s.busySince.IsZero():
		w.State, w.Since = "busy", later(s.busySince, since(next))
	}
	return w
}

// Crowded reports whether calls are taken to the last one, and since when work has
// waited for that alone: of each queue, that of the lane that is next. Zero: none does.
func (s *Scheduler) Crowded(since func(owner any) time.Time, now time.Time) (at time.Time, busy bool) {
	if s.busySince.IsZero() || s.inFlight < s.cfg.Concurrency {
		return time.Time{}, false
	}
	first := func(lanes []*Lane) {
		for _, l := range lanes {
			if l.index < 0 { // it has no work any more
				continue
			}
			if w := l.head(now); w != nil {
				if began := later(s.busySince, since(w.Owner)); at.IsZero() || began.Before(at) {
					at = began
				}
				return
			}
		}
	}
	first(s.crowded)
	for _, p := range s.endpoints {
		if p.adaptive.Allowed() >= s.cfg.Concurrency { // else it is the gateway that is slow
			first(p.full)
		}
	}
	return at, true
}

// soonest is the work of a lane that backs off for the shortest.
func (s *Scheduler) soonest(l *Lane) (first *Work) {
	for w := range s.waiting.All() {
		if w.lane == l && (first == nil || w.until.Before(first.until)) {
			first = w
		}
	}
	return first
}

// Reckon says when an entry of a backlog is likely to go on, after so many that
// must be settled before it. The zero time: it is not known.
func (s *Scheduler) Reckon(v View, l *Lane, ahead int) time.Time {
	if l.limit == nil || v.Wait.State != "paced" || v.Wait.Until.IsZero() {
		return v.Wait.Until
	}
	return v.Wait.Until.Add(time.Duration(l.len()+ahead) * l.limit.Interval())
}

// Before reports whether an entry must be settled before another of its merchant.
func (e Entry) Before(other Entry) bool { return e.before(other) }

// Ends is when the time of work of a lane is up that was to be settled by then, as
// things stand: time on hold does not count. The zero time: nobody knows, as it is on
// hold now.
func (s *Scheduler) Ends(l *Lane, by, now time.Time) time.Time {
	if l.hold.on {
		return time.Time{}
	}
	return by.Add(l.hold.heldSince(by.Add(-s.cfg.GiveUpAfter), now))
}

// BackingOff is how much work backs off.
func (s *Scheduler) BackingOff() int { return s.waiting.Len() }

// Endpoint is the name of the lane's gateway.
func (l *Lane) Endpoint() string { return l.endpoint.name }

// Merchant is whose lane it is.
func (l *Lane) Merchant() payment.MerchantID { return l.merchant }

// Lane is the lane that work was given to; nil: none.
func (w *Work) Lane() *Lane { return w.lane }
