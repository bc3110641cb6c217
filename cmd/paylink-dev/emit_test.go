package main

import (
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLinesBecomeKeyedMessages(t *testing.T) {
	for _, tt := range []struct {
		name, line, field string
		key               string
		noKey             bool
	}{
		{name: "order id", line: `{"intent_id":"i","order_id":"o"}`, key: "o"},
		{name: "intent id where there is no order", line: `{"intent_id":"i"}`, key: "i"},
		{name: "null order", line: `{"intent_id":"i","order_id":null}`, key: "i"},
		{name: "empty order", line: `{"intent_id":"i","order_id":""}`, key: "i"},
		{name: "field by name", line: `{"intent_id":"i","user":"u"}`, field: "user", key: "u"},
		{name: "number", line: `{"intent_id":"i","merchant_id":540001}`, field: "merchant_id", key: "540001"},
		{name: "field that is not there", line: `{"intent_id":"i"}`, field: "user", noKey: true},
		{name: "no JSON", line: `order=1`, noKey: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			next := lines(strings.NewReader("\n"+tt.line+"\r\n\n"), tt.field)
			m, err := next()
			if err != nil {
				t.Fatal(err)
			}
			if string(m.Value) != tt.line || string(m.Key) != tt.key || (m.Key == nil) != tt.noKey {
				t.Errorf("key %q, value %q; want %q, %q", m.Key, m.Value, tt.key, tt.line)
			}
			if _, err := next(); err != io.EOF {
				t.Errorf("after the last line: %v, want EOF", err)
			}
		})
	}
}

func TestALineWithoutNewlineAtTheEndCounts(t *testing.T) {
	next := lines(strings.NewReader("a\nb"), "")
	var got []string
	for {
		m, err := next()
		if err != nil {
			break
		}
		got = append(got, string(m.Value))
	}
	if d := cmp.Diff([]string{"a", "b"}, got); d != "" {
		t.Error(d)
	}
}
