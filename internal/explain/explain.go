// Package explain tells the story of one intent from the three topics, from what
// the gateway says now, and from a running service: what was emitted, what came of
// it, or why nothing has.
//
// It finds the intent's records among millions without reading them all in full: a
// record that holds the id nowhere in its bytes is passed over. Ids may be hidden
// from that, by JSON's escapes for example. So what is found is checked against the
// places that outcomes name, and what is not found is looked for once more in full.
package explain

import (
	"time"

	"paylink/internal/event"
	"paylink/internal/facts"
	"paylink/internal/payment"
)

// The words for what happened, in an Event.
const (
	Emitted    = "emitted"
	Repeated   = "repeated"
	Conflict   = "conflict"
	Created    = "created"
	Failed     = "failed"
	DeadLetter = "dead_letter"
	Waiting    = "waiting"
	Status     = "status"
)

// Unknown is the state of an intent that was not found; the other states are the
// words Created, Failed, Waiting and DeadLetter.
const Unknown = "unknown"

// An Event is one step of a story. Its place is that of the record it is about.
type Event struct {
	Kind      string    `json:"kind"` // "event"
	At        time.Time `json:"at,omitzero"`
	Event     string    `json:"event"`
	Topic     string    `json:"topic"`
	Partition int32     `json:"partition"`
	Offset    int64     `json:"offset"`
	Text      string    `json:"text"`
}

func eventOf(at time.Time, what string, about event.Place, text string) Event {
	return Event{Kind: "event", At: at.UTC(), Event: what, Topic: about.Topic, Partition: about.Partition, Offset: about.Offset, Text: text}
}

// A Summary ends a story.
type Summary struct {
	Kind     string             `json:"kind"` // "summary"
	Intent   payment.IntentID   `json:"intent_id"`
	Merchant payment.MerchantID `json:"merchant_id"`
	OrderID  string             `json:"order_id"`
	State    string             `json:"state"`
}

// Lines is the summary for people.
func (s Summary) Lines() []string {
	line := "Intent " + string(s.Intent)
	switch {
	case s.State == Unknown:
		return []string{"Nothing is known of it in the range that was searched."}
	case s.Intent == "":
		line = "A record that is no intent"
	}
	if s.OrderID != "" {
		line += ", order " + s.OrderID
	}
	if s.Merchant != "" {
		line += ", merchant " + string(s.Merchant)
	}
	return []string{line + ": " + stateWords[s.State]}
}

var stateWords = map[string]string{
	Created: "it has its payment link.", Failed: "it failed, for good.", Waiting: "it waits, and has no outcome yet.",
	DeadLetter: "it got no outcome, and lies among the dead letters.",
}

// An IDKind says what the id was that was asked for.
type IDKind uint8

// The kinds of ids. What is found by the key alone is no readable intent.
const (
	ByIntent IDKind = 1 << iota
	ByOrder
	ByPayment
	ByKey
)

// String names the kinds.
func (k IDKind) String() string {
	s := ""
	for i, word := range []string{"an intent id", "an order id", "a payment id", "a record's key"} {
		if k&(1<<i) == 0 {
			continue
		}
		if s != "" {
			s += ", and "
		}
		s += word
	}
	return s
}

// A Story is all records of one intent.
type Story struct {
	Intent payment.IntentID
	By     IDKind // how the id that was asked for leads here
	facts  []facts.Fact
}
