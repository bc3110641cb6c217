package schemagen

import (
	"encoding/json"
	"fmt"
	"path"
	"strconv"
	"strings"

	"paylink/internal/payment"
)

// An Example is an intent that is good but for one field, which keeps or breaks
// one rule.
type Example struct {
	Name  string // of its file, without extension
	Field string
	Rule  string // required, kind, type, max_chars, min, max, max_frac, pattern, enum, controls, user, port, spaces, entries; or example
	Bad   bool
	Value any // of the field as JSON; nil: the field is left out
}

// Examples returns a good and a bad example for every rule of every field.
func Examples() ([]Example, error) {
	intent, err := intentFields()
	if err != nil {
		return nil, err
	}
	var all []Example
	for _, f := range intent {
		for _, e := range f.examples() {
			e.Field = f.Name
			e.Name = "valid_" + f.Name + "_" + e.Rule
			if e.Bad {
				e.Name = "bad_" + f.Name + "_" + e.Rule
			}
			all = append(all, e)
		}
	}
	return all, nil
}

// examples are those of one field; of a rule, a good one comes before the bad one.
func (f field) examples() []Example {
	out := []Example{{Rule: "example", Value: f.exampleValue()}}
	add := func(rule string, good, bad any) {
		out = append(out, Example{Rule: rule, Value: good}, Example{Rule: rule, Bad: true, Value: bad})
	}
	if f.Required {
		out = append(out, Example{Rule: "required", Bad: true})
	} else {
		out = append(out, Example{Rule: "absent", Value: ""})
	}
	add("type", f.exampleValue(), f.wrongType())
	if bad := f.wrongKind(); bad != "" {
		add("kind", f.exampleValue(), bad)
	}
	if f.MaxChars > 0 {
		add("max_chars", f.ofLength(f.MaxChars), f.ofLength(f.MaxChars+1))
	}
	if f.Min != "" {
		add("min", f.Min, below(f.Min))
		add("max", f.Max, strconv.Itoa(atoi(f.Max)+1))
	}
	if f.MaxFrac > 0 {
		add("max_frac", "1."+strings.Repeat("1", f.MaxFrac), "1."+strings.Repeat("1", f.MaxFrac+1))
	}
	if f.Pattern != nil {
		add("pattern", f.Example, "no match!")
	}
	if len(f.Enum) > 0 {
		add("enum", f.Enum[len(f.Enum)-1], "none_of_them")
	}
	if f.Kind == payment.Text && f.Pattern == nil && len(f.Enum) == 0 {
		good := "plain text"
		if f.Lines {
			good = "first\tline\r\nsecond line\n"
		}
		add("controls", good, "ends here\x00not here")
	}
	if f.Kind == payment.URL {
		add("user", "https://shop.example/@user", "https://shop.example@user.example/")
		add("port", "https://shop.example:65535/", "https://shop.example:65536/")
		add("spaces", "https://shop.example/a%20b", "https://shop.example/a b")
	}
	if f.Kind == payment.Pairs {
		add("entries", entries(payment.MaxMetadataEntries), entries(payment.MaxMetadataEntries+1))
	}
	return out
}

func below(bound string) string {
	if strings.Contains(bound, ".") {
		return "0.00"
	}
	return strconv.Itoa(atoi(bound) - 1)
}

func entries(n int) any {
	m := object{}
	for i := range n {
		m = m.with(fmt.Sprintf("key%02d", i), "value")
	}
	return m
}

// wrongType is a value of a JSON type that the field does not take.
func (f field) wrongType() any {
	switch f.Kind {
	case payment.Digits, payment.Integer, payment.Number:
		return true
	case payment.Pairs:
		return object{{"key", 17}}
	case payment.Flag:
		return object{}
	}
	return 17
}

// wrongKind is a text that is none of the field's kind.
func (f field) wrongKind() string {
	switch f.Kind {
	case payment.Digits, payment.Integer, payment.Number:
		return "12three"
	case payment.Flag:
		return "2"
	case payment.URL:
		return "ftp://shop.example/"
	case payment.Email:
		return "nobody"
	case payment.IP:
		return "localhost"
	case payment.Time:
		return "yesterday"
	}
	return ""
}

// ofLength is a value of n characters that keeps the field's other rules.
func (f field) ofLength(n int) string {
	head, fill := "", "я"
	switch {
	case f.Kind == payment.URL:
		head = "https://shop.example/"
	case f.Kind == payment.Email:
		const head = "payer@" // one label of a host has at most 63 characters
		return head + strings.Repeat("mailboxes.", n/10+1)[:n-len(head)]
	case f.Kind == payment.Number:
		head, fill = "1.", "0"
	case f.Kind == payment.Time:
		head := strings.TrimSuffix(f.Example, "Z") + "."
		return head + strings.Repeat("0", n-len(head)-1) + "Z"
	case f.Kind == payment.Digits || f.Pattern != nil:
		fill = "7"
	}
	return head + strings.Repeat(fill, n-len(head))
}

func examples(intent []field) (map[string][]byte, error) {
	all, err := Examples()
	if err != nil {
		return nil, err
	}
	files := map[string]object{}
	for _, e := range all {
		files["payment-intent/"+e.Name] = e.intent(intent)
	}
	full := object{}
	for _, f := range intent {
		full = full.with(f.Name, f.exampleValue())
	}
	files["payment-intent/valid_all_fields"] = full
	files[fileStrict+"/valid_all_fields"], files[fileStrict+"/valid_required_fields"] = strictBodies(intent)
	for _, v := range views[1:] {
		outcomeExamples(v, files)
	}
	out := map[string][]byte{}
	for name, o := range files {
		b, err := indented(o)
		if err != nil {
			return nil, errorAt(name, err)
		}
		out[path.Join("examples", name+".json")] = b
	}
	return out, nil
}

// intent is the required fields, and the one that is shown.
func (e Example) intent(intent []field) object {
	o := object{}
	for _, f := range intent {
		switch {
		case f.Name == e.Field && e.Value != nil:
			o = o.with(f.Name, e.Value)
		case f.Name != e.Field && f.Required:
			o = o.with(f.Name, f.exampleValue())
		}
	}
	return o
}

// outcomeBodies are an outcome with every field, and one with those that it must have.
func outcomeBodies(v view) (whole, least object) {
	for _, f := range v.fields() {
		whole = whole.with(f.name, outcomeExample(v, f))
		if v.need(f) == always {
			least = least.with(f.name, outcomeExample(v, f))
		}
	}
	return whole, least
}

func outcomeExamples(v view, files map[string]object) {
	whole, least := outcomeBodies(v)
	files[v.file+"/valid_all_fields"], files[v.file+"/valid_required_fields"] = whole, least
	for i, m := range least {
		without := append(append(object{}, least[:i]...), least[i+1:]...)
		files[v.file+"/bad_"+m.name+"_required"] = without
		wrong := append(object{}, least...)
		wrong[i].value = object{}
		files[v.file+"/bad_"+m.name+"_type"] = wrong
	}
}

func outcomeExample(v view, f outcomeField) any {
	switch f.shape {
	case place:
		return innerExample(placeFields)
	case violations:
		return []object{innerExample(violationFields)}
	case pairs:
		return json.RawMessage(f.example)
	}
	if f.name == "type" {
		return v.kind
	}
	return exampleOf(f.shape, f.example)
}

func innerExample(fields []innerField) object {
	o := object{}
	for _, f := range fields {
		o = o.with(f.name, exampleOf(f.shape, f.example))
	}
	return o
}
