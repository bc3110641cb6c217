package event

import (
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// A protoWriter is a writer's Protobuf file: for each message in it, by its
// index, why it cannot be read as a record of ours, or nil. It is for outcomes,
// whose writers have our schemas, perhaps later ones.
type protoWriter map[string]*Unreadable

// maxMessages bounds how many messages of a file are looked at.
const maxMessages = 256

// resolveProtobuf compares the messages of a writer's file with ours. Protobuf
// finds fields by their numbers alone, so a message in which number 4 is
// something else than an amount must not be read as ours.
func resolveProtobuf(w WriterSchema, ours protoreflect.MessageDescriptor) (protoWriter, *Unreadable) {
	file, bad := compileProtobuf(w)
	if bad != nil {
		return nil, bad
	}
	pw := protoWriter{}
	eachMessage(file, func(key string, m protoreflect.MessageDescriptor) {
		pw[key] = readsAs(m, ours)
	})
	return pw, nil
}

// eachMessage calls do with the messages of a file, by their index.
func eachMessage(file protoreflect.FileDescriptor, do func(key string, m protoreflect.MessageDescriptor)) {
	left := maxMessages
	var walk func(above []int, messages protoreflect.MessageDescriptors)
	walk = func(above []int, messages protoreflect.MessageDescriptors) {
		for i := range messages.Len() {
			if left == 0 || len(above) == maxIndex {
				return
			}
			left--
			index := append(above[:len(above):len(above)], i)
			do(indexKey(index), messages.Get(i))
			walk(index, messages.Get(i).Messages())
		}
	}
	walk(nil, file.Messages())
}

func indexKey(index []int) string {
	if len(index) == 1 && index[0] >= 0 && index[0] < 0x80 {
		return oneByte[index[0]:][:1]
	}
	return fmt.Sprint(index)
}

// oneByte is every byte below 0x80, so that the usual keys cost nothing.
var oneByte = func() string {
	b := make([]byte, 0x80)
	for i := range b {
		b[i] = byte(i)
	}
	return string(b)
}()

// readsAs says why a message cannot be read as ours, or nil.
func readsAs(w, ours protoreflect.MessageDescriptor) *Unreadable {
	known := false
	for i := range ours.Fields().Len() {
		o := ours.Fields().Get(i)
		byNumber, byName := w.Fields().ByNumber(o.Number()), w.Fields().ByName(o.Name())
		if byNumber == nil && byName == nil {
			continue
		}
		if byNumber == nil || byName == nil || byNumber != byName {
			return &Unreadable{UnknownSchema, fmt.Sprintf("is not compatible with %s: field %d must be %s, and %s must be field %d", ours.FullName(), o.Number(), o.Name(), o.Name(), o.Number())}
		}
		if !sameWire(o, byName) {
			return &Unreadable{UnknownSchema, fmt.Sprintf("is not compatible with %s: field %s must be of type %s", ours.FullName(), o.Name(), o.Kind())}
		}
		known = known || o.Number() == 1
	}
	if !known {
		return &Unreadable{UnknownSchema, fmt.Sprintf("is not compatible with %s: its message has no field %s", ours.FullName(), ours.Fields().ByNumber(1).Name())}
	}
	return nil
}

// sameWire reports whether two fields mean the same bytes.
func sameWire(a, b protoreflect.FieldDescriptor) bool {
	if a.IsList() != b.IsList() || a.IsMap() != b.IsMap() {
		return false
	}
	if a.IsMap() {
		return sameWire(a.MapKey(), b.MapKey()) && sameWire(a.MapValue(), b.MapValue())
	}
	if a.Kind() == protoreflect.MessageKind && b.Kind() == protoreflect.MessageKind {
		return a.Message().FullName() == b.Message().FullName() || a.Message().FullName().Parent() != "google.protobuf"
	}
	return a.Kind() == b.Kind()
}

// bodyOf returns the body of a frame whose message can be read.
func (pw protoWriter) bodyOf(f *frame) ([]byte, error) {
	index, body, err := f.split()
	if err != nil {
		return nil, &Unreadable{NotJSON, "the message index of the Protobuf framing is broken"}
	}
	bad, ok := pw[indexKey(index)]
	if !ok {
		return nil, noSuchMessage(f)
	}
	if bad != nil {
		return nil, bad.of(f.schemaName)
	}
	return body, nil
}

func noSuchMessage(f *frame) *Unreadable {
	return &Unreadable{UnknownSchema, fmt.Sprintf("%s has no message with the index, or name, that the record gives", f.schemaName)}
}
