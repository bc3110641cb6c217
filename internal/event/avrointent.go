package event

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/avro"

	"paylink/internal/payment"
	"paylink/schemas"
)

// An avroWriter reads the intents of one writer, by the writer's schema and no
// other: what its fields mean for an intent is decided value by value.
type avroWriter struct {
	plan     avroPlan // of a writer that has our fields; nil: none
	union    bool     // the topic holds several types; the branch stands before the record
	light    int      // bytes up to which reading a record takes little memory
	branches []avroBranch
}

// An avroBranch is one type that a record can be.
type avroBranch struct {
	schema *avro.Schema // gives the fields that we know, by name
	fields []avroField
	most   int         // bytes of a record that is read
	bad    *Unreadable // or why it is no intent
}

type avroField struct {
	name  string
	field int    // in payment.Fields
	unit  string // what its whole numbers count, says the schema, if that is for others to know
}

// ourAvro is our own schema of an intent.
var ourAvro = avro.MustParse(schemas.Text(schemas.Avro, schemas.Intent))

// compileAvro makes the reader of a writer's schema.
func compileAvro(w WriterSchema) (*avroWriter, *Unreadable) {
	written, bad := parseAvro(w, avroMeanings...)
	if bad != nil {
		return nil, bad
	}
	aw := &avroWriter{light: mostMemory}
	root := written.Root()
	types := typesOf(root)
	if root = types.find(root); root.Type != "union" {
		aw.plan = planAvro(root, ourAvro.Root())
		aw.add(branchOf(root, types))
		return aw, aw.branches[0].bad
	}
	aw.union = true
	for i := range root.Branches {
		aw.add(branchOf(types.find(&root.Branches[i]), types))
	}
	if !slices.ContainsFunc(aw.branches, func(b avroBranch) bool { return b.bad == nil }) {
		return nil, &Unreadable{UnknownSchema, "is an Avro union in which no record has a field intent_id"}
	}
	return aw, nil
}

func (w *avroWriter) add(b avroBranch) {
	w.branches = append(w.branches, b)
	if b.bad == nil {
		w.light = min(w.light, b.most/mostHeavier)
	}
}

// isHeavy reports whether reading a body may take much more memory than it has bytes.
func (w *avroWriter) isHeavy(body []byte) bool { return len(body) > w.light }

// branchOf makes the reader of a record: of its fields those that we know, the
// others are skipped and never stored.
func branchOf(n *avro.SchemaNode, types *avroTypes) (b avroBranch) {
	if n.Type == "null" {
		return avroBranch{bad: &Unreadable{Empty, "the record is the null of its Avro union; emit an intent"}}
	}
	if n.Type != "record" {
		return avroBranch{bad: &Unreadable{UnknownSchema, "is an Avro " + cut(n.Type) + ", not a record"}}
	}
	if bad := notIntent(fullName(n)); bad != nil {
		return avroBranch{bad: bad}
	}
	written, err := n.Schema(avroMeanings...)
	if err != nil {
		return avroBranch{bad: &Unreadable{UnknownSchema, "is no Avro schema that can be read"}}
	}
	known := *n
	known.Fields = nil
	for _, f := range n.Fields {
		if i := fieldIndex(f.Name); i >= 0 {
			known.Fields = append(known.Fields, f)
			b.fields = append(b.fields, avroField{f.Name, i, unitOf(&f.Type, payment.Fields[i].Kind)})
		}
	}
	if !slices.ContainsFunc(b.fields, func(f avroField) bool { return f.name == "intent_id" }) {
		return avroBranch{bad: &Unreadable{UnknownSchema, fmt.Sprintf("is record %s, which has no field intent_id", cut(fullName(n)))}}
	}
	kept := known.Fields
	if b.schema, err = known.Schema(avroMeanings...); err == nil {
		b.schema, err = avro.Resolve(written, b.schema)
	}
	if err != nil {
		b.schema, kept = written, n.Fields // then all of it is read
	}
	if b.most = types.mostBytes(n, kept); b.most == 0 {
		b.bad = &Unreadable{UnknownSchema, fmt.Sprintf("is record %s, whose types hold each other so often that no value can be read", cut(fullName(n)))}
	}
	return b
}

// unitOf returns the logical type of an amount's whole numbers. Avro knows none that could
// be an amount, and has them ignored: but who calls a long a decimal means hundredths.
func unitOf(n *avro.SchemaNode, want payment.Kind) string {
	if want != payment.Number {
		return ""
	}
	for i := range n.Branches {
		if unit := unitOf(&n.Branches[i], want); unit != "" {
			return unit
		}
	}
	if n.Type == "int" || n.Type == "long" {
		return n.LogicalType
	}
	return ""
}

// avroMeanings are options of a schema: decimals keep their scale, and what Go
// has a type for that could be mistaken for another has none.
var avroMeanings = []avro.SchemaOpt{
	avro.WithLaxNames(nil),
	avro.WithCustomType(avro.CustomType{LogicalType: "decimal", AvroType: "bytes", Decode: scaled}),
	avro.WithCustomType(avro.CustomType{LogicalType: "decimal", AvroType: "fixed", Decode: scaled}),
	avro.WithCustomType(avro.CustomType{LogicalType: "big-decimal", AvroType: "bytes", Decode: selfScaled}),
	avro.WithCustomType(avro.CustomType{LogicalType: "date", AvroType: "int", Decode: odd("a date without a time of day")}),
	avro.WithCustomType(avro.CustomType{LogicalType: "time-millis", AvroType: "int", Decode: odd("a time of day")}),
	avro.WithCustomType(avro.CustomType{LogicalType: "time-micros", AvroType: "long", Decode: odd("a time of day")}),
}

func odd(what string) func(any, *avro.SchemaNode) (any, error) {
	return func(any, *avro.SchemaNode) (any, error) { return oddity(what), nil }
}

func scaled(v any, n *avro.SchemaNode) (any, error) {
	b, ok := v.([]byte)
	if !ok {
		return nil, avro.ErrSkipCustomType
	}
	return decimalOf(b, int64(n.Scale)), nil
}

// selfScaled reads a big-decimal, which has its scale in the value.
func selfScaled(v any, _ *avro.SchemaNode) (any, error) {
	b, ok := v.([]byte)
	if !ok {
		return nil, avro.ErrSkipCustomType
	}
	r := avroReaderOf{b: b}
	unscaled, scale := r.take(r.long()), r.long()
	if r.bad || len(r.b) > 0 {
		return nil, errBigDecimal
	}
	v = decimalOf(unscaled, scale)
	if text, ok := v.(plainDecimal); ok && strings.Contains(string(text), ".") {
		return plainDecimal(strings.TrimRight(strings.TrimRight(string(text), "0"), ".")), nil
	}
	return v, nil
}

var errBigDecimal = errors.New("no big-decimal")

// readAvro reads the one record that a body must hold into the draft.
func readAvro(k *scratch, w *avroWriter, name schemaName, body []byte) error {
	if w.plan != nil && w.plan.read(&k.draft, body) {
		return nil
	}
	k.draft.restart()
	b, body, err := w.branch(body)
	if err != nil {
		return err
	}
	if b.bad != nil {
		return b.bad.of(name)
	}
	if len(body) > b.most {
		return &Unreadable{TooLarge, fmt.Sprintf("the record has %d bytes, at most %d are read by its Avro schema, in whose lists few bytes can become very many: emit it again with fields as the contract has them", len(body), b.most)}
	}
	var v any
	rest, err := b.schema.Decode(body, &v)
	record, ok := v.(map[string]any)
	if err != nil || !ok {
		return &Unreadable{NotJSON, "the body is not what its Avro schema says"}
	}
	if len(rest) > 0 {
		return &Unreadable{NotJSON, fmt.Sprintf("there are %d bytes more after the Avro record", len(rest))}
	}
	for _, f := range b.fields {
		v := ofAvro(record[f.name])
		if n, whole := v.(int64); whole && f.unit != "" {
			k.draft.putIf(f.field, false, strconv.FormatInt(n, 10), fmt.Sprintf("a whole number of logical type %q, which does not say what it counts; give it as text, or as a decimal of bytes", cut(f.unit)))
			continue
		}
		k.draft.putForeign(f.field, v)
	}
	return nil
}

// branch returns which type a body holds.
func (w *avroWriter) branch(body []byte) (*avroBranch, []byte, error) {
	if !w.union {
		return &w.branches[0], body, nil
	}
	i, n := binary.Varint(body)
	if n <= 0 || i < 0 || i >= int64(len(w.branches)) {
		return nil, nil, &Unreadable{NotJSON, "the body is not what its Avro schema says"}
	}
	return &w.branches[i], body[n:], nil
}

// ofAvro gives the library's values the types that putForeign knows.
func ofAvro(v any) any {
	switch v := v.(type) {
	case int32:
		return int64(v)
	case [16]byte:
		return uuid.UUID(v).String()
	case time.Duration, avro.Duration:
		return oddity("a duration")
	}
	return v
}
