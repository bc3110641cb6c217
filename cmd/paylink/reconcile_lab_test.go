package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"paylink/internal/devstack"
	"paylink/internal/event"
	"paylink/internal/freedompay"
	"paylink/internal/gatewaysim"
	"paylink/internal/payment"
)

// The range of the laboratory.
var (
	labBegin = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	labEnd   = labBegin.Add(24 * time.Hour)
)

const labPartitions = 6

// A fate is what becomes of an intent in the laboratory, and what the verbs must say
// of it. Empty: nothing.
type fate struct {
	name, class, finding string
	nameless             bool // the lines have no intent id
}

// fates are all of them. The first few are what is usual.
var fates = []fate{
	{name: "matched"}, {name: "failed"}, {name: "repeat"}, {name: "late"}, {name: "old"}, {name: "oldrepeat"}, {name: "future"}, {name: "waiting"},
	{name: "second", class: "second_outcome", finding: "second_outcome"},
	{name: "orphan", class: "outcome_without_intent", finding: "outcome_without_intent"},
	{name: "garbled", class: "outcome_without_intent", finding: "malformed", nameless: true},
	{name: "malformed", finding: "malformed"},
	{name: "conflict", class: "dead_letter"},
	{name: "tooold", class: "dead_letter"},
	{name: "notjson", class: "dead_letter", nameless: true},
	{name: "foreign", class: "dead_letter", finding: "malformed", nameless: true},
	{name: "waitingexists", class: "waiting_but_exists"},
	{name: "nooutcome", class: "no_outcome"},
	{name: "nooutcomeexists", class: "no_outcome_but_exists"},
	{name: "lost", class: "no_outcome", finding: "lost"},
	{name: "lostconflict", finding: "lost"},
	{name: "lostbytes", class: "no_outcome", finding: "lost", nameless: true},
	{name: "notatgateway", class: "not_at_gateway"},
	{name: "otherpayment", class: "other_payment"},
	{name: "amount", class: "differs"},
	{name: "currency", class: "differs"},
	{name: "failedexists", class: "failed_but_exists"},
	{name: "unasked", class: "unasked"},
	{name: "othermerchant", class: "other_merchant", finding: "other_merchant"},
	{name: "othermerchantexists", class: "failed_but_exists", finding: "other_merchant"},
}

// A lab is topics and a gateway in which so many intents have met their fates.
type lab struct {
	t        testing.TB
	stack    *devstack.Stack
	client   *freedompay.Client
	decoder  *event.Decoder
	encoder  *event.Encoder
	parallel int
	fates    map[string]fate // by intent id

	mu    sync.Mutex           // guards sends while payments are made
	next  [labPartitions]int64 // offset of the next intent
	sends map[string][]*kgo.Record
	opens []func() error
}

// newLab makes a laboratory. Each unusual fate is met by each intents; the rest of n
// have usual ones. parallel is how many payments are made at a time: with one, their
// numbers are always the same.
func newLab(t testing.TB, n, each, parallel int) *lab {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	secrets := map[string]payment.Secret{"540001": canary, "540002": canary + "2"}
	stack, err := devstack.Start(t.Context(), devstack.Options{
		Broker:  devstack.BrokerOptions{Topics: devstack.DefaultTopics(labPartitions)},
		Gateway: devstack.GatewayOptions{Config: gatewaysim.Config{Merchants: secrets, Now: func() time.Time { return labBegin }}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stack.Close)
	l := &lab{t: t, stack: stack, parallel: parallel, fates: map[string]fate{}, sends: map[string][]*kgo.Record{},
		decoder: event.NewDecoder(event.DecoderConfig{DefaultMerchant: "540001"}), encoder: event.NewEncoder(event.EncoderConfig{})}
	l.client = freedompay.New(freedompay.Config{Merchant: func(id payment.MerchantID) (payment.Merchant, bool) {
		return payment.Merchant{ID: id, Secret: secrets[string(id)], GatewayURL: stack.Gateway.URL}, true
	}})
	t.Cleanup(l.client.Close)
	l.fill(n, each)
	return l
}

// fill has all intents meet their fates: those before the range, in it, behind the
// committed offset, and after the range.
func (l *lab) fill(n, each int) {
	unusual := fates[3:]
	var plan []fate
	for range each {
		plan = append(plan, unusual...)
	}
	for i := len(plan); i < n; i++ {
		plan = append(plan, fates[[]int{0, 0, 0, 0, 0, 0, 0, 1, 1, 2}[i%10]])
	}
	phases := map[string]int{"old": -1, "waiting": 1, "waitingexists": 1, "nooutcome": 1, "nooutcomeexists": 1, "future": 2}
	oldRepeats := map[string]event.Message{}
	for i, f := range plan {
		if f.name == "oldrepeat" {
			oldRepeats[l.id(i, f)] = l.before(i, f)
		}
	}
	for phase := -1; phase <= 2; phase++ {
		for i, f := range plan {
			if phases[f.name] != phase {
				continue
			}
			l.fates[l.id(i, f)] = f
			if m, ok := oldRepeats[l.id(i, f)]; ok {
				l.emit(i, m)
				continue
			}
			l.meet(i, f)
		}
		l.flush()
		if phase == 0 {
			l.commit()
		}
	}
}

func (l *lab) id(i int, f fate) string {
	return fmt.Sprintf("%05d-%s", (i*7919)%100_000, f.name)
}

// value is an intent's record.
func (l *lab) value(i int, f fate, amount string) []byte {
	order := ""
	if f.name == "unasked" {
		order = fmt.Sprintf(`,"order_id":"%05d-sim:status/credentials"`, i)
	}
	return fmt.Appendf(nil, `{"intent_id":"%s","merchant_id":"%s","amount":"%s","currency":"KZT","description":"Order %d","user_phone":"77770001122","language":"ru"%s}`,
		l.id(i, f), []string{"540001", "540002"}[i%2], amount, i, order)
}

// emit emits a record of the intent topic, and returns where it stands.
func (l *lab) emit(i int, m event.Message) event.Place {
	p := int32(i % labPartitions)
	at := event.Place{Topic: devstack.Intents, Partition: p, Offset: l.next[p]}
	l.next[p]++
	l.send(devstack.Intents, p, m)
	return at
}

func (l *lab) send(topic string, partition int32, m event.Message) {
	r := &kgo.Record{Topic: topic, Partition: partition, Key: m.Key, Value: m.Value, Timestamp: m.Time}
	for _, h := range m.Headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	l.sends[topic] = append(l.sends[topic], r)
}

func (l *lab) decoded(m event.Message) event.Decoded {
	d, err := l.decoder.Decode(l.t.Context(), m)
	if err != nil || len(d.Violations) > 0 {
		l.t.Fatalf("decode %s: %v, %v", m.Value, d.Violations, err)
	}
	return d
}

func (l *lab) outcome(d event.Decoded, at event.Place, o payment.Outcome, when time.Time) event.Message {
	m, err := l.encoder.Outcome(l.t.Context(), d, []byte("k"), at, o)
	if err != nil {
		l.t.Fatal(err)
	}
	m.Time = when
	return m
}

// pay has the gateway make a payment, and the outcome of it published, if one is
// made of its number.
func (l *lab) pay(d event.Decoded, at event.Place, when time.Time, outcomeOf func(id int64) payment.Outcome) {
	l.opens = append(l.opens, func() error {
		link, err := l.client.Open(context.Background(), d.Intent)
		if err != nil {
			return fmt.Errorf("open %s: %w", d.Intent.ID, err)
		}
		if outcomeOf != nil {
			l.pending(d, at, outcomeOf(link.PaymentID), when)
		}
		return nil
	})
}

func createdAs(id int64) payment.Outcome {
	return payment.Created{Link: payment.Link{PaymentID: id, RedirectURL: fmt.Sprintf("https://customer.freedompay.kz/pay.html?customer=%d", id), RedirectURLType: payment.URLNeedData},
		Attempts: 1, At: labBegin}
}

// pending publishes an outcome, from any goroutine.
func (l *lab) pending(d event.Decoded, at event.Place, o payment.Outcome, when time.Time) {
	m := l.outcome(d, at, o, when)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.send(devstack.Outcomes, at.Partition, m)
}

// before emits and answers an intent before the range.
func (l *lab) before(i int, f fate) event.Message {
	m := event.Message{Key: []byte("k"), Value: l.value(i, f, "10.00"), Time: labBegin.Add(-2 * time.Hour)}
	d := l.decoded(m)
	l.pay(d, l.emit(i, m), m.Time, createdAs)
	m.Time = labBegin.Add(time.Minute)
	return m
}

// meet has an intent meet its fate.
func (l *lab) meet(i int, f fate) {
	m := event.Message{Key: []byte("k"), Value: l.value(i, f, fmt.Sprintf("%d.5", 10+i%1000)), Time: labBegin.Add(time.Duration(i%3600) * time.Second)}
	answered := m.Time.Add(time.Second)
	d := l.decoded(m)
	pay := func(of func(int64) payment.Outcome) { l.pay(d, l.emit(i, m), answered, of) }
	refuse := payment.Failed{Reason: payment.Refused, ErrorCode: "9403", ErrorDescription: "no", Attempts: 1, At: answered}
	dead := func(m event.Message, at event.Place, reason event.DeadReason) {
		l.send(devstack.DeadLetters, at.Partition, event.DeadLetter(m, at, "paylink", &event.Unreadable{Reason: reason, Text: "a sentence"}, answered))
	}
	switch f.name {
	case "old":
		l.before(i, f)
	case "matched", "amount", "currency":
		if f.name == "amount" || f.name == "currency" {
			l.other(i, f, d, m, answered)
			return
		}
		pay(createdAs)
	case "late":
		l.pay(d, l.emit(i, m), labEnd.Add(time.Hour), createdAs)
	case "future":
		m.Time = labEnd.Add(time.Minute)
		answered = m.Time
		pay(createdAs)
	case "failed":
		l.pending(d, l.emit(i, m), refuse, answered)
	case "failedexists":
		pay(func(int64) payment.Outcome { return refuse })
	case "repeat":
		pay(createdAs)
		l.emit(i, m)
	case "second":
		pay(createdAs)
		l.pending(d, event.Place{Topic: devstack.Intents, Partition: int32(i % labPartitions), Offset: l.next[i%labPartitions] - 1}, refuse, answered)
	case "orphan":
		at := l.emit(i, event.Message{Value: l.value(i, fates[0], "1"), Time: m.Time}) // of another intent, which failed
		l.fates[l.id(i, fates[0])] = fates[1]
		l.pending(l.decoded(event.Message{Value: l.value(i, fates[0], "1")}), at, refuse, answered)
		l.pending(d, at, createdAs(1), answered)
	case "garbled":
		l.send(devstack.Outcomes, int32(i%labPartitions), event.Message{Value: []byte("77770001122"), Time: answered})
	case "foreign":
		l.send(devstack.DeadLetters, int32(i%labPartitions), event.Message{Value: []byte("77770001122"), Time: answered})
	case "malformed":
		at := l.emit(i, m)
		o := l.outcome(d, at, refuse, answered)
		o.Value = []byte(strings.Replace(string(o.Value), `"attempts":1,`, "", 1))
		l.send(devstack.Outcomes, at.Partition, o)
	case "conflict", "lostconflict":
		pay(createdAs)
		other := event.Message{Key: m.Key, Value: l.value(i, f, "99"), Time: m.Time}
		if at := l.emit(i, other); f.name == "conflict" {
			dead(other, at, event.Conflict)
		}
	case "tooold":
		dead(m, l.emit(i, m), event.TooOld)
	case "notjson", "lostbytes":
		m.Value = []byte("{77770001122")
		if at := l.emit(i, m); f.name == "notjson" {
			dead(m, at, event.NotJSON)
		}
	case "waiting", "waitingexists":
		m.Time = labEnd.Add(-time.Minute)
		at := l.emit(i, m)
		if f.name == "waitingexists" {
			l.pay(d, at, answered, nil)
		}
	case "nooutcome", "lost":
		l.emit(i, m)
	case "nooutcomeexists":
		pay(nil)
	case "notatgateway":
		l.pending(d, l.emit(i, m), createdAs(77), answered)
	case "otherpayment":
		pay(func(id int64) payment.Outcome { return createdAs(id + 1_000_000) })
	case "othermerchant", "othermerchantexists":
		at := l.emit(i, m)
		if f.name == "othermerchantexists" {
			l.pay(d, at, answered, nil)
		}
		d.Intent.Merchant = "540003"
		l.pending(d, at, refuse, answered)
	case "unasked":
		l.pending(d, l.emit(i, m), createdAs(78), answered)
	default:
		l.t.Fatalf("fate %s", f.name)
	}
}

// other has the gateway hold another amount or currency than the outcome says.
func (l *lab) other(i int, f fate, d event.Decoded, m event.Message, answered time.Time) {
	at := l.emit(i, m)
	asked := d.Intent
	if f.name == "amount" {
		asked.Amount = "1000000"
	} else {
		asked.Currency = "USD"
	}
	l.opens = append(l.opens, func() error {
		link, err := l.client.Open(context.Background(), asked)
		if err == nil {
			l.pending(d, at, createdAs(link.PaymentID), answered)
		}
		return err
	})
}

// flush makes the payments, then publishes what waits.
func (l *lab) flush() {
	l.t.Helper()
	var g errgroup.Group
	g.SetLimit(l.parallel)
	for _, open := range l.opens {
		g.Go(open)
	}
	if err := g.Wait(); err != nil {
		l.t.Fatal(err)
	}
	c, err := l.stack.Broker.Kafka().Client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))
	if err != nil {
		l.t.Fatal(err)
	}
	defer c.Close()
	for _, topic := range []string{devstack.Intents, devstack.Outcomes, devstack.DeadLetters} {
		if err := c.ProduceSync(l.t.Context(), l.sends[topic]...).FirstErr(); err != nil {
			l.t.Fatal(err)
		}
	}
	l.opens, l.sends = nil, map[string][]*kgo.Record{}
}

// commit commits what was emitted so far.
func (l *lab) commit() { l.commitWith("") }

// commitWith is commit with a note beside each offset.
func (l *lab) commitWith(note string) {
	c, err := l.stack.Broker.Kafka().Client()
	if err != nil {
		l.t.Fatal(err)
	}
	defer c.Close()
	var offsets kadm.Offsets
	for p, n := range l.next {
		offsets.Add(kadm.Offset{Topic: devstack.Intents, Partition: int32(p), At: n, LeaderEpoch: -1, Metadata: note})
	}
	if err := kadm.NewClient(c).CommitAllOffsets(l.t.Context(), "paylink", offsets); err != nil {
		l.t.Fatal(err)
	}
}

// want lists what a verb must say: intent id, if it has one, and word, sorted.
func (l *lab) want(word func(fate) string) []string {
	var all []string
	for id, f := range l.fates {
		w := word(f)
		if f.nameless {
			id = ""
		}
		if w != "" {
			all = append(all, id+" "+w)
		}
	}
	slices.Sort(all)
	return all
}

// args is a command line over the laboratory's range.
func (l *lab) args(verb string, more ...string) []string {
	return append([]string{verb, "--kafka-brokers", l.stack.Broker.Addrs()[0], "--from", labBegin.Add(-time.Hour).Format(time.RFC3339), "--to", labEnd.Format(time.RFC3339)}, more...)
}

// merchants writes the merchants' file, and returns the flags for the gateway.
func (l *lab) merchants(rate string) []string {
	file := writeFile(l.t, "merchants.yaml", fmt.Sprintf("- id: 540001\n  secret: %s\n  rate: %s\n- id: 540002\n  secret: %s2\n  rate: %s\n", canary, rate, canary, rate))
	return []string{"--merchants-file", file, "--gateway-url", l.stack.Gateway.URL}
}
