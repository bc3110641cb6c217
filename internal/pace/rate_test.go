package pace

import (
	"strings"
	"testing"
	"time"
)

func TestRateForms(t *testing.T) {
	tests := []struct {
		text     string
		want     Rate
		interval time.Duration
	}{
		{"40/s", Rate{40, time.Second, 1}, 25 * time.Millisecond},
		{"100/m", Rate{100, time.Minute, 1}, 600 * time.Millisecond},
		{"1/1500ms", Rate{1, 1500 * time.Millisecond, 1}, 1500 * time.Millisecond},
		{"40/s+10", Rate{40, time.Second, 10}, 25 * time.Millisecond},
		{"7/h", Rate{7, time.Hour, 1}, time.Hour / 7},
		{"1/ms", Rate{1, time.Millisecond, 1}, time.Millisecond},
		{"1000000/s+1000000", Rate{1000000, time.Second, 1000000}, time.Microsecond},
		{"3/1m30s", Rate{3, 90 * time.Second, 1}, 30 * time.Second},
	}
	for _, tt := range tests {
		var got Rate
		if err := got.UnmarshalText([]byte(tt.text)); err != nil || got != tt.want {
			t.Errorf("%q is %v (%v), want %v", tt.text, got, err, tt.want)
		}
		if got.String() != tt.text {
			t.Errorf("%q is written %q", tt.text, got.String())
		}
		if got.Interval() != tt.interval {
			t.Errorf("%q: interval %v, want %v", tt.text, got.Interval(), tt.interval)
		}
	}
}

func TestRateRefusesWhatItCannotKeep(t *testing.T) {
	tests := []struct{ text, why string }{
		{"", "is no rate"},
		{"40", "is no rate"},
		{"/s", "is no rate"},
		{"0/s", "is no rate"},
		{"-1/s", "is no rate"},
		{"1.5/s", "is no rate"},
		{"040/s", "is no rate"},
		{"40/", "is no rate"},
		{"40/0s", "is no rate"},
		{"40/d", "is no rate"},
		{"1/25h", "is no rate"},
		{"40/s+", "is no rate"},
		{"40/s+0", "is no rate"},
		{"40/s+1+1", "is no rate"},
		{" 40/s", "is no rate"},
		{"1000001/s", "is too high"},
		{"40/s+1000001", "is too high"},
		{"99999999999999999999/s", "is too high"},
		{"1000001/1s1ns", "is too high"},
		{"2000/ms", "is too high"},
		{"1/1ns", "is too high"},
	}
	for _, tt := range tests {
		r := Rate{Events: 7}
		err := r.UnmarshalText([]byte(tt.text))
		if err == nil || !strings.Contains(err.Error(), tt.why) {
			t.Errorf("%q: error %v, want one that says %q", tt.text, err, tt.why)
		}
		if r != (Rate{Events: 7}) {
			t.Errorf("%q changed the rate to %v", tt.text, r)
		}
	}
}

func FuzzRate(f *testing.F) {
	for _, s := range []string{"40/s", "100/m", "1/1500ms", "40/s+10", "3/1m30s", "1/2.5ms", "1/1500.5ms", "9/7h0m1s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var r, again Rate
		if r.UnmarshalText([]byte(text)) != nil {
			return
		}
		if err := again.UnmarshalText([]byte(r.String())); err != nil || again != r {
			t.Fatalf("%q is %+v, written %q, read again %+v (%v)", text, r, r.String(), again, err)
		}
		l := NewLimit("540001", r, Group)
		l.Own(everything(3), noon)
		at, ok := l.Next(noon)
		if !ok || at.Before(noon.Add(r.Interval())) || at.Sub(noon) > 3*r.Interval()+time.Second || !l.Take(at) {
			t.Fatalf("%q: first call %v (%v) after the share was gained, at an interval of %v", text, at.Sub(noon), ok, r.Interval())
		}
	})
}

func TestBackoffGrowsToItsCapAndKeepsToChance(t *testing.T) {
	b := Backoff{Base: time.Second, Max: time.Minute}
	for repeat, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		if got := b.Delay(repeat, 1); got != want*time.Second {
			t.Errorf("repeat %d: %v, want %v", repeat, got, want*time.Second)
		}
	}
	if got := b.Delay(3, 0.25); got != 2*time.Second {
		t.Errorf("a quarter of 8 s is %v", got)
	}
	if got := b.Delay(1000, 1); got != time.Minute {
		t.Errorf("repeat 1000: %v, want the cap", got)
	}
}

func TestProbesOfAHoldComeEveryTwoMinutesAtLast(t *testing.T) {
	for probe, want := range []time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second, 2 * time.Minute, 2 * time.Minute} {
		if got := HoldProbes().Delay(probe, 1); got != want {
			t.Errorf("the wait after probe %d is %v, want %v", probe, got, want)
		}
	}
}
