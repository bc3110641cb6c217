package bench

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"paylink/internal/event"
	"paylink/internal/freedompay"
	"paylink/internal/payment"
)

// plainOptions say what the plain loop works on.
type plainOptions struct {
	brokers           []string
	group             string
	intents, outcomes string
	gateway           string
	inFlight          int
}

// runPlain is the plainest loop that turns intents into outcomes with kafka-go,
// and the measure of what our guarantees cost. It keeps no order, repeats calls
// and outcomes after a crash, loses intents that failed while later ones were
// committed, and retries nothing. Settings are those that make it fast without
// making it wrong on a good day.
func runPlain(ctx context.Context, o plainOptions) error {
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers: o.brokers, GroupID: o.group, Topic: o.intents,
		StartOffset: kafka.FirstOffset, MinBytes: 1, MaxBytes: 10 << 20, MaxWait: 100 * time.Millisecond,
		QueueCapacity: o.inFlight, CommitInterval: 100 * time.Millisecond,
	})
	writer := &kafka.Writer{
		Addr: kafka.TCP(o.brokers...), Topic: o.outcomes, Balancer: &kafka.Murmur2Balancer{},
		RequiredAcks: kafka.RequireAll, BatchTimeout: 5 * time.Millisecond,
	}
	client := freedompay.New(freedompay.Config{Concurrency: o.inFlight, Merchant: func(id payment.MerchantID) (payment.Merchant, bool) {
		return payment.Merchant{ID: id, Secret: secretOf(string(id)), GatewayURL: o.gateway}, true
	}})
	defer client.Close()

	todo := make(chan kafka.Message)
	var workers sync.WaitGroup
	for range o.inFlight {
		workers.Go(func() {
			for m := range todo {
				plainWork(ctx, client, reader, writer, m)
			}
		})
	}
	err := plainFetch(ctx, reader, todo)
	close(todo)
	workers.Wait()
	return errors.Join(err, writer.Close(), reader.Close())
}

func plainFetch(ctx context.Context, reader *kafka.Reader, todo chan<- kafka.Message) error {
	for {
		m, err := reader.FetchMessage(ctx)
		if ctx.Err() != nil || errors.Is(err, io.EOF) {
			return nil
		}
		if errors.Is(err, context.Canceled) {
			continue // the reader's own: a rebalance
		}
		if err != nil {
			return err
		}
		todo <- m
	}
}

// plainWork does one intent. It drops errors: that is what plain means.
func plainWork(ctx context.Context, client *freedompay.Client, reader *kafka.Reader, writer *kafka.Writer, m kafka.Message) {
	var in intent
	if json.Unmarshal(m.Value, &in) != nil {
		return
	}
	link, err := client.Open(ctx, payment.Intent{
		ID: payment.IntentID(in.IntentID), Merchant: payment.MerchantID(cmp.Or(in.MerchantID, merchant)), OrderID: in.OrderID, IdempotencyKey: in.IntentID,
		Amount: payment.Money(in.Amount), Currency: in.Currency,
		Params: []payment.Param{{Name: "description", Value: in.Description}, {Name: "user_phone", Value: in.UserPhone}},
	})
	if err != nil {
		return
	}
	value, err := json.Marshal(map[string]any{
		"type": "payment-created", "intent_id": in.IntentID, "order_id": in.OrderID, "amount": in.Amount, "currency": in.Currency,
		"payment_id": link.PaymentID, "redirect_url": link.RedirectURL, "redirect_url_type": link.RedirectURLType,
		"created_at": time.Now().UTC(),
	})
	if err != nil {
		return
	}
	header := kafka.Header{Key: event.HeaderIntentID, Value: []byte(in.IntentID)}
	if writer.WriteMessages(ctx, kafka.Message{Key: m.Key, Value: value, Headers: []kafka.Header{header}}) != nil {
		return
	}
	_ = reader.CommitMessages(ctx, m) // queued; the loop has no use for its fate
}
