package payment

import (
	"math/big"
	"strings"
	"testing"
)

func TestDecimalTakesPlainDecimalsOnly(t *testing.T) {
	tests := []struct {
		text, whole, frac string
		ok                bool
	}{
		{"0", "0", "", true},
		{"10", "10", "", true},
		{"10.00", "10", "00", true},
		{"0.01", "0", "01", true},
		{strings.Repeat("9", 400) + ".5", strings.Repeat("9", 400), "5", true},
		{"", "", "", false},
		{".", "", "", false},
		{"1.", "", "", false},
		{".1", "", "", false},
		{"00", "", "", false},
		{"01.5", "", "", false},
		{"-1", "", "", false},
		{"+1", "", "", false},
		{"1e2", "", "", false},
		{"1.2.3", "", "", false},
		{"1 000", "", "", false},
		{"1_000", "", "", false},
		{"0x10", "", "", false},
		{"NaN", "", "", false},
		{"1\x00", "", "", false},
		{"१", "", "", false},
	}
	for _, tt := range tests {
		whole, frac, err := Decimal(tt.text)
		if whole != tt.whole || frac != tt.frac || (err == nil) != tt.ok {
			t.Errorf("Decimal(%.30q) = %.30q, %q, %v; want %.30q, %q, ok %v", tt.text, whole, frac, err, tt.whole, tt.frac, tt.ok)
		}
	}
}

func TestCompareDecimals(t *testing.T) {
	tests := []struct {
		a, b string
		want int
	}{
		{"1", "1", 0},
		{"20.00", "20", 0},
		{"0.10", "0.1", 0},
		{"0", "0.000", 0},
		{"9", "10", -1},
		{"100", "99.99", 1},
		{"0.009", "0.01", -1},
		{"0.1", "0.09", 1},
		{"99999999.01", "99999999", 1},
		{"9007199254740993", "9007199254740992", 1}, // alike as floats
		{"0.1", "0.10000000000000000001", -1},
		{strings.Repeat("9", 500), strings.Repeat("9", 499), 1},
		{"x", "1", 2},
		{"1", "", 2},
		{"01", "1", 2},
	}
	for _, tt := range tests {
		if got := CompareDecimals(tt.a, tt.b); got != tt.want {
			t.Errorf("CompareDecimals(%.20q, %.20q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
		if got := Money(tt.a).Equal(Money(tt.b)); got != (tt.want == 0) {
			t.Errorf("Money(%.20q).Equal(%.20q) = %v", tt.a, tt.b, got)
		}
	}
	if Money("x").Equal("x") || Money("").Equal("") {
		t.Error("texts that are no amounts are equal")
	}
}

// FuzzCompareDecimals compares with math/big.
func FuzzCompareDecimals(f *testing.F) {
	f.Add("0.01", "0.009")
	f.Add("20.00", "20")
	f.Add("010", "1e1")
	f.Add("99999999.01", "99999999")
	f.Fuzz(func(t *testing.T, a, b string) {
		got := CompareDecimals(a, b)
		_, _, aerr := Decimal(a)
		_, _, berr := Decimal(b)
		if aerr != nil || berr != nil {
			if got != 2 {
				t.Errorf("CompareDecimals(%q, %q) = %d, want 2", a, b, got)
			}
			return
		}
		x, xok := new(big.Rat).SetString(a)
		y, yok := new(big.Rat).SetString(b)
		if !xok || !yok {
			t.Fatalf("Decimal takes %q and %q, of which one is no number", a, b)
		}
		if got != x.Cmp(y) || CompareDecimals(b, a) != -got {
			t.Errorf("CompareDecimals(%q, %q) = %d and %d the other way, want %d", a, b, got, CompareDecimals(b, a), x.Cmp(y))
		}
	})
}
