// Package pipeline is the engine: it takes records of the intent topic from
// the claims a Source hands it, settles each intent once, in the order of its
// key, and moves the committed offset over what is settled.
//
// It knows no HTTP and no Kafka client. What a claim promises is written on
// Claim; what a gateway promises, on payment.Gateway.
package pipeline

import (
	"context"
	"errors"
	"time"

	"paylink/internal/answered"
	"paylink/internal/budget"
	"paylink/internal/event"
	"paylink/internal/pace"
	"paylink/internal/payment"
)

// A Record is one record of the intent topic.
type Record struct {
	event.Message
	Offset int64

	// Lease is the room that the record takes in the process's budget of bytes. It is
	// released when the record is settled, or put into a backlog. What a claim has
	// handed out is released with the claim.
	Lease budget.Lease
}

// A Source hands out claims on partitions of the intent topic.
type Source interface {
	// Run belongs to the group until ctx ends. For each partition it gains it
	// calls serve in a goroutine of its own; it gives the partition up only
	// after serve has returned, unless it was lost. When ctx ends, all claims
	// are asked to drain, and Run returns after the last serve. An error means
	// that the source cannot go on at all.
	Run(ctx context.Context, serve func(Claim)) error
}

// A Claim is one partition of the intent topic in our hands: fenced, so that no
// older owner can publish for it any more, with a ledger of everything that was
// ever answered in it. Its methods may be called concurrently.
type Claim interface {
	// Partition is the intent partition.
	Partition() int32

	// Poll waits for records and returns them in the order of their offsets.
	// It returns ErrDraining once the partition is to be handed over, and
	// ErrLost once it is lost. next is the offset after the last record,
	// control records and aborted ones included.
	Poll(ctx context.Context) (recs []Record, next int64, err error)

	// Reread returns the records at these offsets, which rise, once more. One
	// that the topic does not hold any more is left out. With ErrFull there is no
	// room for those behind the last one, which are then asked for once more.
	// Trouble is waited out until ctx ends or the claim does.
	Reread(ctx context.Context, offsets []int64) ([]Record, error)

	// Look looks an intent up in the ledger, which includes everything appended
	// through this claim.
	Look(id payment.IntentID, d event.Digest) Known

	// Reach is the time from which on the ledger knows every outcome. The zero
	// time means: all there ever were.
	Reach() time.Time

	// Fresh is the offset from which on the records came after the claim began:
	// nobody else can have called the gateway for them.
	Fresh() int64

	// Continues reports whether the claim goes on where an owner before it left off.
	// Where it does not, or where answers were deleted since, records may be of any age,
	// and answered.
	Continues() bool

	// Append publishes an outcome. done is called exactly once, not from within
	// Append: with nil when the outcome is durable on all in-sync replicas and
	// in the ledger; with ErrAnswered when the ledger turns out to hold another
	// outcome of the intent, so that this one was withheld; with ErrTooLarge
	// when no record can hold it; with ErrLost when the claim ended before.
	Append(o Answer, done func(error))

	// Bury publishes a dead letter; done as for Append, but for ErrAnswered.
	Bury(m event.Message, done func(error))

	// Commit says that every record below next is settled. It returns at once;
	// the newest value is committed within a moment, and before a drained
	// partition is handed over.
	Commit(next int64)

	// Live reports whether the partition may still be ours: asked before every
	// call of the gateway.
	Live() bool

	// Draining is closed when the partition is to be handed over: finish what
	// is in flight, start nothing.
	Draining() <-chan struct{}

	// Lost is closed when the partition is not ours any more: drop everything.
	Lost() <-chan struct{}
}

// Turns carries notes about lent turns between the members of a group. It is best
// effort: who hears nothing goes on as if there were no lending.
type Turns interface {
	// Name is ours, unlike that of any other life of any member.
	Name() string

	// Say sends a note soon, or not at all. It neither waits nor fails, and may be
	// called from several goroutines.
	Say(pace.Note)

	// Heard has the notes of others, those that are to us or to whoever owns a slot. It
	// drops what nobody takes in time.
	Heard() <-chan pace.Note
}

// Known is what the ledger knows of an intent.
type Known = answered.Known

const (
	Unknown  = answered.Unknown  // not answered yet
	Answered = answered.Answered // answered before we came: a redelivery or a replay
	Repeated = answered.Repeated // answered by us: an upstream duplicate, or a replay
	Differs  = answered.Differs  // its id was answered with other content: a conflict
)

// An Answer is an outcome, ready to be published.
type Answer struct {
	ID      payment.IntentID
	Digest  event.Digest
	Message event.Message
}

// What a claim may answer.
var (
	ErrDraining = errors.New("partition is handed over")
	ErrLost     = errors.New("partition is lost")
	ErrAnswered = errors.New("intent is answered already")
	ErrFull     = errors.New("no room for more records")
	ErrTooLarge = errors.New("record is larger than the topic allows")
)
