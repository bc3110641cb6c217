package event

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"paylink/internal/payment"
)

// readOutcome reads what appendOutcome wrote.
func readOutcome(value []byte) (OutcomeView, error) {
	r := outcomeReader{dec: jsontext.NewDecoder(bytes.NewBuffer(value[:len(value):len(value)]))}
	var o outcomeFields
	r.object(func(name string) { o.read(&r, name) })
	if r.err != nil {
		return OutcomeView{}, r.err
	}
	if _, err := r.dec.ReadToken(); !errors.Is(err, io.EOF) {
		return OutcomeView{}, errors.New("there is more after the JSON object")
	}
	return o.view()
}

// outcomeFields are the fields of both types of outcome.
type outcomeFields struct {
	OutcomeView
	kind    string
	created payment.Created
	failed  payment.Failed
	number  int64 // payment_id
	tries   int64 // attempts
}

func (o *outcomeFields) view() (OutcomeView, error) {
	v := o.OutcomeView
	switch o.kind {
	case TypeCreated:
		o.created.PaymentID, o.created.Attempts = o.number, int(o.tries)
		v.Outcome = o.created
	case TypeFailed:
		o.failed.PaymentID, o.failed.Attempts = o.number, int(o.tries)
		v.Outcome = o.failed
	default:
		return v, errors.New("type is neither " + TypeCreated + " nor " + TypeFailed)
	}
	if v.Intent == "" || v.EventID == "" {
		return v, errors.New("intent_id or event_id is absent")
	}
	return v, nil
}

func (o *outcomeFields) read(r *outcomeReader, name string) {
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
		o.number = r.number()
	case "attempts":
		o.tries = r.number()
	case "metadata":
		o.Metadata = map[string]string{}
		r.object(func(key string) { o.Metadata[key] = r.text() })
	case "source":
		r.object(func(name string) { o.Source.read(r, name) })
	default:
		o.readSpecial(r, name)
	}
}

// readSpecial reads what only one type of outcome has.
func (o *outcomeFields) readSpecial(r *outcomeReader, name string) {
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

func (p *Place) read(r *outcomeReader, name string) {
	switch name {
	case "topic":
		p.Topic = r.text()
	case "partition":
		p.Partition = int32(r.number())
	case "offset":
		p.Offset = r.number()
	default:
		r.check(r.dec.SkipValue())
	}
}

// An outcomeReader reads tokens until the first error, which sticks.
type outcomeReader struct {
	dec *jsontext.Decoder
	err error
}

func (r *outcomeReader) check(err error) {
	if r.err == nil && err != nil {
		r.err = err
	}
}

// token reads a token of a kind.
func (r *outcomeReader) token(kind jsontext.Kind) (t jsontext.Token) {
	if r.err != nil {
		return t
	}
	t, err := r.dec.ReadToken()
	r.check(err)
	if r.err == nil && t.Kind() != kind {
		r.err = fmt.Errorf("%s where %s belongs", kindName(t.Kind()), kindName(kind))
	}
	return t
}

func (r *outcomeReader) text() string {
	if t := r.token('"'); r.err == nil {
		return t.String()
	}
	return ""
}

func (r *outcomeReader) number() int64 {
	t := r.token('0')
	if r.err != nil {
		return 0
	}
	n, err := strconv.ParseInt(t.String(), 10, 64)
	r.check(err)
	return n
}

func (r *outcomeReader) flag() bool {
	if r.err == nil && r.dec.PeekKind() == 't' {
		r.token('t')
		return true
	}
	r.token('f')
	return false
}

func (r *outcomeReader) time() time.Time {
	s := r.text()
	if r.err != nil {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, s)
	r.check(err)
	return t
}

func (r *outcomeReader) object(member func(name string)) {
	r.token('{')
	for r.err == nil && r.dec.PeekKind() != '}' {
		if name := r.text(); r.err == nil {
			member(name)
		}
	}
	r.token('}')
}

func (r *outcomeReader) violations() (vs []payment.Violation) {
	r.token('[')
	for r.err == nil && r.dec.PeekKind() != ']' {
		var v payment.Violation
		r.object(func(name string) {
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
	r.token(']')
	return vs
}
