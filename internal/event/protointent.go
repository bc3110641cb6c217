package event

import (
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"paylink/internal/payment"
	"paylink/schemas/contract"
)

// protoIntents reads the intents of one writer: what each message of the
// writer's file means, by its index; of those at the top also by a dot and the name.
type protoIntents map[string]protoMessage

// A protoMessage is one type that a record can be. Its fields are known by their
// names, with the numbers and types that the writer gave them.
type protoMessage struct {
	bad    *Unreadable // why it is no intent
	ours   bool        // fields, numbers and types are as in our schema, and no field has a default
	desc   protoreflect.MessageDescriptor
	fields map[protowire.Number]int // index in payment.Fields
}

// ourProto is our own schema of an intent.
var ourProto = (&contract.PaymentIntent{}).ProtoReflect().Descriptor()

// compileProtoIntents makes the reader of a writer's file.
func compileProtoIntents(w WriterSchema) (protoIntents, *Unreadable) {
	file, bad := compileProtobuf(w)
	if bad != nil {
		return nil, bad
	}
	all := protoIntents{}
	eachMessage(file, func(key string, m protoreflect.MessageDescriptor) {
		all[key] = protoMessageOf(m)
		if m.Parent() == m.ParentFile() {
			all["."+string(m.Name())] = all[key]
		}
	})
	return all, nil
}

func protoMessageOf(m protoreflect.MessageDescriptor) protoMessage {
	if bad := notIntent(string(m.FullName())); bad != nil {
		return protoMessage{bad: bad}
	}
	if m.Fields().ByName("intent_id") == nil {
		return protoMessage{bad: &Unreadable{UnknownSchema, fmt.Sprintf("has message %s there, which has no field intent_id", cut(string(m.FullName())))}}
	}
	p := protoMessage{desc: m, ours: readsAs(m, ourProto) == nil, fields: map[protowire.Number]int{}}
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		if j := fieldIndex(string(f.Name())); j >= 0 {
			p.fields[f.Number()] = j
			p.ours = p.ours && !f.HasDefault()
		}
	}
	return p
}

// read reads a frame's message into the draft.
func (all protoIntents) read(k *scratch, f *frame) error {
	p, body, err := all.message(f)
	switch {
	case err != nil:
		return err
	case p.bad != nil:
		return p.bad.of(f.schemaName)
	case p.ours:
		return readProtobuf(k, body)
	}
	return p.read(&k.draft, body)
}

// message returns which message a frame holds, and its body.
func (all protoIntents) message(f *frame) (p protoMessage, body []byte, err error) {
	key, body := "."+f.kind, f.body
	if name, rest := apicurioRef(f.body); name != "" && !f.head && all.has("."+name) {
		key, body = "."+name, rest
	} else if f.kind == "" {
		var index []int
		if index, body, err = f.split(); err != nil {
			return p, nil, &Unreadable{NotJSON, "the message index of the Protobuf framing is broken"}
		}
		key = indexKey(index)
	}
	switch {
	case f.alone && f.kind == "" && all.several():
		return p, nil, &Unreadable{UnknownSchema, fmt.Sprintf("%s has more than one message, and the record's headers do not say which it is", f.schemaName)}
	case !all.has(key):
		return p, nil, noSuchMessage(f)
	}
	return all[key], body, nil
}

func (all protoIntents) has(key string) bool {
	_, ok := all[key]
	return ok
}

// several reports whether there is a second message at the top of the file.
func (all protoIntents) several() bool { return all.has(indexKey([]int{1})) }

// mostKnown bounds the bytes of the fields that we know: an empty message of two
// bytes takes 500 once it is read, and no intent that keeps the rules has nearly as
// many.
const mostKnown = 256 << 10

// lightProto is how large a message may be that is read beside others.
const lightProto = 4 << 10

// read reads a message by the writer's descriptor.
func (p *protoMessage) read(dr *draft, body []byte) error {
	known, odd, err := p.known(body)
	if len(known) > mostKnown {
		return &Unreadable{TooLarge, fmt.Sprintf("the fields of the intent take %d bytes, at most %d are read: emit it again with fields as the contract has them", len(known), mostKnown)}
	}
	m := dynamicpb.NewMessage(p.desc)
	if err == nil {
		err = unmarshal(known, m)
	}
	if err != nil {
		return p.broken(known)
	}
	var currency string
	for number, i := range p.fields {
		fd := p.desc.Fields().ByNumber(number)
		if fd.HasPresence() && !m.Has(fd) && !fd.HasDefault() { // proto2 has defaults
			continue
		}
		v := ofProto(fd, m.Get(fd))
		if paid, ok := v.(moneyOf); ok && i == amountField {
			v, currency = paid.amount, paid.currency
		}
		if fd.HasPresence() || !unset(v) {
			dr.putForeign(i, v)
		}
	}
	dr.putCurrency(currency)
	for _, i := range odd {
		dr.breaks(i, otherWire(payment.Fields[i].Kind))
	}
	return nil
}

// unset reports whether a value is the zero that a field without presence has
// when nobody has set it.
func unset(v any) bool {
	switch v := v.(type) {
	case bool:
		return !v
	case int64:
		return v == 0
	case uint64:
		return v == 0
	case float32:
		return v == 0
	case float64:
		return v == 0
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	}
	return false
}

// known returns the fields of a message that an intent has, and those of them that are
// of another wire type. The others are not even read: whatever is in them is none of our
// business.
func (p *protoMessage) known(body []byte) (known []byte, odd []int, err error) {
	for rest := body; len(rest) > 0; {
		number, kind, size := protowire.ConsumeTag(rest)
		if size < 0 {
			return nil, nil, errProto
		}
		value := protowire.ConsumeFieldValue(number, kind, rest[size:])
		if value < 0 {
			return nil, nil, errProto
		}
		if i, ok := p.fields[number]; ok {
			known = append(known, rest[:size+value]...)
			if !onWire(p.desc.Fields().ByNumber(number), kind) && !slices.Contains(odd, i) {
				odd = append(odd, i)
			}
		}
		rest = rest[size+value:]
	}
	return known, odd, nil
}

// onWire reports whether a field's values may be of a wire type.
func onWire(fd protoreflect.FieldDescriptor, kind protowire.Type) bool {
	switch fd.Kind() {
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind:
		return kind == protowire.BytesType
	case protoreflect.GroupKind:
		return kind == protowire.StartGroupType
	case protoreflect.DoubleKind, protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind:
		return kind == protowire.Fixed64Type || fd.IsList() && kind == protowire.BytesType
	case protoreflect.FloatKind, protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind:
		return kind == protowire.Fixed32Type || fd.IsList() && kind == protowire.BytesType
	}
	return kind == protowire.VarintType || fd.IsList() && kind == protowire.BytesType
}

// unmarshal reads a message. The library panics at an entry of a map whose key comes
// twice, the second time in another wire type.
func unmarshal(body []byte, m proto.Message) (err error) {
	defer func() {
		if recover() != nil {
			err = errProto
		}
	}()
	return proto.UnmarshalOptions{AllowPartial: true, DiscardUnknown: true, RecursionLimit: maxDepth}.Unmarshal(body, m)
}

// broken says why the fields of an intent are no message: a text that is none, if one is.
func (p *protoMessage) broken(known []byte) error {
	err := eachProto(known, func(number protowire.Number, kind protowire.Type, _ uint64, text []byte) error {
		fd := p.desc.Fields().ByNumber(number)
		if kind == protowire.BytesType && fd.Kind() == protoreflect.StringKind && !utf8.Valid(text) {
			return notText(p.fields[number])
		}
		return nil
	})
	if err == nil || errors.Is(err, errProto) {
		return errNoMessage
	}
	return err
}

// A moneyOf is a google.type.Money: an amount with its currency.
type moneyOf struct {
	amount   plainDecimal
	currency string
}

// putCurrency puts the currency that came with the amount. If the record gives
// another one, too, which is meant cannot be known.
func (dr *draft) putCurrency(currency string) {
	s := dr.said[currencyField]
	switch {
	case currency == "":
	case !s.given:
		dr.putText(currencyField, currency)
	case string(dr.text[s.text.from:s.text.to]) != currency:
		dr.breaks(currencyField, "must be the currency of the amount")
	}
}

// Indexes in payment.Fields.
var (
	amountField   = fieldIndex("amount")
	currencyField = fieldIndex("currency")
)

// ofProto gives a field's value one of the types that putForeign knows.
func ofProto(fd protoreflect.FieldDescriptor, v protoreflect.Value) any {
	switch {
	case fd.IsMap():
		all := map[string]any{}
		v.Map().Range(func(key protoreflect.MapKey, v protoreflect.Value) bool {
			all[key.String()] = ofProtoValue(fd.MapValue(), v)
			return true
		})
		return all
	case fd.IsList():
		var all []any
		for i := range v.List().Len() {
			all = append(all, ofProtoValue(fd, v.List().Get(i)))
		}
		return all
	}
	return ofProtoValue(fd, v)
}

func ofProtoValue(fd protoreflect.FieldDescriptor, v protoreflect.Value) any {
	switch fd.Kind() {
	case protoreflect.EnumKind:
		return ofEnum(fd.Enum(), v.Enum())
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return ofMessage(v.Message())
	}
	switch v := v.Interface().(type) {
	case int32:
		return int64(v)
	case uint32:
		return uint64(v)
	default: // bool, int64, uint64, float32, float64, string, []byte
		return v
	}
}

// ofEnum is the symbol of an enum. Zero is by custom the symbol for "not said".
func ofEnum(e protoreflect.EnumDescriptor, n protoreflect.EnumNumber) any {
	switch symbol := e.Values().ByNumber(n); {
	case symbol == nil:
		return int64(n)
	case n == 0 && strings.HasSuffix(string(symbol.Name()), "UNSPECIFIED"):
		return nil
	default:
		return string(symbol.Name())
	}
}

// ofMessage unwraps the messages that everybody knows; of another one its fields
// are taken, by name.
func ofMessage(m protoreflect.Message) any {
	name := m.Descriptor().FullName()
	if !isWellKnown(m.Descriptor()) {
		name = ""
	}
	field := func(name protoreflect.Name) protoreflect.Value { return m.Get(m.Descriptor().Fields().ByName(name)) }
	switch name {
	case "google.protobuf.Timestamp":
		return time.Unix(field("seconds").Int(), field("nanos").Int()).UTC()
	case "google.protobuf.Duration":
		return nanosText(field("seconds").Int(), field("nanos").Int())
	case "google.type.Money":
		amount := nanosText(field("units").Int(), field("nanos").Int())
		if text, ok := amount.(plainDecimal); ok {
			return moneyOf{text, field("currency_code").String()}
		}
		return amount
	case "google.type.Decimal":
		return field("value").String()
	case "confluent.type.Decimal":
		return decimalOf(field("value").Bytes(), field("scale").Int())
	case "google.type.Date":
		return oddity("a date without a time of day")
	}
	all := map[string]any{}
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		all[string(fd.Name())] = ofProto(fd, v)
		return true
	})
	fields := m.Descriptor().Fields()
	switch {
	case name == "google.protobuf.Value": // of its kinds there is one at most
		delete(all, "null_value")
		for _, v := range all {
			return v
		}
		return nil
	case name.Parent() == "google.protobuf" && fields.Len() == 1: // a wrapper, Struct or ListValue
		return ofProto(fields.Get(0), m.Get(fields.Get(0)))
	}
	return all
}

// isWellKnown reports whether a message is what everybody takes it for by its name. A
// writer's file may mean something else.
func isWellKnown(m protoreflect.MessageDescriptor) bool {
	known := wellKnownMessages()[m.FullName()]
	if known == nil || m.Fields().Len() != known.Fields().Len() {
		return false
	}
	for i := range known.Fields().Len() {
		want := known.Fields().Get(i)
		if got := m.Fields().ByNumber(want.Number()); got == nil || got.Name() != want.Name() || !sameWire(want, got) {
			return false
		}
	}
	return true
}

// nanosText is a number of billionths as an exact decimal. Whole and part must have
// the same sign, or what was meant cannot be known.
func nanosText(units, nanos int64) any {
	if nanos <= -1e9 || nanos >= 1e9 || units > 0 && nanos < 0 || units < 0 && nanos > 0 {
		return oddity("a whole part and nanos that make no number: they need the same sign, and nanos at most nine digits")
	}
	r := new(big.Rat).SetFrac64(nanos, 1e9)
	return decimalText(r.Add(r, new(big.Rat).SetInt64(units)), 9)
}
