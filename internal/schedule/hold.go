package schedule

import (
	"time"

	"paylink/internal/pace"
)

// A hold is a merchant whose credentials or set-up the gateway refuses, so that
// every call would fail. One call probes from time to time, each time for another
// intent: one that was refused is put aside, and makes way. Until different intents
// were refused it may be one intent alone, so the first probe by another one goes at
// once, however long that one was alone. Where calls have shown before that the
// credentials work, it takes two refusals to begin.
//
// Time on hold does not count towards giving up, but for one that alone was refused
// and that nobody follows, and for those that only look up while nobody else is there.
// Only Init ends a hold: what looks up makes way for it.
type hold struct {
	on       bool
	believed bool      // different intents were refused
	other    bool      // another intent than the suspect has probed
	began    time.Time // when we saw it begin
	since    time.Time // from when on it is taken to have lasted
	probeAt  time.Time // when one call may try again
	probes   int
	code     string   // the gateway's error code
	past     []period // the holds before this one
}

// A period is a hold that is over.
type period struct{ from, to time.Time }

// keepPeriods is how many holds that are over are told apart. Older ones run
// together, which makes them longer: rather give up late.
const keepPeriods = 64

// heldSince is for how long of the time since then the lane was on hold.
func (h *hold) heldSince(then, now time.Time) (held time.Duration) {
	for _, p := range h.past {
		held += within(p, then)
	}
	if h.on {
		held += within(period{h.since, now}, then)
	}
	return held
}

// held is for how long work has been on hold, which does not count towards giving up.
// For one that alone was refused, with nobody there to show whether it is the merchant,
// the time counts from when we saw it refused: it is not to wait for ever. The same goes
// for those that are left when nobody is who could end the hold, as they only look up, and
// for one whose probe had no answer: it may never have one, and the hold not end by it.
func (l *Lane) held(w *Work, now time.Time) time.Duration {
	held := l.hold.heldSince(w.At, now)
	if from, ok := l.counts(w); ok { // a wall clock may have been set since: what counts is how long ago it was
		held -= now.Sub(from)
	}
	return max(0, held)
}

// counts is from when on time counts for work although its lane is on hold.
func (l *Lane) counts(w *Work) (from time.Time, ok bool) {
	switch {
	case !l.hold.on:
		return from, false
	case l.isAlone(w):
		return l.hold.began, true
	case l.opening == 0:
		return later(l.hold.began, l.opened), true
	}
	return w.failed, w.failed.After(l.hold.began)
}

// isAlone reports whether work is the only one that was refused in a hold.
func (l *Lane) isAlone(w *Work) bool {
	return l.hold.on && !l.hold.believed && !l.since.IsZero() && w.ID == l.suspect
}

func within(p period, then time.Time) time.Duration {
	if p.from.Before(then) {
		p.from = then
	}
	return max(0, p.to.Sub(p.from))
}

// probe takes the turn of the one call that may try again.
func (h *hold) probe(now time.Time) {
	h.probeAt = now.Add(pace.HoldProbes().Delay(h.probes, 1))
	h.probes++
}

// probe takes the turn of the one call that may try again, for work.
func (l *Lane) probe(w *Work, now time.Time) {
	l.hold.probe(now)
	l.hold.other = l.hold.other || w.ID != l.suspect && w.mayEndHold()
	l.mayTellApart(now)
}

// prober is the work that is next to probe a hold, by Init: of those that were refused
// the fewest times, as only one that is not ends it, the first and the last by turns: what
// comes one after the other may be of one kind. nil: there is no hold, or no such work.
func (l *Lane) prober() (next *Work) {
	if !l.hold.on || l.opening == 0 {
		return nil
	}
	first := l.hold.probes == 0 || l.hold.probes%2 == 1
	for w := range l.Queued() {
		if w.mayEndHold() && (next == nil || w.denials < next.denials || w.denials == next.denials && comesBefore(w, next) == first) {
			next = w
		}
	}
	return next
}

// mayTellApart lets a probe go at once if one that is not the suspect's could go,
// and none has yet: it shows whether the merchant is refused, or the suspect alone.
func (l *Lane) mayTellApart(now time.Time) {
	if !l.hold.on || l.hold.believed || l.hold.other || !l.hold.probeAt.After(now) {
		return
	}
	for w := range l.Queued() {
		if w.mayEndHold() && w.ID != l.suspect {
			l.hold.probeAt = now
			return
		}
	}
}

// begin starts a hold. Where no call has shown yet that the credentials work, it
// may have lasted since before we came, and no age counts.
func (h *hold) begin(since time.Time, proven bool, now time.Time) {
	h.on, h.believed, h.other, h.began, h.since, h.probes, h.probeAt = true, false, false, now, since, 0, now
	if !proven { // since the last one at the earliest: no time counts twice
		h.since = time.Time{}
		if n := len(h.past); n > 0 {
			h.since = h.past[n-1].to
		}
	}
}

// believe takes in that different intents were refused.
func (h *hold) believe(now time.Time) {
	if h.believed = true; h.probes == 0 {
		h.probe(now)
	}
}

// end ends a hold, which from now on counts as past.
func (h *hold) end(now time.Time) {
	h.on, h.believed = false, false
	h.past = append(h.past, period{h.since, now})
	if len(h.past) > keepPeriods {
		h.past[1].from = h.past[0].from
		h.past = h.past[1:]
	}
}
