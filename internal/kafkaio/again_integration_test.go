//go:build integration

package kafkaio_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"paylink/internal/kafkaio"
	"paylink/internal/pipeline"
)

// The new log is longer than the old one was read: only the topic's id tells.
func TestATopicOfARealKafkaThatIsMadeAgainIsReadFromItsBeginning(t *testing.T) {
	b := edge(t, nil, nil)
	emit := func(n int) {
		for i := range n {
			b.emit("k", fmt.Sprintf("%d", i))
		}
	}
	emit(3)
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	claims := 0
	err := b.open().Run(ctx, func(c pipeline.Claim) {
		recs, next, err := c.Poll(ctx)
		b.check(err)
		if len(recs) == 0 || recs[0].Offset != 0 {
			t.Errorf("claim %d begins with %+v, want the first record", claims, recs)
		}
		c.Commit(next)
		if claims++; claims == 2 {
			stop()
			<-c.Draining() // a claim that ends before it is asked to is begun anew
			return
		}
		b.net.refuse(kmsg.Fetch) // or the offsets would tell
		b.admin(func(ctx context.Context, c *kadm.Client) error {
			if _, err := c.DeleteTopic(ctx, b.intents); err != nil {
				return err
			}
			for {
				_, err := c.CreateTopic(ctx, 1, 1, nil, b.intents)
				if err == nil || !kafkaio.Sleep(ctx, 200*time.Millisecond) {
					return err
				}
			}
		})
		emit(9)
		b.net.set(nil)
		select {
		case <-c.Draining():
		case <-ctx.Done():
		}
	})
	if err != nil || claims != 2 {
		t.Errorf("%d claims, Run = %v; want a second one for the new topic", claims, err)
	}
}

// Answers that are larger than all there is room for are taken piece by piece.
func TestAnswersOfARealKafkaThatAreLargerThanTheBudgetAreRead(t *testing.T) {
	const budget, each, batches = 3 << 20, 6, 4
	b := edge(t, nil, nil)
	b.admin(func(ctx context.Context, c *kadm.Client) error {
		large := "8000000"
		_, err := c.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "max.message.bytes", Value: &large}}, b.intents)
		return err
	})
	c, err := b.kafka.Client(kgo.ProducerBatchMaxBytes(8<<20), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerLinger(time.Second),
		kgo.MaxBufferedRecords(each))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range batches {
		var recs []*kgo.Record
		for j := range each {
			recs = append(recs, &kgo.Record{Topic: b.intents, Key: fmt.Appendf(nil, "%d-%d", i, j), Value: []byte(noise(900_000, uint64(i*each+j)))})
		}
		b.check(c.ProduceSync(context.Background(), recs...).FirstErr())
	}
	source := b.open().(*kafkaio.Source)
	source.HoldAtMost(budget, budget)
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	got := 0
	err = source.Run(ctx, func(c pipeline.Claim) {
		defer stop()
		for got < each*batches {
			recs, _, err := c.Poll(ctx)
			if err != nil {
				t.Errorf("Poll = %v after %d records", err, got)
				return
			}
			for i := range recs {
				if recs[i].TooLarge != 0 || len(recs[i].Value) != 900_000 {
					t.Errorf("record %d: %d bytes, TooLarge %d", recs[i].Offset, len(recs[i].Value), recs[i].TooLarge)
				}
			}
			if held := source.Held(); held > budget {
				t.Errorf("%d bytes are held, want %d at most", held, budget)
			}
			got += len(recs)
			for i := range recs {
				recs[i].Lease.Release()
			}
		}
	})
	if err != nil || got != each*batches {
		t.Errorf("%d records, Run = %v; want %d", got, err, each*batches)
	}
}
