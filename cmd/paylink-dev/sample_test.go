package main

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"paylink/internal/event"
)

func samples(m mix, n int) []event.Message {
	s := newSampler("t", []string{"", "540002"}, m, 7)
	s.now = func() time.Time { return time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC) }
	var ms []event.Message
	for range n {
		ms = append(ms, s.next())
	}
	return ms
}

func TestSamplesAreWhatTheirMixSays(t *testing.T) {
	d := event.NewDecoder(event.DecoderConfig{DefaultMerchant: "540001"})
	for _, tt := range []struct {
		name  string
		mix   mix
		judge func(event.Decoded, error) bool
	}{
		{"ordinary", mix{}, func(d event.Decoded, err error) bool { return err == nil && len(d.Violations) == 0 }},
		{"invalid", mix{Invalid: 1}, func(d event.Decoded, err error) bool { return err == nil && len(d.Violations) > 0 }},
		{"dead", mix{Dead: 1}, func(_ event.Decoded, err error) bool {
			var u *event.Unreadable
			return errors.As(err, &u)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for i, m := range samples(tt.mix, 300) {
				decoded, err := d.Decode(t.Context(), m)
				if i > 0 && !tt.judge(decoded, err) { // the first is always ordinary
					t.Errorf("sample %d: violations %v, error %v: %s", i, decoded.Violations, err, m.Value)
				}
			}
		})
	}
}

func TestSamplesRepeatAndContradict(t *testing.T) {
	d := event.NewDecoder(event.DecoderConfig{DefaultMerchant: "540001"})
	digests := map[string]event.Digest{}
	repeats, conflicts := 0, 0
	for _, m := range samples(mix{Duplicates: 0.3, Conflicts: 0.2}, 1000) {
		decoded, err := d.Decode(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		id := string(decoded.Intent.ID)
		known, ok := digests[id]
		switch {
		case !ok:
			digests[id] = decoded.Digest
		case known == decoded.Digest:
			repeats++
		default:
			conflicts++
		}
	}
	if repeats < 200 || conflicts < 100 {
		t.Errorf("%d repeats and %d conflicts in 1000 samples, want about 300 and 200", repeats, conflicts)
	}
}

func TestSameSeedMakesTheSameSamples(t *testing.T) {
	m := mix{Invalid: 0.2, Dead: 0.2, Duplicates: 0.2}
	if d := cmp.Diff(samples(m, 100), samples(m, 100)); d != "" {
		t.Error(d)
	}
}

func TestMixIsRefusedBeyondOne(t *testing.T) {
	for _, m := range []mix{{Invalid: -0.1}, {Dead: 1.1}, {Invalid: 0.6, Duplicates: 0.6}} {
		if m.Validate() == nil {
			t.Errorf("%+v: accepted", m)
		}
	}
}
