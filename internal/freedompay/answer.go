package freedompay

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
)

// Bounds of an answer beside its size. The gateway's own need depth 2 and
// about twenty fields.
const (
	maxDepth  = 16
	maxFields = 2000
)

// Why a body is no message. None of them quotes the body.
var (
	errEmpty  = errors.New("the answer is empty")
	errHTML   = errors.New("the answer is HTML")
	errBroken = errors.New("the answer is no well-formed XML message")
)

// A message is the top-level fields of an answer.
type message []Field

// parse reads an XML message, whatever its root is called, in UTF-8 or in the
// charset that its declaration names. Values are
// kept as they are, blanks included, since they are hashed. Attributes,
// comments and namespaces are ignored; a document type, text between elements
// and anything after the root make the message broken.
func parse(body []byte) (message, error) {
	body = bytes.TrimPrefix(body, []byte(markUTF8))
	if start := bytes.TrimLeft(body, " \t\r\n"); len(start) == 0 {
		return nil, errEmpty
	} else if looksLikeHTML(start) {
		return nil, errHTML
	}
	d := xml.NewDecoder(bytes.NewReader(plainDeclaration(body)))
	d.CharsetReader = charsetReader
	var t tree
	for {
		tok, err := d.Token()
		if err == io.EOF && t.done {
			return t.root, nil
		}
		if err != nil {
			return nil, errBroken
		}
		if !t.add(tok) {
			return nil, errBroken
		}
	}
}

func looksLikeHTML(start []byte) bool {
	for _, tag := range []string{"<!doctype html", "<html"} {
		if len(start) >= len(tag) && bytes.EqualFold(start[:len(tag)], []byte(tag)) {
			return true
		}
	}
	return false
}

// A tree grows from the tokens of a document.
type tree struct {
	open  []element // from the root inwards
	count int
	root  message
	done  bool // the root is closed
}

type element struct {
	name   string
	text   []byte
	fields []Field
}

// add takes the next token, and reports whether the document may go on so.
func (t *tree) add(tok xml.Token) bool {
	switch tok := tok.(type) {
	case xml.StartElement:
		t.count++
		t.open = append(t.open, element{name: tok.Name.Local})
		return !t.done && len(t.open) <= maxDepth && t.count <= maxFields
	case xml.CharData:
		if len(t.open) == 0 {
			return blank(tok)
		}
		top := &t.open[len(t.open)-1]
		top.text = append(top.text, tok...)
	case xml.EndElement:
		return t.close()
	case xml.Directive:
		return false
	}
	return true
}

// close turns the innermost open element into a field of its parent.
func (t *tree) close() bool {
	e := t.open[len(t.open)-1]
	t.open = t.open[:len(t.open)-1]
	if len(t.open) == 0 {
		t.root, t.done = e.fields, true
		return blank(e.text)
	}
	f := Field{Name: e.name, Fields: e.fields}
	if len(e.fields) == 0 {
		f.Value = string(e.text)
	} else if !blank(e.text) {
		return false
	}
	parent := &t.open[len(t.open)-1]
	parent.fields = append(parent.fields, f)
	return true
}

func blank(text []byte) bool { return len(bytes.TrimLeft(text, " \t\r\n")) == 0 }

// value returns the text of a field that stands exactly once at the top and
// has no fields of its own; otherwise "", as for an empty one. A message that
// says a thing twice says nothing.
func (m message) value(name string) string {
	v, n := "", 0
	for i := range m {
		if m[i].Name == name && len(m[i].Fields) == 0 {
			v, n = m[i].Value, n+1
		}
	}
	if n != 1 {
		return ""
	}
	return v
}

// hasSignature reports whether the message claims to be signed. An empty
// pg_sig claims nothing: whoever could empty it could have left it out.
func (m message) hasSignature() bool {
	for i := range m {
		if m[i].Name == sigName && (m[i].Value != "" || len(m[i].Fields) > 0) {
			return true
		}
	}
	return false
}
