package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"paylink/internal/devstack"
	"paylink/internal/event"
	"paylink/internal/payment"
	"paylink/internal/registry"
	"paylink/schemas"
)

// TestWatchReadsEveryFormat shows one outcome, written in each format, as the
// same line.
func TestWatchReadsEveryFormat(t *testing.T) {
	stack, err := devstack.StartRegistry(t.Context(), devstack.RegistryOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stack.Close)
	ids, err := registry.New(registry.Config{URL: stack.URL, Register: true})
	if err != nil {
		t.Fatal(err)
	}
	d, err := event.NewDecoder(event.DecoderConfig{DefaultMerchant: "540001"}).Decode(t.Context(), event.Message{Value: []byte(`{"intent_id":"ord-1","amount":"10","description":"d"}`)})
	if err != nil {
		t.Fatal(err)
	}
	var want string
	for _, f := range append([]schemas.Format{0}, schemas.Formats()...) {
		e := event.NewEncoder(event.EncoderConfig{Format: f, Naming: schemas.ByTopicRecord, Topic: "o-" + f.String(), IDs: ids})
		m, err := e.Outcome(t.Context(), d, nil, event.Place{Topic: "t"}, payment.Created{Link: payment.Link{PaymentID: 1, RedirectURL: "https://pay.example/1", RedirectURLType: payment.URLNeedData}, Attempts: 1, At: time.Unix(1, 0)})
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		show, err := (&watchCmd{RegistryURL: stack.URL}).shower(t.Context(), &out)
		if err != nil {
			t.Fatal(err)
		}
		if err := show(devstack.Record{Message: m}); err != nil {
			t.Fatal(err)
		}
		if want == "" {
			want = out.String()
		}
		if out.String() != want || !strings.Contains(want, "https://pay.example/1") {
			t.Errorf("%s: shown %q, want %q", f, out.String(), want)
		}
	}
}

// f10: whatever is in a record, a line of watch --json is JSON that reads back,
// and no line holds a character that a terminal would obey.
func TestWatchPrintsJSONWithoutControlCharacters(t *testing.T) {
	values := []string{
		"{\"description\":\"\xc3(\"}", "\xff\xfe", "{\"a\":\"\u0085\u009b31m\u202e\u007f\U000e0001\"}", "\x1b[31m", "{\n \"a\": [1,\r\n\t2]\n}", "null", "", `"\u001b"`,
		"{\"a\":\"\u2028 ә \U0001f600\"}", "[1",
	}
	for _, value := range values {
		r := devstack.Record{Place: event.Place{Topic: "t"}, Message: event.Message{Key: []byte("k\x1b\xff"), Value: []byte(value), Time: time.UnixMilli(1795853023000000),
			Headers: []event.Header{{Key: "h\u009b", Value: []byte("\x00\xff\u0085")}, {Key: "ce_subject", Value: []byte("\x1b[2J\u009b")}}}}
		line := jsonLine(r)
		var got seen
		if err := json.Unmarshal([]byte(line), &got); err != nil || !utf8.ValidString(line) {
			t.Fatalf("%q: %v, line %q", value, err, line)
		}
		if json.Valid([]byte(value)) && utf8.ValidString(value) {
			var want, have any
			if json.Unmarshal([]byte(value), &want) != nil || json.Unmarshal(got.Value, &have) != nil || !cmp.Equal(want, have) {
				t.Errorf("%q: value %s", value, got.Value)
			}
		} else if string(got.Bytes) != value {
			t.Errorf("%q: bytes %q", value, got.Bytes)
		}
		for _, line := range []string{line, humanLine(r)} {
			if i := strings.IndexFunc(line, func(c rune) bool { return !unicode.IsPrint(c) }); i >= 0 {
				t.Errorf("%q: line %q holds a control character at %d", value, line, i)
			}
		}
	}
}

// Readers of JSON have a greatest depth; a line has one more than its value.
func TestWatchPrintsWhatIsAsDeepAsCanBe(t *testing.T) {
	value := strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000)
	var got seen
	err := json.Unmarshal([]byte(jsonLine(devstack.Record{Message: event.Message{Value: []byte(value)}})), &got)
	if err != nil || !json.Valid([]byte(value)) || string(got.Bytes) != value {
		t.Errorf("%v, %d bytes; want a line with the value's bytes", err, len(got.Bytes))
	}
}

// FuzzWatchJSON holds for any bytes: a line is JSON.
func FuzzWatchJSON(f *testing.F) {
	f.Add([]byte("{\"a\":\"\xc3(\"}"), []byte("\xff"))
	f.Fuzz(func(t *testing.T, value, key []byte) {
		line := jsonLine(devstack.Record{Message: event.Message{Key: key, Value: value, Headers: []event.Header{{Key: string(key), Value: value}}}})
		if !json.Valid([]byte(line)) || !utf8.ValidString(line) || strings.IndexFunc(line, unicode.IsControl) >= 0 {
			t.Errorf("line %q", line)
		}
	})
}
