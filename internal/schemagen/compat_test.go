package schemagen

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// changed returns the generated schemas with one text replaced in one file.
func changed(t *testing.T, name, old, now string) (fstest.MapFS, map[string][]byte) {
	t.Helper()
	files, err := Files()
	if err != nil {
		t.Fatal(err)
	}
	released := fstest.MapFS{}
	for n, text := range files {
		if !strings.HasPrefix(n, "examples/") && !strings.HasPrefix(n, "contract/") {
			released[n] = &fstest.MapFile{Data: text}
		}
	}
	text := string(files[name])
	if !strings.Contains(text, old) {
		t.Fatalf("%s does not hold %q", name, old)
	}
	files[name] = []byte(strings.Replace(text, old, now, 1))
	return released, files
}

func TestBreakSaysWhatBreaks(t *testing.T) {
	const (
		intentJSON, outcomeJSON   = "json/payment-intent.schema.json", "json/payment-failed.schema.json"
		intentAvro, outcomeAvro   = "avro/payment-intent.avsc", "avro/payment-outcome.avsc"
		intentProto, outcomeProto = protoDir + "/payment_intent.proto", protoDir + "/payment_outcome.proto"
	)
	tests := []struct{ name, file, old, now, want string }{
		{"nothing", intentJSON, "draft", "draft", ""},
		{"a description", intentJSON, "Asks for one", "Wants one", ""},
		{"a wider length", intentJSON, `"maxLength": 50`, `"maxLength": 60`, ""},
		{"a shorter length", intentJSON, `"maxLength": 50`, `"maxLength": 40`, `order_id changed its maxLength from "50" to "40"`},
		{"a length where there was none", intentJSON, `"pattern": "^[A-Z]{3}$"`, `"maxLength": 3, "pattern": "^[A-Z]{3}$"`, `currency changed its maxLength from "" to "3"`},
		{"a length shorter than was meant to be", intentJSON, `"maxLength": 254`, `"maxLength": 253`, `user_contact_email changed its maxLength from "254" to "253"`},
		{"a field more required", intentJSON, `"amount",`, `"amount", "currency",`, "currency is required now"},
		{"a field renamed", intentJSON, `"order_id": {`, `"order_number": {`, "order_id is gone"},
		{"another pattern", intentJSON, `"^[A-Z]{3}$"`, `"^[a-z]{3}$"`, "currency changed its pattern"},
		{"a word less", intentJSON, `"uz"`, `"kg"`, `language does not know the word "uz" any more`},
		{"a word more in an intent", intentJSON, `"uz"`, `"uz", "tj"`, ""},
		{"a reason more in an outcome", outcomeJSON, `"duplicate"`, `"duplicate", "bored"`, `reason has a new word "bored"`},
		{"an outcome's field not required", outcomeJSON, `"failed_at",`, ``, "failed_at is not required any more"},
		{"an outcome's field of another type", outcomeJSON, `"type": "boolean"`, `"type": "string"`, `was of type "boolean"`},
		{"a lower bound", intentJSON, `"minimum": 300`, `"minimum": 301`, "lifetime changed its minimum"},
		{"an Avro field without default", intentAvro, "{\n      \"name\": \"amount\"", "{\"name\": \"new\", \"type\": \"string\"}, {\n      \"name\": \"amount\"", "cannot be read any more"},
		{"an Avro outcome without a field", outcomeAvro, `"name": "attempts"`, `"name": "tries"`, "cannot read what is written now"},
		{"an Avro type", outcomeAvro, `"type": "int"`, `"type": "string"`, "cannot be read"},
		{"a Protobuf number used again", intentProto, "string amount = 4", "string total = 4", "number 4 of PaymentIntent was amount, and is total now"},
		{"a Protobuf number changed", intentProto, "string amount = 4", "string amount = 44", "amount had number 4, and has 44 now"},
		{"a Protobuf type", intentProto, "string amount = 4", "double amount = 4", "amount changed its type"},
		{"a Protobuf presence", intentProto, "optional bool testing_mode", "bool testing_mode", "testing_mode changed its type"},
		{"a Protobuf field gone", outcomeProto, "  string redirect_url = 10;", "", "redirect_url is gone"},
		{"a Protobuf package", intentProto, "package paylink.v1;", "package paylink.v2;", "package paylink.v1 is paylink.v2 now"},
		{"a Protobuf message in front", outcomeProto, "message PaymentOutcome", "message New {}\nmessage PaymentOutcome", "moved from place 0 to 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			broken, err := Break(changed(t, tt.file, tt.old, tt.now))
			if err != nil {
				t.Fatal(err)
			}
			all := strings.Join(broken, "\n")
			if tt.want == "" && len(broken) > 0 || tt.want != "" && !strings.Contains(all, tt.want) {
				t.Errorf("Break = %q, want %q", all, tt.want)
			}
		})
	}
}

func TestBreakOfAFileThatIsGone(t *testing.T) {
	released, now := changed(t, "avro/payment-intent.avsc", "doc", "doc")
	delete(now, "avro/payment-intent.avsc")
	if broken, err := Break(released, now); err != nil || len(broken) != 1 {
		t.Errorf("Break = %q, %v; want one sentence", broken, err)
	}
	if _, err := Break(fstest.MapFS{}, now); err == nil {
		t.Error("Break without released schemas: want an error")
	}
}

// TestNarrowingsAreStillThere fails for one that nobody needs any more.
func TestNarrowingsAreStillThere(t *testing.T) {
	intent, err := intentFields()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range narrowings {
		for name := range strings.FieldsSeq(n.fields) {
			f := slices.IndexFunc(intent, func(f field) bool { return f.Name == name })
			rules, err := json.Marshal(intent[f].schema())
			if err != nil {
				t.Fatal(err)
			}
			now, err := json.Marshal(n.now)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(rules), `"`+n.what+`":`+strings.Trim(string(now), map[bool]string{true: `"`}[n.what == "maxLength"])) || n.why == "" {
				t.Errorf("%s has no %s %s any more, or nobody says why", name, n.what, n.now)
			}
		}
	}
}
