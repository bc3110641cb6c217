package kafkawire

import "slices"

// A Filter shows the records of committed transactions and of no transaction:
// what a consumer of isolation level read_committed may see.
type Filter struct {
	aborted []Aborted // not begun yet, by first offset
	dead    map[int64]bool
}

// NewFilter returns a filter for one fetched record set, whose answer listed
// these aborted transactions.
func NewFilter(aborted []Aborted) *Filter {
	f := &Filter{aborted: slices.Clone(aborted)}
	slices.SortFunc(f.aborted, func(a, b Aborted) int { return int(min(max(a.FirstOffset-b.FirstOffset, -1), 1)) })
	return f
}

// Hides reports whether the records of the batch must not be seen. Every batch
// of the set has to be shown to it, in order. The rule is that of Kafka's own
// consumer (CompletedFetch.java): a producer is dead from the first offset of
// its aborted transaction to its marker.
func (f *Filter) Hides(b *Batch) bool {
	for len(f.aborted) > 0 && f.aborted[0].FirstOffset <= b.Last {
		if f.dead == nil {
			f.dead = map[int64]bool{}
		}
		f.dead[f.aborted[0].ProducerID] = true
		f.aborted = f.aborted[1:]
	}
	if b.Control {
		delete(f.dead, b.Producer.ID)
		return true
	}
	return b.InTxn && f.dead[b.Producer.ID]
}
