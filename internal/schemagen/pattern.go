package schemagen

import (
	"fmt"
	"strconv"
	"strings"

	"paylink/internal/payment"
)

// digitsPattern matches whole numbers from 1 of at most n digits.
func digitsPattern(n int) string { return fmt.Sprintf("^[1-9][0-9]{0,%d}$", n-1) }

// textPattern is the pattern of a text: the table's, or the control characters
// that it must not hold. Escapes beyond \xFF are not the same in all the dialects
// of JSON Schema's readers, so what lies there is left to the service.
func (f field) textPattern() string {
	switch {
	case f.Pattern != nil:
		return f.Pattern.String()
	case f.Kind != payment.Text || len(f.Enum) > 0:
		return ""
	case f.Lines:
		return linesPattern
	}
	return controlsPattern
}

// Texts without control characters; the first may hold tab and line ends.
const (
	linesPattern    = `^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$`
	controlsPattern = `^[^\x00-\x1f\x7f-\x9f]*$`
)

// urlPattern matches http and https URLs with a host, no user name and a port
// that can be.
func urlPattern() string {
	const unseen = `\x00-\x20\x7f-\xa0`
	port := "(:(0*(" + strings.Join(wholeRange("1", "65535"), "|") + "))?)?"
	return `^[hH][tT][tT][pP][sS]?://(\[[0-9a-fA-F:.]+\]|[^/?#@:\[\]\\` + unseen + `]+)` + port + `([/?#][^` + unseen + `]*)?$`
}

// decimalPattern matches the plain decimals within a field's bounds, so that a
// text is judged as a number is.
func decimalPattern(f field) string {
	low, high := f.Min, f.Max
	frac := `(\.[0-9]+)?`
	if f.MaxFrac > 0 {
		frac = fmt.Sprintf(`(\.[0-9]{1,%d})?`, f.MaxFrac)
	}
	zeros := strings.Replace(frac, "[0-9]", "0", 1)
	var parts []string
	if f.Kind == payment.Integer {
		return "^(" + strings.Join(wholeRange(low, high), "|") + ")$"
	}
	if whole, fraction, ok := strings.Cut(low, "."); ok {
		parts = append(parts, whole+leastFraction(fraction, f.MaxFrac))
		low = "1"
	}
	below := strconv.Itoa(atoi(high) - 1)
	parts = append(parts, "("+strings.Join(wholeRange(low, below), "|")+")"+frac, high+zeros)
	return "^(" + strings.Join(parts, "|") + ")$"
}

// leastFraction matches fractions that are not zero. Other lower bounds than
// the smallest there is are not needed yet.
func leastFraction(fraction string, digits int) string {
	if fraction != strings.Repeat("0", digits-1)+"1" || digits != 2 {
		panic("schemagen: no pattern for a lower bound with the fraction " + fraction)
	}
	return `\.(0[1-9]|[1-9][0-9]?)`
}

func atoi(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic("schemagen: bound " + s + " is no whole number")
	}
	return n
}

// wholeRange returns patterns that together match the whole numbers from low to
// high, without leading zeros.
func wholeRange(low, high string) []string {
	var out []string
	for from, to := atoi(low), atoi(high); from <= to; {
		end := stepEnd(from, to)
		out = append(out, sameLength(strconv.Itoa(from), strconv.Itoa(end)))
		from = end + 1
	}
	return out
}

// stepEnd is the end of the longest run from a number that one pattern matches:
// a common head, one range of digits, then any digits.
func stepEnd(from, to int) int {
	best := from
	for tens := 1; from%tens == 0; tens *= 10 {
		for k := 10 - from/tens%10; k >= 1; k-- {
			if end := from + k*tens - 1; end <= to {
				best = max(best, end)
				break
			}
		}
	}
	return best
}

// sameLength matches from..to, which share a head and end in zeros and nines.
func sameLength(from, to string) string {
	i := 0
	for i < len(from) && from[i] == to[i] {
		i++
	}
	if i == len(from) {
		return from
	}
	p := from[:i] + fmt.Sprintf("[%c-%c]", from[i], to[i])
	switch rest := len(from) - i - 1; rest {
	case 0:
	case 1:
		p += "[0-9]"
	default:
		p += fmt.Sprintf("[0-9]{%d}", rest)
	}
	return p
}
