package event

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"

	"paylink/schemas"
)

// allocated says how many MiB a call allocates, in all.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return (after.TotalAlloc - before.TotalAlloc) >> 20
}

// A value must not become very much larger when it is read: the largest record that
// a claim hands out has 1 MiB.
func TestNoValueSwells(t *testing.T) {
	const size = 1 << 20
	record := func(fields string) string {
		return `{"type":"record","name":"I","fields":[{"name":"intent_id","type":"string"},` + fields + `]}`
	}
	s := shelf{
		1: {Format: schemas.Avro, Text: record(`{"name":"metadata","type":{"type":"array","items":{"type":"array","items":"null"}}}`)},
		2: {Format: schemas.Avro, Text: record(`{"name":"metadata","type":["null",{"type":"map","values":{"type":"array","items":{"type":"record","name":"E","fields":[]}}}]}`)},
		3: {Format: schemas.Avro, Text: record(`{"name":"other","type":{"type":"array","items":{"type":"array","items":"null"}}}`)},
		4: {Format: schemas.Avro, Text: record(`{"name":"metadata","type":{"type":"array","items":{"type":"array","items":"int"}}}`)},
		5: {Format: schemas.Protobuf, Text: `syntax = "proto3"; message I { string intent_id = 1; repeated I metadata = 2; }`},
		6: {Format: schemas.Protobuf, Text: `syntax = "proto3"; message I { string intent_id = 1; repeated I other = 2; }`},
	}
	// Many arrays of 4096 items each, in two blocks: "\x02a" is the id, 0x8040 is 4096.
	nulls := "\x02a" + "\xfe\xff\x7f" + string(bytes.Repeat([]byte("\x80\x40\x00"), size/3)) + "\x00"
	d := NewDecoder(DecoderConfig{Schemas: s})
	for name, value := range map[string][]byte{
		"Avro, arrays of nulls":            framed(1, nulls),
		"Avro, empty records in a map":     framed(2, nulls),
		"Avro, a field that is not ours":   framed(3, nulls),
		"Avro, empty arrays":               framed(4, "\x02a"+"\xfe\xff\x7f"+string(make([]byte, size))),
		"Protobuf, empty messages":         framed(5, "\x00\x0a\x01a"+string(bytes.Repeat([]byte("\x12\x00"), size/2))),
		"Protobuf, a field not ours":       framed(6, "\x00\x0a\x01a"+string(bytes.Repeat([]byte("\x12\x00"), size/2))),
		"JSON, depth":                      bytes.Repeat([]byte("["), size),
		"JSON, depth in a field":           fmt.Appendf(nil, `{"intent_id":"a","metadata":%s`, bytes.Repeat([]byte(`{"a":`), size/5)),
		"JSON, metadata without end":       fmt.Appendf(nil, `{"intent_id":"a","metadata":{%s"":""}}`, bytes.Repeat([]byte(`"":"",`), size/6)),
		"JSON, names without end":          fmt.Appendf(nil, `{"intent_id":"a",%s"b":1}`, manyNames(size/12)),
		"JSON, numbers in an array":        fmt.Appendf(nil, `{"intent_id":"a","metadata":[%s1]}`, bytes.Repeat([]byte(`1,`), size/2)),
		"JSON, a field ten thousand times": fmt.Appendf(nil, `{%s"intent_id":"a"}`, bytes.Repeat([]byte(`"amount":1,`), size/11)),
	} {
		t.Run(name, func(t *testing.T) {
			var err error
			mib := allocated(func() { _, err = d.Decode(context.Background(), Message{Value: value}) })
			t.Logf("%d MiB, error %.150v", mib, err)
			if mib > 128 {
				t.Errorf("%d MiB for %d bytes", mib, len(value))
			}
			if err != nil && !errors.As(err, new(*Unreadable)) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func manyNames(n int) []byte {
	var b []byte
	for i := range n {
		b = fmt.Appendf(b, `"x%06d":1,`, i)
	}
	return b
}
