package kafkaio_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"

	"paylink/internal/devstack"
	"paylink/internal/event"
	"paylink/internal/kafkaio"
	"paylink/internal/pipeline"
)

// emitLarge publishes n intents of 100 KB to each of two partitions.
func (l *lab) emitLarge(n int) {
	l.t.Helper()
	for i := range 2 * n {
		id := fmt.Sprintf("i-%05d", i)
		value := `{"intent_id":"` + id + `","amount":"10.00","description":"x","unknown":"` + noise(100_000, uint64(i)) + `"}`
		if err := l.broker.Kafka().EmitTo(context.Background(), devstack.Intents, int32(i%2), event.Message{Key: []byte(id), Value: []byte(value)}); err != nil {
			l.t.Fatal(err)
		}
	}
}

// A partition that holds all it can get makes another one wait for what is shared, and
// never for its own part; it waits itself, and goes on when there is room.
func TestTwoPartitionsCompeteForAFullBudget(t *testing.T) {
	const budget, share, each = 2 << 20, 512 << 10, 40
	inLab(t, 2, func(l *lab) {
		l.emitLarge(each)
		source := l.source()
		source.HoldAtMost(budget, share)
		ctx, stop := context.WithTimeout(context.Background(), time.Hour)
		defer stop()
		// read polls until there are n records, or none come for a while.
		read := func(c pipeline.Claim, n int, took func(*pipeline.Record)) (got int) {
			for got < n {
				short, cancel := context.WithTimeout(ctx, 20*time.Second)
				recs, _, err := c.Poll(short)
				cancel()
				if errors.Is(err, context.DeadlineExceeded) {
					return got
				}
				if err != nil {
					t.Errorf("partition %d: Poll = %v after %d records", c.Partition(), err, got)
					return got
				}
				for i := range recs {
					took(&recs[i])
				}
				got += len(recs)
				if held := source.Held(); held > budget {
					t.Errorf("%d bytes are held, want %d at most", held, budget)
				}
			}
			return got
		}
		full, done := make(chan struct{}), make(chan struct{})
		var parts sync.WaitGroup
		parts.Add(2)
		go func() { parts.Wait(); stop() }()
		err := source.Run(ctx, func(c pipeline.Claim) {
			// Not until ctx ends: a claim that ends before it is asked to is begun anew.
			defer func() { parts.Done(); <-c.Draining() }()
			if c.Partition() == 1 {
				<-full
				if n := read(c, each, func(r *pipeline.Record) { r.Lease.Release() }); n != each {
					t.Errorf("beside one that holds all it can get, %d records came, want %d", n, each)
				}
				close(done)
				return
			}
			var held []*pipeline.Record
			first := read(c, each, func(r *pipeline.Record) { held = append(held, r) })
			if first < 8 || first >= each {
				t.Errorf("%d records fit, want those that fill the budget but for the other's share", first)
			}
			close(full)
			<-done
			for _, r := range held {
				r.Lease.Release()
			}
			if n := read(c, each-first, func(r *pipeline.Record) { r.Lease.Release() }); n != each-first {
				t.Errorf("%d more came when there was room, want %d", n, each-first)
			}
		})
		if err != nil {
			t.Error(err)
		}
		if n := source.Held(); n != 0 {
			t.Errorf("%d bytes are held after the end", n)
		}
	})
}

// Records that are read again need not fit all at once: those for which there is room
// come first, and the others when these have been settled.
func TestReadAgainPieceByPiece(t *testing.T) {
	const budget, share, each = 2 << 20, 512 << 10, 40
	inLab(t, 2, func(l *lab) {
		l.emitLarge(each)
		source := l.source()
		source.HoldAtMost(budget, share)
		ctx, stop := context.WithTimeout(context.Background(), time.Hour)
		defer stop()
		err := source.Run(ctx, func(c pipeline.Claim) {
			defer func() { <-c.Draining() }()
			if c.Partition() == 1 {
				return
			}
			var offsets []int64
			for len(offsets) < each {
				recs, _, err := c.Poll(ctx)
				if err != nil {
					t.Errorf("Poll = %v after %d records", err, len(offsets))
					return
				}
				for i := range recs {
					offsets = append(offsets, recs[i].Offset)
					recs[i].Lease.Release()
				}
			}
			pieces := 0
			for ; len(offsets) > 0; pieces++ {
				recs, err := c.Reread(ctx, offsets)
				if err != nil && !errors.Is(err, pipeline.ErrFull) || len(recs) == 0 || recs[0].Offset != offsets[0] {
					t.Errorf("piece %d: %d records, %v; want the next ones", pieces, len(recs), err)
					break
				}
				offsets = offsets[len(recs):]
				for i := range recs {
					recs[i].Lease.Release()
				}
			}
			if pieces < 2 {
				t.Errorf("%d pieces, want several: all are larger than the budget", pieces)
			}
			stop()
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// The same through the engine: all get their links, none is buried.
func TestAFullBudgetDelaysAndBuriesNobody(t *testing.T) {
	inLab(t, 2, func(l *lab) {
		l.gate.answersAfter(time.Second)
		l.emitLarge(40)
		l.adjust = func(s *kafkaio.Source) { s.HoldAtMost(2<<20, 512<<10) }
		l.serveOnce(80)
		if dead := l.dead(); len(dead) != 0 {
			t.Errorf("%d dead letters, want none", len(dead))
		}
		l.calls(80, 1)
	})
}

// source is a member without an engine.
func (l *lab) source() *kafkaio.Source {
	l.t.Helper()
	log := logrus.New()
	log.SetOutput(io.Discard)
	s, err := kafkaio.New(kafkaio.Config{
		Connection: kafkaio.Connection{Brokers: l.broker.Addrs(), ClientID: "a", Dial: l.vn.DialContext},
		Group:      "paylink", IntentTopic: devstack.Intents, OutcomeTopic: devstack.Outcomes, DeadLetterTopic: devstack.DeadLetters,
		SessionTimeout: 6 * time.Second, RebalanceTimeout: 60 * time.Second, DrainTimeout: 35 * time.Second, LedgerWindow: 168 * time.Hour,
		Log: log, Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return s
}
