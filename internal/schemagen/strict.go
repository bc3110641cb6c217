package schemagen

import (
	"encoding/json"
	"strings"

	"paylink/internal/payment"
)

// fileStrict is the strict schema of intents, without its extensions.
const fileStrict = "payment-intent-strict"

// strictSchema is for those who write intents: every field has one type, what
// is absent is left out, and a name that we do not know is a mistake. Whatever
// it accepts, the schema beside it accepts, and so does the service.
func strictSchema(intent []field) object {
	props, required := object{}, []string{}
	for _, f := range intent {
		props = props.with(f.Name, f.strict())
		if f.Required {
			required = append(required, f.Name)
		}
	}
	return object{
		{"type", "object"}, {"required", required}, {"properties", props}, {"additionalProperties", false},
	}
}

const strictDoc = "Asks for one payment link; for emitters. One type a field; what is absent is left out. The service takes more than this, see payment-intent. " +
	"What no schema can see: a key must not be given twice, whole numbers have no exponent and no point, all metadata together has at most 2 KiB."

// strict is the rule of a field.
func (f field) strict() object {
	need := "Optional."
	if f.Required {
		need = "Required."
	}
	return append(object{{"description", f.Doc + " " + need}, {"examples", []any{f.strictValue(f.exampleValue())}}}, f.strictRule()...)
}

func (f field) strictRule() object {
	text := f.bounded(object{{"type", "string"}, {"minLength", 1}})
	switch f.Kind {
	case payment.Digits:
		return text.with("pattern", digitsPattern(f.MaxChars))
	case payment.Number:
		return text.with("pattern", decimalPattern(f))
	case payment.Integer:
		return f.numberRule()
	case payment.Flag:
		return object{{"type", "boolean"}}
	case payment.URL:
		return text.with("pattern", strictURL())
	case payment.Email:
		return text.with("format", "email").with("pattern", strictEmail)
	case payment.IP:
		return text.with("pattern", "^("+ipv4+"|"+ipv6()+")$")
	case payment.Time:
		return text.with("format", "date-time").with("pattern", strictTime)
	case payment.Pairs:
		return f.rules()[0]
	}
	if len(f.Enum) > 0 {
		return object{{"type", "string"}, {"enum", f.Enum}}
	}
	return text.with("pattern", f.textPattern())
}

// strictValue is a value as the strict schema wants its type: of an example of
// the tolerant one.
func (f field) strictValue(v any) any {
	if s, ok := v.(string); ok && f.Kind == payment.Integer && strings.Trim(s, "0123456789") == "" && s != "" {
		return json.Number(s)
	}
	return v
}

// strictBodies are an intent with every field, and one with the required ones.
func strictBodies(intent []field) (whole, least object) {
	for _, f := range intent {
		whole = whole.with(f.Name, f.strictValue(f.exampleValue()))
		if f.Required {
			least = least.with(f.Name, f.strictValue(f.exampleValue()))
		}
	}
	return whole, least
}

// Strict returns the example as the strict schema wants its types. It reports
// false where the strict schema refuses on purpose what is good otherwise: the
// empty text for an absent field, and letters beyond ASCII in a URL.
func (e Example) Strict() (map[string]any, bool, error) {
	intent, err := intentFields()
	if err != nil {
		return nil, false, err
	}
	out, good := map[string]any{}, !e.Bad && e.Rule != "absent"
	for _, m := range e.intent(intent) {
		f := field{Field: payment.FieldNamed(m.name)}
		out[m.name] = f.strictValue(m.value)
		if m.name == e.Field && f.Kind == payment.URL && e.Rule == "max_chars" {
			good = false
		}
	}
	return out, good, nil
}

// Patterns of the strict schema. They use what all dialects of regular
// expressions have in common, and match texts of ASCII only.
const (
	// Years far from both ends, so that no difference from UTC leads beyond them.
	strictTime = `^2[0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`

	label       = `[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?`
	host        = label + `(\.` + label + `)*`
	strictEmail = "^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@" + host + "$"

	octet = `(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])`
	ipv4  = `(` + octet + `\.){3}` + octet
	group = `[0-9a-fA-F]{1,4}`
)

// strictURL matches URLs as RFC 3986 writes them, with a named host.
func strictURL() string {
	port := "(:(" + strings.Join(wholeRange("1", "65535"), "|") + "))?"
	return `^https?://` + host + port + `([/?#]([!$&-;=?-Z_a-z~#]|%[0-9A-Fa-f]{2})*)?$`
}

// ipv6 matches IPv6 addresses, but for those that end like an IPv4 address.
func ipv6() string {
	const g = group
	return strings.Join([]string{
		`(` + g + `:){7}` + g, `(` + g + `:){1,7}:`, `(` + g + `:){1,6}:` + g,
		`(` + g + `:){1,5}(:` + g + `){1,2}`, `(` + g + `:){1,4}(:` + g + `){1,3}`,
		`(` + g + `:){1,3}(:` + g + `){1,4}`, `(` + g + `:){1,2}(:` + g + `){1,5}`,
		g + `:(:` + g + `){1,6}`, `:((:` + g + `){1,7}|:)`,
	}, "|")
}
