package pipeline_test

import (
	"bytes"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"paylink/internal/event"
	"paylink/internal/pipeline"
	"paylink/internal/pipeline/conformance"
)

// TestTheFakeKeepsTheContract puts the source that the engine's tests use to what
// kafkaio is put to: what they show of the engine holds for the real one.
func TestTheFakeKeepsTheContract(t *testing.T) {
	conformance.Run(t, func(t *testing.T, f func(*testing.T)) { synctest.Test(t, f) }, func(*testing.T) conformance.Bench {
		const large = 50_000
		tp := newTopic(1)
		p, gone := tp.parts[0], &atomic.Int64{} // the offsets below it
		fits := func(m event.Message) error {
			if len(m.Value) >= large {
				return pipeline.ErrTooLarge
			}
			return nil
		}
		return conformance.Bench{
			Open: func() pipeline.Source {
				s := newSource(tp)
				s.kind = func(c *claim) {
					c.appendFails = func(o pipeline.Answer) error { return fits(o.Message) }
					c.buryFails = fits
					c.vanished = func(offset int64) bool { return offset < gone.Load() }
				}
				go s.take(0)
				return s
			},
			Emit:      func(key, value string) { p.emit(key, value) },
			Skip:      func() { p.control(2) },
			Vanish:    gone.Store,
			Outcomes:  func() []event.Message { return p.messages(&p.outcomes) },
			Dead:      func() []event.Message { return p.messages(&p.dead) },
			Committed: p.committedOffset,
			Lose:      func() { p.owner((*claim).lose) },
			Large:     large,
			Noise:     func(n int) []byte { return bytes.Repeat([]byte("x"), n) },
		}
	})
}

// messages returns outcomes or dead letters as a reader sees them.
func (p *partition) messages(of *[]published) (ms []event.Message) {
	p.topic.mu.Lock()
	defer p.topic.mu.Unlock()
	for _, m := range *of {
		ms = append(ms, m.Message)
	}
	return ms
}
