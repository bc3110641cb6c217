package kafkawire_test

import (
	"testing"

	"paylink/internal/kafkawire"
)

func TestFilterHidesAbortedTransactions(t *testing.T) {
	batch := func(base, last, producer int64) *kafkawire.Batch {
		return &kafkawire.Batch{Base: base, Last: last, Producer: kafkawire.Producer{ID: producer}, InTxn: true}
	}
	marker := func(at, producer int64) *kafkawire.Batch {
		return &kafkawire.Batch{Base: at, Last: at, Producer: kafkawire.Producer{ID: producer}, InTxn: true, Control: true}
	}
	plain := func(base, last, producer int64) *kafkawire.Batch {
		return &kafkawire.Batch{Base: base, Last: last, Producer: kafkawire.Producer{ID: producer}}
	}
	for _, c := range []struct {
		name    string
		aborted []kafkawire.Aborted
		set     []*kafkawire.Batch
		hidden  []bool
	}{
		{"no transaction", nil, []*kafkawire.Batch{plain(0, 4, -1), plain(5, 9, 1)}, []bool{false, false}},
		{"committed", nil, []*kafkawire.Batch{batch(0, 4, 1), marker(5, 1)}, []bool{false, true}},
		{"aborted", []kafkawire.Aborted{{ProducerID: 1, FirstOffset: 0}},
			[]*kafkawire.Batch{batch(0, 4, 1), marker(5, 1), batch(6, 7, 1), marker(8, 1)}, []bool{true, true, false, true}},
		{"begun before the fetch", []kafkawire.Aborted{{ProducerID: 1, FirstOffset: 3}},
			[]*kafkawire.Batch{batch(10, 14, 1), marker(15, 1)}, []bool{true, true}},
		{"aborted after committed", []kafkawire.Aborted{{ProducerID: 1, FirstOffset: 6}},
			[]*kafkawire.Batch{batch(0, 4, 1), marker(5, 1), batch(6, 7, 1), marker(8, 1)}, []bool{false, true, true, true}},
		{"two interleaved, listed out of order", []kafkawire.Aborted{{ProducerID: 2, FirstOffset: 9}, {ProducerID: 1, FirstOffset: 0}},
			[]*kafkawire.Batch{batch(0, 1, 1), batch(2, 3, 2), marker(4, 2), batch(5, 6, 1), marker(7, 1), batch(8, 9, 2), marker(10, 2)},
			[]bool{true, false, true, true, true, true, true}},
		{"plain batches of a producer whose transaction is dead", []kafkawire.Aborted{{ProducerID: 1, FirstOffset: 0}},
			[]*kafkawire.Batch{batch(0, 1, 1), plain(2, 3, 1), marker(4, 1)}, []bool{true, false, true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := kafkawire.NewFilter(c.aborted)
			for i, b := range c.set {
				if got := f.Hides(b); got != c.hidden[i] {
					t.Errorf("batch %d (%d to %d of %d): hidden %v, want %v", i, b.Base, b.Last, b.Producer.ID, got, c.hidden[i])
				}
			}
		})
	}
}
