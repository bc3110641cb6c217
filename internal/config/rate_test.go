package config

import (
	"testing"
	"time"
)

func TestRateReadsItsForms(t *testing.T) {
	for _, c := range []struct {
		text string
		want Rate
	}{
		{"40/s", Rate{40, time.Second, 1}},
		{"100/m", Rate{100, time.Minute, 1}},
		{"1/1500ms", Rate{1, 1500 * time.Millisecond, 1}},
		{"40/s+10", Rate{40, time.Second, 10}},
		{"7/1h30m", Rate{7, 90 * time.Minute, 1}},
		{"1/ms", Rate{1, time.Millisecond, 1}},
	} {
		var got Rate
		if err := got.UnmarshalText([]byte(c.text)); err != nil || got != c.want {
			t.Errorf("%q = %+v, %v, want %+v", c.text, got, err, c.want)
		}
	}
}

func TestRateRefusesWhatIsNone(t *testing.T) {
	for _, text := range []string{
		"", "fast", "40", "/s", "40/", "0/s", "-1/s", "+1/s", "040/s", "1.5/s", "40/s+", "40/s+0", "40/s+x",
		"40/0s", "40/-1s", "40/day", "40/25h", "1000001/s", "99999999999999999999/s", "40 /s",
	} {
		var r Rate
		if err := r.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q = %+v, want an error", text, r)
		}
	}
}

func TestRateInterval(t *testing.T) {
	if got := (Rate{Events: 40, Per: time.Second}).Interval(); got != 25*time.Millisecond {
		t.Errorf("interval of 40/s = %v, want 25ms", got)
	}
}

func FuzzRateReadsWhatItWrites(f *testing.F) {
	for _, s := range []string{"40/s", "100/m", "1/1500ms", "40/s+10", "1/90s", "3/1h0m1s", "2/999us"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var a, b Rate
		if a.UnmarshalText([]byte(text)) != nil {
			return
		}
		if a.Events < 1 || a.Per <= 0 || a.Burst < 1 {
			t.Fatalf("%q = %+v", text, a)
		}
		if err := b.UnmarshalText([]byte(a.String())); err != nil || a != b {
			t.Errorf("%q = %+v, written %q, read %+v, %v", text, a, a.String(), b, err)
		}
	})
}
