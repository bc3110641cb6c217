//go:build integration

package kafkaio_test

import (
	"context"
	"net"
	"slices"
	"testing"
	"time"

	"paylink/internal/devstack"
	"paylink/internal/kafkaio"
	"paylink/internal/pace"
	"paylink/internal/pipeline"
	"paylink/internal/realkafka"
)

// TestNotesComeThroughARealKafka, within a time that a loan can wait for.
func TestNotesComeThroughARealKafka(t *testing.T) {
	t.Parallel()
	brokers := realkafka.Start(t)
	b := &bench{
		t: t, kafka: devstack.Kafka{Brokers: brokers}, dial: (&net.Dialer{Timeout: 3 * time.Second}).DialContext,
		group:    realkafka.Name(t, "group"),
		intents:  realkafka.Topic(t, brokers, "intents", 2),
		outcomes: realkafka.Topic(t, brokers, "outcomes", 2),
		dead:     realkafka.Topic(t, brokers, "dead", 2),
		turns:    realkafka.Topic(t, brokers, "turns", 1),
	}
	one, two := b.lender(), b.lender()
	number := uint64(0)
	say := func() {
		number++
		one.Say(pace.Note{Kind: pace.Ask, Merchant: "540001", From: one.Name(), Number: number, Until: time.Now().Add(time.Minute)})
	}
	hear := func(within time.Duration) bool {
		for end := time.After(within); ; {
			select {
			case n := <-two.Heard():
				if n.Number == number {
					return true
				}
			case <-end:
				return false
			}
		}
	}
	for end := time.Now().Add(30 * time.Second); ; {
		if say(); hear(500 * time.Millisecond) {
			break
		}
		if time.Now().After(end) {
			t.Fatal("no note comes through")
		}
	}
	var took []time.Duration
	for range 200 {
		began := time.Now()
		if say(); !hear(5 * time.Second) {
			t.Fatalf("the ask %d did not come through", number)
		}
		took = append(took, time.Since(began))
		time.Sleep(5 * time.Millisecond)
	}
	slices.Sort(took)
	t.Logf("a note takes p50 %s, p99 %s", took[100], took[197])
	if took[100] > pace.LoanFor/2 { // an ask, and its loan
		t.Errorf("half of the notes take more than %s: a loan would hardly be in time", took[100])
	}
}

// lender is the notes of a member that runs until the test ends.
func (b *bench) lender() pipeline.Turns {
	source := b.open().(*kafkaio.Source)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() {
		ended <- source.Run(ctx, func(c pipeline.Claim) {
			select {
			case <-c.Draining():
			case <-c.Lost():
			}
		})
	}()
	b.t.Cleanup(func() {
		stop()
		b.check(<-ended)
	})
	return source.Turns()
}
