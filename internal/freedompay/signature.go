package freedompay

import (
	"crypto/md5"
	"crypto/subtle"
	"encoding/hex"
	"slices"
	"strings"

	"paylink/internal/payment"
)

// sigName is the one field that is not hashed: it holds the signature.
const sigName = "pg_sig"

// A Field is one field of a message: a value, or nested fields.
type Field struct {
	Name   string
	Value  string  // exactly as on the wire; not used if there are nested Fields
	Fields []Field // nested fields, in the order of the message
}

// Base returns the string that is hashed: the script, every value and the
// secret, joined with semicolons. It is a secret itself: never show it.
//
// Values come in byte order of the field names, those of the same name in the
// order of the message; nested fields follow the same rule in the place of
// their parent. The field pg_sig itself is left out, empty values are kept.
func Base(script string, fields []Field, secret payment.Secret) string {
	return string(appendBase(nil, script, fields, secret))
}

// Sign returns the signature of a message, the value of its field pg_sig: the
// MD5 of Base in lower-case hex.
func Sign(script string, fields []Field, secret payment.Secret) string {
	sum := digest(script, fields, secret)
	return string(sum[:])
}

// Verify reports whether a message that holds pg_sig, exactly once, is signed
// with the secret. The comparison takes the same time wherever signatures differ.
func Verify(script string, fields []Field, secret payment.Secret) bool {
	sig, n := "", 0
	for _, f := range fields {
		if f.Name == sigName && len(f.Fields) == 0 {
			sig, n = f.Value, n+1
		}
	}
	want := digest(script, fields, secret)
	return n == 1 && subtle.ConstantTimeCompare([]byte(sig), want[:]) == 1
}

// Script returns the name that signatures start with: the last path segment of
// the called URL, up to "?". It is empty for a URL that ends in a slash.
func Script(url string) string {
	path, _, _ := strings.Cut(url, "?")
	return path[strings.LastIndexByte(path, '/')+1:]
}

func digest(script string, fields []Field, secret payment.Secret) (sum [2 * md5.Size]byte) {
	var room [4096]byte // more than most messages need
	raw := md5.Sum(appendBase(room[:0], script, fields, secret))
	hex.Encode(sum[:], raw[:])
	return sum
}

func appendBase(b []byte, script string, fields []Field, secret payment.Secret) []byte {
	b = slices.Grow(b, len(script)+size(fields)+1+len(secret))
	b = append(b, script...)
	b = appendValues(b, fields, sigName)
	b = append(b, ';')
	return append(b, secret.Reveal()...)
}

// appendValues appends a semicolon and the value for every field but the
// skipped one. An element without fields or text is an empty value.
func appendValues(b []byte, fields []Field, skip string) []byte {
	var room [64]int
	for _, i := range inOrder(fields, room[:0]) {
		f := &fields[i]
		switch {
		case f.Name == skip && skip != "":
		case len(f.Fields) > 0:
			b = appendValues(b, f.Fields, "")
		default:
			b = append(b, ';')
			b = append(b, f.Value...)
		}
	}
	return b
}

// size returns how long the values of fields are, semicolons included.
func size(fields []Field) int {
	n := 0
	for i := range fields {
		n += 1 + len(fields[i].Value) + size(fields[i].Fields)
	}
	return n
}

// inOrder appends the indexes of fields in byte order of their names, equal
// names in the order of the message.
func inOrder(fields []Field, order []int) []int {
	for i := range fields {
		order = append(order, i)
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return strings.Compare(fields[a].Name, fields[b].Name)
	})
	return order
}
