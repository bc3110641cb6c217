package event

import (
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/twmb/avro"

	"paylink/internal/payment"
	"paylink/schemas"
)

// Writers with a schema of their own name the fields as we do, and give them
// types as they like. What a library reads of such a field is put into the
// draft here, as the text that JSON would have had; the rules judge it there.
// So null is absent, an enum is its symbol, a decimal is exact, and what cannot
// be an honest text of the field is a violation that says what it is.

// Values of a foreign field that Go has no type of its own for.
type (
	plainDecimal string // exact, with the digits of its scale
	oddity       string // says what it is: nothing that a field of ours can be
)

// notIntent says why a record of that name is no intent, whatever its fields:
// it is one of our outcomes, in the wrong topic.
func notIntent(fullName string) *Unreadable {
	for _, r := range schemas.Records() {
		if r != schemas.Intent && r.FullName() == fullName {
			return &Unreadable{UnknownSchema, fmt.Sprintf("is %s, an outcome and no intent", fullName)}
		}
	}
	return nil
}

// putForeign takes what a writer gave for a field: nil, bool, int64, uint64, float32,
// float64, string, []byte, time.Time, map[string]any, []any, or one of the above.
func (dr *draft) putForeign(field int, v any) {
	dr.said[field].met = true
	want := payment.Fields[field].Kind
	switch v := v.(type) {
	case nil:
	case string:
		dr.putIf(field, takesString(want), v, "a string")
	case bool:
		dr.putIf(field, want == payment.Flag, flagOr(v, want), "a boolean")
	case int64:
		dr.putWhole(field, strconv.FormatInt(v, 10))
	case uint64:
		dr.putWhole(field, strconv.FormatUint(v, 10))
	case float32:
		dr.putFloat(field, float64(v), 32)
	case float64:
		dr.putFloat(field, v, 64)
	case plainDecimal:
		dr.putIf(field, takesNumber(want), decimalFor(want, string(v)), "a decimal")
	case time.Time:
		dr.putIf(field, want == payment.Time, v.UTC().Format(time.RFC3339Nano), "a time")
	case []byte:
		dr.putBytes(field, v)
	case oddity:
		dr.putIf(field, false, string(v), string(v))
	case map[string]any:
		dr.putObject(field, v)
	case []any:
		dr.putList(field, v)
	default:
		dr.putIf(field, false, printed(v), "of a type that is not known")
	}
}

// putIf puts a text that the field takes; if it does not, that is a broken rule.
// An empty text is absent, whatever the type.
func (dr *draft) putIf(field int, takes bool, text, is string) {
	if text == "" {
		return
	}
	dr.putText(field, text)
	if !takes {
		dr.breaks(field, mustBe(payment.Fields[field].Kind)+", is "+is)
	}
}

func flagOr(v bool, want payment.Kind) string {
	if want != payment.Flag {
		return strconv.FormatBool(v)
	}
	return map[bool]string{true: "1", false: "0"}[v]
}

func (dr *draft) putWhole(field int, text string) {
	want := payment.Fields[field].Kind
	is := "a number"
	if want == payment.Time {
		is = "a number, which does not say its unit; give it a type that does, such as timestamp-millis or google.protobuf.Timestamp"
	}
	dr.putIf(field, takesNumber(want), text, is)
}

// putFloat puts a floating-point number if its shortest text is what was meant
// for certain: at most two digits after the point, and no other such number
// has the same bits.
func (dr *draft) putFloat(field int, v float64, bits int) {
	want := payment.Fields[field].Kind
	text := strconv.FormatFloat(v, 'f', -1, bits)
	dr.putIf(field, takesNumber(want), text, "a floating-point number")
	if _, frac, _ := strings.Cut(text, "."); takesNumber(want) && (len(frac) > 2 || !exactToHundredths(v, bits)) {
		dr.breaks(field, "must be exact at two decimals, and this floating-point number is not; write numbers as text or as a decimal")
	}
}

// exactToHundredths reports whether every two hundredths near v have bits of
// their own.
func exactToHundredths(v float64, bits int) bool {
	v = math.Abs(v)
	next := math.Nextafter(v, math.Inf(1))
	if bits == 32 {
		next = float64(math.Nextafter32(float32(v), float32(math.Inf(1))))
	}
	return next-v < 0.01 // of NaN and the infinite, false
}

// decimalFor drops the zeros that only a scale put there: all but two after the
// point of an amount, all of a whole number.
func decimalFor(want payment.Kind, text string) string {
	whole, frac, point := strings.Cut(text, ".")
	if !point {
		return text
	}
	keep := 2
	if want != payment.Number {
		keep = 0
	}
	for len(frac) > keep && frac[len(frac)-1] == '0' {
		frac = frac[:len(frac)-1]
	}
	if frac == "" {
		return whole
	}
	return whole + "." + frac
}

// decimalText is a rational number with the digits of a scale.
func decimalText(r *big.Rat, scale int) plainDecimal {
	return plainDecimal(r.FloatString(max(scale, 0)))
}

// mostScale bounds the digits after the point of a decimal: a byte may say that there
// are tens of thousands.
const mostScale = 100

// decimalOf is a decimal as Avro and Confluent write it: a whole number in two's
// complement, and where its point stands.
func decimalOf(unscaled []byte, scale int64) any {
	if scale < -mostScale || scale > mostScale {
		return oddity(fmt.Sprintf("a decimal with a scale beyond %d", mostScale))
	}
	return decimalText(avro.RatFromBytes(unscaled, int(scale)), int(scale))
}

// putBytes takes bytes for a text, as Avro itself does; a number in bytes could
// be anything.
func (dr *draft) putBytes(field int, v []byte) {
	want := payment.Fields[field].Kind
	is := "bytes"
	if takesNumber(want) {
		is = "bytes, which do not say what number they are; give them the logical type decimal"
	}
	dr.putIf(field, takesString(want) && !takesNumber(want), string(v), is)
}

// putObject takes a map, or a record, for metadata. An entry that is null is
// absent.
func (dr *draft) putObject(field int, m map[string]any) {
	if payment.Fields[field].Kind != payment.Pairs {
		dr.putIf(field, false, printed(m), "an object")
		return
	}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		dr.putEntry(field, key, m[key])
	}
}

// putList takes what Kafka Connect and ksqlDB make of a map: a list of records
// with a key and a value each.
func (dr *draft) putList(field int, list []any) {
	for _, e := range list {
		entry, _ := e.(map[string]any)
		key, isText := entry["key"].(string)
		value, has := entry["value"]
		if payment.Fields[field].Kind != payment.Pairs || !isText || !has || len(entry) != 2 {
			dr.putIf(field, false, printed(list), "an array")
			return
		}
		dr.putEntry(field, key, value)
	}
}

func (dr *draft) putEntry(field int, key string, value any) {
	switch v := value.(type) {
	case nil:
	case string:
		dr.putPair(field, key, v)
	default:
		dr.breaks(field, mustBe(payment.Pairs)+", holds something else")
	}
}

// putPair puts one entry of metadata.
func (dr *draft) putPair(field int, key, value string) {
	dr.said[field].met = true
	if !utf8.ValidString(key) || !utf8.ValidString(value) {
		dr.breaks(field, "must be valid UTF-8")
		return
	}
	p := pair{key: span{from: len(dr.text)}}
	dr.text = append(dr.text, key...)
	p.key.to = len(dr.text)
	p.value.from = len(dr.text)
	dr.text = append(dr.text, value...)
	p.value.to = len(dr.text)
	dr.pair(field, p)
}

// mostPrinted bounds the text of a value that is no honest text of its field. Only the
// digest has it; and where a schema has long names for few bytes, all of it would be
// gigabytes.
const mostPrinted = 256 << 10

// printed is what fmt.Sprint makes of a value, up to mostPrinted.
func printed(v any) string { return string(appendPrinted(nil, v)) }

func appendPrinted(b []byte, v any) []byte {
	switch v := v.(type) {
	case map[string]any:
		b = append(b, "map["...)
		for i, key := range slices.Sorted(maps.Keys(v)) {
			if len(b) >= mostPrinted {
				break
			}
			b = appendPrinted(append(appendPrinted(spaced(b, i), key), ':'), v[key])
		}
		return append(b, ']')
	case []any:
		b = append(b, '[')
		for i := 0; i < len(v) && len(b) < mostPrinted; i++ {
			b = appendPrinted(spaced(b, i), v[i])
		}
		return append(b, ']')
	case string:
		return append(b, v[:min(len(v), max(0, mostPrinted-len(b)))]...)
	}
	return fmt.Append(b, v)
}

// spaced puts a blank between elements.
func spaced(b []byte, i int) []byte {
	if i == 0 {
		return b
	}
	return append(b, ' ')
}
