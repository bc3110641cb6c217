package kafkaio

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
)

// A Trouble is something outside that stands in the way, or makes the promise
// smaller, until somebody mends it.
type Trouble struct {
	Kind  TroubleKind
	About string // what of: a topic, a partition
	Cause string // of AppendBlocked: one of blockCauses
	What  string // one sentence, without a full stop
	Mend  string // what to do about it
	Since time.Time
}

// A TroubleKind says what a trouble concerns.
type TroubleKind string

// The kinds of trouble.
const (
	ShortLedger     TroubleKind = "short_ledger"      // the outcome topic forgets sooner than the ledger window, or has forgotten
	OutcomeLimit    TroubleKind = "outcome_limit"     // the outcome topic's limit is below what an outcome may need
	Compacted       TroubleKind = "compacted"         // the outcome topic is compacted
	AppendBlocked   TroubleKind = "append_blocked"    // Kafka takes no outcome or dead letter
	LedgerFull      TroubleKind = "ledger_full"       // as many answered intents are remembered as may be, or nearly
	InputBlocked    TroubleKind = "input_blocked"     // an intent partition gives no records, or a transaction that hangs hides them
	CommitBlocked   TroubleKind = "commit_blocked"    // the brokers take no offsets
	TakeOverBlocked TroubleKind = "take_over_blocked" // an intent partition is given to us, and cannot be fenced or its ledger read
)

// troubles are the troubles that stand. Each is logged when it comes and when it
// goes.
type troubles struct {
	log logrus.FieldLogger

	mu  sync.Mutex
	all map[troubleKey]Trouble
}

type troubleKey struct {
	kind  TroubleKind
	about string
}

// stand notes a trouble, if it is new or says something else now.
func (ts *troubles) stand(t Trouble) {
	key := troubleKey{t.Kind, t.About}
	ts.mu.Lock()
	was, had := ts.all[key]
	if t.Since.IsZero() {
		t.Since = time.Now()
	}
	if had {
		t.Since = was.Since
	}
	ts.all[key] = t
	ts.mu.Unlock()
	if !had || was.What != t.What {
		ts.log.WithField("kind", string(t.Kind)).WithField("about", t.About).WithField("mend", t.Mend).Error(t.What)
	}
}

// pass takes a trouble off the list.
func (ts *troubles) pass(kind TroubleKind, about string) {
	key := troubleKey{kind, about}
	ts.mu.Lock()
	was, had := ts.all[key]
	delete(ts.all, key)
	ts.mu.Unlock()
	if had {
		ts.log.WithField("kind", string(kind)).WithField("about", about).
			WithField("lasted", time.Since(was.Since).Round(time.Second).String()).Info("over: " + was.What)
	}
}

// blocked counts AppendBlocked by cause.
func (ts *troubles) blocked() map[string]int {
	out := map[string]int{}
	for _, cause := range blockCauses {
		out[cause] = 0
	}
	for _, t := range ts.list() {
		if t.Kind == AppendBlocked {
			out[t.Cause]++
		}
	}
	return out
}

// stands reports whether there is trouble of a kind.
func (ts *troubles) stands(kind TroubleKind) bool { return ts.count(kind) > 0 }

func (ts *troubles) count(kind TroubleKind) (n int) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for key := range ts.all {
		if key.kind == kind {
			n++
		}
	}
	return n
}

func (ts *troubles) list() []Trouble {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	var out []Trouble
	for _, t := range ts.all {
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b Trouble) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.About, b.About))
	})
	return out
}
