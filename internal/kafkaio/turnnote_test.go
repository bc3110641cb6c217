package kafkaio

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"paylink/internal/pace"
)

func TestANoteReadsAsItWasWritten(t *testing.T) {
	until := time.Date(2026, 3, 4, 5, 6, 7, 890_123_000, time.UTC).Local()
	for _, n := range []pace.Note{
		{Kind: pace.Ask, Merchant: "540001", Slot: -3, From: "a", Number: 1<<64 - 1, Until: until},
		{Kind: pace.Loan, Merchant: "540001", Slot: 1 << 62, From: "a", To: "b", Number: 7, Until: until},
		{Kind: pace.Decline, Merchant: "540001", From: "a", To: "b", Number: 7},
	} {
		value, err := writeNote("paylink", n)
		if err != nil {
			t.Fatal(err)
		}
		if len(value) > 256 {
			t.Errorf("%s has %d bytes, want 256 at most", value, len(value))
		}
		group, got, err := readNote(value)
		if diff := cmp.Diff(n, got); err != nil || group != "paylink" || diff != "" {
			t.Errorf("readNote(%s) = %q, %v: %s", value, group, err, diff)
		}
	}
}

// TestALoanNeverLastsLongerThanItsLenderSaid: what a note cannot hold is cut off.
func TestALoanNeverLastsLongerThanItsLenderSaid(t *testing.T) {
	until := time.Unix(1_700_000_000, 999_999_999)
	value, err := writeNote("paylink", pace.Note{Kind: pace.Loan, Merchant: "1", From: "a", To: "b", Until: until})
	if err != nil {
		t.Fatal(err)
	}
	if _, got, _ := readNote(value); got.Until.After(until) || until.Sub(got.Until) >= time.Microsecond {
		t.Errorf("until %s, of %s", got.Until, until)
	}
}

func TestWhatIsNoNoteIsNotTakenForOne(t *testing.T) {
	for _, value := range []string{
		``, `null`, `[]`, `{}`, `{"intent_id":"a"}`, "\x00\x01",
		`{"g":"paylink","k":"ask","m":"540001","f":"a","n":1}`,               // until when?
		`{"g":"paylink","k":"loan","m":"540001","f":"a","t":"b","n":1}`,      // the same
		`{"g":"paylink","k":"gift","m":"540001","f":"a","n":1,"u":1}`,        // no such kind
		`{"g":"paylink","k":"ask","f":"a","n":1,"u":1}`,                      // whose turn?
		`{"g":"paylink","k":"ask","m":"540001","n":1,"u":1}`,                 // who asks?
		`{"g":"paylink","k":"ask","m":"540001","f":"a","n":-1,"u":1}`,        // no number
		`{"g":"paylink","k":"ask","m":"540001","f":"a","s":1.5,"n":1,"u":1}`, // no slot
		`{"g":"paylink","k":"ask","m":"540001","f":"` + strings.Repeat("a", maxNote) + `","n":1,"u":1}`,
	} {
		if _, n, err := readNote([]byte(value)); err == nil {
			t.Errorf("readNote(%.100s) = %+v, want none", value, n)
		}
	}
	for _, n := range []pace.Note{{}, {Kind: pace.Decline + 1}, {Kind: pace.Ask, From: strings.Repeat("a", maxNote)}} {
		if value, err := writeNote("paylink", n); err == nil {
			t.Errorf("writeNote(%+v) = %s, want none", n, value)
		}
	}
}

// FuzzReadNote: whatever stands on the topic is a note that can be written, or none.
func FuzzReadNote(f *testing.F) {
	f.Add([]byte(`{"g":"paylink","k":"loan","m":"540001","s":5,"f":"a","t":"b","n":1,"u":1700000000000000}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		group, n, err := readNote(value)
		if err != nil {
			return
		}
		again, err := writeNote(group, n)
		if err != nil {
			return // what JSON makes of its bytes is longer
		}
		if g, m, err := readNote(again); err != nil || g != group || !cmp.Equal(n, m) {
			t.Errorf("%s reads as %+v, and as %+v (%v) when it is written anew", value, n, m, err)
		}
	})
}
