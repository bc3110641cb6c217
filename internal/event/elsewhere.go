package event

import (
	"bytes"
	"errors"
	"strings"
	"unicode/utf8"
)

// Most objects that name no intent hold one: in an envelope (Kafka Connect's schema and
// payload, Debezium's before and after, a bus's message), as a text within a text, or
// with names that are spelled in another way. Which of these is meant is not guessed;
// the dead letter says where it is.

// sayWhere adds to what is said of an object without intent id where there is one.
func (r *jsonReader) sayWhere(err error) error {
	un, ok := errors.AsType[*Unreadable](err)
	if !ok || un.Reason != NoIntentID {
		return err
	}
	where := r.elsewhere()
	switch {
	case where == "":
		return err
	case strings.Contains(where, "/"):
		return &Unreadable{NoIntentID, un.Text + ", and this one has it in " + where[1:] + ": emit the intent without what is around it"}
	}
	return &Unreadable{NoIntentID, un.Text + "; there is " + where + ", which is another name"}
}

// elsewhere looks for an intent id in the object that was read last. It returns
// another spelling of the name, or a slash and the path to what holds it, or "".
func (r *jsonReader) elsewhere() string {
	r.start(r.src)
	for {
		token, err := r.dec.ReadToken()
		if err != nil {
			return "" // its end: it was read before
		}
		if token.Kind() != '"' {
			continue
		}
		in, n := r.dec.StackIndex(r.dec.StackDepth())
		name := in == '{' && n%2 == 1
		switch text := token.String(); {
		case name && saysIntentID(text) && r.dec.StackDepth() == 1:
			if text != "intent_id" { // else it is empty
				return text
			}
		case name && saysIntentID(text):
			return r.path(1)
		case !name && strings.HasPrefix(text, "{") && strings.Contains(text, "intent_id"):
			return r.path(0) + ", as text"
		}
	}
}

// saysIntentID reports whether a name is that of the intent id, whatever its spelling.
func saysIntentID(name string) bool {
	return len(name) <= len("intent_id") && strings.EqualFold(strings.NewReplacer("_", "", "-", "", " ", "").Replace(name), "intentid")
}

// path is where the reader stands, without the last names, and without what may not be
// shown.
func (r *jsonReader) path(without int) string {
	const most = 4
	var names []string
	for name := range r.dec.StackPointer().Tokens() {
		if !namelike.MatchString(name) {
			name = "…"
		}
		names = append(names, name)
	}
	names = names[:len(names)-without]
	return "/" + strings.Join(names[:min(len(names), most)], ".")
}

// A text within a JSON string, and what is no JSON at all, are called so.
const (
	textOfObject = "the value is a string that holds a JSON object: it was written as JSON twice; emit the object itself"
	inBase64     = "the value is base64; emit the JSON object itself"
	inBinary     = "the value is binary, and does not say of which kind (MessagePack, CBOR, or Avro or Protobuf without the id of a schema): emit JSON, or use a serializer of Confluent's format"
)

func isBinary(r rune) bool { return r < ' ' && r != '\t' && r != '\r' && r != '\n' }

// base64Object is how objects of JSON begin in base64.
var base64Object = [][]byte{[]byte("eyJ"), []byte("eyA"), []byte("ewo"), []byte("ew0")}

// kindOfText says what a value is that is no JSON object, from its beginning; "" if
// nobody knows.
func kindOfText(value []byte) string {
	value = bytes.TrimLeft(value, " \t\r\n")
	inside, quoted := bytes.CutPrefix(value, []byte(`"`))
	if quoted && bytes.HasPrefix(bytes.TrimLeft(inside, " "), []byte("{")) {
		return textOfObject
	}
	for _, b := range base64Object {
		if bytes.HasPrefix(inside, b) {
			return inBase64
		}
	}
	const beginning = 128
	head := value[:min(len(value), beginning)]
	if first, _ := utf8.DecodeRune(head); first == utf8.RuneError || bytes.ContainsFunc(head, isBinary) {
		return inBinary
	}
	return ""
}
