package event

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"paylink/internal/payment"
)

// A quick judge tells, cheaply, values that keep every rule of their field. What
// it does not tell is judged by payment.Field.Check, which alone says what is
// wrong: so it may know less than the rules, and never more. FuzzQuick holds it
// to that.
type quick struct {
	max       int        // characters; 0: no rule
	class     *[128]bool // of the pattern; nil: no pattern
	min, top  int        // characters that the pattern takes; top -1: any number
	hopeless  bool       // a rule that is not told quickly
	low, high int64      // bounds of a number, in hundredths
	frac      int
}

func quickOf(f *payment.Field) quick {
	q := quick{max: f.MaxChars, hopeless: len(f.Enum) > 0 && (f.Pattern != nil || f.MaxChars > 0)}
	if f.Pattern != nil {
		q.class, q.min, q.top = classOf(f.Pattern)
		q.hopeless = q.hopeless || q.class == nil
	}
	if f.Kind == payment.Number || f.Kind == payment.Integer {
		var okLow, okHigh bool
		q.low, okLow = hundredths(f.Min, 2)
		q.high, okHigh = hundredths(f.Max, 2)
		q.hopeless = q.hopeless || !okLow || !okHigh
		if f.Kind == payment.Number {
			q.frac = 2 // of no rule, or a wider one, less is told
			if f.MaxFrac == 1 {
				q.frac = 1
			}
		}
	}
	return q
}

// keeps reports whether a value surely keeps every rule of the field.
func (q *quick) keeps(f *payment.Field, v string) bool {
	if q.hopeless || q.max > 0 && len(v) > q.max { // bytes, which are at least as many as characters
		return false
	}
	switch f.Kind {
	case payment.Text:
		if len(f.Enum) > 0 {
			return slices.Contains(f.Enum, v)
		}
		return q.plain(v)
	case payment.Flag:
		return v == "0" || v == "1"
	case payment.Digits:
		n, ok := hundredths(v, 0)
		return ok && n > 0
	case payment.Number, payment.Integer:
		n, ok := hundredths(v, q.frac)
		return ok && n >= q.low && n <= q.high
	case payment.URL:
		return plainURL(v)
	case payment.Email:
		return plainEmail(v)
	}
	return false
}

// plain reports whether a text is printable ASCII and, if there is a pattern,
// matches it.
func (q *quick) plain(v string) bool {
	if q.class == nil {
		for i := range len(v) {
			if v[i] < ' ' || v[i] >= 0x7f {
				return false
			}
		}
		return true
	}
	if len(v) < q.min || q.top >= 0 && len(v) > q.top {
		return false
	}
	for i := range len(v) {
		if v[i] >= 0x80 || !q.class[v[i]] {
			return false
		}
	}
	return true
}

// classOf takes a pattern of the form ^[class]{min,max}$ apart. Nil: it has
// another form.
func classOf(re *regexp.Regexp) (class *[128]bool, least, most int) {
	p, err := syntax.Parse(re.String(), syntax.Perl)
	if err != nil || p.Op != syntax.OpConcat || len(p.Sub) != 3 || p.Sub[0].Op != syntax.OpBeginText || p.Sub[2].Op != syntax.OpEndText {
		return nil, 0, 0
	}
	body := p.Sub[1]
	switch body.Op {
	case syntax.OpPlus:
		least, most = 1, -1
	case syntax.OpRepeat:
		least, most = body.Min, body.Max
	default:
		return nil, 0, 0
	}
	if chars := body.Sub[0]; chars.Op == syntax.OpCharClass {
		class = new([128]bool)
		for i := 0; i < len(chars.Rune); i += 2 {
			for c := chars.Rune[i]; c <= chars.Rune[i+1] && c < 128; c++ {
				class[c] = true
			}
		}
	}
	return class, least, most
}

// hundredths reads a plain decimal of at most 15 whole digits and frac more.
func hundredths(v string, frac int) (n int64, ok bool) {
	whole, rest, point := strings.Cut(v, ".")
	if whole == "" || len(whole) > 15 || len(whole) > 1 && whole[0] == '0' || point && rest == "" || len(rest) > frac {
		return 0, false
	}
	for _, part := range [2]string{whole, rest} {
		for i := range len(part) {
			if part[i] < '0' || part[i] > '9' {
				return 0, false
			}
			n = 10*n + int64(part[i]-'0')
		}
	}
	for i := len(rest); i < 2; i++ {
		n *= 10
	}
	return n, true
}

// plainURL knows http(s)://host and a path and query of plain letters.
func plainURL(v string) bool {
	rest, ok := strings.CutPrefix(v, "https://")
	if !ok {
		if rest, ok = strings.CutPrefix(v, "http://"); !ok {
			return false
		}
	}
	i := 0
	for i < len(rest) && (alphanumeric(rest[i]) || rest[i] == '.' || rest[i] == '-') {
		i++
	}
	if i == 0 || i < len(rest) && rest[i] != '/' {
		return false
	}
	for ; i < len(rest); i++ {
		if c := rest[i]; !alphanumeric(c) && strings.IndexByte("/._~-?=&", c) < 0 {
			return false
		}
	}
	return true
}

// plainEmail knows words of plain letters with single dots between them, on
// both sides of the sign.
func plainEmail(v string) bool {
	local, domain, ok := strings.Cut(v, "@")
	return ok && dotted(local) && dotted(domain)
}

func dotted(s string) bool {
	word := false
	for i := range len(s) {
		switch c := s[i]; {
		case c == '.' && word:
			word = false
		case alphanumeric(c) || c == '_' || c == '-':
			word = true
		default:
			return false
		}
	}
	return word
}

func alphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}
