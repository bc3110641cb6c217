package schemas_test

import (
	"encoding/json"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"paylink/internal/payment"
	"paylink/internal/schemagen"
	"paylink/schemas"
)

const strictExamples = "payment-intent-strict/"

func strictSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	return schemaFrom(t, schemas.StrictIntent())
}

// TestStrictIsPartOfTolerant: what the strict schema accepts, the tolerant one
// and the service accept; of the examples it refuses the bad ones, and of the
// good ones only those that Strict names.
func TestStrictIsPartOfTolerant(t *testing.T) {
	strict, tolerant := strictSchema(t), schemaOf(t, schemas.Intent)
	judge := func(name string, value []byte, want bool) {
		t.Helper()
		good := goodBySchema(t, strict, value)
		if good != want {
			t.Errorf("%s: strict schema says good %t, want %t", name, good, want)
		}
		if good && !goodBySchema(t, tolerant, value) {
			t.Errorf("%s: good for the strict schema, bad for the tolerant one", name)
		}
		if d, ok := goodByDecoder(t, value); good && !ok {
			t.Errorf("%s: good for the strict schema, bad for the service: %v", name, d.Violations)
		}
	}
	for _, name := range []string{"valid_all_fields", "valid_required_fields"} {
		judge(name, example(t, strictExamples+name), true)
	}
	all, err := schemagen.Examples()
	if err != nil {
		t.Fatal(err)
	}
	accepted := 0
	for _, e := range all {
		intent, want, err := e.Strict()
		if err != nil {
			t.Fatal(err)
		}
		value, err := json.Marshal(intent)
		if err != nil {
			t.Fatal(err)
		}
		judge(e.Name, value, want)
		if want {
			accepted++
		}
	}
	if accepted < 100 {
		t.Errorf("%d examples are good for the strict schema, want at least 100", accepted)
	}
}

// TestStrictRefusesWhatEmittersShouldNotWrite: the ways to say one thing that
// the service takes, and emitters have no use for.
func TestStrictRefusesWhatEmittersShouldNotWrite(t *testing.T) {
	strict, tolerant := strictSchema(t), schemaOf(t, schemas.Intent)
	for name, member := range map[string]string{
		"null":             `"currency":null`,
		"empty text":       `"currency":""`,
		"amount as number": `"amount":1500.5`,
		"digits as number": `"merchant_id":540001`,
		"number as text":   `"lifetime":"3600"`,
		"0 for false":      `"testing_mode":0`,
		"unknown field":    `"curency":"KZT"`,
	} {
		value := []byte(`{"intent_id":"a","description":"d","amount":"1",` + member + `}`)
		if name == "amount as number" {
			value = []byte(`{"intent_id":"a","description":"d",` + member + `}`)
		}
		if goodBySchema(t, strict, value) {
			t.Errorf("%s: the strict schema takes it", name)
		}
		if _, good := goodByDecoder(t, value); !goodBySchema(t, tolerant, value) || !good {
			t.Errorf("%s: the service does not take it, so this test shows nothing", name)
		}
	}
}

// TestStrictPatternsKeepTheServicesRules throws texts made of likely pieces at
// every pattern of the strict schema. What one matches, the service's own rule,
// which is not made of patterns, must accept.
func TestStrictPatternsKeepTheServicesRules(t *testing.T) {
	var schema struct {
		Properties map[string]struct {
			Pattern   string
			MaxLength int
		}
	}
	if err := json.Unmarshal([]byte(schemas.StrictIntent()), &schema); err != nil {
		t.Fatal(err)
	}
	pieces := map[payment.Kind][]string{
		payment.URL:    {"http", "https", "://", ":", "/", "//", "?", "#", "[", "]", "@", "%", "%41", "%00", "%zz", "shop.example", "a", "-", ".", "..", "_", "0", "65535", "65536", "::1", "я", " ", "\\", "\"", "<", ">", "&", "=", "~"},
		payment.Email:  {"a", "A0", ".", "..", "@", "shop.example", "-", "+", "_", "\"", " ", "(", ")", "<", ">", ",", ";", ":", "[", "]", "\\", "я", "!", "{", "/"},
		payment.IP:     {"0", "1", "25", "255", "256", "01", ".", ":", "::", "f", "ffff", "fffff", "1.2.3.4", "%eth0", "g"},
		payment.Digits: {"0", "1", "9", "00", "+", "-", ".", "٣", "999999999999999999", "a", " "},
		payment.Number: {"0", "1", "9", ".", "00", "01", "10", "99999999", "+", "-", "e", "1", "100", "00000000000000000000000000000000", " ", ","},
	}
	times := [][]string{
		{"2026-11-23", "2024-02-29", "2023-02-29", "2000-00-10", "2999-12-31", "1999-12-31", "9999-12-31"}, {"T", "T", "t", " "},
		{"12:00:00", "00:00:00", "24:00:00", "23:59:60", "23:59:59", "1:00:00"}, {"", "", ".", ",1", ".1", ".123456789", ".1234567890"}, {"Z", "z", "", "+05:00", "-23:59", "+24:00", "+0500"},
	}
	rng := rand.New(rand.NewPCG(1, 2))
	text := func(kind payment.Kind) string {
		var b strings.Builder
		if kind == payment.Time {
			for _, words := range times {
				b.WriteString(words[rng.IntN(len(words))])
			}
			return b.String()
		}
		if kind == payment.URL && rng.IntN(4) > 0 {
			b.WriteString("https://")
		}
		for range 1 + rng.IntN(7) {
			b.WriteString(pieces[kind][rng.IntN(len(pieces[kind]))])
		}
		return b.String()
	}
	for _, f := range payment.Fields {
		if len(pieces[f.Kind]) == 0 && f.Kind != payment.Time {
			continue
		}
		p := schema.Properties[f.Name]
		pattern := regexp.MustCompile(p.Pattern)
		matched := 0
		for range 100_000 {
			v := text(f.Kind)
			if !pattern.MatchString(v) || p.MaxLength > 0 && len(v) > p.MaxLength {
				continue
			}
			if f.Kind == payment.Time && !realDay(v) {
				continue // for "format": no pattern knows the calendar
			}
			matched++
			if rules := f.Check(v); rules != nil {
				t.Fatalf("%s: the strict pattern takes %q, the service says %v", f.Name, v, rules)
			}
		}
		if matched < 50 {
			t.Errorf("%s: %d of the texts match, want at least 50", f.Name, matched)
		}
	}
}

// realDay reports whether a time stands on a day that there is.
func realDay(v string) bool { return !strings.HasPrefix(v, "2023-02-29") }

// TestAsyncAPIHasTheSchemasOfTheFiles: the components of the document are the
// schemas that are checked in, but for their references.
func TestAsyncAPIHasTheSchemasOfTheFiles(t *testing.T) {
	doc := asyncAPI(t)
	components, _ := at(doc, "components", "schemas").(map[string]any)
	for name, text := range map[string]string{
		"PaymentIntent":  schemas.StrictIntent(),
		"PaymentCreated": schemas.Text(schemas.JSONSchema, schemas.Created),
		"PaymentFailed":  schemas.Text(schemas.JSONSchema, schemas.Failed),
	} {
		var want map[string]any
		if err := json.Unmarshal([]byte(text), &want); err != nil {
			t.Fatal(err)
		}
		delete(want, "$schema")
		delete(want, "$id")
		if diff := cmp.Diff(bare(want), bare(whole(components, components[name]))); diff != "" {
			t.Errorf("%s (-file +document):\n%s", name, diff)
		}
	}
}

// whole puts the schemas of a document in the place of references to them.
func whole(components map[string]any, v any) any {
	switch v := v.(type) {
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok {
			return whole(components, components[strings.TrimPrefix(ref, "#/components/schemas/")])
		}
		out := map[string]any{}
		for name, e := range v {
			out[name] = whole(components, e)
		}
		return out
	case []any:
		out := []any{}
		for _, e := range v {
			out = append(out, whole(components, e))
		}
		return out
	}
	return v
}

// bare is a schema as JSON has it, without the names of its parts.
func bare(v any) any {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var out any
	if err := json.Unmarshal(text, &out); err != nil {
		return err
	}
	var strip func(any)
	strip = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if _, isSchema := v["title"].(string); isSchema {
				delete(v, "title")
			}
			for _, e := range v {
				strip(e)
			}
		case []any:
			for _, e := range v {
				strip(e)
			}
		}
	}
	strip(out)
	return out
}

// TestAsyncAPIExamplesAreGood holds the examples of each message against the
// schemas of its payload and its headers.
func TestAsyncAPIExamplesAreGood(t *testing.T) {
	doc := asyncAPI(t)
	components, _ := at(doc, "components", "schemas").(map[string]any)
	for _, message := range []string{"paymentIntent", "paymentCreated", "paymentFailed"} {
		m := at(doc, "components", "messages", message)
		examples, _ := at(m, "examples").([]any)
		if len(examples) != 2 {
			t.Errorf("%s has %d examples, want 2", message, len(examples))
		}
		for _, part := range []string{"payload", "headers"} {
			schema := schemaFrom(t, textOf(t, whole(components, at(m, part))))
			for _, e := range examples {
				if !goodBySchema(t, schema, []byte(textOf(t, at(e, part)))) {
					t.Errorf("%s: the %s of example %v are not what its schema says", message, part, at(e, "name"))
				}
			}
		}
	}
}

func textOf(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestEverySchemaHasAName: generators call their models after titles and
// components. Objects and lists of words have one wherever they stand; in the
// document they stand nowhere but among the components.
func TestEverySchemaHasAName(t *testing.T) {
	named := 0
	var walk func(where string, v any)
	walk = func(where string, v any) {
		switch v := v.(type) {
		case map[string]any:
			if _, ok := v["properties"].(map[string]any); ok {
				named++
				if title, _ := v["title"].(string); title == "" || strings.ContainsAny(title, " -.") {
					t.Errorf("%s has title %q, want the name of a type", where, v["title"])
				}
			}
			for name, e := range v {
				walk(where+"."+name, e)
			}
		case []any:
			for _, e := range v {
				walk(where, e)
			}
		}
	}
	for name, text := range map[string]string{
		"intent": schemas.Text(schemas.JSONSchema, schemas.Intent), "strict intent": schemas.StrictIntent(), "outcome": schemas.Text(schemas.JSONSchema, schemas.Outcome),
		"created": schemas.Text(schemas.JSONSchema, schemas.Created), "failed": schemas.Text(schemas.JSONSchema, schemas.Failed),
	} {
		var schema any
		if err := json.Unmarshal([]byte(text), &schema); err != nil {
			t.Fatal(err)
		}
		walk(name, schema)
		if name == "strict intent" && (strings.Contains(text, "anyOf") || strings.Contains(text, "null")) {
			t.Error("the strict schema has fields of several types")
		}
	}
	components, _ := at(asyncAPI(t), "components", "schemas").(map[string]any)
	walk("AsyncAPI", components)
	for name, c := range components {
		if at(c, "title") != name {
			t.Errorf("component %s has title %v", name, at(c, "title"))
		}
		props, _ := at(c, "properties").(map[string]any)
		for field, p := range props {
			if !strings.HasSuffix(name, "Headers") && (at(p, "properties") != nil || at(p, "enum") != nil || at(p, "items", "properties") != nil) {
				t.Errorf("%s.%s is no component", name, field)
			}
		}
	}
	if named < 15 {
		t.Errorf("%d schemas of objects found, want at least 15", named)
	}
}
