package payment

import (
	"errors"
	"strings"
)

// Money is an exact amount: the decimal text as it was written, because the
// gateway signs "10" and "10.00" differently. It never passes through a float.
type Money string

// errDecimal is why a text is no plain decimal.
var errDecimal = errors.New("not a plain decimal")

// Decimal splits a plain decimal — digits, perhaps a point and more digits; no
// sign, exponent, leading zero or space — into its whole and fraction digits.
func Decimal(s string) (whole, frac string, err error) {
	whole, frac, point := strings.Cut(s, ".")
	if !digits(whole) || point && !digits(frac) || len(whole) > 1 && whole[0] == '0' {
		return "", "", errDecimal
	}
	return whole, frac, nil
}

// Equal reports whether two amounts are the same number: "20.00" equals "20".
// Texts that are no plain decimals are never equal.
func (m Money) Equal(n Money) bool { return CompareDecimals(string(m), string(n)) == 0 }

// CompareDecimals compares two plain decimals as numbers, exactly and at any
// length: -1, 0 or +1; or 2 if either is no plain decimal.
func CompareDecimals(a, b string) int {
	aw, af, aerr := Decimal(a)
	bw, bf, berr := Decimal(b)
	if aerr != nil || berr != nil {
		return 2
	}
	if len(aw) != len(bw) {
		return sign(len(aw) - len(bw))
	}
	if c := strings.Compare(aw, bw); c != 0 {
		return c
	}
	return strings.Compare(strings.TrimRight(af, "0"), strings.TrimRight(bf, "0"))
}

func sign(n int) int {
	if n < 0 {
		return -1
	}
	return 1
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
