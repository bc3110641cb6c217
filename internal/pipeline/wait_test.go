package pipeline_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"paylink/internal/event"
	"paylink/internal/pipeline"
)

// A sleepy registry cannot be asked until it wakes up.
type sleepy struct {
	wakes time.Time
	asked int
}

func (s *sleepy) ByID(context.Context, int) (event.WriterSchema, error) {
	s.asked++
	if time.Now().Before(s.wakes) {
		return event.WriterSchema{}, errors.New("connection refused")
	}
	return event.WriterSchema{}, event.ErrUnknownSchema
}

func (s *sleepy) ByGUID(ctx context.Context, _ string) (event.WriterSchema, error) {
	return s.ByID(ctx, 0)
}

// framed is a value that names schema 7.
const framed = "\x00\x00\x00\x00\x07{}"

func TestRecordThatCannotBeReadYetHoldsThePartition(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		reg := &sleepy{wakes: time.Now().Add(time.Hour)}
		m, p, _ := l.one(func(c *pipeline.Config) {
			c.Decoder = event.NewDecoder(event.DecoderConfig{DefaultMerchant: "540001", Schemas: reg})
		})
		p.emit("a", intent("before"))
		after(time.Second)
		p.emit("b", framed)
		p.emit("c", intent("behind"))
		after(30 * time.Minute)
		same(t, "outcomes", p.order(), []string{"before"})
		same(t, "committed", p.committedOffset(), int64(1))
		same(t, "dead letters", len(p.reasons()), 0)
		if n := len(m.log.lines("cannot read the record yet")); n == 0 || n > 500 {
			t.Errorf("%d warnings in half an hour, want some", n)
		}
		if n := m.metric(t, "paylink_registry_waits_total"); n == 0 {
			t.Error("nothing to alarm on: paylink_registry_waits_total is 0")
		}
		l.settles(time.Hour)
		same(t, "dead letters", p.reasons(), map[int64]string{1: "unknown_schema"})
	})
}

func TestDrainAndLossEndTheWaitForADecoder(t *testing.T) {
	for name, end := range map[string]func(*claim){"drain": (*claim).drain, "loss": (*claim).lose} {
		t.Run(name, func(t *testing.T) {
			inLab(t, 1, func(l *lab) {
				reg := &sleepy{wakes: time.Now().Add(time.Hour)}
				_, p, c := l.one(func(c *pipeline.Config) { c.Decoder = event.NewDecoder(event.DecoderConfig{Schemas: reg}) })
				p.emit("", framed)
				after(time.Minute)
				end(c)
				after(0)
				same(t, "given up", isClosed(c.served), true)
				same(t, "committed", p.committedOffset(), int64(0))
			})
		})
	}
}
