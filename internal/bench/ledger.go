package bench

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"paylink/internal/event"
)

// rawLoop is no loop: it fetches the outcome topic and throws away what comes.
const rawLoop = "raw fetch"

// againName is the column of a loop that has its ledgers in a folder.
const againName = "with its folder"

// pastPrefix is that of intents that were answered before a loop starts.
const pastPrefix = "p-"

// ledgerPart measures what the past costs: memory of each answered intent, and the
// time until a loop that has them all to read serves every partition. Beside it
// stand a loop that has kept them in a folder and is started again, and the fetch of
// the same bytes by a process that does nothing else.
func (o *Options) ledgerPart(s Streams) part {
	again := o.trial(paylinkLoop)
	again.name = againName
	return part{"ledger", fmt.Sprintf("%d outcomes in %d partitions, and an intent in each", o.Ledger, o.TopicPartitions),
		[]trial{o.trial(paylinkLoop), again, o.trial(rawLoop)},
		func(ctx context.Context, t trial) (m measurement, err error) {
			switch {
			case t.loop == rawLoop:
				return o.rawFetch(ctx, s, t)
			case t.name == againName:
				if t.folder, err = os.MkdirTemp("", "paylink-bench-"); err != nil {
					return m, err
				}
				defer os.RemoveAll(t.folder)
				return o.takeOver(ctx, s, t, o.Ledger)
			}
			base, err := o.takeOver(ctx, s, t, 0)
			if err != nil {
				return base, err
			}
			m, err = o.takeOver(ctx, s, t, o.Ledger)
			m.ReadyEmpty = base.Ready
			m.BytesEach = (float64(m.held) - float64(base.held)) / float64(o.Ledger)
			return m, err
		}}
}

// takeOver starts a loop on outcomes of the past, and an intent in each partition; one
// with a folder has read them before.
func (o *Options) takeOver(ctx context.Context, s Streams, t trial, past int) (m measurement, err error) {
	t.gateway.Draw = nil
	b, err := o.prepare(ctx, s, t)
	if err != nil {
		return m, err
	}
	defer func() { err = first(err, b.close(ctx)) }()
	if err := o.fillPast(ctx, b, past); err != nil {
		return m, err
	}
	if t.folder != "" {
		if err := o.keep(ctx, s, b, t); err != nil {
			return m, fmt.Errorf("the loop before: %w", err)
		}
	}
	if err := o.oneEach(ctx, b, t, measuredPrefix); err != nil {
		return m, err
	}
	a := newAudience(measuredPrefix, t.partitions)
	stop := b.watch(ctx, a)
	defer stop()
	start := time.Now()
	p, before, err := o.start(ctx, s, b, t)
	if err != nil {
		return m, err
	}
	defer func() { err = first(err, p.end()) }()
	if err := a.wait(ctx, p); err != nil {
		return m, err
	}
	if err := m.fill(b, p, before, a); err != nil {
		return m, err
	}
	m.StartUp, m.Ready, m.Outcomes = a.first.Sub(start), a.last.Sub(start), past
	m.CPUReady = m.CPU * time.Duration(m.Intents)
	after, err := p.usage(collectWord)
	m.held = after.Held
	return m, err
}

// keep has a loop read the past, keep it in its folder, and end.
func (o *Options) keep(ctx context.Context, s Streams, b *bed, t trial) error {
	if err := o.oneEach(ctx, b, t, warmUpPrefix); err != nil {
		return err
	}
	a := newAudience(warmUpPrefix, t.partitions)
	stop := b.watch(ctx, a)
	defer stop()
	p, _, err := o.start(ctx, s, b, t)
	if err != nil {
		return err
	}
	return first(a.wait(ctx, p), p.end())
}

// rawFetch fetches outcomes of the past by a process that does nothing else.
func (o *Options) rawFetch(ctx context.Context, s Streams, t trial) (m measurement, err error) {
	b, err := o.prepare(ctx, s, t)
	if err != nil {
		return m, err
	}
	defer func() { err = first(err, b.close(ctx)) }()
	if err := o.fillPast(ctx, b, o.Ledger); err != nil {
		return m, err
	}
	start := time.Now()
	var got fetched
	p, err := o.spawn(ctx, s, &got, job{Fetch: &fetcher{Brokers: b.kafka.Brokers, Topic: b.outcomes(), Partitions: t.partitions}})
	if err != nil {
		return m, err
	}
	m.Ready, m.Outcomes, m.Fetched, m.CPUReady = time.Since(start), o.Ledger, got.Bytes, got.CPU
	return m, p.end()
}

// fillPast publishes outcomes as the service writes them, to the partitions in turn.
func (o *Options) fillPast(ctx context.Context, b *bed, n int) error {
	made := 0
	return b.kafka.Spread(ctx, b.outcomes(), o.TopicPartitions, n, func() (event.Message, error) {
		made++
		return pastOutcome(made)
	})
}

func pastOutcome(i int) (event.Message, error) {
	id := fmt.Sprintf("%s%08d", pastPrefix, i)
	digest := sha256.Sum256([]byte(id))
	value, err := json.Marshal(map[string]any{
		"type": "payment-created", "intent_id": id, "order_id": "order-" + id, "amount": "1500.00", "currency": "KZT",
		"payment_id": fmt.Sprint(2_000_000_000 + i), "redirect_url": fmt.Sprintf("https://pay.example/pay.html?customer=%d", i),
		"redirect_url_type": "need data", "created_at": time.Now().UTC(),
	})
	return event.Message{Key: []byte("key-" + id), Value: value, Headers: []event.Header{
		{Key: event.HeaderIntentID, Value: []byte(id)},
		{Key: event.HeaderIntentDigest, Value: []byte(event.Digest(digest[:16]).String())},
	}}, err
}
