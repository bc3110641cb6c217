package event

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"paylink/internal/payment"
)

// asWritten compares amounts as texts, and not as numbers.
var asWritten = cmp.Comparer(func(a, b payment.Money) bool { return a == b })

// exampleJSON is a field's example as JSON.
func exampleJSON(f *payment.Field) string {
	switch f.Kind {
	case payment.Flag:
		return map[string]string{"1": "true", "0": "false"}[f.Example]
	case payment.Pairs:
		return f.Example
	}
	return quote(f.Example)
}

func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// fullIntent is an intent with every field, as in payment.Fields, but for the
// raw JSON given for some. An empty one leaves the field out.
func fullIntent(other map[string]string) string {
	var members []string
	for i := range payment.Fields {
		f := &payment.Fields[i]
		raw, changed := other[f.Name]
		if !changed {
			raw = exampleJSON(f)
		}
		if raw != "" {
			members = append(members, quote(f.Name)+":"+raw)
		}
	}
	return "{" + strings.Join(members, ",") + "}"
}

// decoded decodes a value that must be readable.
func decoded(t testing.TB, value string, headers ...Header) Decoded {
	t.Helper()
	out, err := NewDecoder(DecoderConfig{DefaultMerchant: "540001"}).Decode(context.Background(), Message{Value: []byte(value), Headers: headers})
	if err != nil {
		t.Fatalf("Decode(%.200s): %v", value, err)
	}
	return out
}

// update rewrites the goldens: go test ./internal/event -update.
var update = flag.Bool("update", false, "rewrite testdata")

// golden compares a message with the file of that name in testdata.
func golden(t *testing.T, name string, m Message) {
	t.Helper()
	got := dump(m)
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", path, diff)
	}
}

// dump prints a message line by line; bytes that are no text, in hex.
func dump(m Message) string {
	var b strings.Builder
	fmt.Fprintf(&b, "time: %s\nkey: %s\n", timeText(m.Time), show(m.Key))
	for _, h := range m.Headers {
		fmt.Fprintf(&b, "%s: %s\n", h.Key, show(h.Value))
	}
	fmt.Fprintf(&b, "\n%s\n", show(m.Value))
	return b.String()
}

func show(b []byte) string {
	switch {
	case b == nil:
		return "(null)"
	case bytes.ContainsFunc(b, unicode.IsControl) || !utf8.Valid(b):
		return fmt.Sprintf("0x%x", b)
	}
	return string(b)
}
