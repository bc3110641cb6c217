package explain

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"paylink/internal/kafkaops"
)

// needles are what ids look like in the bytes of a record.
type needles [][]byte

// of adds a text as plain JSON, Avro, Protobuf and headers have it, and as usual
// encoders of JSON escape it.
func (n *needles) of(text string) {
	n.add([]byte(text))
	for _, e := range []string{goJSON(text), escaped(text, `\u%04x`, true), escaped(text, `\u%04x`, false), escaped(text, `\u%04X`, true), escaped(text, `\u%04X`, false)} {
		n.add([]byte(e))
	}
}

// number adds a number as text, and as the varints of Avro and Protobuf.
func (n *needles) number(v int64) {
	n.add(strconv.AppendInt(nil, v, 10))
	if v >= 1<<20 { // a shorter one is everywhere; the thorough search finds it
		n.add(binary.AppendVarint(nil, v))
		n.add(binary.AppendUvarint(nil, uint64(v)))
	}
}

func (n *needles) add(b []byte) {
	if len(b) > 0 && !n.holds(b) {
		*n = append(*n, b)
	}
}

// holds reports whether whatever holds b holds one of the needles as well.
func (n needles) holds(b []byte) bool {
	return slices.ContainsFunc(n, func(x []byte) bool { return bytes.Contains(b, x) })
}

// sieve lets through what holds one of them.
func (n needles) sieve() kafkaops.Sieve { return n.holds }

// everything is the sieve of a thorough search.
func everything([]byte) bool { return true }

// goJSON is a text as Go's encoder escapes it, which has HTML in mind.
func goJSON(text string) string {
	b, err := json.Marshal(text)
	if err != nil {
		return text
	}
	return strings.Trim(string(b), `"`)
}

// escaped is a text whose letters beyond ASCII are escaped, as PHP and Python do,
// and its slashes, as PHP does.
func escaped(text, form string, slash bool) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '/' && slash:
			b.WriteString(`\/`)
		case r == '"' || r == '\\':
			b.WriteString(`\` + string(r))
		case r < 0x20 || r > 0x7e && r <= 0xffff:
			fmt.Fprintf(&b, form, r)
		case r > 0xffff:
			r -= 0x10000
			fmt.Fprintf(&b, form+form, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
