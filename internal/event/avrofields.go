package event

import (
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/avro"

	"paylink/internal/payment"
	"paylink/schemas/contract"
)

// An avroPlan reads records of a writer whose fields are just ours, in the
// writer's order, from the bytes into the draft: half of the work is the struct
// that the library fills. Nil: the writer has other fields or types than we do,
// and the library reads them.
type avroPlan []avroStep

// An avroStep is one field of the writer.
type avroStep struct {
	field int // in payment.Fields
	kind  string
	null  int64 // which branch of its union is null; -1: it is no union
}

// planAvro makes the plan of a writer's record, if there can be one.
func planAvro(written, ours *avro.SchemaNode) avroPlan {
	if len(written.Fields) != len(ours.Fields) {
		return nil
	}
	var plan avroPlan
	for _, w := range written.Fields {
		i := slices.IndexFunc(payment.Fields, func(f payment.Field) bool { return f.Name == w.Name })
		o := slices.IndexFunc(ours.Fields, func(f avro.SchemaField) bool { return f.Name == w.Name })
		if i < 0 || o < 0 {
			return nil
		}
		is, null := present(&w.Type)
		want, _ := present(&ours.Fields[o].Type)
		plain := is.Type == "string" || is.Type == "boolean" || is.Type == "int" || is.Type == "long" || is.Type == "map" && is.Values.Type == "string"
		if !plain || is.Type != want.Type || is.LogicalType != want.LogicalType {
			return nil
		}
		plan = append(plan, avroStep{i, is.Type, null})
	}
	return plan
}

// present is what a field holds unless it is null.
func present(n *avro.SchemaNode) (*avro.SchemaNode, int64) {
	if n.Type != "union" || len(n.Branches) != 2 {
		return n, -1
	}
	for i := range n.Branches {
		if n.Branches[i].Type == "null" {
			return &n.Branches[1-i], int64(i)
		}
	}
	return n, -1
}

// read reads a body into the draft. False: it is not as the plan expects, and
// the library must say what it is; the draft is then to be begun anew.
func (p avroPlan) read(dr *draft, body []byte) bool {
	r := avroReaderOf{b: body}
	for _, s := range p {
		if s.null >= 0 {
			branch := r.long()
			if branch == s.null {
				continue
			}
			if branch != 1-s.null {
				return false
			}
		}
		r.field(dr, s)
		if r.bad {
			return false
		}
	}
	return len(r.b) == 0
}

type avroReaderOf struct {
	b   []byte
	bad bool
}

func (r *avroReaderOf) field(dr *draft, s avroStep) {
	switch s.kind {
	case "string":
		if text := r.text(); len(text) > 0 { // "" is absent
			dr.said[s.field].met = true
			dr.put(s.field, text)
		}
	case "boolean":
		if flag := r.take(1); flag != nil {
			dr.putText(s.field, contract.FlagText(flag[0] == 1))
		}
	case "int":
		n := r.long()
		r.bad = r.bad || n < math.MinInt32 || n > math.MaxInt32
		dr.putText(s.field, strconv.FormatInt(n, 10))
	case "long":
		dr.putText(s.field, time.UnixMilli(r.long()).UTC().Format(time.RFC3339Nano))
	case "map":
		dr.putPairs(r.pairs())
	}
}

func (r *avroReaderOf) long() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *avroReaderOf) take(n int64) []byte {
	if r.bad || n < 0 || n > int64(len(r.b)) {
		r.bad = true
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *avroReaderOf) text() []byte { return r.take(r.long()) }

// pairs reads a map of strings whose blocks do not tell their size.
func (r *avroReaderOf) pairs() map[string]string {
	var m map[string]string
	for count := r.long(); count != 0 && !r.bad; count = r.long() {
		if r.bad = count < 0; r.bad {
			break
		}
		if m == nil {
			m = make(map[string]string, min(count, payment.MaxMetadataEntries))
		}
		for ; count > 0 && !r.bad; count-- {
			key := string(r.text())
			m[key] = string(r.text())
		}
	}
	return m
}
