package event

import (
	"encoding/json"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/twmb/avro"

	"paylink/schemas"
)

// resolveAvro returns a schema that reads what a writer's schema wrote as a
// record of ours: fields are matched by name, what we do not know is skipped,
// what the writer does not know is absent. The writer's record may have any name.
// Of a writer that has our fields it makes a plan, too.
func resolveAvro(w WriterSchema, r schemas.Record) (*avro.Schema, avroPlan, *Unreadable) {
	var cache avro.SchemaCache
	for _, ref := range w.References {
		if _, err := cache.Parse(ref.Text); err != nil {
			return nil, nil, &Unreadable{UnknownSchema, "refers to an Avro schema that cannot be read"}
		}
	}
	written, err := cache.Parse(w.Text)
	if err != nil {
		return nil, nil, &Unreadable{UnknownSchema, "is no Avro schema that can be read"}
	}
	root := written.Root()
	if root.Type != "record" {
		return nil, nil, &Unreadable{UnknownSchema, "is an Avro " + cut(root.Type) + ", not a record"}
	}
	reader, err := avroReader(r, fullName(root))
	if err != nil {
		return nil, nil, &Unreadable{UnknownSchema, "has a name that no Avro record can have"}
	}
	if bad := sameMeaning(root, reader.Root()); bad != nil {
		return nil, nil, bad
	}
	resolved, err := avro.Resolve(written, reader)
	if err != nil {
		return nil, nil, &Unreadable{UnknownSchema, fmt.Sprintf("cannot be read as %s: %s", r.FullName(), cut(err.Error()))}
	}
	return resolved, planAvro(root, reader.Root()), nil
}

func fullName(n *avro.SchemaNode) string {
	if n.Namespace == "" {
		return n.Name
	}
	return n.Namespace + "." + n.Name
}

// avroReader is our schema of a record, which answers to another name, too.
func avroReader(r schemas.Record, alias string) (*avro.Schema, error) {
	text := schemas.Text(schemas.Avro, r)
	if alias == r.FullName() {
		return avro.Parse(text)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &members); err != nil {
		return nil, err
	}
	var err error
	if members["aliases"], err = json.Marshal([]string{alias}); err != nil {
		return nil, err
	}
	b, err := json.Marshal(members)
	if err != nil {
		return nil, err
	}
	return avro.Parse(string(b))
}

// sameMeaning refuses what Avro would resolve into something else than was
// meant: bytes become a string, which makes another amount of a decimal; and a
// time in microseconds becomes one in milliseconds.
func sameMeaning(written, ours *avro.SchemaNode) *Unreadable {
	for _, w := range written.Fields {
		i := slices.IndexFunc(ours.Fields, func(f avro.SchemaField) bool { return f.Name == w.Name })
		if i < 0 {
			continue
		}
		if has(&w.Type, "bytes") || has(&w.Type, "fixed") {
			return &Unreadable{UnknownSchema, fmt.Sprintf("has bytes for field %s: write it as %s has it, decimals as plain text", w.Name, schemas.Intent.FullName())}
		}
		if want, got := logical(&ours.Fields[i].Type), logical(&w.Type); want != got {
			return &Unreadable{UnknownSchema, fmt.Sprintf("has logical type %q for field %s, want %q", cut(got), w.Name, want)}
		}
	}
	return nil
}

func has(n *avro.SchemaNode, kind string) bool {
	return n.Type == kind || slices.ContainsFunc(n.Branches, func(b avro.SchemaNode) bool { return b.Type == kind })
}

// logical is the logical type of a node that matters: that of numbers.
func logical(n *avro.SchemaNode) string {
	if n.Type == "long" || n.Type == "int" {
		return n.LogicalType
	}
	for i := range n.Branches {
		if l := logical(&n.Branches[i]); l != "" {
			return l
		}
	}
	return ""
}

// cut bounds what a registry's text adds to a sentence.
func cut(s string) string {
	const most = 120
	if len(s) > most {
		s = s[:most]
	}
	return s
}

// readAvro reads the one record that a body must hold into the draft.
func readAvro(k *desk, s *avro.Schema, plan avroPlan, body []byte) error {
	if plan != nil && plan.read(&k.draft, body) {
		return nil
	}
	k.draft.restart()
	in := &k.avro
	rest, err := s.Decode(body, in)
	if err != nil {
		return &Unreadable{NotJSON, "the body is not what its Avro schema says"}
	}
	if len(rest) > 0 {
		return &Unreadable{NotJSON, fmt.Sprintf("there are %d bytes more after the Avro record", len(rest))}
	}
	in.Texts(k.draft.putText)
	k.draft.putPairs(in.Metadata)
	return nil
}

// putText is put for a format whose fields come once each, as text.
func (dr *draft) putText(field int, value string) {
	dr.said[field].met = true
	from := len(dr.text)
	dr.text = append(dr.text, value...)
	dr.keep(field, from)
}

// putPairs is pair for metadata that was read as a whole.
func (dr *draft) putPairs(m map[string]string) {
	if len(m) == 0 {
		return
	}
	dr.said[metadataField].met = true
	for key, value := range m {
		if !utf8.ValidString(key) || !utf8.ValidString(value) {
			dr.breaks(metadataField, "must be valid UTF-8")
			continue
		}
		p := pair{key: span{from: len(dr.text)}}
		dr.text = append(dr.text, key...)
		p.key.to = len(dr.text)
		p.value.from = len(dr.text)
		dr.text = append(dr.text, value...)
		p.value.to = len(dr.text)
		dr.pair(metadataField, p)
	}
}
