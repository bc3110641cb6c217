package event

import (
	"errors"
	"strconv"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"paylink/internal/payment"
	"paylink/schemas/contract"
)

// readProtobuf reads a message into the draft, field by field as they stand on
// the wire, with no message in between: that is half of the work. It means what
// the generated code means, which a fuzz test sees to: of a field that comes
// again the last counts, one of another wire type is unknown, and what is
// unknown is skipped.
func readProtobuf(k *scratch, body []byte) error {
	r := protoReader{draft: &k.draft}
	if err := r.read(body); errors.Is(err, errProto) {
		return errNoMessage
	} else if err != nil {
		return err
	}
	for i, field := range protoTimes {
		if t := r.times[i]; t.given {
			k.draft.putText(field, time.Unix(t.seconds, int64(t.nanos)).UTC().Format(time.RFC3339Nano))
		}
	}
	k.draft.putPairs(r.pairs)
	return nil
}

// protoIntent says of each field number of an intent which field of the table it
// is, plus one; zero: none. protoTimes are those of the fields that are times.
var protoIntent, protoTimes = func() (byNumber []int, times []int) {
	fields := (&contract.PaymentIntent{}).ProtoReflect().Descriptor().Fields()
	for i, f := range payment.Fields {
		n := int(fields.ByName(protoreflect.Name(f.Name)).Number())
		byNumber = append(byNumber, make([]int, max(0, n+1-len(byNumber)))...)
		byNumber[n] = i + 1
		if f.Kind == payment.Time {
			times = append(times, i)
		}
	}
	return byNumber, times
}()

// maxTimes bounds the fields that are times.
const maxTimes = 4

type protoReader struct {
	draft *draft
	times [maxTimes]protoTime // parallel to protoTimes
	pairs map[string]string
}

// A protoTime is a Timestamp: its parts may come in several pieces.
type protoTime struct {
	given   bool
	seconds int64
	nanos   int32
}

var (
	errProto     = errors.New("no Protobuf message")
	errNoMessage = &Unreadable{NotJSON, "the body is no Protobuf message, or holds text that is not UTF-8"}
)

// notText says which field holds no text: Protobuf has no such messages.
func notText(field int) error {
	return &Unreadable{NotJSON, "field " + payment.Fields[field].Name + " of the Protobuf message holds text that is not UTF-8"}
}

// otherWire is the rule that a field breaks in another wire type than its schema says.
// Whoever wrote it has another schema: to skip it would be to take another currency, or
// none of its time.
func otherWire(want payment.Kind) string {
	return mustBe(want) + ", is of another Protobuf type than its schema says"
}

// read reads the fields of an intent.
func (r *protoReader) read(body []byte) error {
	return eachProto(body, func(number protowire.Number, kind protowire.Type, n uint64, text []byte) error {
		if int(number) >= len(protoIntent) || protoIntent[number] == 0 {
			return nil
		}
		i := protoIntent[number] - 1
		f := &payment.Fields[i]
		switch {
		case f.Kind == payment.Flag && kind == protowire.VarintType:
			r.draft.putText(i, contract.FlagText(n != 0))
		case f.Kind == payment.Integer && kind == protowire.VarintType:
			r.draft.putText(i, strconv.FormatInt(int64(int32(n)), 10))
		case f.Kind == payment.Flag || f.Kind == payment.Integer || kind != protowire.BytesType:
			r.draft.breaks(i, otherWire(f.Kind))
		case f.Kind == payment.Time:
			return r.time(i, text)
		case f.Kind == payment.Pairs:
			return r.pair(i, text)
		case !utf8.Valid(text):
			return notText(i)
		default:
			r.draft.said[i].met = true
			r.draft.put(i, text)
		}
		return nil
	})
}

func (r *protoReader) time(field int, body []byte) error {
	t := &r.times[0]
	for i := range protoTimes {
		if protoTimes[i] == field {
			t = &r.times[i]
		}
	}
	t.given = true
	return eachProto(body, func(number protowire.Number, kind protowire.Type, n uint64, _ []byte) error {
		switch {
		case kind == protowire.VarintType && number == 1:
			t.seconds = int64(n)
		case kind == protowire.VarintType && number == 2:
			t.nanos = int32(n)
		}
		return nil
	})
}

func (r *protoReader) pair(field int, body []byte) error {
	var parts [2]string // key and value
	err := eachProto(body, func(number protowire.Number, kind protowire.Type, _ uint64, text []byte) error {
		if kind != protowire.BytesType || number > 2 {
			return nil
		}
		if !utf8.Valid(text) {
			return notText(field)
		}
		parts[number-1] = string(text)
		return nil
	})
	if r.pairs == nil {
		r.pairs = map[string]string{}
	}
	r.pairs[parts[0]] = parts[1]
	return err
}

// eachProto calls do with every field of a message: n is a varint's value, text
// that of a length-delimited field, both zero for other wire types.
func eachProto(body []byte, do func(number protowire.Number, kind protowire.Type, n uint64, text []byte) error) error {
	for len(body) > 0 {
		number, kind, size := protowire.ConsumeTag(body)
		if size < 0 || number > protowire.MaxValidNumber {
			return errProto
		}
		body = body[size:]
		var n uint64
		var text []byte
		switch kind {
		case protowire.VarintType:
			n, size = protowire.ConsumeVarint(body)
		case protowire.BytesType:
			text, size = protowire.ConsumeBytes(body)
		default:
			size = protowire.ConsumeFieldValue(number, kind, body)
		}
		if size < 0 {
			return errProto
		}
		if err := do(number, kind, n, text); err != nil {
			return err
		}
		body = body[size:]
	}
	return nil
}
