package kafkaio

import (
	"encoding/json"
	"errors"
	"slices"
	"time"

	"paylink/internal/pace"
	"paylink/internal/payment"
)

// maxNote is how large a note may be, as it is written. One has some 200 bytes.
const maxNote = 1 << 10

// A writtenNote is a pace.Note as it stands on the topic, whose records may be of
// several groups.
type writtenNote struct {
	Group    string `json:"g"`
	Kind     string `json:"k"`
	Merchant string `json:"m"`
	Slot     int64  `json:"s"`
	From     string `json:"f"`
	To       string `json:"t,omitempty"`
	Number   uint64 `json:"n"`
	Until    int64  `json:"u,omitempty"` // microseconds since 1970, rounded down: a loan must not last longer
}

// noteKinds are the words for pace.Ask and those after it.
var noteKinds = []string{"ask", "loan", "decline"}

var errNoNote = errors.New("no note")

// writeNote writes a note. What cannot be written is no note.
func writeNote(group string, n pace.Note) ([]byte, error) {
	kind := int(n.Kind - pace.Ask)
	if kind < 0 || kind >= len(noteKinds) {
		return nil, errNoNote
	}
	w := writtenNote{group, noteKinds[kind], string(n.Merchant), n.Slot, n.From, n.To, n.Number, 0}
	if !n.Until.IsZero() {
		w.Until = n.Until.UnixMicro()
	}
	out, err := json.Marshal(w)
	if err != nil || len(out) > maxNote {
		return nil, errNoNote
	}
	return out, nil
}

// readNote reads a note, and whose it is. Anybody may have written it.
func readNote(value []byte) (group string, n pace.Note, err error) {
	if len(value) > maxNote {
		return "", n, errNoNote
	}
	var w writtenNote
	if json.Unmarshal(value, &w) != nil {
		return "", n, errNoNote
	}
	kind := slices.Index(noteKinds, w.Kind)
	if kind < 0 || w.Merchant == "" || w.From == "" {
		return "", n, errNoNote
	}
	n = pace.Note{
		Kind: pace.Ask + pace.NoteKind(kind), Merchant: payment.MerchantID(w.Merchant), Slot: w.Slot, From: w.From, To: w.To, Number: w.Number,
	}
	if w.Until != 0 {
		n.Until = time.UnixMicro(w.Until)
	}
	if n.Until.IsZero() && n.Kind != pace.Decline {
		return "", n, errNoNote
	}
	return w.Group, n, nil
}

// isLate says that a note is of no use any more. A Decline need not say until when
// it is of use.
func isLate(n pace.Note, now time.Time) bool { return !n.Until.IsZero() && now.After(n.Until) }
