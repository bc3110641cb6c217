package kafkaio_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/segmentio/kafka-go"
	"github.com/sirupsen/logrus"

	"paylink/internal/devstack"
	"paylink/internal/event"
	"paylink/internal/kafkaio"
	"paylink/internal/pipeline"
)

// BenchmarkTakeOver measures a start with a full ledger, until all partitions are
// served, without a folder and with one, beside the plain fetch of the same bytes. The
// embedded broker has to share the processor in all three. LEDGER_OUTCOMES is how many
// there are.
func BenchmarkTakeOver(b *testing.B) {
	const parts = 4
	n := 200_000
	if more, err := strconv.Atoi(os.Getenv("LEDGER_OUTCOMES")); err == nil {
		n = more
	}
	broker, err := devstack.StartBroker(devstack.BrokerOptions{Topics: devstack.DefaultTopics(parts)})
	if err != nil {
		b.Fatal(err)
	}
	defer broker.Close()
	const some = 50_000
	for p := range int32(parts) {
		for from := 0; from < n/parts; from += some {
			if err := broker.Kafka().EmitTo(context.Background(), devstack.Outcomes, p, answeredFrom(int(p), from, min(some, n/parts-from))...); err != nil {
				b.Fatal(err)
			}
		}
	}
	group, dir := 0, b.TempDir()
	measure := func(b *testing.B, do func()) {
		began, before := time.Now(), kafkaio.CPU()
		for b.Loop() {
			do()
		}
		b.ReportMetric(float64(n*b.N)/time.Since(began).Seconds(), "outcomes/s")
		b.ReportMetric((kafkaio.CPU()-before).Seconds()/float64(b.N), "cpu-s/op")
	}
	b.Run("plain fetch", func(b *testing.B) { measure(b, func() { fetchAll(b, broker, parts) }) })
	b.Run("taken over", func(b *testing.B) { measure(b, func() { group++; takeOver(b, broker, parts, n, group, "") }) })
	group++
	takeOver(b, broker, parts, n, group, dir)
	b.Run("with the folder", func(b *testing.B) { measure(b, func() { takeOver(b, broker, parts, n, group, dir) }) })
}

// takeOver runs a member until it serves all partitions, and knows n outcomes.
func takeOver(b *testing.B, broker *devstack.Broker, parts, n, group int, dir string) {
	log := logrus.New()
	log.SetOutput(io.Discard)
	source, err := kafkaio.New(kafkaio.Config{
		Connection: kafkaio.Connection{Brokers: broker.Addrs()},
		Group:      fmt.Sprint("bench-", group), IntentTopic: devstack.Intents, OutcomeTopic: devstack.Outcomes, DeadLetterTopic: devstack.DeadLetters,
		SessionTimeout: 6 * time.Second, RebalanceTimeout: time.Minute, DrainTimeout: 35 * time.Second, LedgerWindow: 168 * time.Hour, LedgerDir: dir,
		Log: log, Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan struct{}, parts)
	go func() {
		for range parts {
			<-served
		}
		if known := source.Known(); known != n {
			b.Errorf("%d outcomes known, want %d", known, n)
		}
		stop()
	}()
	err = source.Run(ctx, func(c pipeline.Claim) {
		served <- struct{}{}
		<-c.Draining()
	})
	if err != nil {
		b.Fatal(err)
	}
}

// fetchAll reads all outcomes, partitions side by side, and looks at no more than where
// the next ones begin.
func fetchAll(b *testing.B, broker *devstack.Broker, parts int32) {
	tr := &kafka.Transport{}
	defer tr.CloseIdleConnections()
	client := &kafka.Client{Addr: kafka.TCP(broker.Addrs()...), Transport: tr}
	meta, err := client.Metadata(context.Background(), &kafka.MetadataRequest{Topics: []string{devstack.Outcomes}})
	if err != nil {
		b.Fatal(err)
	}
	var all sync.WaitGroup
	for _, p := range meta.Topics[0].Partitions {
		all.Go(func() {
			for next, end := int64(0), int64(1); next < end; {
				got, err := kafkaio.FetchRequest{Leader: int32(p.Leader.ID), Topic: devstack.Outcomes, MaxBytes: 1 << 20,
					Partitions: []kafkaio.FetchFrom{{Partition: int32(p.ID), Offset: next, MaxBytes: 1 << 20}}}.FetchOne(context.Background(), client)
				if err != nil {
					b.Error(err)
					return
				}
				end = got.HighWatermark
				for set := got.Records.Bytes; len(set) > 61; {
					size := int(binary.BigEndian.Uint32(set[8:])) + 12
					if size > len(set) {
						break
					}
					next, set = int64(binary.BigEndian.Uint64(set))+int64(binary.BigEndian.Uint32(set[23:]))+1, set[size:]
				}
			}
		})
	}
	all.Wait()
}

func answeredIntents(part, n int) []event.Message { return answeredFrom(part, 0, n) }

// answeredFrom are n outcomes of a partition, from number on.
func answeredFrom(part, number, n int) []event.Message {
	out := make([]event.Message, n)
	for i := range out {
		i := i + number
		id := fmt.Sprintf("order-%d-%010d", part, i)
		out[i-number] = event.Message{Key: []byte(id), Value: []byte(noise(500, uint64(i))), Headers: []event.Header{
			{Key: event.HeaderIntentID, Value: []byte(id)}, {Key: event.HeaderIntentDigest, Value: fmt.Appendf(nil, "%032x", i)},
		}}
	}
	return out
}
