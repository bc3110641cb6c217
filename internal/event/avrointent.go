package event

import (
	"encoding/binary"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/avro"

	"paylink/schemas"
)

// An avroWriter reads the intents of one writer, by the writer's schema and no
// other: what its fields mean for an intent is decided value by value.
type avroWriter struct {
	plan     avroPlan // of a writer that has our fields; nil: none
	union    bool     // the topic holds several types; the branch stands before the record
	branches []avroBranch
}

// An avroBranch is one type that a record can be.
type avroBranch struct {
	schema *avro.Schema // gives the fields that we know, by name
	fields []avroField
	bad    *Unreadable // or why it is no intent
}

type avroField struct {
	name  string
	field int // in payment.Fields
}

// ourAvro is our own schema of an intent.
var ourAvro = avro.MustParse(schemas.Text(schemas.Avro, schemas.Intent))

// compileAvro makes the reader of a writer's schema.
func compileAvro(w WriterSchema) (*avroWriter, *Unreadable) {
	written, bad := parseAvro(w, avroMeanings...)
	if bad != nil {
		return nil, bad
	}
	aw := &avroWriter{}
	root := written.Root().ExpandReferences()
	if aw.union = root.Type == "union"; !aw.union {
		aw.plan = planAvro(root, ourAvro.Root())
		aw.branches = []avroBranch{branchOf(root)}
		return aw, aw.branches[0].bad
	}
	for i := range root.Branches {
		aw.branches = append(aw.branches, branchOf(&root.Branches[i]))
	}
	if !slices.ContainsFunc(aw.branches, func(b avroBranch) bool { return b.bad == nil }) {
		return nil, &Unreadable{UnknownSchema, "is an Avro union in which no record has a field intent_id"}
	}
	return aw, nil
}

// branchOf makes the reader of a record: of its fields those that we know, the
// others are skipped and never stored.
func branchOf(n *avro.SchemaNode) (b avroBranch) {
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
			b.fields = append(b.fields, avroField{f.Name, i})
		}
	}
	if !slices.ContainsFunc(b.fields, func(f avroField) bool { return f.name == "intent_id" }) {
		return avroBranch{bad: &Unreadable{UnknownSchema, fmt.Sprintf("is record %s, which has no field intent_id", cut(fullName(n)))}}
	}
	if bad := swelling(n); bad != nil {
		return avroBranch{bad: bad}
	}
	if b.schema, err = known.Schema(avroMeanings...); err == nil {
		b.schema, err = avro.Resolve(written, b.schema)
	}
	if err != nil {
		b.schema = written // then all of it is read
	}
	return b
}

// swelling says that a few bytes of a record could become very many: the library
// takes arrays of items that take no bytes for up to 4096 each, and there could be
// one for every three bytes. To skip them takes no memory, but seconds.
func swelling(record *avro.SchemaNode) *Unreadable {
	for _, f := range record.Fields {
		if swells(&f.Type, false) {
			return &Unreadable{UnknownSchema, fmt.Sprintf("has in field %s arrays of items that take no bytes", cut(f.Name))}
		}
	}
	return nil
}

// swells reports whether there is an array of items without bytes anywhere within a
// type; within says that the type stands in another one.
func swells(n *avro.SchemaNode, within bool) bool {
	switch n.Type {
	case "array":
		return n.Items != nil && (within && isEmpty(n.Items) || swells(n.Items, true))
	case "map":
		return n.Values != nil && swells(n.Values, true)
	}
	return slices.ContainsFunc(n.Fields, func(f avro.SchemaField) bool { return swells(&f.Type, true) }) ||
		slices.ContainsFunc(n.Branches, func(b avro.SchemaNode) bool { return swells(&b, within) })
}

// isEmpty reports whether a type's values take no bytes.
func isEmpty(n *avro.SchemaNode) bool {
	switch n.Type {
	case "null":
		return true
	case "fixed":
		return n.Size == 0
	case "record":
		return !slices.ContainsFunc(n.Fields, func(f avro.SchemaField) bool { return !isEmpty(&f.Type) })
	}
	return false
}

// avroMeanings are options of a schema: decimals keep their scale, and what Go
// has a type for that could be mistaken for another has none.
var avroMeanings = []avro.SchemaOpt{
	avro.WithLaxNames(nil),
	avro.WithCustomType(avro.CustomType{LogicalType: "decimal", AvroType: "bytes", Decode: scaled}),
	avro.WithCustomType(avro.CustomType{LogicalType: "decimal", AvroType: "fixed", Decode: scaled}),
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
	return decimalText(avro.RatFromBytes(b, n.Scale), n.Scale), nil
}

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
		k.draft.putForeign(f.field, ofAvro(record[f.name]))
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
	case *big.Rat: // big-decimal, which has its scale in the value
		digits, _ := v.FloatPrec()
		return decimalText(v, digits)
	case [16]byte:
		return uuid.UUID(v).String()
	case time.Duration, avro.Duration:
		return oddity("a duration")
	}
	return v
}
