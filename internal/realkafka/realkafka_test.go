//go:build integration

package realkafka

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestABrokerReturnsWhatItWasGiven(t *testing.T) {
	brokers := Start(t)
	topic := Topic(t, brokers, "echo", 3)
	produceAndConsume(t, brokers, topic, 100)
}

func TestABinaryHasOneBroker(t *testing.T) {
	a, b := Start(t), Start(t)
	if strings.Join(a, ",") != strings.Join(b, ",") {
		t.Errorf("Start = %v, then %v, want the same", a, b)
	}
	if one, two := Name(t, "group"), Name(t, "group"); one == two {
		t.Errorf("Name = %s twice, want two names", one)
	}
}

func TestAClusterLosesItsLeaderAndNoRecord(t *testing.T) {
	c := StartCluster(t)
	topic := Topic(t, c.Brokers(), "echo", 1)
	produceAndConsume(t, c.Brokers(), topic, 100)

	first, err := c.Leader(t.Context(), 1, topic, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Kill(first); err != nil {
		t.Fatal(err)
	}
	produceAndConsume(t, c.Brokers(), topic, 200)
	if err := c.Pause(first); err == nil {
		t.Errorf("Pause(%d) = nil, want an error: the node is down", first)
	}
	if second, err := c.Leader(t.Context(), first%3+1, topic, 0); err != nil || second == first {
		t.Errorf("leader after kill of %d = %d, %v, want another node", first, second, err)
	}
	if err := c.Restart(first); err != nil {
		t.Fatal(err)
	}
	produceAndConsume(t, c.Brokers(), topic, 300)

	other := first%3 + 1
	if err := c.Pause(other); err != nil {
		t.Fatal(err)
	}
	produceAndConsume(t, c.Brokers(), topic, 400)
	if err := c.Resume(other); err != nil {
		t.Fatal(err)
	}
	produceAndConsume(t, c.Brokers(), topic, 500)
	if err := c.Kill(4); err == nil {
		t.Error("Kill(4) = nil, want an error: there is no node 4")
	}
}

// produceAndConsume appends 100 numbered records so that the topic holds upTo,
// and reads all of them from the beginning.
func produceAndConsume(t *testing.T, brokers []string, topic string, upTo int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topic), kgo.DialTimeout(2*time.Second), kgo.RequestTimeoutOverhead(3*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	var records []*kgo.Record
	for n := upTo - 100; n < upTo; n++ {
		records = append(records, &kgo.Record{Topic: topic, Value: []byte(strconv.Itoa(n))})
	}
	if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
		t.Fatalf("produce: %v", err)
	}
	seen := map[string]int{}
	for total := 0; total < upTo; {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("read %d of %d records: %v", total, upTo, errors.Join(ctx.Err(), fetches.Err()))
		}
		fetches.EachRecord(func(r *kgo.Record) { seen[string(r.Value)]++; total++ })
	}
	for n := range upTo {
		if got := seen[strconv.Itoa(n)]; got != 1 {
			t.Errorf("record %d was read %d times, want once", n, got)
		}
	}
}

func TestAKeptCommandRunsAtTheEnd(t *testing.T) {
	file := t.TempDir() + "/ran"
	k, err := keep("touch", file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("the command ran before its time")
	}
	for range 2 {
		if err := k.end(); err != nil {
			t.Errorf("end = %v, want nil", err)
		}
	}
	if _, err := os.Stat(file); err != nil {
		t.Errorf("the command did not run: %v", err)
	}
}
