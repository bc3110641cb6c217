package pipeline

import (
	"paylink/internal/partition"
	"paylink/internal/payment"
)

// links remembers whose payment each of the newest links is. A gateway that answers
// two intents with one payment would have both payers pay for the same thing.
type links struct {
	of   map[linked]partition.Hash // of the intent id
	ring []linked                  // in the order they came
	next int
}

// A linked is a payment at a gateway.
type linked struct {
	gateway string
	payment int64
}

// keepLinks is how many links are remembered, per process: 3 MB.
const keepLinks = 1 << 15

// take notes that a payment is an intent's. It reports false if it is another's.
func (l *links) take(gateway string, id int64, in payment.IntentID) bool {
	key, hash := linked{gateway, id}, partition.HashOf([]byte(in))
	if of, ok := l.of[key]; ok {
		return of == hash
	}
	if l.of == nil {
		l.of = map[linked]partition.Hash{}
	}
	if len(l.ring) < keepLinks {
		l.ring = append(l.ring, key)
	} else {
		delete(l.of, l.ring[l.next])
		l.ring[l.next] = key
		l.next = (l.next + 1) % keepLinks
	}
	l.of[key] = hash
	return true
}

// errShared is what an answer is worth whose payment is another intent's: whose it
// is, nobody knows, so it is in doubt, and no link is published.
var errShared = &payment.GatewayError{Class: payment.InDoubt, Cause: "payment_of_another", Signed: true}
