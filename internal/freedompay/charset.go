package freedompay

import (
	"bytes"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html/charset"
	"golang.org/x/text/encoding/unicode"
)

// markUTF8 is the byte order mark of UTF-8.
const markUTF8 = "\xef\xbb\xbf"

// charsetReader reads XML whose declaration names another charset than UTF-8.
// What others call UTF-8 or ASCII goes through as it is: the tokenizer sees to
// it that it is UTF-8.
func charsetReader(label string, in io.Reader) (io.Reader, error) {
	switch strings.ToLower(strings.ReplaceAll(strings.ReplaceAll(label, "-", ""), "_", "")) {
	case "utf8", "ascii", "usascii", "utf16", "utf16le", "utf16be": // the last are UTF-8 by now, see inUTF8
		return in, nil
	}
	return charset.NewReaderLabel(label, in)
}

// inUTF8 returns a body in UTF-8, as far as that can be known before it is read:
// UTF-16 by its mark, and a charset that only the header names.
func inUTF8(h http.Header, body []byte) []byte {
	if bytes.HasPrefix(body, []byte("\xff\xfe")) || bytes.HasPrefix(body, []byte("\xfe\xff")) {
		if text, err := unicode.UTF16(unicode.BigEndian, unicode.ExpectBOM).NewDecoder().Bytes(body); err == nil {
			return text
		}
		return body
	}
	if utf8.Valid(body) || bytes.Contains(body[:min(len(body), 256)], []byte("encoding=")) {
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
