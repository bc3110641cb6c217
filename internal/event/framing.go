package event

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/sr"
)

// The header that names the schema of a value by its GUID. Confluent's newer
// serializers write it instead of the bytes before the value: names from
// SchemaId, encoding from its guidToBytes (confluentinc/schema-registry): one
// byte 1, the 16 bytes of the GUID and, for Protobuf, the message index. A byte
// 0 there begins the same five bytes as would stand before the value.
const headerValueSchema = "__value_schema_id"

const (
	magicID   = 0
	magicGUID = 1

	guidSize = 1 + 16
	idSize   = 1 + 4

	// maxIndex bounds the depth of a Protobuf message within messages.
	maxIndex = 8
)

// The headers in which Apicurio's serializers name the schema of a value, by an
// id of 8 bytes: names from KafkaSerdeHeaders (apicurio/apicurio-registry). The
// registry's Confluent API knows schemas by their content id.
const (
	headerContentID   = "apicurio.value.contentId"
	headerGlobalID    = "apicurio.value.globalId"
	headerContentHash = "apicurio.value.contentHash"
	headerArtifactID  = "apicurio.value.artifactId"
	headerMessageType = "apicurio.protobuf.type"
)

// Beginnings of values that other registries' serializers write.
const (
	magicGlue  = 3 // AWS Glue: then the compression, and a UUID
	glueSize   = 1 + 1 + 16
	longIDSize = 1 + 8 // Apicurio's ids of 8 bytes
	azureType  = "avro/binary+"
	azureSize  = 4 + 32 // Azure's older ones: zeros, and a UUID in hex digits
)

// A schemaName names a schema as a record does.
type schemaName struct {
	id   int
	guid string // empty: id
}

// A frame names the schema that a value was written with.
type frame struct {
	schemaName
	head  bool   // named in the header: index is there, too
	alone bool   // in a header that has no index: the file must have one message, or a header says which
	index []byte // what follows the name in the header
	kind  string // with alone: the message's name, if a header says it
	body  []byte // the value; with its message index, unless that is in the header
}

// frameOf returns the frame of a record, and whether it has one.
func frameOf(m *Message) (frame, bool, error) {
	if h := m.Header(headerValueSchema); h != nil {
		f, err := frameOfHeader(h)
		f.body = m.Value
		return f, true, err
	}
	if f, framed, err := frameOfApicurio(m); framed || err != nil {
		return f, framed, err
	}
	if text := foreignFrame(m); text != "" {
		return frame{}, false, &Unreadable{UnknownSchema, text}
	}
	if len(m.Value) < idSize || m.Value[0] != magicID || bytes.HasPrefix(m.Value, []byte("\x00{\x00")) { // the last is UTF-16
		return frame{}, false, nil
	}
	var f frame
	var err error
	f.id, f.body, err = (*sr.ConfluentHeader)(nil).DecodeID(m.Value)
	return f, err == nil, nil
}

// frameOfApicurio returns the frame of a record whose schema Apicurio's headers
// name. JSON needs no schema to be read.
func frameOfApicurio(m *Message) (frame, bool, error) {
	if len(m.Headers) == 0 || m.Value[0] == '{' {
		return frame{}, false, nil
	}
	if h := m.Header(headerContentID); len(h) == 8 {
		if id := binary.BigEndian.Uint64(h); id <= math.MaxInt32 {
			return frame{schemaName: schemaName{id: int(id)}, head: true, alone: true, kind: string(m.Header(headerMessageType)), body: m.Value}, true, nil
		}
	}
	for _, name := range []string{headerContentID, headerGlobalID, headerContentHash, headerArtifactID} {
		if m.Header(name) != nil {
			return frame{}, false, &Unreadable{UnknownSchema, "header " + name + " names the schema, which the registry's Confluent API cannot look up by; let the serializer use the content id (apicurio.registry.use-id=contentId)"}
		}
	}
	return frame{}, false, nil
}

// foreignFrame is a sentence about a value that another registry's serializer
// wrote, or "".
func foreignFrame(m *Message) string {
	v := m.Value
	switch {
	case len(v) >= glueSize && v[0] == magicGlue && (v[1] == 0 || v[1] == 5):
		return "the value has the framing of AWS Glue (schema version " + uuid.UUID(v[2:glueSize]).String() + "), which this service cannot look up; use a serializer of Confluent's format"
	case len(v) >= longIDSize && bytes.Equal(v[:idSize], make([]byte, idSize)):
		return "the value starts with a schema id of 8 bytes, as some of Apicurio's serializers write; let them write 4 bytes of the content id (Default4ByteIdHandler and apicurio.registry.use-id=contentId)"
	case v[0] != '{' && contentTypeIs(*m, azureType):
		return "content type " + azureType + "… names a schema of Azure's registry, which this service cannot look up; use a serializer of Confluent's format"
	case len(v) >= azureSize && bytes.Equal(v[:4], make([]byte, 4)) && isHex(v[4:azureSize]):
		return "the value has the framing of Azure's registry (schema " + string(v[4:azureSize]) + "), which this service cannot look up; use a serializer of Confluent's format"
	}
	return ""
}

func isHex(b []byte) bool {
	_, err := hex.Decode(make([]byte, hex.DecodedLen(len(b))), b)
	return err == nil
}

func frameOfHeader(h []byte) (frame, error) {
	switch {
	case len(h) >= guidSize && h[0] == magicGUID:
		return frame{schemaName: schemaName{guid: uuid.UUID(h[1:guidSize]).String()}, head: true, index: h[guidSize:]}, nil
	case len(h) >= idSize && h[0] == magicID:
		id, rest, err := (*sr.ConfluentHeader)(nil).DecodeID(h)
		if err == nil {
			return frame{schemaName: schemaName{id: id}, head: true, index: rest}, nil
		}
	}
	return frame{}, &Unreadable{UnknownSchema, fmt.Sprintf("header %s has %d bytes that name no schema", headerValueSchema, len(h))}
}

// split returns the message index and the body of a Protobuf frame.
func (f *frame) split() (index []int, body []byte, err error) {
	if f.head {
		if len(f.index) == 0 { // older serializers leave it out for the first message
			return []int{0}, f.body, nil
		}
		index, _, err = (*sr.ConfluentHeader)(nil).DecodeIndex(f.index, maxIndex)
		return index, f.body, err
	}
	return (*sr.ConfluentHeader)(nil).DecodeIndex(f.body, maxIndex)
}

// apicurioRef takes apart what Apicurio's serializers write where Confluent's write the
// message index: the length of a message whose one field is the name. "": it is none.
func apicurioRef(body []byte) (name string, rest []byte) {
	const head = 3 // length, tag of field 1, length of the name
	if len(body) < head || body[0] >= 0x80 || body[1] != 0x0a || body[0] != body[2]+2 || len(body) < head+int(body[2]) {
		return "", nil
	}
	end := head + int(body[2])
	return string(body[head:end]), body[end:]
}

// String is what a schema is called in sentences.
func (n schemaName) String() string {
	if n.guid != "" {
		return "schema " + n.guid
	}
	return "schema id " + strconv.Itoa(n.id)
}
