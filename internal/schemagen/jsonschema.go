package schemagen

import (
	"encoding/json"
	"path"
	"slices"
	"strings"

	"paylink/internal/payment"
)

const (
	dialect = "https://json-schema.org/draft/2020-12/schema"
	idBase  = "https://paylink.example/schemas/v1/"
)

// jsonSchemas writes JSON Schema 2020-12. What it cannot say (a key given
// twice, 1e3 for 1000, the bytes of all metadata) stands in the descriptions,
// and in the table of cases of the decoder.
func jsonSchemas(intent []field) (map[string][]byte, error) {
	files := map[string]object{
		"payment-intent": intentSchema(intent),
		fileStrict:       append(header(fileStrict, nameIntent, strictDoc), strictSchema(intent)...),
	}
	defs := object{}
	for _, v := range views[1:] {
		body := outcomeSchema(v)
		files[v.file] = append(header(v.file, v.name, v.doc), body...)
		defs = defs.with(v.file, append(object{{"title", v.name}, {"description", v.doc}}, body...))
	}
	one := views[0]
	files[one.file] = header(one.file, one.name, one.doc).
		with("oneOf", []object{{{"$ref", "#/$defs/payment-created"}}, {{"$ref", "#/$defs/payment-failed"}}}).
		with("$defs", defs)
	out := map[string][]byte{}
	for name, o := range files {
		b, err := indented(o)
		if err != nil {
			return nil, errorAt(name, err)
		}
		out[path.Join("json", name+".schema.json")] = b
	}
	return out, nil
}

func header(file, title, doc string) object {
	return object{{"$schema", dialect}, {"$id", idBase + file + ".schema.json"}, {"title", title}, {"description", doc}}
}

func intentSchema(intent []field) object {
	props, required := object{}, []string{}
	for _, f := range intent {
		props = props.with(f.Name, f.schema())
		if f.Required {
			required = append(required, f.Name)
		}
	}
	return header("payment-intent", nameIntent,
		"Asks for one payment link. Unknown fields are ignored. A key must not be given twice, and numbers are plain decimals: no sign, exponent or leading zeros, which no JSON Schema can see.").
		with("type", "object").with("required", required).with("properties", props)
}

// absent is what means "not given" in an optional field, and how it is said. PHP
// writes an object without members as [].
func (f field) absent() (object, string) {
	if f.Kind == payment.Pairs {
		return object{{"enum", []any{"", nil, []any{}}}}, "null, the empty string and the empty array mean absent"
	}
	return object{{"enum", []any{"", nil}}}, "null and the empty string mean absent"
}

// schema is the rule of a field, and what may stand in its place.
func (f field) schema() object {
	absent, said := f.absent()
	o := object{{"description", f.doc(said)}, {"examples", []any{f.exampleValue()}}}
	rules := f.rules()
	if !f.Required {
		rules = append([]object{absent}, rules...)
	}
	if len(rules) == 1 {
		return append(o, rules[0]...)
	}
	return o.with("anyOf", rules)
}

// rules are the JSON types that a field takes, each with its rule.
func (f field) rules() []object {
	s := object{{"type", "string"}}
	if f.Required {
		s = s.with("minLength", 1)
	}
	switch f.Kind {
	case payment.Digits:
		most := strings.Repeat("9", f.MaxChars)
		return []object{s.with("pattern", digitsPattern(f.MaxChars)),
			{{"type", "integer"}, {"minimum", 1}, {"maximum", json.Number(most)}}}
	case payment.Integer, payment.Number:
		return []object{f.bounded(s.with("pattern", decimalPattern(f))), f.numberRule()}
	case payment.Flag:
		return []object{{{"enum", []any{true, false, 0, 1}}}}
	case payment.URL:
		s = s.with("pattern", urlPattern())
	case payment.Email:
		s = s.with("format", "email").with("pattern", `^[^\s@<>]+@[^\s@<>]+$`)
	case payment.IP:
		return []object{s.with("format", "ipv4").with("pattern", `^[0-9.]+$`), s.with("format", "ipv6").with("pattern", `^[0-9a-fA-F:.]+$`)}
	case payment.Time:
		s = s.with("format", "date-time").with("pattern", `^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.,][0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$`)
	case payment.Pairs:
		return []object{{{"type", "object"}, {"maxProperties", payment.MaxMetadataEntries}, {"additionalProperties", object{{"type", "string"}}}}}
	}
	s = f.bounded(s)
	if p := f.textPattern(); p != "" {
		s = s.with("pattern", p)
	}
	if len(f.Enum) > 0 {
		s = s.with("enum", f.Enum)
	}
	return []object{s}
}

// bounded adds the bound of a text's length.
func (f field) bounded(s object) object {
	if f.MaxChars > 0 {
		return s.with("maxLength", f.MaxChars)
	}
	return s
}

func (f field) numberRule() object {
	o := object{{"type", "number"}}
	if f.Kind == payment.Integer {
		o = object{{"type", "integer"}}
	}
	o = o.with("minimum", json.Number(f.Min)).with("maximum", json.Number(f.Max))
	if f.Kind == payment.Number && f.MaxFrac > 0 {
		o = o.with("multipleOf", json.Number("0."+strings.Repeat("0", f.MaxFrac-1)+"1"))
	}
	return o
}

// exampleValue is a field's example as a JSON value.
func (f field) exampleValue() any {
	switch f.Kind {
	case payment.Flag:
		return f.Example == "1"
	case payment.Pairs:
		return json.RawMessage(f.Example)
	}
	return f.Example
}

func outcomeSchema(v view) object {
	props, required := object{}, []string{}
	for _, f := range v.fields() {
		props = props.with(f.name, outcomeProperty(v, f))
		if v.need(f) == always {
			required = append(required, f.name)
		}
	}
	return object{{"type", "object"}, {"required", required}, {"properties", props}}
}

func outcomeProperty(v view, f outcomeField) object {
	o := object{{"description", f.doc}}
	if f.name == "type" {
		return o.with("const", v.kind)
	}
	o = append(o, shapeSchema(f.shape)...)
	if len(f.enum) > 0 {
		o = o.with("enum", f.enum)
	}
	if f.example != "" && isPlain(f.shape) {
		o = o.with("examples", []any{exampleOf(f.shape, f.example)})
	}
	return o
}

func isPlain(s shape) bool { return slices.Contains([]shape{text, count, big, flag, moment}, s) }

func exampleOf(s shape, example string) any {
	if s == text || s == moment {
		return example
	}
	return json.RawMessage(example)
}

func shapeSchema(s shape) object {
	switch s {
	case count:
		return object{{"type", "integer"}, {"minimum", 0}, {"maximum", 1<<31 - 1}}
	case big:
		return object{{"type", "integer"}, {"minimum", 0}, {"maximum", json.Number("9223372036854775807")}}
	case flag:
		return object{{"type", "boolean"}}
	case moment:
		return object{{"type", "string"}, {"format", "date-time"}}
	case pairs:
		return object{{"type", "object"}, {"additionalProperties", object{{"type", "string"}}}}
	case place:
		return innerSchema("Source", placeFields)
	case violations:
		return object{{"type", "array"}, {"items", innerSchema("Violation", violationFields)}}
	}
	return object{{"type", "string"}, {"minLength", 1}}
}

func innerSchema(title string, fields []innerField) object {
	props, required := object{}, []string{}
	for _, f := range fields {
		props = props.with(f.name, append(object{{"description", f.doc}}, append(shapeSchema(f.shape), member{"examples", []any{exampleOf(f.shape, f.example)}})...))
		required = append(required, f.name)
	}
	return object{{"title", title}, {"type", "object"}, {"required", required}, {"properties", props}}
}
