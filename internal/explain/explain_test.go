package explain

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/quick"
	"time"

	"github.com/google/go-cmp/cmp"

	"paylink/internal/event"
	"paylink/internal/facts"
	"paylink/internal/payment"
)

// TestNeedlesMeetUsualEncoders: any text, as Go, Python, PHP and JavaScript write it.
func TestNeedlesMeetUsualEncoders(t *testing.T) {
	meets := func(text string) bool {
		if text == "" || strings.ToValidUTF8(text, "") != text || strings.ContainsFunc(text, func(r rune) bool { return r < 0x20 || r == 0x7f || r == '\u2028' || r == '\u2029' }) {
			return true // texts of one line
		}
		var n needles
		n.of(text)
		encoded, err := json.Marshal(map[string]string{"order_id": text})
		var plain bytes.Buffer
		enc := json.NewEncoder(&plain)
		enc.SetEscapeHTML(false)
		if err != nil || enc.Encode(text) != nil {
			t.Fatal(err)
		}
		ascii := strings.Trim(plain.String(), "\n")
		var python strings.Builder
		for _, r := range ascii {
			switch {
			case r < 0x7f:
				python.WriteRune(r)
			case r <= 0xffff:
				fmt.Fprintf(&python, `\u%04x`, r)
			default:
				fmt.Fprintf(&python, `\u%04x\u%04x`, 0xd800+(r-0x10000)>>10, 0xdc00+(r-0x10000)&0x3ff)
			}
		}
		for _, form := range []string{text, string(encoded), ascii, python.String(), strings.ReplaceAll(python.String(), "/", `\/`)} {
			if !n.holds([]byte(form)) {
				t.Errorf("%q is not found in %s", text, form)
				return false
			}
		}
		return true
	}
	for _, text := range []string{"order-1", "2026/123", "заказ/1", `a"b\c`, "<&>", "😀", "日本"} {
		meets(text)
	}
	if err := quick.Check(meets, nil); err != nil {
		t.Error(err)
	}
}

// TestStoriesAreToldInTheOrderOfTime, whatever the clocks say of an outcome and the
// record that it answers.
func TestStoriesAreToldInTheOrderOfTime(t *testing.T) {
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	place := func(topic string, offset int64) event.Place { return event.Place{Topic: topic, Offset: offset} }
	d1, d2 := event.Digest{1}, event.Digest{2}
	emitted := func(offset int64, second int, d event.Digest) facts.Fact {
		return facts.Fact{Kind: facts.Emitted, At: place("in", offset), Time: noon.Add(time.Duration(second) * time.Second), Intent: "i", Digest: d}
	}
	of := func(kind facts.Kind, offset, source int64, second int) facts.Fact {
		return facts.Fact{Kind: kind, At: place(kind.String(), offset), Source: place("in", source), Time: noon.Add(time.Duration(second) * time.Second), Intent: "i", Digest: d1}
	}
	for _, tt := range []struct {
		name  string
		facts []facts.Fact
		want  string
	}{
		{"nothing", nil, "=unknown"},
		{"waiting", []facts.Fact{emitted(1, 0, d1)}, "emitted =waiting"},
		{"the emitter's clock is ahead", []facts.Fact{of(facts.Created, 1, 1, 3), emitted(1, 60, d1)}, "emitted created =created"},
		{"repeats and conflicts around it", []facts.Fact{emitted(3, 9, d1), emitted(1, 0, d1), of(facts.Failed, 1, 1, 5), emitted(2, 1, d2), emitted(4, 10, d2)},
			"emitted conflict failed repeated conflict =failed"},
		{"a conflict that waits", []facts.Fact{emitted(1, 0, d1), emitted(2, 1, d2)}, "emitted conflict =waiting"},
		{"dead", []facts.Fact{emitted(1, 0, d1), of(facts.DeadLetter, 1, 1, 2)}, "emitted dead_letter =dead_letter"},
		{"dead, and its record is gone", []facts.Fact{of(facts.DeadLetter, 1, 1, 2)}, "dead_letter =dead_letter"},
		{"the second is dead", []facts.Fact{emitted(1, 0, d1), emitted(2, 1, d2), of(facts.DeadLetter, 1, 2, 2)}, "emitted conflict dead_letter =waiting"},
		{"redriven", []facts.Fact{emitted(1, 0, d1), of(facts.DeadLetter, 1, 1, 2), emitted(5, 9, d1), of(facts.Created, 1, 5, 12)}, "emitted dead_letter emitted created =created"},
		{"answered before the range", []facts.Fact{emitted(7, 9, d1), emitted(8, 9, d2), of(facts.Created, 1, 1, 0)}, "created repeated conflict =created"},
	} {
		s := Story{Intent: "i", facts: slices.Clone(tt.facts)}
		s.sort()
		var got []string
		for _, e := range s.Events(nil) {
			got = append(got, e.Event)
		}
		got = append(got, "="+s.State())
		if g := strings.Join(got, " "); g != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, g, tt.want)
		}
		if (s.Pending() != nil) != (s.State() == Waiting) {
			t.Errorf("%s: state %s, pending %v", tt.name, s.State(), s.Pending())
		}
	}
}

// TestTheRecordSaysWhoIsAsked: merchant and order are those of the record that was
// answered, whatever its outcome says, unless it does not say so itself any more.
func TestTheRecordSaysWhoIsAsked(t *testing.T) {
	in := facts.Fact{Kind: facts.Emitted, At: event.Place{Topic: "in", Offset: 1}, Intent: "i", Merchant: "540002", OrderID: "b", Amount: "1"}
	out := facts.Fact{Kind: facts.Failed, Source: in.At, Intent: "i", Merchant: "540001", OrderID: "a", Amount: "2"}
	ofDefault, broken := in, in
	ofDefault.OfDefault = true
	broken.Merchant, broken.OrderID = "", ""
	for _, tt := range []struct {
		name  string
		facts []facts.Fact
		want  payment.Intent
	}{
		{"another than the outcome's", []facts.Fact{in, out}, payment.Intent{ID: "i", Merchant: "540002", OrderID: "b", Amount: "2"}},
		{"the default merchant was another one", []facts.Fact{ofDefault, out}, payment.Intent{ID: "i", Merchant: "540001", OrderID: "b", Amount: "2"}},
		{"they break their rules", []facts.Fact{broken, out}, payment.Intent{ID: "i", Merchant: "540001", OrderID: "a", Amount: "2"}},
		{"the record is gone", []facts.Fact{out}, payment.Intent{ID: "i", Merchant: "540001", OrderID: "a", Amount: "2"}},
		{"no outcome", []facts.Fact{ofDefault}, payment.Intent{ID: "i", Merchant: "540002", OrderID: "b", Amount: "1"}},
	} {
		s := Story{Intent: "i", facts: tt.facts}
		if diff := cmp.Diff(tt.want, s.Asked()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}
