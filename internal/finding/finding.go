// Package finding holds what was looked at before a start, and how well it was
// found; who looks, at Kafka or at a gateway, says it in these words.
package finding

import "slices"

// A Level says how bad a Finding is.
type Level string

// The levels of a Finding.
const (
	OK   Level = "ok"
	Warn Level = "warn" // it works, but the promise is weaker than it could be
	Fail Level = "FAIL" // do not start like this
)

// A Finding is one thing that was looked at before the start.
type Finding struct {
	Level Level  `json:"level"`
	About string `json:"about"`          // a word or two: brokers, topic payment-outcomes
	What  string `json:"what"`           // what was seen
	Mend  string `json:"mend,omitempty"` // what to do, unless it is OK
}

// Worst returns the worst level of some findings.
func Worst(all []Finding) Level {
	for _, l := range []Level{Fail, Warn} {
		if slices.ContainsFunc(all, func(f Finding) bool { return f.Level == l }) {
			return l
		}
	}
	return OK
}
