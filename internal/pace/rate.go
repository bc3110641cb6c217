package pace

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Rate is a number of events in a period. Burst is how many may come at once
// after a quiet time; 1 unless written. A Rate of no events is no limit at all;
// it cannot be written, only made.
type Rate struct {
	Events int
	Per    time.Duration
	Burst  int
}

// RateForms says how a rate is written.
const RateForms = "write events/period such as 40/s, 100/m or 1/1500ms, with a burst if need be: 40/s+10"

var errRate = errors.New("is no rate; " + RateForms)

// What keeps the arithmetic of a Limit far from overflow; no gateway is near it.
const (
	maxRate = 1_000_000 // events, burst, and events in a second
	maxPer  = 24 * time.Hour
)

// UnmarshalText reads events/period or events/period+burst. The period is a
// unit (ms, s, m, h) or a duration such as 1500ms. An error leaves r as it was.
func (r *Rate) UnmarshalText(text []byte) error {
	rate, burst, hasBurst := strings.Cut(strings.ToLower(string(text)), "+")
	events, period, ok := strings.Cut(rate, "/")
	if !ok {
		return errRate
	}
	read := Rate{Burst: 1}
	var err error
	if read.Events, err = count(events); err != nil {
		return err
	}
	if read.Per, err = per(period); err != nil {
		return err
	}
	if hasBurst {
		if read.Burst, err = count(burst); err != nil {
			return err
		}
	}
	if read.Interval() < time.Second/maxRate {
		return fmt.Errorf("is too high; at most %d in a second", maxRate)
	}
	*r = read
	return nil
}

// Interval is the time from one event to the next at an even pace.
func (r Rate) Interval() time.Duration { return r.Per / time.Duration(max(r.Events, 1)) }

// String writes the rate as UnmarshalText reads it.
func (r Rate) String() string {
	s := fmt.Sprintf("%d/%s", r.Events, period(r.Per))
	if r.Burst > 1 {
		s += "+" + strconv.Itoa(r.Burst)
	}
	return s
}

func per(text string) (time.Duration, error) {
	switch text {
	case "ms", "s", "m", "h":
		text = "1" + text
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 || d > maxPer {
		return 0, errRate
	}
	return d, nil
}

func period(d time.Duration) string {
	switch d {
	case time.Millisecond:
		return "ms"
	case time.Second:
		return "s"
	case time.Minute:
		return "m"
	case time.Hour:
		return "h"
	}
	if d > time.Second && d < time.Minute && d%time.Second != 0 && d%time.Millisecond == 0 {
		return strconv.FormatInt(d.Milliseconds(), 10) + "ms"
	}
	return d.String()
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
