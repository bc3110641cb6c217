package payment

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestSecretNeverPrints(t *testing.T) {
	const canary = "c4nary-s3cret"
	m := Merchant{ID: "540001", Secret: canary, GatewayURL: "https://gateway.example"}
	holders := []any{m.Secret, &m.Secret, m, &m, []Merchant{m}, map[string]Secret{"k": m.Secret}, struct{ S Secret }{m.Secret}}
	for _, h := range holders {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			if got := fmt.Sprintf(verb, h); strings.Contains(got, canary) {
				t.Errorf("Sprintf(%q, %T) gives the secret away", verb, h)
			}
		}
		if got, err := json.Marshal(h); err != nil || strings.Contains(string(got), canary) || !strings.Contains(string(got), "***") {
			t.Errorf("json of %T: %.5s…, %v; want *** in the secret's place", h, got, err)
		}
	}
	if err := fmt.Errorf("sign for %v with %v: %w", m, m.Secret, errors.New("no")); strings.Contains(err.Error(), canary) {
		t.Error("an error gives the secret away")
	}
	var out bytes.Buffer
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "merchant", m, "secret", m.Secret)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "merchant", m, "secret", m.Secret)
	if err := xml.NewEncoder(&out).Encode(m); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), canary) {
		t.Error("a logger or an encoder gives the secret away")
	}
	if m.Secret.Reveal() != canary {
		t.Errorf("Reveal() = %q, want the secret", m.Secret.Reveal())
	}
}

func TestGatewayErrorSaysClassCauseAndCode(t *testing.T) {
	beneath := errors.New("connection reset by peer")
	tests := []struct {
		err  *GatewayError
		want string
	}{
		{&GatewayError{}, "in doubt: "},
		{&GatewayError{Class: NotSent, Cause: "dial"}, "not sent: dial"},
		{&GatewayError{Class: RefusedForGood, Cause: "refused", Code: "340", Description: "not shown"}, "refused (error 340)"},
		{&GatewayError{Class: Misconfigured, Cause: "misconfigured", Code: "9998"}, "misconfigured (error 9998)"},
		{&GatewayError{Class: InDoubt, Cause: "cut", Err: beneath}, "in doubt: cut: connection reset by peer"},
		{&GatewayError{Class: Misconfigured, Cause: "code", Code: "1", Err: beneath}, "misconfigured: code (error 1): connection reset by peer"},
	}
	for _, tt := range tests {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("Error() = %q, want %q", got, tt.want)
		}
		if tt.err.Err != nil && !errors.Is(tt.err, beneath) {
			t.Errorf("%v does not lead to what lies beneath", tt.err)
		}
	}
}

func TestUnclassifiedMeansInDoubt(t *testing.T) {
	ge := &GatewayError{Class: RefusedForGood, Cause: "refused", Signed: true}
	if got := AsGatewayError(fmt.Errorf("open ord-1: %w", ge)); got != ge {
		t.Errorf("AsGatewayError(wrapped) = %v, want the error itself", got)
	}
	other := errors.New("boom")
	got := AsGatewayError(other)
	if got.Class != InDoubt || got.Signed || got.Cause != "unclassified" || !errors.Is(got, other) {
		t.Errorf("AsGatewayError(other) = %+v, want in doubt, unsigned, unclassified", got)
	}
}

func TestClassString(t *testing.T) {
	want := map[Class]string{
		InDoubt: "in doubt", NotSent: "not sent", RefusedForGood: "refused", IsDuplicate: "duplicate",
		Misconfigured: "misconfigured", Misconfigured + 1: "class 5", -1: "class -1",
	}
	for c, text := range want {
		if c.String() != text {
			t.Errorf("Class(%d).String() = %q, want %q", int(c), c, text)
		}
	}
	if Class(0) != InDoubt {
		t.Error("the zero Class is not the most careful one")
	}
}

func TestParamReturnsWhatWasGiven(t *testing.T) {
	in := Intent{ID: "ord-1", Params: []Param{{"description", "d"}, {"user_phone", "77777777777"}}}
	for name, want := range map[string]string{"description": "d", "user_phone": "77777777777", "param1": ""} {
		if got := in.Param(name); got != want {
			t.Errorf("Param(%q) = %q, want %q", name, got, want)
		}
	}
	if got := in.Describe(); got != "intent ord-1" {
		t.Errorf("Describe() = %q", got)
	}
}
