package outcomes_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"paylink/internal/event"
	"paylink/internal/event/outcomes"
	"paylink/internal/payment"
)

// TestJudgeTellsEveryViolationOfAnOutcome, and never a value.
func TestJudgeTellsEveryViolationOfAnOutcome(t *testing.T) {
	const secret = "7770001122"
	const source = `"source":{"topic":"t","partition":1,"offset":2}`
	for _, tt := range []struct {
		name, value string
		want        []string // fields and the first word of the rule; nil: an *Unreadable
	}{
		{"several", `{"type":"payment-created","event_id":"e","intent_id":5,"merchant_id":"540001","order_id":"","amount":15.5,"idempotency_key":"k",
			"payment_id":"` + secret + `","redirect_url":"u","redirect_url_type":"` + secret + `","attempts":-1,"created_at":"` + secret + `",` + source + `}`,
			[]string{"intent_id must be a string", "order_id must not be empty", "amount must be a string", "payment_id must be a number", "attempts must be a whole number", "created_at must be a time"}},
		{"failed", `{"type":"payment-failed","event_id":"e","intent_id":"i","reason":"` + secret + `","attempts":1.5,"failed_at":"2026-11-23T12:00:00Z","retryable":"no",
			"violations":[{"field":"` + secret + `"}],"metadata":{"` + secret + `":5},"source":{"topic":"t","partition":3000000000,"offset":1e3}}`,
			[]string{"attempts must be a whole", "retryable must be true or false", "violations must have field", "metadata must be a string", "source.partition must be a whole", "source.offset must be a whole", "payment_may_exist is required", "reason must be one"}},
		{"neither", `{"type":"` + secret + `"}`, []string{"event_id is required", "intent_id is required", "attempts is required", "source is required", "type must be payment-created"}},
		{"nothing", `{}`, []string{"event_id is", "type is", "intent_id is", "attempts is", "source is"}},
		{"a null", `{"type":"payment-failed","event_id":"e","intent_id":"i","reason":"refused","error_code":null,"retryable":false,"payment_may_exist":false,"attempts":0,"failed_at":"2026-11-23T12:00:00Z",` + source + `}`,
			[]string{"error_code must be a string, is null"}},
		{"a name twice", `{"amount":"` + secret + `","amount":"1"}`, nil},
		{"an array", `["` + secret + `"]`, nil},
		{"cut off", `{"amount":"` + secret, nil},
		{"more", `{} "` + secret + `"`, nil},
		{"empty", ``, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			vs, err := outcomes.NewDecoder(nil).Judge(t.Context(), event.Message{Value: []byte(tt.value)})
			if un, ok := errors.AsType[*event.Unreadable](err); (tt.want == nil) != ok || !ok && err != nil {
				t.Fatalf("Judge = %v, %v", vs, un)
			}
			if text := fmt.Sprint(vs, err); strings.Contains(text, secret) {
				t.Errorf("tells a value: %s", text)
			}
			for _, want := range tt.want {
				field, rule, _ := strings.Cut(want, " ")
				if !told(vs, field, rule) {
					t.Errorf("Judge = %v, want %s", vs, want)
				}
			}
			if len(vs) != len(tt.want) {
				t.Errorf("Judge = %d violations %v, want %d", len(vs), vs, len(tt.want))
			}
		})
	}
}

func told(vs []payment.Violation, field, rule string) bool {
	for _, v := range vs {
		if v.Field == field && strings.HasPrefix(v.Rule, rule) {
			return true
		}
	}
	return false
}

// TestJudgeSeesWhatIsMissingInEveryForm: an outcome without its link is wrong,
// whatever it is written in, and a whole one is not.
func TestJudgeSeesWhatIsMissingInEveryForm(t *testing.T) {
	dec := outcomes.NewDecoder(ours())
	for form, cfg := range forms() {
		for name, tt := range samples(t) {
			m, err := event.NewEncoder(cfg).Outcome(t.Context(), tt.d, nil, spot, tt.o)
			if err != nil {
				t.Fatal(err)
			}
			if vs, err := dec.Judge(t.Context(), m); err != nil || len(vs) > 0 {
				t.Errorf("%s, %s: Judge = %v, %v, want nothing", form, name, vs, err)
			}
		}
		m, err := event.NewEncoder(cfg).Outcome(t.Context(), samples(t)["created"].d, nil, event.Place{Partition: 3}, payment.Created{Link: payment.Link{PaymentID: 7, RedirectURLType: "elsewhere"}, Attempts: 1, At: noon})
		if err != nil {
			t.Fatal(err)
		}
		vs, err := dec.Judge(t.Context(), m)
		missing := map[string]bool{}
		for _, v := range vs {
			missing[v.Field] = true
		}
		if err != nil || len(vs) != 2 || !missing["redirect_url"] || missing["redirect_url_type"] || !missing["source.topic"] {
			t.Errorf("%s: Judge = %v, %v, want redirect_url and source.topic, and any word for redirect_url_type", form, vs, err)
		}
	}
}
