package event

import (
	"testing"

	"paylink/internal/payment"
)

// FuzzQuick holds for any text: what is told quickly, keeps the rules.
func FuzzQuick(f *testing.F) {
	for i := range payment.Fields {
		f.Add(payment.Fields[i].Example)
		for _, e := range []string{payment.Fields[i].Min, payment.Fields[i].Max} {
			f.Add(e)
		}
	}
	for _, s := range []string{"", ".", "0", "00", "0.0", "1.", ".1", "-0", "1e3", "99999999.01", "300.5", "http://-/", "http://./?", "https://a/b?c=d&e", "a.@b", "a@b.", "a..b@c", "_@-", "a b", "\x00", "ә"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, v string) {
		if v == "" {
			return // Check is never given it
		}
		for i := range payment.Fields {
			field := &payment.Fields[i]
			q := quickOf(field)
			if q.keeps(field, v) {
				if rules := field.Check(v); len(rules) > 0 {
					t.Errorf("%s: %q is told to be good, but %v", field.Name, v, rules)
				}
			}
		}
	})
}

// TestQuickKnowsTheExamples fails when a usual value takes the long way.
func TestQuickKnowsTheExamples(t *testing.T) {
	for i := range payment.Fields {
		f := &payment.Fields[i]
		q := quickOf(f)
		switch f.Kind {
		case payment.Text, payment.Number, payment.Integer, payment.URL, payment.Email:
			if len(f.Enum) == 0 && !q.keeps(f, f.Example) {
				t.Errorf("%s: its example %q is not known", f.Name, f.Example)
			}
		}
	}
}
