package event

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/twmb/avro"

	"paylink/schemas"
)

// parseAvro reads a writer's schema, with what it refers to.
func parseAvro(w WriterSchema, opts ...avro.SchemaOpt) (*avro.Schema, *Unreadable) {
	opts = append(opts, avro.WithLaxNames(nil)) // others allow hyphens; to read, a name is a name
	var cache avro.SchemaCache
	for _, ref := range w.References {
		if _, err := cache.Parse(meaningOf(ref.Text), opts...); err != nil {
			return nil, &Unreadable{UnknownSchema, "refers to an Avro schema that cannot be read" + because(err)}
		}
	}
	written, err := cache.Parse(meaningOf(w.Text), opts...)
	if err != nil {
		return nil, &Unreadable{UnknownSchema, "is no Avro schema that can be read" + because(err)}
	}
	return written, nil
}

// meaningful are the attributes of an Avro schema that say something about bytes.
var meaningful = map[string]bool{"type": true, "name": true, "namespace": true, "fields": true, "symbols": true, "items": true,
	"values": true, "size": true, "logicalType": true, "precision": true, "scale": true}

// meaningOf is a writer's schema without what says nothing about bytes, defaults and
// aliases among it. Registries and libraries differ in what they let pass there, and
// no record is worse for it.
func meaningOf(text string) string {
	var schema any
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&schema); err != nil {
		return text
	}
	b, err := json.Marshal(bare(schema))
	if err != nil {
		return text
	}
	return string(b)
}

func bare(schema any) any {
	switch s := schema.(type) {
	case []any:
		for i := range s {
			s[i] = bare(s[i])
		}
	case map[string]any:
		for key, v := range s {
			if s[key] = bare(v); !meaningful[key] {
				delete(s, key)
			}
		}
		if s["logicalType"] == "decimal" && !isDecimal(s) { // as Avro has it, it is none, then
			delete(s, "logicalType")
		}
	}
	return schema
}

// isDecimal reports whether a type is one, if it says so. Of what else the type holds,
// perhaps a thousand levels of the same, nothing is read.
func isDecimal(s map[string]any) bool {
	if s["type"] != "bytes" && s["type"] != "fixed" {
		return true
	}
	own := map[string]any{}
	for _, key := range []string{"type", "name", "size", "logicalType", "precision", "scale"} {
		switch v := s[key].(type) {
		case map[string]any, []any:
			return false
		case nil:
		default:
			own[key] = v
		}
	}
	b, err := json.Marshal(own)
	if err == nil {
		_, err = avro.Parse(string(b), avro.WithLaxNames(nil))
	}
	return err == nil
}

// resolveAvro returns a schema that reads what a writer's schema wrote as a
// record of ours: fields are matched by name, what we do not know is skipped,
// what the writer does not know is absent. The writer's record may have any name.
// It is for outcomes, whose writers have our schemas, perhaps later ones.
func resolveAvro(w WriterSchema, r schemas.Record) (*avro.Schema, *Unreadable) {
	written, bad := parseAvro(w)
	if bad != nil {
		return nil, bad
	}
	root := written.Root()
	if root.Type != "record" {
		return nil, &Unreadable{UnknownSchema, "is an Avro " + cut(root.Type) + ", not a record"}
	}
	reader, err := avroReader(r, fullName(root))
	if err != nil {
		return nil, &Unreadable{UnknownSchema, "has a name that no Avro record can have"}
	}
	if bad := sameMeaning(root, reader.Root()); bad != nil {
		return nil, bad
	}
	resolved, err := avro.Resolve(written, reader)
	if err != nil {
		return nil, &Unreadable{UnknownSchema, fmt.Sprintf("cannot be read as %s: %s", r.FullName(), cut(err.Error()))}
	}
	return resolved, nil
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
			return &Unreadable{UnknownSchema, fmt.Sprintf("has bytes for field %s: write it as our schema has it, decimals as plain text", w.Name)}
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

// cut bounds what a registry's text adds to a sentence, and keeps it in one line.
func cut(s string) string {
	const most = 120
	if len(s) > most {
		s = s[:most]
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return ' '
		}
		return r
	}, s)
}

// because is the end of a sentence that says why a library does not read a schema.
func because(err error) string { return ": " + cut(err.Error()) }

// putText is put for a format whose fields come once each, as text.
func (dr *draft) putText(field int, value string) {
	dr.said[field].met = true
	from := len(dr.text)
	dr.text = append(dr.text, value...)
	dr.keep(field, from)
}

// putPairs is pair for metadata that was read as a whole.
func (dr *draft) putPairs(m map[string]string) {
	for key, value := range m {
		dr.putPair(metadataField, key, value)
	}
}
