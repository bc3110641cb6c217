package reconcile

import (
	"encoding/binary"
	"strings"
	"time"

	"paylink/internal/event"
	"paylink/internal/facts"
	"paylink/internal/payment"
)

// A sort is what an entry is, in the order in which a group holds them.
type sort uint8

const (
	outcome sort = iota
	deadLetter
	emitted
)

// A spot is where a record stands in a topic that is known.
type spot struct {
	partition int32
	offset    int64
}

// An entry is what one record contributes to the join, in few bytes.
type entry struct {
	sort   sort
	at     spot
	id     string    // of the intent; empty: not known, and the entry is grouped by its key
	time   time.Time // zero: the record has none
	source spot      // outcome, dead letter: the intent's record
	flags  uint8
	digest event.Digest // outcome, emitted

	merchant, order, amount, currency string
	payment                           int64
	word                              string // failed, dead letter, unreadable: the reason
	broken                            string // the first rule of the contract that an outcome or a dead letter breaks
}

// The flags.
const (
	isCreated   = 1 << iota
	isGarbled   // an outcome that cannot be understood
	inRange     // the source is of the range
	isNameless  // no intent id can be read
	sourceless  // a dead letter that is not ours
	isOfDefault // emitted: the merchant is the default of today
)

func (e *entry) is(flag uint8) bool { return e.flags&flag != 0 }

// The keys of entries without an intent's id begin with a byte that no id has.
const (
	nameless   = 0
	namelessIn = 'i' // and the place of the intent's record
	namelessO  = 'o' // and the outcome's own
	namelessD  = 'd' // and the dead letter's own
)

const namelessKey = 2 + 4 + 8

// key appends what entries of one group share.
func (e *entry) key(b []byte) []byte {
	if !e.is(isNameless) {
		return append(b, e.id...)
	}
	letter, place := byte(namelessIn), e.at
	switch {
	case e.sort == outcome:
		letter = namelessO
	case e.sort == deadLetter && e.is(sourceless):
		letter = namelessD
	case e.sort == deadLetter:
		place = e.source
	}
	return appendSpot(append(b, nameless, letter), place)
}

func appendSpot(b []byte, s spot) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(b, uint32(s.partition)), uint64(s.offset))
}

// append writes the entry so that sorting the bytes sorts by group, sort and place.
func (e *entry) append(b []byte) []byte {
	b = append(e.key(b), 0, byte(e.sort))
	b = appendSpot(b, e.at)
	b = append(b, e.flags)
	b = binary.AppendVarint(b, millis(e.time))
	if e.sort != emitted {
		b = binary.AppendVarint(binary.AppendVarint(b, int64(e.source.partition)), e.source.offset)
	}
	if e.sort != deadLetter {
		b = append(b, e.digest[:]...)
	}
	b = binary.AppendVarint(b, e.payment)
	order := e.order
	if order == e.id && order != "" {
		order = sameAsID
	}
	for _, s := range [...]string{e.merchant, order, e.amount, e.currency, e.word, e.broken} {
		b = appendText(b, s)
	}
	return b
}

// sameAsID stands for an order id that is the intent's, as it is unless emitters say
// otherwise. No order id is so short and unprintable at once.
const sameAsID = "\x00="

// maxText bounds a text of an entry: an outcome that others wrote may be of any size.
const maxText = 256

func appendText(b []byte, s string) []byte {
	s = s[:min(len(s), maxText)]
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// groupOf returns the key of a written entry.
func groupOf(s string) string {
	if s[0] == nameless {
		return s[:namelessKey]
	}
	return s[:strings.IndexByte(s, 0)]
}

// readEntry reads what append wrote. Its texts are pieces of s.
func readEntry(s string) entry {
	key := groupOf(s)
	r := textReader{s[len(key)+1:]}
	e := entry{sort: sort(r.byte()), at: spot{int32(r.uint32()), int64(r.uint64())}, flags: r.byte(), time: timeOf(r.varint())}
	if !e.is(isNameless) {
		e.id = key
	}
	if e.sort != emitted {
		e.source = spot{int32(r.varint()), r.varint()}
	}
	if e.sort != deadLetter {
		copy(e.digest[:], r.take(len(e.digest)))
	}
	e.payment = r.varint()
	for _, to := range [...]*string{&e.merchant, &e.order, &e.amount, &e.currency, &e.word, &e.broken} {
		*to = r.text()
	}
	if e.order == sameAsID {
		e.order = e.id
	}
	return e
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return -1
	}
	return t.UnixMilli()
}

func timeOf(millis int64) time.Time {
	if millis < 0 {
		return time.Time{}
	}
	return time.UnixMilli(millis).UTC()
}

// A textReader takes fields off the front of a text that we wrote ourselves.
type textReader struct{ s string }

func (r *textReader) take(n int) string {
	v := r.s[:n]
	r.s = r.s[n:]
	return v
}

func (r *textReader) byte() byte { return r.take(1)[0] }

func (r *textReader) uint32() (v uint32) {
	for _, c := range []byte(r.take(4)) {
		v = v<<8 | uint32(c)
	}
	return v
}

func (r *textReader) uint64() uint64 { return uint64(r.uint32())<<32 | uint64(r.uint32()) }

func (r *textReader) uvarint() (v uint64) {
	for shift := 0; ; shift += 7 {
		c := r.byte()
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return v
		}
	}
}

func (r *textReader) varint() int64 {
	v := r.uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

func (r *textReader) text() string { return r.take(int(r.uvarint())) }

// entryOf makes an entry of what a record says, and of the error if it could not be
// read. False: the record is of no use.
func (j *join) entryOf(f *facts.Fact, unreadable *event.Unreadable) (e entry, use bool) {
	e = entry{
		at: spot{f.At.Partition, f.At.Offset}, id: string(f.Intent), time: f.Time, digest: f.Digest,
		merchant: string(f.Merchant), order: f.OrderID, amount: string(f.Amount), currency: f.Currency, payment: f.PaymentID,
	}
	if !named(e.id) {
		e.id, e.flags = "", isNameless
	}
	if unreadable != nil {
		e.broken = unreadable.Text
	} else if len(f.Violations) > 0 {
		e.broken = f.Violations[0].Field + " " + f.Violations[0].Rule
	}
	switch f.Kind {
	case facts.Emitted:
		e.sort, e.broken = emitted, ""
		if f.OfDefault {
			e.flags |= isOfDefault
		}
		if unreadable != nil {
			e.word = string(unreadable.Reason)
		}
		return e, true
	case facts.DeadLetter:
		return j.deadEntry(e, f, unreadable)
	}
	return j.outcomeEntry(e, f, unreadable), true
}

func (j *join) outcomeEntry(e entry, f *facts.Fact, unreadable *event.Unreadable) entry {
	e.sort, e.word = outcome, reasonWord(f.Reason)
	if f.Kind == facts.Created {
		e.flags |= isCreated
	}
	if e.is(isNameless) && unreadable == nil {
		e.broken = "intent_id breaks its rule"
	}
	if unreadable != nil || e.is(isNameless) {
		e.flags |= isGarbled
		if !f.Time.Before(j.archive.Range.Begin) {
			e.flags |= inRange
		}
		return e
	}
	e.source = spot{f.Source.Partition, f.Source.Offset}
	if j.spans.holds(f.Source) {
		e.flags |= inRange
	}
	return e
}

func (j *join) deadEntry(e entry, f *facts.Fact, unreadable *event.Unreadable) (entry, bool) {
	e.sort, e.payment, e.broken = deadLetter, 0, ""
	if unreadable != nil {
		e.flags |= sourceless | isNameless | inRange
		e.broken = unreadable.Text
		return e, !f.Time.Before(j.archive.Range.Begin)
	}
	e.source, e.word = spot{f.Source.Partition, f.Source.Offset}, reasonWord(f.Reason)
	e.flags |= inRange
	return e, j.spans.holds(f.Source)
}

// named reports whether an id can be an intent's.
func named(id string) bool {
	if id == "" || len(id) > 128 {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '_', c == ':', c == '-':
		default:
			return false
		}
	}
	return true
}

// reasonWord lets words of the contract pass, and of others only that there is one.
func reasonWord(s string) string {
	switch s {
	case string(payment.InvalidIntent), string(payment.Refused), string(payment.Expired), string(payment.GaveUp), string(payment.Duplicate),
		string(event.Empty), string(event.NotJSON), string(event.NoIntentID), string(event.BadIntentID), string(event.UnknownSchema),
		string(event.Conflict), string(event.TooOld), string(event.TooLarge), "":
		return s
	}
	return "unknown reason"
}
