package console

import "time"

// A State is everything the first page shows, at one moment. Empty lists are fine.
type State struct {
	Now     time.Time `json:"now"`
	Started time.Time `json:"started"`
	Service Service   `json:"service"`

	Ready  bool    `json:"ready"`
	Checks []Check `json:"checks"` // of readiness
	Alarms []Alarm `json:"alarms"` // what a person must look at
	Risks  []Risk  `json:"risks"`  // what is not well, or would be told here
	Charts []Chart `json:"-"`      // of the last hour

	Lanes        LaneSummary `json:"lanes"`
	Lending      Lending     `json:"lending"`
	Gateways     []Gateway   `json:"gateways"`
	MoreGateways int         `json:"more_gateways,omitempty"` // that are not among them
	Partitions   []Partition `json:"partitions"`              // those in our hands
	Group        Group       `json:"group"`

	Outcomes    []Outcome    `json:"outcomes"`     // the newest first
	DeadLetters []DeadLetter `json:"dead_letters"` // the newest first
	Counters    []Counter    `json:"counters"`
}

// A Service says what runs.
type Service struct {
	Version     string `json:"version"`
	Group       string `json:"group"`
	Instance    string `json:"instance,omitempty"`
	Intents     string `json:"intents"`
	Outcomes    string `json:"outcomes"`
	DeadLetters string `json:"dead_letters"`
	Gateway     string `json:"gateway"` // host; several: some of them
}

// A Check is one check of readiness; Reason is a sentence if it is not OK.
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Reason string `json:"reason,omitempty"`
}

// An Alarm is something that does not mend itself.
type Alarm struct {
	What  string    `json:"what"`           // a sentence
	Mend  string    `json:"mend,omitempty"` // what to do
	Since time.Time `json:"since,omitzero"`
}

// A Level is how bad something is. It is a class of the page's style.
type Level string

// The levels.
const (
	Good Level = "good"
	Wait Level = "wait" // it should pass by itself
	Bad  Level = "bad"  // somebody should look at it
)

// A Risk is one thing that may cost somebody money, or did not end well in the last
// hour.
type Risk struct {
	Name  string `json:"name"`
	N     uint64 `json:"n"`
	Text  string `json:"text,omitempty"` // what it means and what to do, if N is not 0
	Level Level  `json:"level"`
	Money bool   `json:"money"` // whether it is about money
}

// A Gateway is one gateway host that merchants have.
type Gateway struct {
	Name      string    `json:"gateway"`
	Down      bool      `json:"down"` // it fails broadly, and is only probed
	Since     time.Time `json:"since,omitzero"`
	LastError string    `json:"last_error,omitempty"`
	Merchants int       `json:"merchants"`
}

// A Lane is one merchant, and what its intents wait for.
type Lane struct {
	Merchant   string    `json:"merchant_id"`
	Gateway    string    `json:"gateway,omitempty"`
	Queued     int       `json:"queued"`
	BackingOff int       `json:"backing_off"`
	Backlog    int       `json:"backlog"`
	Rate       string    `json:"rate,omitempty"`
	State      string    `json:"state"`
	Since      time.Time `json:"since,omitzero"`
	Until      time.Time `json:"until,omitzero"`
	Attempts   int       `json:"attempts,omitempty"`
	LastError  string    `json:"last_error,omitempty"`
	Blind      bool      `json:"look_ups_refused,omitempty"`
	Asks       bool      `json:"asks_for_a_turn,omitempty"` // other replicas, while it is paced
}

// Waiting is how many intents wait in the lane.
func (l Lane) Waiting() int { return l.Queued + l.BackingOff + l.Backlog }

// A LaneSummary is all lanes in a few lines.
type LaneSummary struct {
	Total  int         `json:"total"`
	States []LaneState `json:"states"` // by what they wait for
	Worst  []Lane      `json:"-"`      // some of those that wait
}

// Lending is how replicas lend each other turns of their merchants' rates.
type Lending struct {
	Level Level     `json:"level"` // Wait: they cannot, so that intents wait longer than they need
	Text  string    `json:"text"`  // a sentence
	Since time.Time `json:"since,omitzero"`
}

// A LaneState counts the lanes that wait for the same thing.
type LaneState struct {
	State string `json:"state"`
	N     int    `json:"n"`
}

// A Partition is one intent partition in our hands.
type Partition struct {
	Number     int32  `json:"partition"`
	State      string `json:"state"`     // fencing, loading, running, draining, cut off
	Healthy    bool   `json:"healthy"`   // State is nothing to worry about
	Watermark  int64  `json:"watermark"` // everything below is settled
	Lag        int64  `json:"lag"`       // records not settled yet; -1: not known
	Unfinished int    `json:"unfinished"`
}

// A Group is the consumer group, as far as this member knows it.
type Group struct {
	Partitions int       `json:"partitions"`      // of the intent topic; 0: not known
	State      string    `json:"state,omitempty"` // the coordinator's word; empty: it was not asked, or does not tell
	Members    []Member  `json:"members,omitempty"`
	At         time.Time `json:"at,omitzero"` // when the coordinator said so
}

// A Member is one member of the group.
type Member struct {
	ID         string  `json:"id"`
	Us         bool    `json:"this_replica"`
	Partitions []int32 `json:"partitions"`
}

// A Counter is a number. Group is its heading.
type Counter struct {
	Group string `json:"group"`
	Name  string `json:"name"`
	Hour  uint64 `json:"last_hour"`
	Value uint64 `json:"value"`         // since the start
	Bad   bool   `json:"bad,omitempty"` // more than 0 deserves a look
	Now   bool   `json:"now,omitempty"` // Value is a number of now; Hour says nothing
}

// An Outcome is one that was published.
type Outcome struct {
	At       time.Time     `json:"at"`
	IntentID string        `json:"intent_id"`
	Merchant string        `json:"merchant_id,omitempty"`
	Type     string        `json:"type"` // created, failed
	Reason   string        `json:"reason,omitempty"`
	MayExist bool          `json:"payment_may_exist,omitempty"`
	Attempts int           `json:"attempts"`
	Took     time.Duration `json:"-"`              // from its record on
	Link     string        `json:"link,omitempty"` // only with ShowLinks
}

// A DeadLetter is a record that can get no outcome. What is in it is not shown.
type DeadLetter struct {
	At        time.Time `json:"at"`
	IntentID  string    `json:"intent_id,omitempty"` // empty: none could be read
	Reason    string    `json:"reason"`
	Partition int32     `json:"partition"`
	Offset    int64     `json:"offset"`
}

// A Story is what is known of one intent.
type Story struct {
	ID      string   `json:"intent_id"` // that was asked for: an intent's, or an order's
	State   string   `json:"state"`     // created, failed, dead_letter, waiting, answered, unknown
	Records []Record `json:"records"`   // that are not settled
	Events  []Event  `json:"events"`    // in the order of time

	Outcomes []Settled `json:"outcomes,omitempty"` // that the ledger remembers
}

// A Settled is an outcome that the ledger remembers.
type Settled struct {
	State     string    `json:"state"` // created, failed or, if that is not known now, answered
	At        time.Time `json:"at,omitzero"`
	Topic     string    `json:"topic"`
	Partition int32     `json:"partition"`
	Offset    *int64    `json:"offset,omitempty"` // absent: not known
}

// Known reports whether the story tells anything.
func (s Story) Known() bool { return len(s.Records)+len(s.Events) > 0 }

// A Record is one that is not settled, and why it waits.
type Record struct {
	IntentID  string    `json:"intent_id"`
	OrderID   string    `json:"order_id,omitempty"`
	Merchant  string    `json:"merchant_id,omitempty"`
	Partition int32     `json:"partition"`
	Offset    int64     `json:"offset"`
	State     string    `json:"state"`
	Asks      bool      `json:"asks_for_a_turn,omitempty"` // its merchant asks other replicas
	Since     time.Time `json:"since,omitzero"`
	Until     time.Time `json:"until,omitzero"`
	Attempts  int       `json:"attempts,omitempty"`
	LastError string    `json:"last_error,omitempty"`
}

// An Event is one step of a story, in the words of "paylink explain".
type Event struct {
	At        time.Time `json:"at,omitzero"`
	Event     string    `json:"event"`
	Topic     string    `json:"topic,omitempty"` // empty: the place is not known
	Partition int32     `json:"partition"`
	Offset    int64     `json:"offset"`
	Text      string    `json:"text"`
}
