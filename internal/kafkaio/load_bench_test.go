package kafkaio_test

import (
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"

	"paylink/internal/devstack"
	"paylink/internal/event"
	"paylink/internal/kafkaio"
	"paylink/internal/pipeline"
)

// BenchmarkTakeOver measures a start with a full ledger, the fetching and the
// embedded broker included, which has to share the processor.
func BenchmarkTakeOver(b *testing.B) {
	const parts, n = 4, 200_000
	broker, err := devstack.StartBroker(devstack.BrokerOptions{Topics: devstack.DefaultTopics(parts)})
	if err != nil {
		b.Fatal(err)
	}
	defer broker.Close()
	for p := range int32(parts) {
		if err := broker.Kafka().EmitTo(context.Background(), devstack.Outcomes, p, answeredIntents(int(p), n/parts)...); err != nil {
			b.Fatal(err)
		}
	}
	log := logrus.New()
	log.SetOutput(io.Discard)
	runs, began := 0, time.Now()
	for b.Loop() {
		runs++
		source, err := kafkaio.New(kafkaio.Config{
			Connection: kafkaio.Connection{Brokers: broker.Addrs()},
			Group:      fmt.Sprint("bench-", runs), IntentTopic: devstack.Intents, OutcomeTopic: devstack.Outcomes, DeadLetterTopic: devstack.DeadLetters,
			SessionTimeout: 6 * time.Second, RebalanceTimeout: time.Minute, DrainTimeout: 35 * time.Second, LedgerWindow: 168 * time.Hour,
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
	b.ReportMetric(float64(n*runs)/time.Since(began).Seconds(), "outcomes/s")
}

func answeredIntents(part, n int) []event.Message {
	out := make([]event.Message, n)
	for i := range out {
		id := fmt.Sprintf("order-%d-%010d", part, i)
		out[i] = event.Message{Key: []byte(id), Value: []byte(noise(500, uint64(i))), Headers: []event.Header{
			{Key: event.HeaderIntentID, Value: []byte(id)}, {Key: event.HeaderIntentDigest, Value: fmt.Appendf(nil, "%032x", i)},
		}}
	}
	return out
}
