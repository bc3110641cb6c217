package event

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var late = time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)

func TestDeadLetterGoldens(t *testing.T) {
	notJSON := &Unreadable{NotJSON, "the value is no valid JSON in UTF-8, at byte 3"}
	original := Message{
		Key: []byte("ord-1"), Value: []byte("{a:1}"), Time: noon,
		Headers: []Header{header("traceparent", traceA), header("x", "1"), header("x", "2"), {"none", nil}},
	}
	tests := []struct {
		name string
		got  Message
	}{
		{"dead_not_json", DeadLetter(original, spot, "shop", notJSON, late)},
		{"dead_empty", DeadLetter(Message{BrokerTime: true, Time: noon}, spot, "shop", &Unreadable{Empty, "the record has no value"}, late)},
		{"dead_conflict_no_time", DeadLetter(Message{Key: []byte{}, Value: []byte("{}")}, spot, "shop", &Unreadable{Conflict, "other content"}, late)},
		{"dead_by_reference", DeadLetterByReference(original, spot, "shop", notJSON, late)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { golden(t, tt.name, tt.got) })
	}
}

func TestDeadLetterKeepsTheRecord(t *testing.T) {
	for _, m := range []Message{
		{},
		{Key: []byte{}, Value: []byte{}},
		{Key: []byte("k"), Value: []byte("\x00\xff"), Headers: []Header{{"a", []byte("1")}, {"a", nil}, {"", []byte{0}}}},
	} {
		got := DeadLetter(m, spot, "shop", &Unreadable{NotJSON, "x"}, late)
		if (got.Key == nil) != (m.Key == nil) || !bytes.Equal(got.Key, m.Key) || (got.Value == nil) != (m.Value == nil) || !bytes.Equal(got.Value, m.Value) {
			t.Errorf("dead letter of %+v has key %q and value %q", m, got.Key, got.Value)
		}
		if diff := cmp.Diff(m.Headers, got.Headers[:len(m.Headers)]); len(m.Headers) > 0 && diff != "" {
			t.Errorf("headers of the record (-want +got):\n%s", diff)
		}
	}
}

func TestDeadLetterOfARedrivenRecord(t *testing.T) {
	m := Message{Value: []byte("x"), Time: noon, Headers: []Header{header("mine", "1"), header(springCause, "java.lang.Exception"), header("kafka_dlt-key-exception-fqcn", "java.lang.Error")}}
	before := slices.Clone(m.Headers)
	once := DeadLetter(m, Place{"elsewhere", 9, 9}, "other", &Unreadable{NotJSON, "first"}, late)
	twice := DeadLetter(once, spot, "shop", &Unreadable{TooOld, "second"}, late)

	want := DeadLetter(Message{Value: []byte("x"), Time: late, Headers: []Header{m.Headers[0], m.Headers[2]}}, spot, "shop", &Unreadable{TooOld, "second"}, late)
	if diff := cmp.Diff(want, twice); diff != "" {
		t.Errorf("second burial (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, m.Headers); diff != "" {
		t.Errorf("the record's own headers changed (-want +got):\n%s", diff)
	}
	if from, ok := BuriedFrom(twice); !ok || from != spot {
		t.Errorf("BuriedFrom = %v, %t; want %v", from, ok, spot)
	}
}

// TestDeadLetterReplacesAllItWrites fails when a header is written that a
// further burial would leave behind.
func TestDeadLetterReplacesAllItWrites(t *testing.T) {
	m := Message{Value: []byte("x")}
	why := &Unreadable{TooLarge, "x"}
	for _, h := range slices.Concat(DeadLetter(m, spot, "g", why, late).Headers, DeadLetterByReference(m, spot, "g", why, late).Headers) {
		if !burial[h.Key] {
			t.Errorf("header %s is written, but not in burial", h.Key)
		}
	}
}

func TestDeadLetterNumbersAreAsSpringWritesThem(t *testing.T) {
	m := DeadLetter(Message{Time: noon}, Place{"t", 258, 1<<33 + 5}, "g", &Unreadable{Empty, "x"}, late)
	if p := m.Header("kafka_dlt-original-partition"); !bytes.Equal(p, []byte{0, 0, 1, 2}) {
		t.Errorf("partition = %x, want 00000102", p)
	}
	if o := m.Header("kafka_dlt-original-offset"); !bytes.Equal(o, []byte{0, 0, 0, 2, 0, 0, 0, 5}) {
		t.Errorf("offset = %x, want 0000000200000005", o)
	}
	if ts := m.Header("kafka_dlt-original-timestamp"); int64(binary.BigEndian.Uint64(ts)) != noon.UnixMilli() {
		t.Errorf("timestamp = %x, want %d", ts, noon.UnixMilli())
	}
	if o := m.Header("__connect.errors.offset"); string(o) != "8589934597" {
		t.Errorf("Connect's offset = %q, want 8589934597", o)
	}
}

// TestDeadLetterCarriesTheTrace, however it came.
func TestDeadLetterCarriesTheTrace(t *testing.T) {
	inside := `"traceparent":"` + traceA + `","tracestate":"a=1"`
	for _, tt := range []struct {
		name string
		m    Message
		want string // traceparent
	}{
		{"header", Message{Headers: []Header{header("traceparent", traceA)}}, traceA},
		{"CloudEvents header", Message{Headers: []Header{header("ce_traceparent", traceA)}}, traceA},
		{"envelope", Message{Value: []byte(envelope1(inside + `,"data":{}`))}, traceA},
		{"envelope that is cut off", Message{Value: []byte(envelope1(inside + `,"data":{}`)[:150]), Headers: []Header{header("content-type", "application/cloudevents+json")}}, traceA},
		{"header before envelope", Message{Headers: []Header{header("traceparent", traceB)}, Value: []byte(envelope1(inside + `,"data":{}`))}, traceB},
		{"no envelope", Message{Value: []byte("{" + inside + "}")}, ""},
		{"no JSON", Message{Value: []byte("traceparent")}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			why := &Unreadable{Conflict, "x"}
			for _, dead := range []Message{DeadLetter(tt.m, spot, "g", why, late), DeadLetterByReference(tt.m, spot, "g", why, late)} {
				if got := string(dead.Header("traceparent")); got != tt.want {
					t.Errorf("traceparent %q, want %q", got, tt.want)
				}
			}
			again := DeadLetter(DeadLetter(tt.m, spot, "g", why, late), spot, "g", why, late)
			n := 0
			for _, h := range again.Headers {
				if h.Key == "traceparent" {
					n++
				}
			}
			if n > 1 {
				t.Errorf("buried twice, it has %d traces", n)
			}
		})
	}
}

func TestDeadLetterByReferenceIsSmall(t *testing.T) {
	m := Message{
		Key: bytes.Repeat([]byte("k"), 1<<20), Value: bytes.Repeat([]byte("v"), 1<<20),
		Headers: []Header{header("big", strings.Repeat("h", 1<<20)), header("traceparent", traceA)},
	}
	got := DeadLetterByReference(m, spot, "shop", &Unreadable{NotJSON, "x"}, late)
	size := len(got.Key) + len(got.Value)
	for _, h := range got.Headers {
		size += len(h.Key) + len(h.Value)
	}
	if size > 4<<10 || got.Value != nil {
		t.Errorf("dead letter by reference has %d bytes, value %t; want at most 4 KiB and none", size, got.Value != nil)
	}
	if string(got.Header(HeaderByReference)) != "true" || string(got.Header(HeaderSourceSize)) != "1048576" || string(got.Header("traceparent")) != traceA {
		t.Errorf("headers = %s", dump(got))
	}
}

// A record that was read past is said to be what it is, and no size is made up.
func TestARecordThatWasReadPastIsNamed(t *testing.T) {
	for size, want := range map[int64]struct{ reason, text, size string }{
		5 << 20:   {"too_large", "takes 5242880 bytes", "5242880"},
		-1:        {"too_large", "more to unpack than a batch may", ""},
		OldFormat: {"unknown_schema", "before 0.11", ""},

		Undecodable: {"unknown_schema", "its checksum is right", ""},
	} {
		why := BeyondBudget(size)
		d := DeadLetterByReference(Message{TooLarge: size}, Place{Topic: "t"}, "g", why, time.Now())
		if string(d.Header(HeaderReason)) != want.reason || !strings.Contains(why.Text, want.text) || string(d.Header(HeaderSourceSize)) != want.size {
			t.Errorf("%d: headers %q, want %+v", size, d.Headers, want)
		}
	}
}

func TestBuriedFromOfOtherRecords(t *testing.T) {
	for _, hs := range [][]Header{
		nil,
		{header(HeaderSourceTopic, "t"), header(HeaderSourcePartition, "1")},
		{header(HeaderSourceTopic, "t"), header(HeaderSourcePartition, "x"), header(HeaderSourceOffset, "1")},
		{header(HeaderSourceTopic, "t"), header(HeaderSourcePartition, "4294967296"), header(HeaderSourceOffset, "1")},
		{header(HeaderSourcePartition, "1"), header(HeaderSourceOffset, "1")},
	} {
		if from, ok := BuriedFrom(Message{Headers: hs}); ok {
			t.Errorf("BuriedFrom(%v) = %v, want none", hs, from)
		}
	}
}

func TestUnburiedIsTheRecordThatWasBuried(t *testing.T) {
	for _, m := range []Message{
		{Key: []byte("k"), Value: []byte("v"), Headers: []Header{{"a", []byte("1")}, {"a", []byte("2")}, {"paylink-redrive-cycles", []byte("2")}}},
		{Value: []byte{}, Headers: []Header{{"traceparent", nil}}},
		{},
	} {
		dead := DeadLetter(m, Place{"in", 1, 2}, "g", &Unreadable{Reason: Conflict, Text: "why"}, time.Now())
		if diff := cmp.Diff(m, Unburied(dead)); diff != "" {
			t.Errorf("(-buried +unburied):\n%s", diff)
		}
	}
}
