package gatewaysim

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// A Latency is a distribution of times, as text:
//
//	50ms                  always the same; also const(50ms)
//	uniform(20ms,80ms)    anything between, equally likely
//	exp(50ms)             exponential with that mean
//	lognormal(50ms,0.5)   log-normal with that median and sigma
//
// The zero Latency takes no time.
type Latency struct {
	text string
	Draw func(*rand.Rand) time.Duration // for Config.Latency; nil: no time
}

// maxLatency cuts the long tails: no gateway's answer is awaited longer.
const maxLatency = time.Minute

// UnmarshalText reads a distribution.
func (l *Latency) UnmarshalText(text []byte) error {
	s := strings.ReplaceAll(string(text), " ", "")
	name, rest, ok := strings.Cut(s, "(")
	if !ok {
		name, rest = "const", s+")"
	}
	inner, closed := strings.CutSuffix(rest, ")")
	draw, err := distribution(name, strings.Split(inner, ","))
	if !closed || err != nil {
		return fmt.Errorf("latency %q: write 50ms, uniform(20ms,80ms), exp(50ms) or lognormal(50ms,0.5)", text)
	}
	l.text, l.Draw = s, draw
	return nil
}

// MarshalText returns what UnmarshalText reads.
func (l Latency) MarshalText() ([]byte, error) { return []byte(cmp.Or(l.text, "0")), nil }

// String returns the distribution as it was written.
func (l Latency) String() string { return l.text }

func distribution(name string, args []string) (func(*rand.Rand) time.Duration, error) {
	first, err := atMostMax(args[0])
	if err != nil {
		return nil, err
	}
	switch {
	case name == "const" && len(args) == 1:
		return func(*rand.Rand) time.Duration { return first }, nil
	case name == "exp" && len(args) == 1:
		return func(r *rand.Rand) time.Duration { return scaled(first, r.ExpFloat64()) }, nil
	case name == "uniform" && len(args) == 2:
		last, err := atMostMax(args[1])
		if err != nil || last < first {
			return nil, fmt.Errorf("bad upper bound")
		}
		return func(r *rand.Rand) time.Duration { return first + time.Duration(r.Int64N(int64(last-first)+1)) }, nil
	case name == "lognormal" && len(args) == 2:
		sigma, err := strconv.ParseFloat(args[1], 64)
		if err != nil || !(sigma >= 0 && sigma <= 5) {
			return nil, fmt.Errorf("bad sigma")
		}
		return func(r *rand.Rand) time.Duration { return scaled(first, math.Exp(sigma*r.NormFloat64())) }, nil
	}
	return nil, fmt.Errorf("unknown distribution")
}

func scaled(d time.Duration, by float64) time.Duration {
	return time.Duration(min(float64(d)*by, float64(maxLatency)))
}

// atMostMax reads a time of up to maxLatency.
func atMostMax(s string) (time.Duration, error) {
	if s == "0" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if err == nil && (d < 0 || d > maxLatency) {
		err = fmt.Errorf("out of range")
	}
	return d, err
}
