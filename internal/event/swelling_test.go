package event

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

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
	long := strings.Repeat("A", 100<<10)
	s := shelf{
		1:  {Format: schemas.Avro, Text: record(`{"name":"metadata","type":{"type":"array","items":{"type":"array","items":"null"}}}`)},
		2:  {Format: schemas.Avro, Text: record(`{"name":"metadata","type":["null",{"type":"map","values":{"type":"array","items":{"type":"record","name":"E","fields":[]}}}]}`)},
		3:  {Format: schemas.Avro, Text: record(`{"name":"other","type":{"type":"array","items":{"type":"array","items":"null"}}}`)},
		4:  {Format: schemas.Avro, Text: record(`{"name":"metadata","type":{"type":"array","items":{"type":"array","items":"int"}}}`)},
		7:  {Format: schemas.Avro, Text: record(`{"name":"metadata","type":{"type":"array","items":{"type":"record","name":"E","fields":[{"name":"key","type":["null","string"]}]}}}`)},
		8:  {Format: schemas.Avro, Text: record(`{"name":"metadata","type":{"type":"array","items":{"type":"record","name":"E","fields":[{"name":"x","type":"boolean"},` + nullFields(50) + `]}}}`)},
		9:  {Format: schemas.Avro, Text: record(`{"name":"metadata","type":{"type":"map","values":{"type":"record","name":"E","fields":[` + nullFields(50) + `,{"name":"next","type":["null","E"]}]}}}`)},
		10: {Format: schemas.Avro, Text: record(`{"name":"metadata","type":["null",{"type":"array","items":["null","B"]},{"type":"record","name":"B","fields":[` + nullFields(50) + `]}]}`)},
		11: {Format: schemas.Avro, Text: record(`{"name":"cart","type":{"type":"record","name":"E","fields":[{"name":"key","type":"string"},{"name":"value","type":["null","string"]}]}},{"name":"metadata","type":{"type":"array","items":"E"}}`)},
		12: {Format: schemas.Avro, Text: record(`{"name":"other","type":{"type":"array","items":{"type":"record","name":"E","fields":[{"name":"x","type":"boolean"},` + nullFields(3000) + `]}}}`)},
		13: {Format: schemas.Avro, Text: record(`{"name":"metadata","type":["null",` + doubling(17) + `]}`)},
		14: {Format: schemas.Avro, Text: record(`{"name":"metadata","type":` + doubling(60) + `}`)},
		15: {Format: schemas.Avro, Text: record(`{"name":"other","type":` + doubling(60) + `}`)},
		16: {Format: schemas.Avro, Text: record(`{"name":"metadata","type":{"type":"array","items":{"type":"enum","name":"E","symbols":["` + long + `"]}}}`)},
		17: {Format: schemas.Avro, Text: record(`{"name":"param1","type":{"type":"array","items":{"type":"record","name":"E","fields":[{"name":"` + long + `","type":"boolean"}]}}}`)},
		18: {Format: schemas.Avro, Text: record(`{"name":"metadata","type":{"type":"array","items":{"type":"bytes","logicalType":"decimal","precision":65536,"scale":65536}}}`)},
		19: {Format: schemas.Avro, Text: record(`{"name":"metadata","type":{"type":"array","items":{"type":"bytes","logicalType":"big-decimal"}}}`)},
		20: {Format: schemas.Protobuf, Text: `syntax = "proto3"; message I { string intent_id = 1; enum E { ` + long + ` = 0; } repeated E metadata = 2; }`},
		5:  {Format: schemas.Protobuf, Text: `syntax = "proto3"; message I { string intent_id = 1; repeated I metadata = 2; }`},
		6:  {Format: schemas.Protobuf, Text: `syntax = "proto3"; message I { string intent_id = 1; repeated I other = 2; }`},
	}
	// Many arrays of 4096 items each, in two blocks: "\x02a" is the id, 0x8040 is 4096.
	nulls := "\x02a" + "\xfe\xff\x7f" + string(bytes.Repeat([]byte("\x80\x40\x00"), size/3)) + "\x00"
	items := "\x02a" + "\x80\x80\x80\x01" + string(make([]byte, size)) + "\x00" // as many as there are bytes
	some := "\x02a" + "\xd0\x0f"                                                // a list of 1000
	d := NewDecoder(DecoderConfig{Schemas: s})
	for name, value := range map[string][]byte{
		"Avro, arrays of nulls":             framed(1, nulls),
		"Avro, empty records in a map":      framed(2, nulls),
		"Avro, a field that is not ours":    framed(3, nulls),
		"Avro, empty arrays":                framed(4, "\x02a"+"\xfe\xff\x7f"+string(make([]byte, size))),
		"Avro, records in a list":           framed(7, items),
		"Avro, many nulls in a list":        framed(8, items),
		"Avro, many nulls in a map":         framed(9, "\x02a"+"\xfe\xff\x7f"+string(make([]byte, size))),
		"Avro, a record chosen by a byte":   framed(10, "\x02a\x02"+"\x80\x80\x80\x01"+string(bytes.Repeat([]byte("\x02"), size))+"\x00"),
		"Avro, entries without end":         framed(11, "\x02a\x00\x00"+"\x80\x80\x40"+string(make([]byte, size))+"\x00"),
		"Avro, many nulls that are skipped": framed(12, items),
		"Avro, types that double":           framed(13, "\x02a\x00"),
		"Avro, types that double for long":  framed(14, "\x02a\x00"),
		"Avro, the same, skipped":           framed(15, "\x02a\x00"),
		"Avro, a long name of an enum":      framed(16, some+strings.Repeat("\x00", 1000)+"\x00"),
		"Avro, a long name of a field":      framed(17, some+strings.Repeat("\x00", 1000)+"\x00"),
		"Avro, decimals of any scale":       framed(18, some+strings.Repeat("\x02\x01", 1000)+"\x00"),
		"Avro, decimals that say a scale":   framed(19, some+strings.Repeat("\x0a\x02\x01\x80\x80\x08", 1000)+"\x00"),
		"Protobuf, a long name of an enum":  framed(20, "\x00\x0a\x01a\x12\xe8\x07"+strings.Repeat("\x00", 1000)),
		"Protobuf, empty messages":          framed(5, "\x00\x0a\x01a"+string(bytes.Repeat([]byte("\x12\x00"), size/2))),
		"Protobuf, a field not ours":        framed(6, "\x00\x0a\x01a"+string(bytes.Repeat([]byte("\x12\x00"), size/2))),
		"JSON, depth":                       bytes.Repeat([]byte("["), size),
		"JSON, depth in a field":            fmt.Appendf(nil, `{"intent_id":"a","metadata":%s`, bytes.Repeat([]byte(`{"a":`), size/5)),
		"JSON, metadata without end":        fmt.Appendf(nil, `{"intent_id":"a","metadata":{%s"":""}}`, bytes.Repeat([]byte(`"":"",`), size/6)),
		"JSON, names without end":           fmt.Appendf(nil, `{"intent_id":"a",%s"b":1}`, manyNames(size/12)),
		"JSON, numbers in an array":         fmt.Appendf(nil, `{"intent_id":"a","metadata":[%s1]}`, bytes.Repeat([]byte(`1,`), size/2)),
		"JSON, a field ten thousand times":  fmt.Appendf(nil, `{%s"intent_id":"a"}`, bytes.Repeat([]byte(`"amount":1,`), size/11)),
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

func nullFields(n int) string {
	var b []byte
	for i := range n {
		b = fmt.Appendf(b, `{"name":"n%d","type":"null"},`, i)
	}
	return string(b[:len(b)-1])
}

// doubling is a record within which another one stands twice, and so on.
func doubling(n int) string {
	s := `{"type":"record","name":"R0","fields":[{"name":"x","type":"null"}]}`
	for i := range n {
		s = fmt.Sprintf(`{"type":"record","name":"R%d","fields":[{"name":"a","type":%s},{"name":"b","type":"R%d"}]}`, i+1, s, i)
	}
	return s
}

// TestListsOfUsualSizeAreRead holds what the bound must let through: what Connect and
// ksqlDB make of a map beside much that is not ours, and a plain map in a large record.
func TestListsOfUsualSizeAreRead(t *testing.T) {
	const entries = `{"type":"array","items":{"type":"record","name":"E","fields":[{"name":"key","type":["null","string"]},{"name":"value","type":["null","string"]}]}}`
	const rest = `{"name":"amount","type":"string"},{"name":"description","type":"string"},{"name":"cart","type":"bytes"}`
	for _, tt := range []struct {
		kind, metadata string
		cart           int
	}{
		{entries, "\x02\x02\x08cart\x02\x0442\x00", 200 << 10},
		{`["null",` + entries + `]`, "\x02\x02\x02\x08cart\x02\x0442\x00", 200 << 10},
		{`{"type":"map","values":"string"}`, "\x02\x08cart\x0442\x00", 1000 << 10},
		{`["null",{"type":"map","values":["null","string"]}]`, "\x02\x02\x08cart\x02\x0442\x00", 1000 << 10},
	} {
		w := WriterSchema{Format: schemas.Avro, Text: `{"type":"record","name":"I","fields":[{"name":"intent_id","type":"string"},` + rest + `,{"name":"metadata","type":` + tt.kind + `}]}`}
		size := binary.AppendVarint(nil, int64(tt.cart))
		out, err := one(t, w, "\x02a\x0410\x02d"+string(size)+string(make([]byte, tt.cart))+tt.metadata)
		aw, bad := compileAvro(w)
		if bad != nil {
			t.Fatal(bad)
		}
		if !aw.isHeavy(make([]byte, tt.cart)) || aw.isHeavy(make([]byte, 8<<10)) {
			t.Errorf("%s: a record of %d bytes is to be heavy, and one of 8 KB is not; light up to %d", tt.kind, tt.cart, aw.light)
		}
		if err != nil || out.Intent.Metadata["cart"] != "42" {
			t.Errorf("%s beside %d bytes: %v, %v", tt.kind, tt.cart, out.Intent.Metadata, err)
		}
	}
}

// TestHeavyRecordsAreReadOneByOne holds that many partitions do not take the memory of
// such a record each.
func TestHeavyRecordsAreReadOneByOne(t *testing.T) {
	const entries = `{"type":"array","items":{"type":"record","name":"E","fields":[{"name":"key","type":"string"},{"name":"value","type":"string"}]}}`
	s := shelf{
		1: {Format: schemas.Avro, Text: `{"type":"record","name":"I","fields":[{"name":"intent_id","type":"string"},{"name":"metadata","type":` + entries + `},{"name":"cart","type":"bytes"}]}`},
		2: {Format: schemas.Protobuf, Text: `syntax = "proto3"; message I { string intent_id = 1; repeated I metadata = 2; }`},
	}
	for name, of := range map[string]func(size int) Message{
		"Avro": func(size int) Message {
			return Message{Value: framed(1, "\x02a\x00"+string(binary.AppendVarint(nil, int64(size)))+string(make([]byte, size)))}
		},
		"Protobuf": func(size int) Message {
			return Message{Value: framed(2, "\x00\x0a\x01a"+strings.Repeat("\x12\x00", size/2))}
		},
	} {
		t.Run(name, func(t *testing.T) { heavyIsReadAlone(t, s, of) })
	}
}

func heavyIsReadAlone(t *testing.T, s Schemas, of func(size int) Message) {
	synctest.Test(t, func(t *testing.T) {
		d := NewDecoder(DecoderConfig{Schemas: s})
		d.heavy <- struct{}{} // another one is being read
		done := make(chan error, 1)
		go func() {
			_, err := d.Decode(t.Context(), of(64<<10))
			done <- err
		}()
		synctest.Wait()
		if len(done) > 0 {
			t.Fatal("a heavy record is read beside another one")
		}
		if _, err := d.Decode(t.Context(), of(1<<10)); err != nil {
			t.Errorf("a light one beside it: %v", err)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := d.Decode(gone, of(64<<10)); !errors.Is(err, context.Canceled) {
			t.Errorf("who is gone: %v, want %v", err, context.Canceled)
		}
		<-d.heavy
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// A schema takes little memory, and no minutes, to be compiled, however it is nested.
func TestNoSchemaSwells(t *testing.T) {
	const size = 250 << 10
	nested := func(open, shut string) string {
		n := size / len(open+shut)
		return strings.Repeat(open, n) + strings.Repeat(shut, n)
	}
	const head = `syntax = "proto3"; /* {{ */ message I { string intent_id = 1; `
	for name, w := range map[string]WriterSchema{
		"options in options":   {Format: schemas.Protobuf, Text: head + "} option (x) = {" + nested("a{", "}") + "};"},
		"messages in messages": {Format: schemas.Protobuf, Text: head + nested("message a{", "}") + "}"},
		"behind a text":        {Format: schemas.Protobuf, Text: head + "} option (x) = { a: \"\\\"{\" b: '\"' " + nested("a{", "}") + "};"},
		"decimals in decimals": {Format: schemas.Avro, Text: `{"type":"record","name":"I","fields":[{"name":"intent_id","type":"string"},{"name":"metadata","type":` +
			strings.Repeat(`{"type":"bytes","logicalType":"decimal","fields":`, 3900) + "[]" + strings.Repeat("}", 3900) + "}]}"},
	} {
		t.Run(name, func(t *testing.T) {
			var err error
			mib := allocated(func() { _, err = one(t, w, "\x02a") })
			t.Logf("%d MiB, error %.150v", mib, err)
			if mib > 64 {
				t.Errorf("%d MiB for a schema of %d bytes", mib, len(w.Text))
			}
			wantReason(t, err, UnknownSchema)
		})
	}
}
