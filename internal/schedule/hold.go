package schedule

import (
	"math/bits"
	"slices"
	"time"

	"paylink/internal/pace"
)

// A hold is a merchant whose credentials or set-up the gateway refuses, so that
// every call would fail. One call probes from time to time, each time for another
// intent: one that was refused is put aside, and makes way. Those that were never
// refused have waits of their own: if all others were, and however often, the next that
// comes shows at once whether it is the merchant. Where calls have shown before that the
// credentials work, it takes two refusals to begin.
//
// It may be a bunch of intents that are refused for ever, and nothing else. Another that is
// accepted ends the hold. From then on the lane is patient: what is left of the bunch makes
// holds, too, but they probe at once for a while, as nobody is to wait for each of the
// bunch; and nobody is told of a hold before it waits. One that was refused and is accepted
// later shows that it was the merchant: then the lane is not patient any more.
//
// Time on hold does not count towards giving up, but for those that were refused again
// after others were accepted, for one that alone was refused and that nobody follows, and
// for those that only look up while nobody else is there.
// Only Init ends a hold: what looks up makes way for it.
type hold struct {
	on       bool
	believed bool      // different intents were refused
	told     bool      // somebody was told of it
	began    time.Time // when we saw it begin
	since    time.Time // from when on it is taken to have lasted
	fresh    probing   // by an intent that was never refused
	again    probing   // by any, if there is no such one
	probes   int       // so far
	spare    int       // probes that may still go without a wait
	patient  bool      // the next one has some of those
	code     string    // the gateway's error code
	past     []period  // the holds before this one
}

// mostSpare is how many probes of a hold may go without a wait, if the lane is patient: so
// many calls more does it cost if the credentials break after all.
const mostSpare = 32

// A probing is when one call may try again.
type probing struct {
	at    time.Time
	waits int // so far: each is longer than the one before
}

// wait takes the turn of the one call.
func (p *probing) wait(now time.Time) {
	p.at = now.Add(pace.HoldProbes().Delay(p.waits, 1))
	p.waits++
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
	if w.alone {
		return 0
	}
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
func (h *hold) probe(fresh bool, now time.Time) {
	h.probes++
	h.again.wait(now)
	if fresh {
		h.fresh.wait(now)
	}
}

// retry lets the next probe go at once, by one that was never refused, if there is
// patience left.
func (h *hold) retry(now time.Time) bool {
	if h.spare == 0 {
		return false
	}
	h.spare--
	h.fresh = probing{now, max(0, h.fresh.waits-1)}
	return true
}

// probeAt is when the lane may probe.
func (l *Lane) probeAt() time.Time {
	if l.fresh > 0 {
		return l.hold.fresh.at
	}
	return l.hold.again.at
}

// prober is the work that is next to probe a hold, by Init: of those that were refused
// the fewest times, as only one that is not ends it. It is the last of them, and one from
// among the others by turns: what comes one after the other may be of one kind. nil: there
// is no hold, or no such work.
func (l *Lane) prober() *Work {
	if !l.hold.on || l.opening == 0 {
		return nil
	}
	var of []*Work
	for w := range l.Queued() {
		switch {
		case !w.mayEndHold() || len(of) > 0 && w.denials > of[0].denials:
		case len(of) > 0 && w.denials < of[0].denials:
			of = append(of[:0], w)
		default:
			of = append(of, w)
		}
	}
	if len(of) == 0 {
		return nil
	}
	slices.SortFunc(of, func(a, b *Work) int {
		if comesBefore(a, b) {
			return -1
		}
		return 1
	})
	if n := l.hold.probes; n > 0 && n%2 == 0 {
		return of[spread(n/2-1, len(of))]
	}
	return of[len(of)-1]
}

// spread is the place, of n, of the i-th try: the first, the middle, the quarters and so on.
func spread(i, n int) int {
	return int(uint64(bits.Reverse32(uint32(i))) * uint64(n) >> 32)
}

// begin starts a hold. Where no call has shown yet that the credentials work, it
// may have lasted since before we came, and no age counts.
func (h *hold) begin(since time.Time, proven bool, now time.Time) {
	h.on, h.believed, h.told, h.began, h.since = true, false, false, now, since
	h.probes, h.spare, h.fresh, h.again = 0, 0, probing{at: now}, probing{at: now}
	if h.patient {
		h.spare = mostSpare
	}
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
		h.probe(true, now)
	}
}

// learn takes in that an intent was accepted: one that was refused before, or another.
func (h *hold) learn(wasRefused bool) {
	h.patient = !wasRefused && (h.on || h.patient)
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
