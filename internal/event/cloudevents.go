package event

import (
	"bytes"
	"encoding/base64"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// CloudEvents come in two modes (CloudEvents 1.0, Kafka protocol binding). In
// binary mode the value is the intent and the attributes are ce_ headers, which
// say nothing that an intent needs, and never override its fields. In
// structured mode the value is an envelope, whose "data" is the intent.

// Attributes of an envelope.
const (
	attrSpecVersion = 1 << iota
	attrType
	attrSource
	attrID
	required = attrSpecVersion | attrType | attrSource | attrID
)

// An envelope is what a JSON object says as a CloudEvent in structured mode.
type envelope struct {
	declared bool // the content type says that it is one
	attrs    int  // which attributes are there, as strings
	twice    bool // data is given more than once

	kind        jsontext.Kind // of data; 0: none
	data        []byte        // raw JSON
	base64      []byte        // raw JSON of data_base64
	traceParent []byte        // raw JSON
	traceState  []byte        // raw JSON
}

// The content types of structured mode, and of others than JSON.
const (
	typeStructured = "application/cloudevents+json"
	typeBatch      = "application/cloudevents-batch"
	typeEvent      = "application/cloudevents"
)

// declaresEnvelope reports whether a record's content type says structured mode.
func declaresEnvelope(m Message) bool { return contentTypeIs(m, typeStructured) }

// contentTypeIs reports whether a record's content type begins so.
func contentTypeIs(m Message, kind string) bool {
	for _, h := range m.Headers {
		if strings.EqualFold(h.Key, "content-type") && len(h.Value) >= len(kind) &&
			strings.EqualFold(string(h.Value[:len(kind)]), kind) {
			return true
		}
	}
	return false
}

// otherTypes are content types of values that only their schemas can read, and
// nothing else of the record has named one.
var otherTypes = []struct{ prefix, is string }{
	{"application/avro", "Avro"},
	{"application/vnd.apache.avro", "Avro"},
	{"avro/binary", "Avro"},
	{"application/protobuf", "Protobuf"},
	{"application/x-protobuf", "Protobuf"},
	{"application/vnd.google.protobuf", "Protobuf"},
}

// otherThanJSON names a value that is none in JSON by its content type.
func otherThanJSON(m Message) error {
	first := bytes.TrimLeft(m.Value, " \t\r\n")
	if len(first) == 0 || first[0] == '{' {
		return nil
	}
	switch {
	case contentTypeIs(m, typeBatch):
		return &Unreadable{NotJSON, "the value is a batch of CloudEvents; emit every event as a record of its own"}
	case contentTypeIs(m, typeEvent) && !declaresEnvelope(m):
		return &Unreadable{NotJSON, "the value is a CloudEvent in another format than JSON; emit application/cloudevents+json"}
	}
	for _, t := range otherTypes {
		if contentTypeIs(m, t.prefix) {
			return &Unreadable{NotJSON, "the value is " + t.is + " by its content type, and names no schema of the registry; use a serializer of Confluent's format, or emit JSON"}
		}
	}
	return nil
}

// note takes a member that is no field of an intent.
func (e *envelope) note(name []byte, kind jsontext.Kind, raw []byte) {
	if string(name) == "data" && kind != 'n' {
		e.twice = e.twice || e.kind != 0 || e.base64 != nil
		e.kind, e.data = kind, raw
		return
	}
	if kind != '"' {
		return
	}
	switch string(name) {
	case "specversion":
		e.attrs |= attrSpecVersion
	case "type":
		e.attrs |= attrType
	case "source":
		e.attrs |= attrSource
	case "id":
		e.attrs |= attrID
	case "data_base64":
		e.twice = e.twice || e.kind != 0 || e.base64 != nil
		e.base64 = raw
	case "traceparent":
		e.traceParent = raw
	case "tracestate":
		e.traceState = raw
	}
}

// holdsIntent reports whether the intent must be inside: the content type says so,
// or the object looks like an envelope and names no intent itself.
func (e *envelope) holdsIntent(named bool) bool {
	return e.declared || e.attrs == required && !named
}

// intent returns the JSON of the intent inside.
func (e *envelope) intent() ([]byte, error) {
	switch {
	case e.twice:
		return nil, &Unreadable{BadIntentID, "the CloudEvents envelope gives its data more than once; which intent is meant cannot be known"}
	case e.base64 != nil:
		text, err := jsontext.AppendUnquote(nil, e.base64)
		if err != nil {
			return nil, notJSON(err)
		}
		data, err := base64.StdEncoding.AppendDecode(nil, bytes.TrimSpace(text))
		if err != nil {
			return nil, &Unreadable{NotJSON, "data_base64 of the CloudEvents envelope is no base64"}
		}
		return data, nil
	case e.kind == 0:
		return nil, &Unreadable{NoIntentID, "the CloudEvents envelope has no data; put the intent there"}
	case e.kind != '{':
		return nil, &Unreadable{NotJSON, "data of the CloudEvents envelope is " + kindName(e.kind) + ", not a JSON object"}
	}
	return e.data, nil
}

// envelopeOf reads what the value says as an envelope, as far as it can be read,
// for the trace of a record that is no intent. The zero envelope: it is none.
func envelopeOf(m Message) envelope {
	var r jsonReader
	e := envelope{declared: declaresEnvelope(m)}
	r.start(m.Value)
	if r.dec.PeekKind() != '{' {
		return envelope{}
	}
	_, err := r.dec.ReadToken()
	for err == nil && r.dec.PeekKind() != '}' {
		var name []byte
		if name, err = r.name(); err == nil {
			err = r.other(name, &e)
		}
	}
	if !e.declared && e.attrs != required {
		return envelope{}
	}
	return e
}
