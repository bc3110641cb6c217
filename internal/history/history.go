// Package history judges the history of one run: what was emitted, what the
// gateway was asked and made, what stands on the outcome and dead-letter topics
// as either isolation level sees them, what was committed and when.
//
// It holds the history against the promise, rule by rule (see Rules), and tells
// each violation as a short story with the records involved. It reads no Kafka
// and calls no gateway: who runs an experiment collects, Judge decides. It
// trusts the times of the history to be of one clock.
package history

import "time"

// A Run is the history of one run. What was not collected stays empty; the
// rules that need it then say nothing.
type Run struct {
	Intents     []Intent     // every record of the intent topic
	Calls       []Call       // in order of arrival
	Payments    []Payment    // everything the gateway made, kept or not
	Outcomes    []Outcome    // the outcome topic, read uncommitted
	Committed   []Outcome    // the outcome topic, read committed
	DeadLetters []DeadLetter // read uncommitted
	Commits     []Commit     // offsets as they were seen, the last ones included

	// Ends are the ends of the intent topic's partitions, control records
	// included, up to which all must be committed in the end; nil: not judged.
	Ends map[int32]int64

	Faults   []Fault   // members that were killed, suspended or cut off
	Leaps    []Fault   // wall clocks set forward by more than a rebalance lasts, their members stopped soon after
	Silences []Silence // times in which a member must not call
	Rates    []Rate
	Loans    []Loan

	// OutcomePartitions is how many partitions the outcome topic has; zero:
	// where outcomes stand is not judged.
	OutcomePartitions int32
	// AnyRepeats says that the gateway gave answers after which a call must be
	// repeated, so that repeats need no fault of a member.
	AnyRepeats bool
	// Tight are the times in which the outcome topic took no outcome, for its size.
	Tight []Span
	// Forgotten is until when outcomes of a partition may have been deleted: which
	// intents of that time were answered, a new owner cannot know.
	Forgotten map[int32]time.Time
	// Misled are the times in which the registry denied schemas that it has: intents were
	// buried then as of an unknown one. Each must have got its outcome in the end, by redrive.
	Misled []Span
	// Concurrency is how many calls a member may have in flight; zero: not judged.
	Concurrency int

	// Alone says that nothing went wrong with the whole: no rule of the gateway but
	// those of single orders and of look-ups, no clock that jumped. Then what becomes
	// of an ordinary intent is its own business. False: L2 judges only what every
	// intent must get.
	Alone bool
	// GiveUp is after what age an intent is given up; zero: neither is L3 judged, nor
	// L2's bound.
	GiveUp time.Duration
	// Mended is when the last fault was over.
	Mended time.Time
	// Partitions is how many of intents there are: replicas share a rate by them.
	Partitions int
	// Possible are the times in which calls were: gateway up, every partition in the
	// hands of a member, none of them ill. In order, apart.
	Possible []Span

	Memory     uint64 // the most bytes in use that were seen
	MostMemory uint64 // zero: not judged
}

// A Span is a time.
type Span struct{ From, To time.Time }

// A Place is one offset of one partition.
type Place struct {
	Partition int32
	Offset    int64
}

// An Intent is one record of the intent topic. An id that comes again is an
// upstream duplicate, or a conflict if its content differs.
type Intent struct {
	At      Place
	ID      string    // empty: no intent can be read from the record
	Key     string    // empty: none, so that it has no order
	Content string    // what the gateway would be told; compared only
	Expires time.Time // no Init after it; zero: never
	Hidden  bool      // in a transaction that was aborted, or never ended
	Deleted bool      // from its topic, and nobody knows whether anybody had read it
	Passed  bool      // an operator set the offsets beyond it
	Beyond  bool      // it is larger, unpacked, than anything that may be held
	Schema  bool      // it names a schema of the registry, and cannot be read without

	Merchant string
	Seen     time.Time // when it could be read; zero: not known
	Time     time.Time // the record's, if that is one and not to come; zero: its age counts from when it is seen
	Strange  string    // why it need not get its link, such as what the gateway says of this order only; empty: ordinary
}

// A Call is one call of the gateway.
type Call struct {
	At       time.Time // when it arrived
	Until    time.Time // when it was answered; zero: not known
	Intent   string
	Merchant string
	Member   string // who called; empty: not known
	Lookup   bool   // a status look-up; otherwise Init
	Key      string // idempotency key
	Params   string // all but salt and signature
	Link     int64  // the payment whose link the answer gave, well signed; 0: none
	Refused  bool   // the answer spoke of this order: refused for good, or known already
}

// A Payment is one that the gateway made.
type Payment struct {
	ID     int64
	Intent string
	Link   string
}

// An Outcome is one record of the outcome topic.
type Outcome struct {
	At       Place
	Time     time.Time // of the record: after the answer, before the append
	Key      string
	Intent   string
	Source   Place // of the intent, as the outcome says
	Created  bool
	Payment  int64
	Link     string // created only
	MayExist bool   // failed only: payment_may_exist
	Reason   string // failed only
}

// A DeadLetter is one record of the dead-letter topic. It may be repeated.
type DeadLetter struct {
	At     Place
	Source Place
	Reason string    // as its header says
	Time   time.Time // of the record; zero: not known
}

// A Commit is a committed offset that was seen, and how far the topics reached
// right after: what lies below the offset must stand below those ends.
type Commit struct {
	Next        Place // the partition, and the first offset that is not committed
	Outcomes    map[int32]int64
	DeadLetters map[int32]int64
}

// A Fault took a member from its work, or work from a member: while its network
// is ill, answers and acknowledgements do not reach it.
type Fault struct {
	At     time.Time
	Until  time.Time // zero: it was a moment
	Member string
	What   string        // "killed", "suspended", "timeout, gateway", …
	Late   time.Duration // by so much calls may arrive later while it lasts
}

// A Silence is a time in which a member had no right to call.
type Silence struct {
	Member   string
	From, To time.Time
	Why      string
}

// A Rate is what a merchant may be called: in any window w at most
// Calls × w / Per + Burst.
type Rate struct {
	Merchant string
	Calls    float64
	Per      time.Duration
	Burst    int
	Slack    time.Duration // how unevenly calls may travel

	// PerMember says that a window in which more members called than Burst may
	// hold one call more for each of them, and for each that lent a turn for one of
	// its calls.
	PerMember bool
	// Loan is for how long after it was said a call may be made for a loan.
	Loan time.Duration
}

// A Loan is a turn that a member lent to another.
type Loan struct {
	At       time.Time // when it was said
	Merchant string
	By, To   string // members
}
