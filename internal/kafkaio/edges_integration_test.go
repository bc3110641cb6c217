//go:build integration

package kafkaio_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"paylink/internal/devstack"
	"paylink/internal/event"
	"paylink/internal/payment"
	"paylink/internal/pipeline"
	"paylink/internal/realkafka"
)

// edge is a bench on a real Kafka whose topics have these settings.
func edge(t *testing.T, outcomes, dead []string) *bench {
	brokers := realkafka.Start(t)
	return &bench{
		t: t, kafka: devstack.Kafka{Brokers: brokers}, dial: (&net.Dialer{Timeout: 3 * time.Second}).DialContext,
		group:    realkafka.Name(t, "group"),
		intents:  realkafka.Topic(t, brokers, "intents", 1),
		outcomes: realkafka.Topic(t, brokers, "outcomes", 1, outcomes...),
		dead:     realkafka.Topic(t, brokers, "dead", 1, dead...),
	}
}

// serve runs one member, and f on its claim.
func (b *bench) serve(f func(pipeline.Claim)) error {
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	return b.open().Run(ctx, func(c pipeline.Claim) {
		defer stop()
		f(c)
	})
}

// settled waits until a record is appended, or not.
func settled(t *testing.T, begin func(done func(error))) {
	t.Helper()
	told := make(chan error, 1)
	begin(func(err error) { told <- err })
	select {
	case err := <-told:
		if err != nil {
			t.Errorf("append = %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("not appended within 20 s")
	}
}

// The same over and over would be refused for ever: by its timestamp, which is too
// old for the topic; or as a record without a key, in a compacted topic.
func TestARealKafkaTakesWhatItCalledInvalidOnceItIsMended(t *testing.T) {
	b := edge(t, []string{"message.timestamp.before.max.ms=3600000"}, []string{"cleanup.policy=compact"})
	id := payment.IntentID("one")
	old := event.Message{
		Key: []byte("k"), Value: []byte("v"), Time: time.Now().Add(-3 * time.Hour),
		Headers: []event.Header{{Key: event.HeaderIntentID, Value: []byte(id)}},
	}
	err := b.serve(func(c pipeline.Claim) {
		settled(t, func(done func(error)) { c.Append(pipeline.Answer{ID: id, Message: old}, done) })
		from := event.Place{Topic: b.intents, Offset: 7}
		why := &event.Unreadable{Reason: event.NotJSON, Text: "x"}
		settled(t, func(done func(error)) {
			c.Bury(event.DeadLetter(event.Message{Value: []byte("junk")}, from, b.group, why, time.Now()), done)
		})
	})
	if err != nil {
		t.Error(err)
	}
	if out := b.read(b.outcomes); len(out) != 1 || time.Since(out[0].Time) > time.Minute {
		t.Errorf("outcomes %v, want one with a time of now", out)
	}
	if dead := b.read(b.dead); len(dead) != 1 || string(dead[0].Key) != b.intents+"/0/7" {
		t.Errorf("dead letters %v, want one whose key is where the record stands", dead)
	}
}

func TestARealKafkaThatCompactsOutcomesIsRefused(t *testing.T) {
	b := edge(t, []string{"cleanup.policy=compact"}, nil)
	err := b.serve(func(pipeline.Claim) { t.Error("a claim is served") })
	if err == nil || !strings.Contains(err.Error(), "set cleanup.policy to delete") {
		t.Errorf("Run = %v, want how to mend it", err)
	}
}

func TestAnEmptiedPartitionOfARealKafkaMovesTheReach(t *testing.T) {
	b := edge(t, nil, nil)
	if err := b.serve(func(c pipeline.Claim) {
		m := event.Message{Value: []byte("v"), Time: time.Now()}
		settled(t, func(done func(error)) { c.Append(pipeline.Answer{ID: "one", Message: m}, done) })
	}); err != nil {
		t.Error(err)
	}
	b.admin(func(ctx context.Context, c *kadm.Client) error {
		var all kadm.Offsets
		all.AddOffset(b.outcomes, 0, -1, -1)
		res, err := c.DeleteRecords(ctx, all)
		return errors.Join(err, res.Error())
	})
	began := time.Now()
	if err := b.serve(func(c pipeline.Claim) {
		if c.Reach().Before(began) {
			t.Errorf("Reach = %v, want a time after the partition was emptied", c.Reach())
		}
	}); err != nil {
		t.Error(err)
	}
}
