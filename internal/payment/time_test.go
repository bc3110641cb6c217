package payment

import (
	"testing"
	"time"
)

func TestParseTimeIsRFC3339AndNothingElse(t *testing.T) {
	good := map[string]string{ // → in UTC
		"2027-01-01T01:00:00Z":                    "2027-01-01T01:00:00Z",
		"2027-01-01t01:00:00z":                    "2027-01-01T01:00:00Z",
		"2027-01-01T01:00:00.5Z":                  "2027-01-01T01:00:00.5Z",
		"2027-01-01T01:00:00.123456789Z":          "2027-01-01T01:00:00.123456789Z",
		"2027-01-01T01:00:00.1234567890123z":      "2027-01-01T01:00:00.123456789Z",
		"2027-01-01T01:00:00+05:00":               "2026-12-31T20:00:00Z",
		"2027-01-01T01:00:00-00:00":               "2027-01-01T01:00:00Z",
		"2027-01-01T01:00:00-23:59":               "2027-01-02T00:59:00Z",
		"2028-02-29T00:00:00Z":                    "2028-02-29T00:00:00Z",
		"2016-12-31T23:59:60Z":                    "2017-01-01T00:00:00Z",
		"2016-12-31T23:59:60.7Z":                  "2017-01-01T00:00:00Z",
		"2017-01-01T05:59:60+06:00":               "2017-01-01T00:00:00Z",
		"1970-01-01T00:00:00Z":                    "1970-01-01T00:00:00Z",
		"9999-12-31T23:59:59.999999999Z":          "9999-12-31T23:59:59.999999999Z",
		"1969-12-31T23:59:59-01:00":               "1970-01-01T00:59:59Z",
		"2027-01-01T01:00:00.0000000000000-01:30": "2027-01-01T02:30:00Z",
	}
	for s, want := range good {
		got, err := ParseTime(s)
		if err != nil || got.Format(time.RFC3339Nano) != want {
			t.Errorf("ParseTime(%q) = %v, %v; want %s", s, got, err, want)
		}
	}
	for _, s := range []string{
		"", "Z", "2027-01-01", "2027-01-01T1:00:00Z", "2027-01-01T01:00:00,5Z", "2027-01-01T01:00:00.Z", "2027-01-01 01:00:00Z",
		"2027-01-01T01:00:00", "2027-01-01T01:00Z", "2027-1-01T01:00:00Z", "2027-01-01T01:00:00+5:00", "2027-01-01T01:00:00+0500",
		"2027-01-01T01:00:00+05", "2027-01-01T01:00:00+24:00", "2027-01-01T01:00:00+05:60", "2027-02-29T00:00:00Z", "2027-00-01T00:00:00Z",
		"2027-13-01T00:00:00Z", "2027-01-00T00:00:00Z", "2027-01-32T00:00:00Z", "2027-01-01T24:00:00Z", "2027-01-01T00:60:00Z", "2027-01-01T00:00:61Z",
		"2027-01-01T00:00:60Z", "2027-01-15T23:59:60Z", "2016-12-31T23:59:60+01:00", "0001-01-01T00:00:00Z", "1500-01-01T00:00:00Z",
		"0000-01-01T00:00:00Z", "9999-12-31T23:59:59-01:00", "10000-01-01T00:00:00Z", "+2027-01-01T00:00:00Z", "2027-01-01T01:00:00Z ",
		" 2027-01-01T01:00:00Z", "2027-01-01T01:00:00ZZ", "2027-01-01T01:00:00Z[UTC]", "2027-01-01T01:00:00−05:00", "２027-01-01T01:00:00Z",
		"2027-01-01T-1:00:00Z", "2027-01-01T01:00:0.Z", "1795853023",
	} {
		if got, err := ParseTime(s); err == nil {
			t.Errorf("ParseTime(%q) = %v, want an error", s, got)
		}
	}
}

// FuzzParseTime holds ParseTime against the standard library: where both read a
// text, they read the same; what is written in the standard form is read.
func FuzzParseTime(f *testing.F) {
	for _, s := range []string{"2027-01-01T01:00:00Z", "2027-01-01t01:00:00.5+05:30", "2016-12-31T23:59:60Z", "T", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseTime(s)
		std, stdErr := time.Parse(time.RFC3339, s)
		if err == nil && stdErr == nil && !got.Equal(std) {
			t.Errorf("ParseTime(%q) = %v, the standard library says %v", s, got, std)
		}
		if err != nil {
			return
		}
		if again, err := ParseTime(got.Format(time.RFC3339Nano)); err != nil || !again.Equal(got) {
			t.Errorf("ParseTime of what it gave = %v, %v; want %v", again, err, got)
		}
	})
}

func BenchmarkParseTime(b *testing.B) {
	for b.Loop() {
		if _, err := ParseTime("2026-11-23T12:00:00.123Z"); err != nil {
			b.Fatal(err)
		}
	}
}
