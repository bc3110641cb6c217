package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"paylink/internal/devstack"
	"paylink/internal/event"
)

// A tally counts outcomes and dead letters by kind and reason. The zero value
// is ready to use.
type tally struct {
	kinds   map[string]int
	reasons map[string]int // "kind reason"
}

func (t *tally) count(r devstack.Record) {
	if t.kinds == nil {
		t.kinds, t.reasons = map[string]int{}, map[string]int{}
	}
	kind := kindOf(r)
	t.kinds[kind]++
	if reason := reasonOf(kind, r); reason != "" {
		t.reasons[kind+" "+reason]++
	}
}

// String is one line: "created 12, failed 3 (invalid_intent 2, refused 1), dead letters 1 (not_json 1)".
func (t *tally) String() string {
	names := map[string]string{"created": "created", "failed": "failed", "dead letter": "dead letters", "record": "others"}
	var parts []string
	for _, kind := range []string{"created", "failed", "dead letter", "record"} {
		if n := t.kinds[kind]; n > 0 || kind == "created" {
			parts = append(parts, fmt.Sprintf("%s %d%s", names[kind], n, t.why(kind)))
		}
	}
	return strings.Join(parts, ", ")
}

func (t *tally) why(kind string) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(t.reasons)) {
		if reason, ok := strings.CutPrefix(key, kind+" "); ok {
			parts = append(parts, fmt.Sprintf("%s %d", reason, t.reasons[key]))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

func reasonOf(kind string, r devstack.Record) string {
	if kind == "dead letter" {
		return string(r.Header("paylink-reason"))
	}
	var o outcome
	if json.Unmarshal(r.Value, &o) != nil {
		return ""
	}
	return o.Reason
}

// linkOf returns the payment link of an outcome, or "".
func linkOf(r devstack.Record) string {
	var o outcome
	if kindOf(r) != "created" || json.Unmarshal(r.Value, &o) != nil {
		return ""
	}
	return o.RedirectURL
}

// repeatedIntents counts the intents that have more than one outcome.
func repeatedIntents(outcomes []devstack.Record) int {
	seen, twice := map[string]int{}, 0
	for _, r := range outcomes {
		id := string(r.Header(event.HeaderIntentID))
		if seen[id]++; seen[id] == 2 {
			twice++
		}
	}
	return twice
}
