package schemas_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"paylink/internal/event"
	"paylink/internal/event/outcomes"
	"paylink/internal/freedompay"
	"paylink/internal/gatewaysim"
	"paylink/internal/payment"
	"paylink/internal/schemagen"
	"paylink/schemas"
)

// schemaOf compiles a JSON Schema with formats in force.
func schemaOf(t *testing.T, r schemas.Record) *jsonschema.Schema {
	t.Helper()
	return schemaFrom(t, schemas.Text(schemas.JSONSchema, r))
}

func schemaFrom(t *testing.T, text string) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func example(t *testing.T, name string) []byte {
	t.Helper()
	b, err := fs.ReadFile(schemas.FS, "examples/"+name+".json")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func goodBySchema(t *testing.T, s *jsonschema.Schema, value []byte) bool {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(value))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(doc) == nil
}

// goodByDecoder judges as the service does.
func goodByDecoder(t *testing.T, value []byte) (event.Decoded, bool) {
	t.Helper()
	d, err := event.NewDecoder(event.DecoderConfig{DefaultMerchant: "540001"}).Decode(t.Context(), event.Message{Value: value})
	var un *event.Unreadable
	if err != nil && !errors.As(err, &un) {
		t.Fatal(err)
	}
	return d, err == nil && len(d.Violations) == 0
}

// TestExamplesAreJudgedAlike holds each example against the JSON Schema, the
// decoder and, where Init has the field and can be told the value, the gateway's
// simulator, whose rules were written from the gateway's page on their own.
func TestExamplesAreJudgedAlike(t *testing.T) {
	all, err := schemagen.Examples()
	if err != nil {
		t.Fatal(err)
	}
	schema, sim := schemaOf(t, schemas.Intent), newSimulator(t)
	simulated := 0
	for _, e := range all {
		t.Run(e.Name, func(t *testing.T) {
			value := example(t, "payment-intent/"+e.Name)
			if good := goodBySchema(t, schema, value); good == e.Bad {
				t.Errorf("JSON Schema says good %t, want %t", good, !e.Bad)
			}
			d, good := goodByDecoder(t, value)
			if good == e.Bad {
				t.Errorf("decoder says good %t, want %t: %v", good, !e.Bad, d.Violations)
			}
			if e.Bad && len(d.Violations) > 1 {
				t.Errorf("violations %v, want the one rule", d.Violations)
			}
			if params, ok := sim.params(t, e); ok {
				simulated++
				if err := sim.init(t, params); (err == nil) == e.Bad {
					t.Errorf("simulator answers %v, want good %t", err, !e.Bad)
				}
			}
		})
	}
	if simulated < 80 {
		t.Errorf("the simulator judged %d examples, want at least 80", simulated)
	}
}

// TestEveryRuleHasExamples fails for a rule of payment.Fields without a bad and
// a good example.
func TestEveryRuleHasExamples(t *testing.T) {
	all, err := schemagen.Examples()
	if err != nil {
		t.Fatal(err)
	}
	has := map[string]bool{}
	for _, e := range all {
		has[e.Field+" "+e.Rule+map[bool]string{true: " bad", false: " good"}[e.Bad]] = true
	}
	for _, f := range payment.Fields {
		for rule, wanted := range map[string]bool{
			"type": true, "max_chars": f.MaxChars > 0, "min": f.Min != "", "max": f.Max != "", "max_frac": f.MaxFrac > 0,
			"pattern": f.Pattern != nil, "enum": len(f.Enum) > 0, "kind": f.Kind != payment.Text && f.Kind != payment.Pairs, "entries": f.Kind == payment.Pairs,
			"controls": f.Kind == payment.Text && f.Pattern == nil && len(f.Enum) == 0, "user": f.Kind == payment.URL, "port": f.Kind == payment.URL, "spaces": f.Kind == payment.URL,
		} {
			if wanted && (!has[f.Name+" "+rule+" good"] || !has[f.Name+" "+rule+" bad"]) {
				t.Errorf("field %s has no good and bad example of rule %s", f.Name, rule)
			}
		}
		if !has[f.Name+" example good"] || f.Required && !has[f.Name+" required bad"] {
			t.Errorf("field %s lacks an example", f.Name)
		}
	}
}

// TestOutcomeExamples holds each example of an outcome against its own schema
// and that of both types, the reader and the judge.
func TestOutcomeExamples(t *testing.T) {
	either := schemaOf(t, schemas.Outcome)
	for _, r := range []schemas.Record{schemas.Created, schemas.Failed} {
		own := schemaOf(t, r)
		files, err := fs.Glob(schemas.FS, "examples/"+r.String()+"/*.json")
		if err != nil || len(files) < 10 {
			t.Fatalf("%d examples of %s: %v", len(files), r, err)
		}
		for _, name := range files {
			value, good := example(t, strings.TrimSuffix(strings.TrimPrefix(name, "examples/"), ".json")), strings.HasPrefix(path.Base(name), "valid_")
			if got := goodBySchema(t, own, value); got != good {
				t.Errorf("%s: schema of %s says good %t", name, r, got)
			}
			if got := goodBySchema(t, either, value); got != good {
				t.Errorf("%s: schema of outcomes says good %t", name, got)
			}
			if v, err := outcomes.Decode(event.Message{Value: value}); good && (err != nil || v.Type() != r.String()) {
				t.Errorf("%s: Decode = %+v, %v", name, v, err)
			}
			vs, err := outcomes.NewDecoder(nil).Judge(t.Context(), event.Message{Value: value})
			if err != nil || good != (len(vs) == 0) {
				t.Errorf("%s: Judge = %v, %v, want violations %t", name, vs, err, !good)
			}
			for _, v := range vs {
				field, _, _ := strings.Cut(v.Field, ".")
				if !strings.HasPrefix(path.Base(name), "bad_"+field+"_") {
					t.Errorf("%s: Judge = %v, want the field of its name only", name, vs)
				}
			}
		}
	}
}

// A simulator is the gateway's simulator, called as the service calls it.
type simulator struct{ client *freedompay.Client }

func newSimulator(t *testing.T) simulator {
	t.Helper()
	const secret = payment.Secret("of-the-examples")
	srv := httptest.NewServer(gatewaysim.New(gatewaysim.Config{Merchants: map[string]payment.Secret{"540001": secret}}))
	t.Cleanup(srv.Close)
	client := freedompay.New(freedompay.Config{
		Merchant: func(id payment.MerchantID) (payment.Merchant, bool) {
			return payment.Merchant{ID: id, Secret: secret, GatewayURL: srv.URL}, true
		},
		Concurrency: 1,
	})
	t.Cleanup(client.Close)
	return simulator{client}
}

// notSimulated are fields whose every value the gateway judges by more than its
// rule: the merchant must exist.
var notSimulated = []string{"merchant_id"}

// ourOwn reports whether a rule is none of the gateway's page, and so none of the
// simulator's.
func ourOwn(f *payment.Field, rule string) bool {
	switch rule {
	case "controls", "user", "port", "spaces":
		return true
	case "max_chars":
		return f.Kind == payment.Email || f.Kind == payment.Number
	}
	return false
}

// params returns an example as Init would be told it, broken or not.
func (simulator) params(t *testing.T, e schemagen.Example) (map[string]string, bool) {
	t.Helper()
	f := payment.FieldNamed(e.Field)
	if !f.Init || e.Rule == "type" || e.Rule == "absent" || slices.Contains(notSimulated, e.Field) || ourOwn(f, e.Rule) {
		return nil, false
	}
	var raw map[string]any
	dec := json.NewDecoder(bytes.NewReader(example(t, "payment-intent/"+e.Name)))
	dec.UseNumber()
	if err := dec.Decode(&raw); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for name, v := range raw {
		switch v := v.(type) {
		case string:
			out[name] = v
		case json.Number:
			out[name] = v.String()
		case bool:
			out[name] = map[bool]string{true: "1", false: "0"}[v]
		}
	}
	return out, true
}

// init calls Init with the parameters as they are.
func (s simulator) init(t *testing.T, params map[string]string) error {
	in := payment.Intent{
		ID: payment.IntentID(t.Name()), Merchant: "540001", OrderID: or(params["order_id"], "order"), IdempotencyKey: or(params["idempotency_key"], t.Name()),
		Amount: payment.Money(params["amount"]), Currency: params["currency"],
	}
	for _, f := range payment.Fields {
		if v, ok := params[f.Name]; ok && f.Init && !slices.Contains([]string{"order_id", "idempotency_key", "amount", "currency", "merchant_id"}, f.Name) {
			in.Params = append(in.Params, payment.Param{Name: f.Name, Value: v})
		}
	}
	_, err := s.client.Open(t.Context(), in)
	return err
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
