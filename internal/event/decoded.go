package event

import (
	"fmt"

	"paylink/internal/payment"
)

// A Decoded is a record of the intent topic, understood.
type Decoded struct {
	// Intent is complete if Violations is empty. Otherwise it holds the id and
	// those fields that keep their rules.
	Intent     payment.Intent
	Violations []payment.Violation // in the order of payment.Fields, one per broken rule

	// BySettings says that only rules of this service's settings are broken, which were
	// perhaps kept by the settings of before.
	BySettings bool

	// OfDefault says that the record names no merchant. The intent's is the default
	// one of today, which was perhaps another when the record was settled.
	OfDefault bool

	// Digest is DigestOf the intent. With violations it is the same function of
	// the fields as they were written, broken ones included: so a re-emission of
	// a broken intent is a repeat, whatever its created_at, its white space or
	// this release's rules; and a mended one under the same id is a conflict,
	// which a person gets to see.
	Digest Digest

	Trace []Header // traceparent and tracestate, to be carried on
}

// An Unreadable is a record that cannot get an outcome: it must go to the dead
// letters. Its text never holds a value of the record.
type Unreadable struct {
	Reason DeadReason
	Text   string // one sentence: what is wrong, and what to do
}

// Error returns reason and sentence.
func (u *Unreadable) Error() string { return fmt.Sprintf("%s: %s", u.Reason, u.Text) }

// of returns it with the schema that its sentence is about as the subject.
func (u *Unreadable) of(n schemaName) *Unreadable {
	if u.Reason != UnknownSchema {
		return u
	}
	return &Unreadable{u.Reason, n.String() + " " + u.Text}
}

// A DeadReason is why a record went to the dead letters; header "paylink-reason".
type DeadReason string

// The reasons of dead letters.
const (
	Empty         DeadReason = "empty"          // no value, or null
	NotJSON       DeadReason = "not_json"       // the bytes are no JSON object
	NoIntentID    DeadReason = "no_intent_id"   // absent, null or empty
	BadIntentID   DeadReason = "bad_intent_id"  // breaks its rule, or is given twice
	UnknownSchema DeadReason = "unknown_schema" // a schema id that the registry does not know
	Conflict      DeadReason = "conflict"       // an intent id seen before with other content
	TooOld        DeadReason = "too_old"        // older than the ledger reaches
	TooLarge      DeadReason = "too_large"      // the record takes too much to be read, or its outcome does not fit into one
)
