package kafkaio

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"

	"paylink/internal/event"
)

// refused deals with a batch of which the broker says that it will never take it as
// it is. It was sent once only, so nothing of it landed, and it may be changed: what
// it says stays, but the time that the log has of a record is made that of now, and a
// record that has no key gets one, which compacted topics ask for. If that does not
// help, the batch is halved until the records that are refused stand alone. They are
// put aside, and the others go on.
func (a *appender) refused(verdict kafka.Error, text string) {
	for i := range a.flight {
		e := &a.flight[i]
		switch {
		case verdict == kafka.InvalidTimestamp:
			e.rec.Millis = time.Now().UnixMilli()
		case len(e.rec.Key) == 0:
			e.rec.Key = e.ownKey()
		}
	}
	a.raw = nil
	a.refusals++
	a.hinderLocked(a.sentAt, verdict, text)
	a.retryAt = time.Now().Add(refusedPause)
	switch {
	case a.refusals == 1: // it was changed only now
	case len(a.flight) > 1:
		a.halve()
	default:
		a.putAside()
	}
}

const (
	refusedPause = 10 * time.Millisecond // before a batch that was refused is sent again, changed or halved
	probeEvery   = time.Second           // how often one of those put aside is tried
)

// An aside is what a broker refuses of an appender's records, each tried alone. One of
// them is tried again now and then: when the topic's setting is mended, they go on.
type aside struct {
	entries []entry
	next    time.Time // when to try one again
	probing bool      // the batch in flight is one of them
	why     hindrance
}

func (s *aside) due(now time.Time) bool { return len(s.entries) > 0 && !now.Before(s.next) }

// in says when one is due, 0: there is none.
func (s *aside) in(now time.Time) time.Duration {
	if len(s.entries) == 0 {
		return 0
	}
	return max(time.Millisecond, s.next.Sub(now))
}

// putAside puts aside the batch in flight, a single record.
func (a *appender) putAside() {
	s := &a.aside
	s.entries, s.probing = append(s.entries, a.flight...), false
	s.next = time.Now().Add(probeEvery)
	if s.why.since.IsZero() || !errors.Is(s.why.cause, a.hindered.cause) {
		since := cmp.Or(s.why.since, a.hindered.since)
		s.why = a.hindered
		s.why.since, s.why.some = since, true
	}
	a.flight, a.refusals, a.hindered, a.retryAt = nil, 0, hindrance{}, time.Time{}
}

// probe has one of those put aside be the next batch.
func (a *appender) probe() {
	s := &a.aside
	a.queue = append(s.entries[:1:1], a.queue...)
	s.entries, s.probing = s.entries[1:], true
	s.next = time.Now().Add(probeEvery)
	a.refusals = 1 // it is as it shall be
}

// probed is told of a batch that landed. If it was a probe, all of them go on.
func (a *appender) probed() {
	s := &a.aside
	if !s.probing {
		return
	}
	a.queue = append(s.entries, a.queue...)
	*s = aside{}
}

// unprobed says that the batch in flight, if it was a probe, has gone another way.
func (a *appender) unprobed() {
	s := &a.aside
	if s.probing {
		s.probing, a.refusals = false, 0
	}
	if len(s.entries) == 0 {
		*s = aside{}
	}
}

// takeAll takes everything off the appender that is not appended yet.
func (a *appender) takeAll() []entry {
	all := slices.Concat(a.flight, a.queue, a.aside.entries)
	a.flight, a.raw, a.queue, a.aside = nil, nil, nil, aside{}
	return all
}

// ownKey is the key of a record that came without: an outcome's intent, or where the
// original of a dead letter stands.
func (e *entry) ownKey() []byte {
	if e.id != "" {
		return []byte(e.id)
	}
	var at [3]string
	for _, h := range e.rec.Headers {
		switch string(h.Key) {
		case event.HeaderSourceTopic:
			at[0] = string(h.Value)
		case event.HeaderSourcePartition:
			at[1] = string(h.Value)
		case event.HeaderSourceOffset:
			at[2] = string(h.Value)
		}
	}
	return fmt.Appendf(nil, "%s/%s/%s", cmp.Or(at[0], "?"), at[1], at[2])
}
