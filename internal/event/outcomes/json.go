package outcomes

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"paylink/internal/event"
	"paylink/internal/payment"
)

// readFields reads what is there. Its error says that it is no JSON object; it
// holds no value of the record.
func readFields(value []byte) (*fields, error) {
	r := readers.Get().(*reader)
	defer r.putBack()
	r.start(value)
	if kind := r.dec.PeekKind(); kind != '{' && kind != 0 {
		return nil, &event.Unreadable{Reason: event.NotJSON, Text: "the value is " + event.KindName(kind) + ", not a JSON object"}
	}
	var o fields
	r.object("", func(name string) { o.read(r, name) })
	if _, err := r.dec.ReadToken(); r.err == nil && !errors.Is(err, io.EOF) {
		return nil, &event.Unreadable{Reason: event.NotJSON, Text: "there is more after the JSON object"}
	}
	if r.err != nil {
		return nil, event.BadJSON(r.err)
	}
	o.has, o.broken, o.misread = r.has, r.broken, r.misread
	return &o, nil
}

func (o *fields) read(r *reader, name string) {
	switch name {
	case "event_id":
		o.EventID = r.text()
	case "type":
		o.kind = r.text()
	case "intent_id":
		o.Intent = payment.IntentID(r.text())
	case "merchant_id":
		o.Merchant = payment.MerchantID(r.text())
	case "order_id":
		o.OrderID = r.text()
	case "amount":
		o.Amount = payment.Money(r.text())
	case "currency":
		o.Currency = r.text()
	case "idempotency_key":
		o.IdempotencyKey = r.text()
	case "payment_id":
		o.number = r.number(math.MaxInt64)
	case "attempts":
		o.tries = r.number(math.MaxInt32)
	case "metadata":
		o.Metadata = map[string]string{}
		r.object(name, func(key string) { o.Metadata[key] = r.words() })
	case "source":
		r.object(name, func(name string) { readPlace(&o.Source, r, name) })
	default:
		o.readSpecial(r, name)
	}
}

// readSpecial reads what only one type of outcome has.
func (o *fields) readSpecial(r *reader, name string) {
	switch name {
	case "redirect_url":
		o.created.RedirectURL = r.text()
	case "redirect_url_type":
		o.created.RedirectURLType = r.text()
	case "redirect_qr":
		o.created.RedirectQR = r.text()
	case "created_at":
		o.created.At = r.time()
	case "reason":
		o.failed.Reason = payment.Reason(r.text())
	case "error_code":
		o.failed.ErrorCode = r.text()
	case "error_description":
		o.failed.ErrorDescription = r.text()
	case "violations":
		o.failed.Violations = r.violations()
	case "retryable":
		o.failed.Retryable = r.flag()
	case "payment_may_exist":
		o.failed.PaymentMayExist = r.flag()
	case "failed_at":
		o.failed.At = r.time()
	default:
		r.check(r.dec.SkipValue())
	}
}

func readPlace(p *event.Place, r *reader, name string) {
	switch name {
	case "topic":
		p.Topic = r.text()
	case "partition":
		p.Partition = int32(r.number(math.MaxInt32))
	case "offset":
		p.Offset = r.number(math.MaxInt64)
	default:
		r.check(r.dec.SkipValue())
	}
}

// An reader reads tokens until the JSON ends or breaks. A value of
// another type than its field's is noted and left out.
type reader struct {
	dec     jsontext.Decoder
	in      bytes.Buffer // jsontext reads a bytes.Buffer in place
	name    []byte       // room for names with escapes
	field   string       // whose value is being read; "source.topic" within another
	has     present      // fields with a value
	broken  []payment.Violation
	misread bool
	err     error // the JSON's; it sticks
}

// readers are reused, because most of one is buffers.
var readers = sync.Pool{New: func() any { return new(reader) }}

func (r *reader) start(value []byte) {
	r.in = *bytes.NewBuffer(value[:len(value):len(value)])
	r.dec.Reset(&r.in)
}

// putBack clears the reader, so that the pool holds on to no record.
func (r *reader) putBack() {
	r.start(nil)
	r.field, r.has, r.broken, r.misread, r.err = "", 0, nil, false, nil
	readers.Put(r)
}

// next reads the name of a member. Names of the contract cost no memory.
func (r *reader) next(within string) (name, field string) {
	raw, err := r.dec.ReadValue()
	if r.check(err); err != nil {
		return "", ""
	}
	r.name = append(r.name[:0], within...)
	if r.name, err = jsontext.AppendUnquote(r.name, raw); err != nil {
		r.check(err)
		return "", ""
	}
	if i, ok := fieldNumbers[string(r.name)]; ok {
		return fieldNames[i][len(within):], fieldNames[i]
	}
	field = string(r.name)
	return field[len(within):], field
}

func (r *reader) check(err error) {
	if r.err == nil && err != nil {
		r.err = err
	}
}

// breaks notes that the field breaks a rule.
func (r *reader) breaks(rule string) {
	v := payment.Violation{Field: r.field, Rule: rule}
	if !slices.Contains(r.broken, v) {
		r.broken = append(r.broken, v)
	}
}

// token reads a token of a kind, or skips a value of another.
func (r *reader) token(kind jsontext.Kind, wanted string) (t jsontext.Token, ok bool) {
	if r.err != nil {
		return t, false
	}
	is := r.dec.PeekKind()
	if is == 0 || is == kind {
		var err error
		t, err = r.dec.ReadToken()
		r.check(err)
		r.has.add(r.field)
		return t, err == nil
	}
	r.misread = true
	r.has.add(r.field)
	r.breaks("must be " + wanted + ", is " + event.KindName(is))
	r.check(r.dec.SkipValue())
	return t, false
}

// words reads any string.
func (r *reader) words() string {
	t, ok := r.token('"', "a string")
	if !ok {
		return ""
	}
	return t.String()
}

// text reads a string that says something.
func (r *reader) text() string {
	before := len(r.broken)
	s := r.words()
	if s == "" && r.err == nil && len(r.broken) == before {
		r.breaks("must not be empty")
	}
	return s
}

func (r *reader) number(most int64) int64 {
	t, ok := r.token('0', "a number")
	if !ok {
		return 0
	}
	n, err := strconv.ParseInt(t.String(), 10, 64)
	if err != nil || n < 0 || n > most {
		r.misread = true
		r.breaks(fmt.Sprintf("must be a whole number from 0 to %d", most))
		return 0
	}
	return n
}

func (r *reader) flag() bool {
	if r.err == nil && r.dec.PeekKind() == 't' {
		_, ok := r.token('t', "true or false")
		return ok
	}
	r.token('f', "true or false")
	return false
}

func (r *reader) time() time.Time {
	s, ok := r.token('"', "a string")
	if !ok {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, s.String())
	if err != nil {
		r.misread = true
		r.breaks("must be a time as RFC 3339 has it")
	}
	return t
}

// object reads the members of a field's value, or of the whole.
func (r *reader) object(field string, member func(name string)) {
	if _, ok := r.token('{', "an object"); !ok {
		return
	}
	within := field
	if within != "" {
		within += "."
	}
	for r.err == nil && r.dec.PeekKind() != '}' {
		name, full := r.next(within)
		if r.err == nil {
			if r.field = full; field == "metadata" {
				r.field = field // whose names are the emitter's
			}
			member(name)
		}
	}
	r.field = field
	if r.err == nil {
		_, err := r.dec.ReadToken()
		r.check(err)
	}
}

func (r *reader) violations() (vs []payment.Violation) {
	if _, ok := r.token('[', "an array"); !ok {
		return nil
	}
	for r.err == nil && r.dec.PeekKind() != ']' {
		var v payment.Violation
		r.object("violations", func(name string) {
			switch name {
			case "field":
				v.Field = r.text()
			case "rule":
				v.Rule = r.text()
			default:
				r.check(r.dec.SkipValue())
			}
		})
		vs = append(vs, v)
	}
	if r.err == nil {
		_, err := r.dec.ReadToken()
		r.check(err)
	}
	return vs
}
