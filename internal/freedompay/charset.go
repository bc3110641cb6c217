package freedompay

import (
	"bytes"
	"cmp"
	"io"
	"mime"
	"net/http"
	"regexp"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html/charset"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/unicode"
)

// markUTF8 is the byte order mark of UTF-8.
const markUTF8 = "\xef\xbb\xbf"

// charsetReader reads XML whose declaration names another charset than UTF-8.
// What others call UTF-8 or ASCII goes through as it is: the tokenizer sees to
// it that it is UTF-8.
func charsetReader(label string, in io.Reader) (io.Reader, error) {
	if isUTF8(label) {
		return in, nil
	}
	return charset.NewReaderLabel(label, in)
}

// isUTF8 reports whether a label is one of UTF-8 or ASCII, or of UTF-16, which is
// UTF-8 by then, see inUTF8.
func isUTF8(label string) bool {
	switch strings.ToLower(strings.ReplaceAll(strings.ReplaceAll(label, "-", ""), "_", "")) {
	case "utf8", "ascii", "usascii", "utf16", "utf16le", "utf16be":
		return true
	}
	return false
}

// declaration is how XML may begin: with a version, and perhaps a charset.
var declaration = regexp.MustCompile(`\A\s*<\?xml\s+version\s*=\s*["']1\.[0-9]["'](?:\s+encoding\s*=\s*["']([A-Za-z0-9._:-]*)["'])?[^<>]*\?>`)

// declared returns the charset that XML names; "" if it names none.
func declared(body []byte) string {
	if d := declaration.FindSubmatch(body); d != nil {
		return string(d[1])
	}
	return ""
}

// plainDeclaration writes the declaration of XML as the tokenizer reads it: of version
// 1.0, without blanks around "=". What version 1.1 adds is not in any message.
func plainDeclaration(body []byte) []byte {
	if bytes.HasPrefix(body, []byte(`<?xml version="1.0" encoding="`)) {
		return body // as nearly all do
	}
	d := declaration.Find(body)
	if d == nil {
		return body
	}
	return append([]byte(`<?xml version="1.0" encoding="`+cmp.Or(declared(body), "utf-8")+`"?>`), body[len(d):]...)
}

// utf16Of returns UTF-16 as a body is written in it: by its mark, or by its first
// character, which is "<". nil: it is not.
func utf16Of(body []byte) encoding.Encoding {
	first := string(body[:min(len(body), 2)])
	switch first {
	case "\xff\xfe", "\xfe\xff":
		return unicode.UTF16(unicode.BigEndian, unicode.ExpectBOM)
	case "<\x00":
		return unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM)
	case "\x00<":
		return unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)
	}
	return nil
}

// inUTF8 returns a body in UTF-8, as far as that can be known before it is read:
// UTF-16, and a charset that only the header names.
func inUTF8(h http.Header, body []byte) []byte {
	if order := utf16Of(body); order != nil {
		if text, err := order.NewDecoder().Bytes(body); err == nil {
			return text
		}
		return body
	}
	if label := declared(body); utf8.Valid(body) || label != "" && !isUTF8(label) {
		return body
	}
	_, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || params["charset"] == "" {
		return body
	}
	if e, _ := charset.Lookup(params["charset"]); e != nil {
		if text, err := e.NewDecoder().Bytes(body); err == nil {
			return text
		}
	}
	return body
}
