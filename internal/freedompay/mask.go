package freedompay

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"paylink/internal/payment"
)

// maxDescription is how much of the gateway's words we keep, in characters.
const maxDescription = 256

// stars stand for what nobody shall read.
const stars = "***"

// cleanDescription makes the gateway's words fit for logs and outcomes: the
// secret and the intent's personal values are masked, what does not print
// becomes a blank, and the rest is cut. The order matters: a cut or a blank
// must not save half of a phone number from the mask.
func cleanDescription(s string, in payment.Intent, secret payment.Secret) string {
	if s == "" {
		return ""
	}
	s = maskFold(s, secret.Reveal())
	for _, p := range in.Params {
		if f := payment.FieldNamed(p.Name); f == nil || !f.Personal {
			continue
		}
		s = maskFold(s, p.Value)
		s = maskFold(s, url.QueryEscape(p.Value))
		if p.Name == "user_phone" {
			s = maskPhone(s, p.Value)
		}
	}
	return cut(strings.Map(printable, s))
}

func printable(r rune) rune {
	if unicode.IsPrint(r) {
		return r
	}
	return ' '
}

func cut(s string) string {
	if utf8.RuneCountInString(s) <= maxDescription {
		return s
	}
	return string([]rune(s)[:maxDescription-1]) + "…"
}

// maskFold replaces every occurrence of old, in upper or lower case.
func maskFold(s, old string) string {
	if old == "" || len(s) < len(old) {
		return s
	}
	var b strings.Builder
	for s != "" {
		if len(s) >= len(old) && strings.EqualFold(s[:len(old)], old) {
			b.WriteString(stars)
			s = s[len(old):]
			continue
		}
		_, n := utf8.DecodeRuneInString(s)
		b.WriteString(s[:n])
		s = s[n:]
	}
	return b.String()
}

// maskPhone replaces whatever spells the number with other punctuation or
// another prefix, like "+7 (777) 777-77-77" or "8 777…": every run of digits
// and punctuation that holds its last ten digits.
func maskPhone(s, phone string) string {
	needle := phone[max(0, len(phone)-10):]
	var b strings.Builder
	for s != "" {
		n := strings.IndexFunc(s, func(r rune) bool { return !inNumber(r) })
		if n < 0 {
			n = len(s)
		}
		if n > 0 {
			b.WriteString(maskRun(s[:n], needle))
		} else {
			_, n = utf8.DecodeRuneInString(s)
			b.WriteString(s[:n])
		}
		s = s[n:]
	}
	return b.String()
}

// inNumber reports whether a character may stand inside a written number.
func inNumber(r rune) bool {
	return r >= '0' && r <= '9' || unicode.IsSpace(r) || unicode.Is(unicode.Pd, r) || strings.ContainsRune("+().", r)
}

func maskRun(run, needle string) string {
	digits := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, run)
	if needle == "" || !strings.Contains(digits, needle) {
		return run
	}
	left := run[:len(run)-len(strings.TrimLeft(run, " "))]
	right := run[len(strings.TrimRight(run, " ")):]
	return left + stars + right
}
