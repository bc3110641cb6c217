package event

import (
	"fmt"
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

// A schemaName names a schema as a record does.
type schemaName struct {
	id   int
	guid string // empty: id
}

// A frame names the schema that a value was written with.
type frame struct {
	schemaName
	head  bool   // named in the header: index is there, too
	index []byte // what follows the name in the header
	body  []byte // the value; with its message index, unless that is in the header
}

// frameOf returns the frame of a record, and whether it has one.
func frameOf(m *Message) (frame, bool, error) {
	if h := m.Header(headerValueSchema); h != nil {
		f, err := frameOfHeader(h)
		f.body = m.Value
		return f, true, err
	}
	if len(m.Value) < idSize || m.Value[0] != magicID {
		return frame{}, false, nil
	}
	var f frame
	var err error
	f.id, f.body, err = (*sr.ConfluentHeader)(nil).DecodeID(m.Value)
	return f, err == nil, nil
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

// String is what a schema is called in sentences.
func (n schemaName) String() string {
	if n.guid != "" {
		return "schema " + n.guid
	}
	return "schema id " + strconv.Itoa(n.id)
}
