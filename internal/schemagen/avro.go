package schemagen

import (
	"path"
	"strings"

	"paylink/internal/payment"
)

// avroSchemas writes Avro. Amounts are strings, not bytes with a decimal: the
// gateway signs "10" and "10.00" differently, and a decimal forgets which it
// was. Words are strings, not enums: a new word must not break old readers.
func avroSchemas(intent []field) (map[string][]byte, error) {
	files := map[string]object{"payment-intent": avroIntent(intent)}
	for _, v := range views {
		files[v.file] = avroOutcome(v)
	}
	out := map[string][]byte{}
	for name, o := range files {
		b, err := indented(o)
		if err != nil {
			return nil, errorAt(name, err)
		}
		out[path.Join("avro", name+".avsc")] = b
	}
	return out, nil
}

func avroRecord(name, doc string) object {
	return object{{"type", "record"}, {"name", name}, {"namespace", namespace}, {"doc", doc}}
}

func avroIntent(intent []field) object {
	fields := []object{}
	for _, f := range intent {
		fields = append(fields, avroField(f.Name, f.doc("null and the empty string mean absent"), f.avroType(), f.Required))
	}
	return avroRecord(nameIntent, "Asks for one payment link.").with("fields", fields)
}

// avroField is a field; one that may be absent is null then, or an empty map.
func avroField(name, doc string, kind any, required bool) object {
	o := object{{"name", name}}
	o2, isMap := kind.(object)
	isMap = isMap && o2[0].value == "map"
	switch {
	case required:
		o = o.with("type", kind)
	case isMap:
		o = o.with("type", kind).with("default", object{})
	default:
		o = o.with("type", []any{"null", kind}).with("default", nil)
	}
	return o.with("doc", doc)
}

var (
	avroTime  = object{{"type", "long"}, {"logicalType", "timestamp-millis"}}
	avroPairs = object{{"type", "map"}, {"values", "string"}}
)

func (f field) avroType() any {
	switch f.Kind {
	case payment.Integer:
		return "int"
	case payment.Flag:
		return "boolean"
	case payment.Time:
		return avroTime
	case payment.Pairs:
		return avroPairs
	}
	return "string"
}

func avroOutcome(v view) object {
	fields := []object{}
	for _, f := range v.fields() {
		doc := f.doc
		if len(f.enum) > 0 {
			doc += " One of: " + strings.Join(f.enum, ", ") + "."
		}
		fields = append(fields, avroField(f.name, doc, avroShape(f.shape), v.need(f) == always))
	}
	return avroRecord(v.name, v.doc).with("fields", fields)
}

func avroShape(s shape) any {
	switch s {
	case count:
		return "int"
	case big:
		return "long"
	case flag:
		return "boolean"
	case moment:
		return avroTime
	case pairs:
		return avroPairs
	case place:
		return avroInner("Source", "Where a record stands.", placeFields)
	case violations:
		return object{{"type", "array"}, {"items", avroInner("Violation", "One broken rule.", violationFields)}}
	}
	return "string"
}

func avroInner(name, doc string, inner []innerField) object {
	fields := []object{}
	for _, f := range inner {
		fields = append(fields, avroField(f.name, f.doc, avroShape(f.shape), true))
	}
	return avroRecord(name, doc).with("fields", fields)
}
