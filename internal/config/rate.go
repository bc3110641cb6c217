package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Rate is a number of events in a period. Burst is how many may come at once
// before the period counts; 1 unless written.
type Rate struct {
	Events int
	Per    time.Duration
	Burst  int
}

// RateForms says how a rate is written.
const RateForms = "write events/period such as 40/s, 100/m or 1/1500ms, with a burst if need be: 40/s+10"

var errRate = errors.New("is no rate; " + RateForms)

// maxRate keeps the arithmetic of pace far from overflow; no gateway is near it.
const maxRate = 1_000_000

var periods = map[string]time.Duration{"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour}

// UnmarshalText reads events/period or events/period+burst. The period is a
// unit (ms, s, m, h) or a duration such as 1500ms.
func (r *Rate) UnmarshalText(text []byte) error {
	rate, burst, hasBurst := strings.Cut(string(text), "+")
	events, period, ok := strings.Cut(rate, "/")
	if !ok {
		return errRate
	}
	n, err := count(events)
	if err != nil {
		return err
	}
	per, ok := periods[period]
	if !ok {
		if per, err = time.ParseDuration(period); err != nil || per <= 0 || per > 24*time.Hour {
			return errRate
		}
	}
	b := 1
	if hasBurst {
		if b, err = count(burst); err != nil {
			return err
		}
	}
	*r = Rate{Events: n, Per: per, Burst: b}
	return nil
}

// Interval is the time from one event to the next at an even pace.
func (r Rate) Interval() time.Duration { return r.Per / time.Duration(max(r.Events, 1)) }

// String writes the rate as UnmarshalText reads it.
func (r Rate) String() string {
	period := r.Per.String()
	for unit, d := range periods {
		if d == r.Per {
			period = unit
		}
	}
	if r.Per > time.Second && r.Per < time.Minute && r.Per%time.Second != 0 && r.Per%time.Millisecond == 0 {
		period = strconv.FormatInt(r.Per.Milliseconds(), 10) + "ms"
	}
	if r.Burst > 1 {
		return fmt.Sprintf("%d/%s+%d", r.Events, period, r.Burst)
	}
	return fmt.Sprintf("%d/%s", r.Events, period)
}

func count(s string) (int, error) {
	if s == "" || strings.Trim(s, "0123456789") != "" || s[0] == '0' {
		return 0, errRate
	}
	n, err := strconv.Atoi(s)
	if err != nil || n > maxRate {
		return 0, fmt.Errorf("is too high; at most %d", maxRate)
	}
	return n, nil
}
