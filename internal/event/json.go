package event

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"paylink/internal/payment"
)

// maxDepth bounds the nesting of JSON, unknown fields included.
const maxDepth = 64

// A jsonReader reads one JSON object after the other, token by token: no
// reflection, no float, no tree.
type jsonReader struct {
	dec jsontext.Decoder
	in  bytes.Buffer // jsontext reads a bytes.Buffer in place
	src []byte
	key []byte // room for names with escapes
}

// start begins to read. Repeated names pass the tokenizer, because they are
// violations of fields and not the end of reading.
func (r *jsonReader) start(src []byte) {
	r.src = src
	r.in = *bytes.NewBuffer(src[:len(src):len(src)])
	r.dec.Reset(&r.in, jsontext.AllowDuplicateNames(true))
}

func (r *jsonReader) release() { r.start(nil) }

// readJSON reads a record's value: the intent itself, or a CloudEvents envelope
// that holds it. The envelope is returned, zero if there is none.
func (d *Decoder) readJSON(k *scratch, m Message) (envelope, error) {
	if err := otherThanJSON(m); err != nil {
		return envelope{}, err
	}
	env := envelope{declared: declaresEnvelope(m)}
	if err := d.readObject(k, m.Value, &env); err != nil {
		return envelope{}, err
	}
	if !env.holdsIntent(k.draft.said[d.idField].met) {
		return envelope{}, nil
	}
	data, err := env.intent()
	if err != nil {
		return envelope{}, err
	}
	k.draft.restart()
	k.draft.forgetOthers() // the envelope and its data are two scopes
	return env, d.readObject(k, data, nil)
}

// readObject reads src, which must be one JSON object, into the draft.
func (d *Decoder) readObject(k *scratch, src []byte, env *envelope) error {
	r := &k.json
	r.start(src)
	if r.dec.PeekKind() != '{' || bytes.HasPrefix(src, []byte("{\x00")) {
		return r.notObject()
	}
	if _, err := r.dec.ReadToken(); err != nil {
		return notJSON(err)
	}
	for r.dec.PeekKind() != '}' {
		if err := d.readMember(k, env); err != nil {
			return notJSON(err)
		}
	}
	if _, err := r.dec.ReadToken(); err != nil {
		return notJSON(err)
	}
	if _, err := r.dec.ReadToken(); !errors.Is(err, io.EOF) {
		return &Unreadable{NotJSON, fmt.Sprintf("there is more after the JSON object, at byte %d", r.dec.InputOffset())}
	}
	return nil
}

func (d *Decoder) readMember(k *scratch, env *envelope) error {
	name, err := k.json.name()
	if err != nil {
		return err
	}
	i, ours := d.names[string(name)]
	if !ours {
		k.draft.other(name)
		return k.json.other(name, env)
	}
	if !k.draft.meet(i) {
		return k.json.skip()
	}
	return k.json.field(&k.draft, i)
}

// name reads the name of a member. It is valid until the next name is read.
func (r *jsonReader) name() ([]byte, error) {
	raw, err := r.dec.ReadValue()
	if err != nil {
		return nil, err
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1], nil
	}
	r.key, err = jsontext.AppendUnquote(r.key[:0], raw)
	return r.key, err
}

// other skips a member that is no field of ours; an envelope may want it.
func (r *jsonReader) other(name []byte, env *envelope) error {
	kind, raw, err := r.raw()
	if err == nil && env != nil {
		env.note(name, kind, raw)
	}
	return err
}

// field reads the value of a field, if its JSON type is one that its kind accepts.
func (r *jsonReader) field(dr *draft, i int) error {
	kind := r.dec.PeekKind()
	want := payment.Fields[i].Kind
	switch {
	case kind == 'n':
		return r.skip()
	case kind == '{' && want == payment.Pairs:
		return r.pairs(dr, i)
	case kind == '[' && want == payment.Pairs && r.emptyArray():
		return r.skip() // what PHP makes of an array without entries
	case kind == '{' || kind == '[' || kind == 0:
		return r.wrongType(dr, i)
	}
	raw, err := r.dec.ReadValue()
	if err != nil {
		return err
	}
	switch {
	case len(raw) == 2 && kind == '"': // "" is absent, whatever the type
	case kind == '"' && takesString(want):
		from := len(dr.text)
		dr.text, err = jsontext.AppendUnquote(dr.text, raw)
		dr.keep(i, from)
		return err
	case kind == '0' && takesNumber(want):
		dr.put(i, raw)
	case kind == 't' && want == payment.Flag:
		dr.put(i, []byte("1"))
	case kind == 'f' && want == payment.Flag:
		dr.put(i, []byte("0"))
	default:
		dr.put(i, raw)
		dr.breaks(i, typeRule(want, kind))
	}
	return nil
}

func (r *jsonReader) wrongType(dr *draft, i int) error {
	kind, raw, err := r.raw()
	if err != nil {
		return err
	}
	dr.put(i, raw)
	dr.breaks(i, typeRule(payment.Fields[i].Kind, kind))
	return nil
}

// pairs reads an object of strings.
func (r *jsonReader) pairs(dr *draft, i int) error {
	if _, err := r.dec.ReadToken(); err != nil {
		return err
	}
	for r.dec.PeekKind() != '}' {
		name, err := r.name()
		if err != nil {
			return err
		}
		p := pair{key: span{from: len(dr.text)}}
		dr.text = append(dr.text, name...)
		p.key.to = len(dr.text)
		if kind := r.dec.PeekKind(); kind != '"' {
			dr.breaks(i, "must be an object of strings, holds "+kindName(kind))
			if err := r.skip(); err != nil {
				return err
			}
			continue
		}
		raw, err := r.dec.ReadValue()
		if err != nil {
			return err
		}
		p.value.from = len(dr.text)
		if dr.text, err = jsontext.AppendUnquote(dr.text, raw); err != nil {
			return err
		}
		p.value.to = len(dr.text)
		dr.pair(i, p)
	}
	_, err := r.dec.ReadToken()
	return err
}

// emptyArray reports whether the value that comes is [].
func (r *jsonReader) emptyArray() bool {
	inside, array := bytes.CutPrefix(bytes.TrimLeft(r.src[r.dec.InputOffset():], ": \t\r\n"), []byte("["))
	return array && bytes.HasPrefix(bytes.TrimLeft(inside, " \t\r\n"), []byte("]"))
}

// raw skips a value and returns it as it was written.
func (r *jsonReader) raw() (jsontext.Kind, []byte, error) {
	kind, from := r.dec.PeekKind(), r.dec.InputOffset()
	if err := r.skip(); err != nil {
		return kind, nil, err
	}
	return kind, bytes.TrimLeft(r.src[from:r.dec.InputOffset()], ": \t\r\n"), nil
}

var errTooDeep = fmt.Errorf("JSON is nested deeper than %d levels", maxDepth)

// skip reads over a value. Unlike jsontext's own SkipValue it is bounded in depth.
func (r *jsonReader) skip() error {
	for depth := r.dec.StackDepth(); ; {
		if _, err := r.dec.ReadToken(); err != nil {
			return err
		}
		now := r.dec.StackDepth()
		if now > maxDepth {
			return errTooDeep
		}
		if now <= depth {
			return nil
		}
	}
}

// beginnings are those of values that are something else than JSON.
var beginnings = []struct{ prefix, is string }{
	{"\xef\xbb\xbf", "the value starts with a byte order mark; emit UTF-8 without it"},
	{"\xff\xfe", "the value is UTF-16; emit JSON in UTF-8"},
	{"\xfe\xff", "the value is UTF-16; emit JSON in UTF-8"},
	{"\x00{\x00", "the value is UTF-16; emit JSON in UTF-8"},
	{"{\x00", "the value is UTF-16; emit JSON in UTF-8"},
	{"\x00", "the value starts with a zero byte, as the framing of a schema registry does; emit plain JSON"},
	{"\xc3\x01", "the value is in Avro's single-object encoding, which names no schema of the registry; use a serializer of Confluent's format, or emit plain JSON"},
	{"Obj\x01", "the value is an Avro file; use a serializer of Confluent's format, or emit plain JSON"},
	{"\x1f\x8b", "the value is compressed with gzip; emit plain JSON, and let the producer's compression.type compress"},
	{"\x28\xb5\x2f\xfd", "the value is compressed with zstd; emit plain JSON, and let the producer's compression.type compress"},
	{"\x04\x22\x4d\x18", "the value is compressed with lz4; emit plain JSON, and let the producer's compression.type compress"},
	{"\x82SNAPPY", "the value is compressed with snappy; emit plain JSON, and let the producer's compression.type compress"},
	{"\xff\x06\x00\x00sNaPpY", "the value is compressed with snappy; emit plain JSON, and let the producer's compression.type compress"},
	{"\xac\xed\x00\x05", "the value is a serialized Java object; emit JSON"},
	{"<", "the value is XML or HTML; emit JSON"},
}

// notObject says what else than an object the record holds.
func (r *jsonReader) notObject() error {
	for _, b := range beginnings {
		if bytes.HasPrefix(r.src, []byte(b.prefix)) {
			return &Unreadable{NotJSON, b.is}
		}
	}
	kind, _, err := r.raw()
	is := kindOfText(r.src)
	switch {
	case errors.Is(err, io.EOF):
		return &Unreadable{NotJSON, "the value holds nothing but white space"}
	case is != "":
		return &Unreadable{NotJSON, is}
	case err == nil && kind == '[':
		return &Unreadable{NotJSON, "the value is an array, not a JSON object; emit every intent as a record of its own"}
	case err != nil:
		return notJSON(err)
	}
	return &Unreadable{NotJSON, "the value is " + kindName(kind) + ", not a JSON object"}
}

// notJSON makes a dead letter of what the tokenizer says. Its own words may
// quote the record, so only the place is kept.
func notJSON(err error) error {
	var un *Unreadable
	var syntax *jsontext.SyntacticError
	switch {
	case errors.As(err, &un):
		return un
	case errors.Is(err, errTooDeep):
		return &Unreadable{NotJSON, errTooDeep.Error()}
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &Unreadable{NotJSON, "the JSON ends too early"}
	case errors.Is(err, jsontext.ErrDuplicateName) && errors.As(err, &syntax):
		return &Unreadable{NotJSON, fmt.Sprintf("the JSON gives a name more than once, at byte %d", syntax.ByteOffset)}
	case errors.As(err, &syntax):
		return &Unreadable{NotJSON, fmt.Sprintf("the value is no valid JSON in UTF-8, at byte %d%s", syntax.ByteOffset, inside(syntax))}
	}
	return &Unreadable{NotJSON, "the value is no valid JSON in UTF-8"}
}

// inside says in which member a value breaks off being JSON, if that may be shown, and
// why, if that is what becomes of texts that are cut by UTF-16 units.
func inside(syntax *jsontext.SyntacticError) (where string) {
	var name string
	for name = range syntax.JSONPointer.Tokens() {
	}
	if namelike.MatchString(name) {
		where = ", in " + name
	}
	if syntax.Err != nil && strings.HasPrefix(syntax.Err.Error(), "invalid surrogate pair") {
		where += ": there is half of a character, as where a text is cut"
	}
	return where
}

func takesString(k payment.Kind) bool { return k != payment.Flag && k != payment.Pairs }

func takesNumber(k payment.Kind) bool {
	return k == payment.Digits || k == payment.Integer || k == payment.Number || k == payment.Flag
}

// typeRule is the rule that a value of a wrong JSON type breaks.
func typeRule(want payment.Kind, is jsontext.Kind) string {
	return mustBe(want) + ", is " + kindName(is)
}

// mustBe is the rule about the type of a field.
func mustBe(want payment.Kind) string {
	switch {
	case want == payment.Pairs:
		return "must be an object of strings"
	case want == payment.Flag:
		return "must be true, false, 0 or 1"
	case takesNumber(want):
		return "must be a number or a string"
	}
	if want == payment.Time {
		return "must be a string like 2026-11-23T12:00:00Z"
	}
	return "must be a string"
}

func kindName(k jsontext.Kind) string {
	switch k {
	case 'n':
		return "null"
	case 't', 'f':
		return "a boolean"
	case '0':
		return "a number"
	case '"':
		return "a string"
	case '{':
		return "an object"
	case '[':
		return "an array"
	}
	return "nothing readable"
}
