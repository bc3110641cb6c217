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
	"paylink/internal/kafkaio"
	"paylink/internal/kafkaops"
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

// With min.insync.replicas of all three brokers, one that dies stops all writing: that
// is said within seconds, by cause, and over when the broker is back.
func TestARealKafkaWithTooFewReplicasIsSaid(t *testing.T) {
	cluster := realkafka.StartCluster(t)
	brokers := cluster.Brokers()
	b := &bench{
		t: t, kafka: devstack.Kafka{Brokers: brokers}, dial: (&net.Dialer{Timeout: 3 * time.Second}).DialContext,
		group:    realkafka.Name(t, "group"),
		intents:  realkafka.Topic(t, brokers, "intents", 1),
		outcomes: realkafka.Topic(t, brokers, "outcomes", 1, "min.insync.replicas=3"),
		dead:     realkafka.Topic(t, brokers, "dead", 1),
	}
	source := b.open().(*kafkaio.Source)
	ctx, stop := context.WithTimeout(context.Background(), 3*time.Minute)
	defer stop()
	blocked := func(cause string) bool {
		for _, x := range source.State().Troubles {
			if x.Kind == kafkaio.AppendBlocked && (cause == "" || x.Cause == cause) {
				return true
			}
		}
		return false
	}
	await := func(what string, is func() bool) time.Duration {
		began := time.Now()
		for !is() && ctx.Err() == nil {
			time.Sleep(100 * time.Millisecond)
		}
		if ctx.Err() != nil {
			t.Errorf("%s: not within the test's time; troubles %v", what, source.State().Troubles)
		}
		return time.Since(began)
	}
	err := source.Run(ctx, func(c pipeline.Claim) {
		defer stop()
		b.check(cluster.Kill(3))
		told := make(chan error, 1)
		m := event.Message{Value: []byte("v"), Time: time.Now()}
		c.Append(pipeline.Answer{ID: "one", Message: m}, func(err error) { told <- err })
		if d := await("blocked", func() bool { return blocked("") }); d > 6*time.Second {
			t.Errorf("said after %v, want seconds", d)
		}
		t.Logf("cause known after %v more", await("for want of replicas", func() bool { return blocked("not_enough_replicas") }))
		topics := kafkaops.Topics{Intents: b.intents, Outcomes: b.outcomes, DeadLetters: b.dead}
		states, err := kafkaops.DescribeTopics(ctx, kafkaio.Connection{Brokers: brokers[:2], ClientID: "test"}, topics)
		if b.check(err); err == nil && (states[1].Refusing != 1 || states[2].Refusing != 0) {
			t.Errorf("topics %+v, want that of the outcomes refusing", states)
		}
		b.check(cluster.Restart(3))
		if err := <-told; err != nil {
			t.Errorf("Append = %v", err)
		}
		await("over", func() bool { return !blocked("") })
	})
	if err != nil {
		t.Error(err)
	}
}
