package pace

import (
	"time"

	"paylink/internal/payment"
)

// A NoteKind is what a Note says.
type NoteKind int

const (
	// Ask asks the owner of a slot to lend the turn that it gave.
	Ask NoteKind = iota + 1
	// Loan lends the turn that was asked for.
	Loan
	// Decline says that there is none to lend.
	Decline
)

// A Note is what members of a group say to each other about one merchant's
// turns. Notes may be lost, late, doubled and in any order: nothing rests on one
// but what it gives away, and only the one that says it can give it.
type Note struct {
	Kind     NoteKind
	Merchant payment.MerchantID
	Slot     int64     // whose turn it is about, as the asker's grid counts
	From, To string    // members, by names that no other life of a process has; an Ask is to whoever owns the slot
	Number   uint64    // of the Ask, unique among those of its asker; a Loan or Decline repeats it
	Until    time.Time // Loan: a call may be made for it until then; Ask: an answer is of use until then
}
