package kafkaio

import (
	"cmp"
	"context"
	"slices"
	"time"

	"paylink/internal/event"
	"paylink/internal/kafkawire"
	"paylink/internal/payment"
)

// A Settled is an outcome that a ledger remembers.
type Settled struct {
	TopicPartition
	Offset  int64         // negative: not known
	Message event.Message // as it stands there; without headers, if it could not be read
}

// settledLimit is how long the brokers are asked for an outcome that is to be shown.
const settledLimit = 5 * time.Second

// maxSettledFetch is how much is asked for: brokers send one batch whole at least.
const maxSettledFetch = 64 << 10

// Settled returns the outcomes of an intent in the partitions whose ledgers were read
// by this process. It fetches each once.
func (s *Source) Settled(ctx context.Context, id payment.IntentID) (all []Settled) {
	ledgers := s.ledgers.list()
	slices.SortFunc(ledgers, func(a, b *ledger) int { return cmp.Compare(a.partition, b.partition) })
	for _, l := range ledgers {
		offset, answered := l.place(id)
		if !answered {
			continue
		}
		is := Settled{TopicPartition: TopicPartition{s.cfg.OutcomeTopic, l.partition}, Offset: offset}
		if offset >= 0 {
			is.Message, _ = l.outcome(ctx, id, offset) // its place is told in any case
		}
		all = append(all, is)
	}
	return all
}

// place returns where the outcome of an intent stands.
func (l *ledger) place(id payment.IntentID) (offset int64, answered bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.known.Place([]byte(id))
}

// outcome fetches an outcome, and makes sure whose it is.
func (l *ledger) outcome(ctx context.Context, id payment.IntentID, offset int64) (m event.Message, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, settledLimit)
	defer cancel()
	select { // what is held of outcomes is bounded, whoever asks
	case l.s.reading <- struct{}{}:
		defer func() { <-l.s.reading }()
	case <-ctx.Done():
		return m, false
	}
	p, err := l.s.fetchFrom(ctx, TopicPartition{l.s.cfg.OutcomeTopic, l.partition}, offset, maxSettledFetch, kafkawire.ReadUncommitted)
	if err != nil {
		return m, false
	}
	recs, _, _ := Visible(offset, p)
	if len(recs) == 0 || recs[0].Offset != offset || string(recs[0].Message.Header(event.HeaderIntentID)) != string(id) {
		return m, false
	}
	return recs[0].Message, true
}
