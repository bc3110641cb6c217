package config

import (
	"testing"
	"time"
)

func TestWhenIsReadInEveryForm(t *testing.T) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]When{
		"":                          {},
		"earliest":                  {Earliest: true},
		"Latest":                    {Latest: true},
		"2h":                        {Ago: 2 * time.Hour},
		"90m":                       {Ago: 90 * time.Minute},
		"7d":                        {Ago: 168 * time.Hour},
		"2026-11-23T12:00:00Z":      {At: now.AddDate(0, 0, -5)},
		"2026-11-23T17:00:00+05:00": {At: now.AddDate(0, 0, -5)},
	} {
		got, err := whenOf("--from", text)
		if err != nil || got.Earliest != want.Earliest || got.Latest != want.Latest || got.Ago != want.Ago || !got.At.Equal(want.At) {
			t.Errorf("%q is read as %+v (%v), want %+v", text, got, err, want)
		}
		if got.Given() != (text != "") {
			t.Errorf("%q: given is %v", text, got.Given())
		}
	}
	for _, text := range []string{"yesterday", "-2h", "0h", "2", "d", "0d", "2026-11-23", "0001-01-01T00:00:00Z"} {
		if got, err := whenOf("--from", text); err == nil {
			t.Errorf("%q is read as %+v, want an error", text, got)
		}
	}
	if got := (When{Ago: time.Hour}).Time(now); !got.Equal(now.Add(-time.Hour)) {
		t.Errorf("an hour ago is %s", got)
	}
	if got := (When{Earliest: true}).Time(now); !got.IsZero() {
		t.Errorf("earliest is %s, want no time", got)
	}
}
