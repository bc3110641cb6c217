package lab

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"paylink/internal/devstack"
	"paylink/internal/event"
	"paylink/internal/history"
	"paylink/internal/payment"
	"paylink/internal/service"
)

// tamper does to topics and gateway, when a history has been judged, what the service
// never does, so that the verbs have something to find. It returns the history with it.
func (s *scene) tamper(h history.Run, a *archive) (history.Run, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	// The emitter's client may still wait for a broker that was gone.
	client, err := s.brokers.Kafka().Client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DisableIdempotentWrite())
	if err != nil {
		return h, fmt.Errorf("tamper: %w", err)
	}
	defer client.Close()
	t := &tampering{scene: s, archive: a, ctx: ctx, client: client, history: h}
	for _, step := range []func() error{t.secondOutcome, t.outcomeOfNobody, t.secondPayment, t.skipped, t.notRead} {
		if err := step(); err != nil {
			return h, fmt.Errorf("tamper: %w", err)
		}
	}
	return t.history, nil
}

type tampering struct {
	*scene
	archive *archive
	ctx     context.Context
	client  *kgo.Client
	history history.Run
}

// anyOutcome picks an outcome, as the seed has it.
func (t *tampering) anyOutcome(like func(history.Outcome) bool) (o history.Outcome, ok bool) {
	all := slices.DeleteFunc(slices.Clone(t.history.Outcomes), func(o history.Outcome) bool { return !like(o) })
	if len(all) == 0 {
		return o, false
	}
	return all[t.plan.seed%uint64(len(all))], true
}

// secondOutcome publishes another outcome of an intent, in the first merchant's name.
// If the first outcome was deleted it is the only one, and reconcile must find what the
// gateway has for the merchant that the intent names.
func (t *tampering) secondOutcome() error {
	o, ok := t.anyOutcome(func(history.Outcome) bool { return true })
	if !ok {
		return nil
	}
	return t.answer(o.Intent, o.At.Partition, o.Source)
}

// outcomeOfNobody publishes an outcome that answers the record of another intent.
func (t *tampering) outcomeOfNobody() error {
	o, ok := t.anyOutcome(func(history.Outcome) bool { return true })
	if !ok {
		return nil
	}
	return t.answer("nobody", o.At.Partition, o.Source)
}

func (t *tampering) answer(id string, partition int32, source history.Place) error {
	d, err := t.intent(record{id: id, amount: "10.00"})
	if err != nil {
		return err
	}
	from := event.Place{Topic: devstack.Intents, Partition: source.Partition, Offset: source.Offset}
	failed := payment.Failed{Reason: payment.Refused, Attempts: 1, At: time.Now()}
	m, err := event.NewEncoder(event.EncoderConfig{}).Outcome(t.ctx, d, nil, from, failed)
	if err != nil {
		return err
	}
	r := &kgo.Record{Topic: devstack.Outcomes, Partition: partition, Value: m.Value, Timestamp: m.Time}
	for _, header := range m.Headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: header.Key, Value: header.Value})
	}
	if err := t.client.ProduceSync(t.ctx, r).FirstErr(); err != nil {
		return err
	}
	if t.forged == nil {
		t.forged = map[history.Place]string{}
	}
	t.forged[history.Place{Partition: r.Partition, Offset: r.Offset}] = string(d.Intent.Merchant)
	t.history.Outcomes = append(slices.Clip(t.history.Outcomes), history.Outcome{
		At: history.Place{Partition: r.Partition, Offset: r.Offset}, Time: r.Timestamp.Truncate(time.Millisecond), Intent: id, Source: source})
	return nil
}

// secondPayment has the gateway make another payment of an order that has its link.
func (t *tampering) secondPayment() error {
	o, ok := t.anyOutcome(func(o history.Outcome) bool { return o.Created })
	i := slices.IndexFunc(t.history.Intents, func(in history.Intent) bool { return in.ID == o.Intent })
	if !ok || i < 0 {
		return nil
	}
	for n := range t.plan.world.merchants {
		if merchantID(n) == t.history.Intents[i].Merchant {
			return t.pay(record{id: o.Intent, merchant: n, amount: "10.00"}, "another key")
		}
	}
	return nil
}

// skipped emits an intent, a payment of which exists, a record that is none, and a
// conflict, and commits the offset behind them.
func (t *tampering) skipped() error {
	skipped := record{id: "skipped", amount: "10.00"}
	late := []record{skipped, {}}
	o, ok := t.anyOutcome(func(o history.Outcome) bool {
		return o.Source.Offset >= t.beginOf(o.Source.Partition) && o.Intent != "nobody"
	})
	if ok {
		late = append(late, record{id: o.Intent, amount: "98.00"})
	}
	next, err := t.emitLate(o.Source.Partition, late...)
	if err == nil {
		err = t.pay(skipped, "its key")
	}
	if err == nil {
		t.awaitNoMembers()
		err = t.commit(map[int32]int64{next.Partition: next.Offset})
	}
	return err
}

// notRead emits an intent that nobody reads any more.
func (t *tampering) notRead() error {
	_, err := t.emitLate(0, record{id: "not-read", amount: "10.00"})
	return err
}

// emitLate emits records when no member lives. It returns the place behind them.
func (t *tampering) emitLate(p int32, rs ...record) (next history.Place, err error) {
	made := t.records(emission{partition: p, records: rs})
	if err := t.client.ProduceSync(t.ctx, made...).FirstErr(); err != nil {
		return next, err
	}
	for i, r := range made {
		at := history.Place{Partition: r.Partition, Offset: r.Offset}
		t.times[at] = r.Timestamp.Truncate(time.Millisecond)
		t.history.Intents = append(slices.Clip(t.history.Intents), history.Intent{At: at, ID: rs[i].id, Content: rs[i].content()})
		next = history.Place{Partition: p, Offset: r.Offset + 1}
	}
	return next, nil
}

func (t *tampering) pay(r record, key string) error {
	d, err := t.intent(r)
	if err != nil {
		return err
	}
	d.Intent.IdempotencyKey = key
	client := service.Gateway(t.archive.asking, t.archive.dial, nil)
	defer client.Close()
	_, err = client.Open(t.ctx, d.Intent)
	return err
}

// intent is what a record says.
func (t *tampering) intent(r record) (event.Decoded, error) {
	return t.archive.facts.Intents.Decode(t.ctx, event.Message{Value: t.value(r)})
}
