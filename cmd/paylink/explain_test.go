package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"google.golang.org/protobuf/proto"

	"paylink/internal/devstack"
	"paylink/internal/event"
	"paylink/internal/freedompay"
	"paylink/internal/gatewaysim"
	"paylink/internal/payment"
	"paylink/internal/registry"
	"paylink/schemas"
	"paylink/schemas/contract"
)

// noon is when the intents of these tests were emitted. It is long ago, so that
// nothing depends on the day of the test.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// A desk is a stack with topics, and the verbs on it.
type desk struct {
	*devstack.Stack
	t       *testing.T
	began   time.Time // from which seconds count
	encoder *event.Encoder
	intents *event.Decoder
	environ []string
}

func newDesk(t *testing.T, partitions int32) *desk {
	t.Helper()
	stack, err := devstack.Start(t.Context(), devstack.Options{
		Broker:  devstack.BrokerOptions{Topics: devstack.DefaultTopics(partitions)},
		Gateway: devstack.GatewayOptions{Config: gatewaysim.Config{Merchants: map[string]payment.Secret{"540001": canary}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stack.Close)
	return deskOf(t, stack)
}

func deskOf(t *testing.T, stack *devstack.Stack) *desk {
	return &desk{Stack: stack, t: t, began: noon,
		encoder: event.NewEncoder(event.EncoderConfig{}),
		intents: event.NewDecoder(event.DecoderConfig{DefaultMerchant: "540001"}),
		environ: []string{"PAYLINK_KAFKA_BROKERS=" + strings.Join(stack.Broker.Addrs(), ","), "PAYLINK_MERCHANT_ID=540001"},
	}
}

// do runs a command line.
func (d *desk) do(args ...string) (code int, out, errs string) {
	return d.with(d.t.Context(), args...)
}

func (d *desk) with(ctx context.Context, args ...string) (code int, out, errs string) {
	d.t.Helper()
	var o, e strings.Builder
	code = run(ctx, args, world{environ: d.environ, out: &o, err: &e})
	return code, o.String(), e.String()
}

// put publishes a record, and returns its place.
func (d *desk) put(topic string, partition int32, m event.Message) event.Place {
	d.t.Helper()
	if err := d.Broker.Kafka().EmitTo(d.t.Context(), topic, partition, m); err != nil {
		d.t.Fatal(err)
	}
	recs, err := d.Broker.Kafka().Read(d.t.Context(), topic, devstack.ReadCommitted)
	if err != nil {
		d.t.Fatal(err)
	}
	at := event.Place{Topic: topic, Partition: partition, Offset: -1}
	for _, r := range recs {
		if r.Partition == partition {
			at.Offset = max(at.Offset, r.Offset)
		}
	}
	return at
}

// emitted publishes an intent so many seconds after the desk began.
func (d *desk) emitted(partition int32, second int, key, value string) (event.Place, event.Message) {
	m := event.Message{Key: []byte(key), Value: []byte(value), Time: d.began.Add(time.Duration(second) * time.Second)}
	return d.put(devstack.Intents, partition, m), m
}

// settled publishes the outcome of a record.
func (d *desk) settled(at event.Place, m event.Message, second int, o payment.Outcome) event.Place {
	d.t.Helper()
	dec, err := d.intents.Decode(d.t.Context(), m)
	if err != nil {
		d.t.Fatal(err)
	}
	out, err := d.encoder.Outcome(d.t.Context(), dec, m.Key, at, o)
	if err != nil {
		d.t.Fatal(err)
	}
	out.Time = d.began.Add(time.Duration(second) * time.Second)
	return d.put(devstack.Outcomes, at.Partition, out)
}

func (d *desk) buried(at event.Place, m event.Message, second int, reason event.DeadReason, text string, reference bool) {
	make := event.DeadLetter
	if reference {
		make = event.DeadLetterByReference
	}
	d.put(devstack.DeadLetters, at.Partition, make(m, at, "paylink", &event.Unreadable{Reason: reason, Text: text}, d.began.Add(time.Duration(second)*time.Second)))
}

func created(id int64, second int) payment.Created {
	return payment.Created{Link: payment.Link{PaymentID: id, RedirectURL: fmt.Sprintf("https://customer.freedompay.kz/pay.html?customer=%s%d", canary, id), RedirectURLType: payment.URLNeedData},
		Attempts: 1, At: noon.Add(time.Duration(second) * time.Second)}
}

func intent(id, order, amount, more string) string {
	return fmt.Sprintf(`{"intent_id":%q,"order_id":%q,"amount":%q,"currency":"KZT","description":"a top-up","user_phone":%q,"user_contact_email":"payer@example.com","user_ip":"203.0.113.77"%s}`, id, order, amount, phone, more)
}

// words are the events and the state that JSON lines tell, one story after the other.
func words(t *testing.T, out string) (all []string) {
	t.Helper()
	for line := range strings.Lines(out) {
		var l struct{ Kind, Event, State string }
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		switch l.Kind {
		case "event":
			all = append(all, l.Event)
		case "summary":
			all = append(all, "="+l.State)
		default:
			t.Errorf("%s: kind %q", line, l.Kind)
		}
	}
	return all
}

// tells compares what explain tells of an id. Words on standard error may follow.
func (d *desk) tells(id, want string, args ...string) (out, errs string) {
	d.t.Helper()
	code, out, errs := d.do(append([]string{"explain", "--from", "earliest", "--offline", "-o", "json", id}, args...)...)
	if got := strings.Join(words(d.t, out), " "); got != want {
		d.t.Errorf("explain %s %v: %s\n%s%s\nwant %s", id, args, got, out, errs, want)
	}
	wantCode := exitOK
	if strings.Contains(want, "=unknown") {
		wantCode = exitFailure
	}
	if code != wantCode {
		d.t.Errorf("explain %s: exit %d, want %d: %s", id, code, wantCode, errs)
	}
	return out, errs
}

// fill writes the story that the goldens tell: one intent created after a repeat and
// a conflict, and one that failed.
func (d *desk) fill() {
	at, m := d.emitted(1, 0, "order-1", intent("intent-1", "order-1", "1500.00", ""))
	d.emitted(1, 1, "order-1", intent("intent-1", "order-1", "1500.00", `,"created_at":"2026-11-23T12:00:01Z"`))
	other, mo := d.emitted(1, 2, "order-1", intent("intent-1", "order-1", "2500.00", ""))
	d.settled(at, m, 3, created(5_000_000_001, 3))
	d.buried(other, mo, 4, event.Conflict, "this intent id was answered with other content", false)
	at, m = d.emitted(0, 5, "order-2", intent("intent-2", "order-2", "10", `,"expires_at":"2026-11-23T12:10:00Z"`))
	d.settled(at, m, 6, payment.Failed{Reason: payment.Refused, ErrorCode: "9403", ErrorDescription: "Wrong request", Attempts: 2, At: noon.Add(6 * time.Second)})
}

func TestExplainGoldens(t *testing.T) {
	d := newDesk(t, 3)
	d.fill()
	for _, tt := range []struct{ id, form, file string }{
		{"intent-1", "table", "created.txt"}, {"intent-1", "json", "created.json"}, {"intent-1", "csv", "created.csv"}, {"order-2", "table", "failed.txt"},
		{"nobody", "table", "unknown.txt"}, {"nobody", "json", "unknown.json"}, {"nobody", "csv", "unknown.csv"},
	} {
		_, out, errs := d.do("explain", "--from", "earliest", "--offline", "-o", tt.form, tt.id)
		golden(t, "explain", tt.file, out+"--- standard error\n"+errs)
		for _, secret := range []string{phone, "payer@example.com", "203.0.113.77", canary} {
			if strings.Contains(out+errs, secret) {
				t.Errorf("explain %s as %s shows %q", tt.id, tt.form, secret)
			}
		}
	}
	_, out, _ := d.do("explain", "--from", "earliest", "--offline", "--show-personal", "intent-1")
	for _, want := range []string{phone, "payer@example.com", "203.0.113.77"} {
		if !strings.Contains(out, want) {
			t.Errorf("with --show-personal %q is not shown:\n%s", want, out)
		}
	}
	if strings.Contains(out, canary) {
		t.Error("--show-personal shows the whole link")
	}
}

func TestExplainTellsEveryEventAndStateByEveryKindOfID(t *testing.T) {
	d := newDesk(t, 3)
	d.fill()
	const one = "emitted repeated conflict created dead_letter =created"
	for _, id := range []string{"intent-1", "order-1", "5000000001"} {
		for _, how := range [][]string{nil, {"--everywhere"}, {"--key", "order-1"}, {"--key", "a wrong one"}} {
			d.tells(id, one, how...)
		}
	}
	_, errs := d.tells("5000000001", one)
	if want := "5000000001 is a payment id: intent intent-1"; !strings.Contains(errs, want) {
		t.Errorf("%q, want %q", errs, want)
	}
	d.tells("intent-2", "emitted failed =failed")
	d.tells("intent-1", "=unknown", "--merchant", "999")
	d.tells("order-1", one, "--intent", "intent-1")

	// By an order id that only the conflict has, the answer is found all the same.
	at, m := d.emitted(2, 10, "order-x", intent("intent-x", "order-x", "1", ""))
	d.settled(at, m, 11, created(5_000_000_002, 11))
	d.emitted(2, 12, "order-x", intent("intent-x", "order-y", "1", ""))
	d.tells("order-y", "emitted created conflict =created", "--key", "order-x")

	// Two intents with one order id, each told with its own summary.
	d.emitted(2, 20, "order-3", intent("intent-3a", "order-3", "1", ""))
	at, m = d.emitted(2, 21, "order-3", intent("intent-3b", "order-3", "1", ""))
	d.settled(at, m, 22, created(5_000_000_003, 22))
	d.tells("order-3", "emitted waiting =waiting emitted created =created")

	// Dead letters: too old, by reference, and of bytes that are no intent.
	at, m = d.emitted(0, 30, "order-4", intent("intent-4", "order-4", "1", ""))
	d.buried(at, m, 31, event.TooOld, "it is older than the ledger reaches", false)
	d.tells("intent-4", "emitted dead_letter =dead_letter")
	at, m = d.emitted(0, 32, "order-5", intent("intent-5", "order-5", "1", ""))
	d.buried(at, m, 33, event.TooLarge, "its outcome fits into no record", true)
	d.tells("intent-5", "emitted dead_letter =dead_letter")
	at, m = d.emitted(0, 34, "order-6", `{"intent_id":`)
	d.buried(at, m, 35, event.NotJSON, "the JSON ends too early", false)
	out, _ := d.tells("order-6", "dead_letter =dead_letter")
	if !strings.Contains(out, "the JSON ends too early") {
		t.Errorf("%s: want the reason", out)
	}
	// An intent that was emitted again after its dead letter waits.
	d.emitted(0, 36, "order-4", intent("intent-4", "order-4", "1", ""))
	d.tells("intent-4", "emitted dead_letter emitted waiting =waiting")

	// A broken outcome is told by its headers; a broken intent is named.
	at, m = d.emitted(1, 40, "order-7", intent("intent-7", "order-7", "1", ""))
	hurt := d.outcomeOf(at, m, created(5_000_000_007, 41))
	hurt.Value = hurt.Value[:10]
	d.put(devstack.Outcomes, 1, hurt)
	out, _ = d.tells("intent-7", "emitted created =created")
	if !strings.Contains(out, "cannot be read") {
		t.Errorf("%s: want that it cannot be read", out)
	}
	d.emitted(1, 42, "order-8", `{"intent_id":"intent-8","amount"`)
	if _, errs = d.tells("intent-8", "=unknown"); !strings.Contains(errs, "payment-intents/1@") {
		t.Errorf("%s: want the damaged record's place", errs)
	}

	// A second outcome, and an outcome without its intent.
	at, m = d.emitted(1, 50, "order-9", intent("intent-9", "order-9", "1", ""))
	d.settled(at, m, 51, created(5_000_000_009, 51))
	d.settled(at, m, 52, created(5_000_000_010, 52))
	out, _ = d.tells("5000000010", "emitted created created =created")
	if !strings.Contains(out, "A second outcome") {
		t.Errorf("%s: want a warning", out)
	}
	d.settled(event.Place{Topic: devstack.Intents, Partition: 1, Offset: 1 << 30}, event.Message{Key: []byte("order-10"), Value: []byte(intent("intent-10", "order-10", "1", ""))}, 53, created(5_000_000_011, 53))
	d.tells("intent-10", "created =created")
}

func (d *desk) outcomeOf(at event.Place, m event.Message, o payment.Outcome) event.Message {
	d.t.Helper()
	dec, err := d.intents.Decode(d.t.Context(), m)
	if err != nil {
		d.t.Fatal(err)
	}
	out, err := d.encoder.Outcome(d.t.Context(), dec, m.Key, at, o)
	if err != nil {
		d.t.Fatal(err)
	}
	out.Time = o.(payment.Created).At
	return out
}

// TestExplainFindsIdsThatAreHidden: what JSON escapes, and what is nowhere as text.
func TestExplainFindsIdsThatAreHidden(t *testing.T) {
	d := newDesk(t, 3)
	escape := func(s string) string { // every letter
		var b strings.Builder
		for _, r := range s {
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		return b.String()
	}
	raw := func(id, order string) string {
		return fmt.Sprintf(`{"intent_id":"%s","order_id":"%s","amount":"1","description":"d"}`, id, order)
	}
	d.emitted(0, 0, "k", raw("slash", `2026\/7`))
	d.emitted(0, 1, "k", raw("cyrillic", `\u0437\u0430\u043a\u0430\u0437-1`))
	d.emitted(0, 2, "k", raw("upper", `\u0437\u0430\u043A\u0430\u0437-2`))
	for _, id := range []string{"2026/7", "заказ-1", "заказ-2"} {
		if _, errs := d.tells(id, "emitted waiting =waiting"); strings.Contains(errs, "in full") {
			t.Errorf("%s: the usual escapes need no thorough search: %s", id, errs)
		}
	}
	d.emitted(1, 3, "another", raw(escape("hidden"), "order-h"))
	if _, errs := d.tells("hidden", "emitted waiting =waiting"); !strings.Contains(errs, "every record was read in full") {
		t.Errorf("%q, want that it was searched thoroughly", errs)
	}
	// The outcome is plain, the intent and its repeat are not: the outcome's source tells.
	at, m := d.emitted(2, 4, "kk", raw(escape("veiled"), "order-v"))
	d.emitted(2, 5, "kk", raw(escape("veiled"), "order-v"))
	d.settled(at, m, 6, created(5_000_000_020, 6))
	d.tells("veiled", "emitted repeated created =created")
	// An order id that is a digest of a long intent id stands in the outcome only.
	long := strings.Repeat("long-", 20)
	at, m = d.emitted(2, 7, "kkk", fmt.Sprintf(`{"intent_id":%q,"amount":"1","description":"d"}`, long))
	d.settled(at, m, 8, created(5_000_000_021, 8))
	dec, err := d.intents.Decode(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	d.tells(dec.Intent.OrderID, "emitted created =created")
}

func TestExplainSaysWhatIsWrong(t *testing.T) {
	d := newDesk(t, 3)
	d.fill()
	for _, tt := range []struct {
		name string
		code int
		args []string
		want string
	}{
		{"an unknown topic", exitFailure, []string{"--topic-intents", "nowhere"}, "nowhere"},
		{"no brokers", exitFailure, []string{"--kafka-brokers", "127.0.0.1:1"}, "127.0.0.1:1"},
		{"no ID", exitUsage, nil, "<id>"},
		{"a bad admin address", exitUsage, []string{"--admin", "localhost"}, "--admin"},
		{"a bad range", exitUsage, []string{"--from", "yesterday"}, "--from"},
		{"a bad merchant", exitUsage, []string{"--merchant", "x"}, "--merchant"},
	} {
		args := append([]string{"explain"}, tt.args...)
		if tt.name != "no ID" {
			args = append(args, "intent-1")
		}
		code, out, errs := d.do(args...)
		if code != tt.code || !strings.Contains(errs, tt.want) || strings.Count(errs, "\n") != 1 || out != "" {
			t.Errorf("%s: exit %d, %q %q; want exit %d and one line that names %s", tt.name, code, out, errs, tt.code, tt.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	code, out, errs := d.with(ctx, "explain", "intent-1")
	if code != exitFailure || !strings.Contains(errs, "interrupted: ") || !strings.Contains(errs, "ask again") || strings.Count(errs, "\n") != 1 || out != "" {
		t.Errorf("after Ctrl-C: exit %d, %q %q; want one line that says how to go on", code, out, errs)
	}
}

// TestExplainEndsWhileItReads: a signal comes in the middle of a fetch.
func TestExplainEndsWhileItReads(t *testing.T) {
	d := newDesk(t, 3)
	d.fill()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	d.Broker.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		cancel()
		return nil, nil, false
	})
	code, out, errs := d.with(ctx, "explain", "--from", "earliest", "intent-1")
	if code != exitFailure || errs != "paylink: interrupted: not all of the range was searched; ask again; --key or a later --from leaves less to search\n" || out != "" {
		t.Errorf("exit %d, %q %q; want one line that says how to go on", code, out, errs)
	}
}

func TestExplainNamesAMissingRight(t *testing.T) {
	for _, topic := range []string{devstack.Intents, devstack.Outcomes} {
		for _, key := range []kmsg.Key{kmsg.Metadata, kmsg.ListOffsets, kmsg.Fetch} {
			d := newDesk(t, 3)
			d.fill()
			d.Broker.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Topic: topic, Err: kerr.TopicAuthorizationFailed, Count: -1})
			code, out, errs := d.do("explain", "--from", "earliest", "intent-1")
			if code != exitFailure || !strings.HasPrefix(errs, "paylink: a right is missing: ") || !strings.HasSuffix(errs, " on topic "+topic+"; deploy/rights.md has the commands\n") || strings.Count(errs, "\n") != 1 || out != "" {
				t.Errorf("%s refused for %s: exit %d, %q %q; want one line that names the right", key.Name(), topic, code, out, errs)
			}
		}
	}
}

func TestExplainAsksTheGateway(t *testing.T) {
	d := newDesk(t, 3)
	d.environ = append(d.environ, "PAYLINK_MERCHANT_SECRET="+canary, "PAYLINK_GATEWAY_URL="+d.Gateway.URL, "PAYLINK_GATEWAY_TIMEOUT=2s")
	d.fill()
	ask := func() string {
		t.Helper()
		code, out, errs := d.do("explain", "--from", "earliest", "-o", "json", "intent-1")
		if code != exitOK {
			t.Fatalf("exit %d: %s%s", code, out, errs)
		}
		if w := words(t, out); !slices.Contains(w, "status") {
			t.Fatalf("%v: want a status", w)
		}
		return out
	}
	if out := ask(); !strings.Contains(out, "knows no payment of order order-1") {
		t.Errorf("%s: want that nothing is known", out)
	}
	page := freedompay.New(freedompay.Config{Merchant: func(id payment.MerchantID) (payment.Merchant, bool) {
		return payment.Merchant{ID: id, Secret: canary, GatewayURL: d.Gateway.URL}, true
	}})
	t.Cleanup(page.Close)
	link, err := page.Open(t.Context(), payment.Intent{ID: "intent-1", Merchant: "540001", OrderID: "order-1", IdempotencyKey: "k", Amount: "900", Currency: "KZT", Params: []payment.Param{{Name: "description", Value: "d"}}})
	if err != nil {
		t.Fatal(err)
	}
	out := ask()
	for _, want := range []string{fmt.Sprintf(`payment %d of order order-1 is \"new\", 900`, link.PaymentID), "another payment than the link's, which is 5000000001", "Asked for was 1500.00 KZT"} {
		if !strings.Contains(out, want) {
			t.Errorf("%s: want %q", out, want)
		}
	}
	d.Gateway.Sim.Down(gatewaysim.Disconnect)
	if out := ask(); !strings.Contains(out, "gave no answer that counts") {
		t.Errorf("%s: want that it is away", out)
	}
}

func TestExplainSaysWhyAnIntentWaits(t *testing.T) {
	d := newDesk(t, 3)
	d.emitted(1, 0, "order-1", intent("intent-1", "order-1", "1", ""))
	waits := func(want string, args ...string) {
		t.Helper()
		out, errs := d.tells("intent-1", "emitted waiting =waiting", args...)
		if !strings.Contains(out, want) {
			t.Errorf("%s%s: want %q", out, errs, want)
		}
	}
	waits("no replica of the service is in the group")

	replies := map[string]string{"intent-1": `{"intent_id":"intent-1","records":[{"intent_id":"intent-1","partition":1,"offset":0,"state":"paced","since":"2026-11-23T12:00:01Z","until":"2026-11-23T12:01:00Z","attempts":2,"last_error":"in doubt: timeout"}]}`}
	replica := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+canary {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		reply, waits := replies[strings.TrimPrefix(r.URL.Path, "/api/v1/intents/")]
		if !waits {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = w.Write([]byte(reply))
	}))
	waits("it answers 401 Unauthorized", "--admin", replica.URL)
	d.environ = append(d.environ, "PAYLINK_ADMIN_TOKEN="+canary)
	waits("The service says: paced, since 2026-11-23 12:00:01 UTC, after 2 calls of the gateway, the last error was in doubt: timeout; it goes on at about 2026-11-23 12:01:00 UTC.", "--admin", replica.URL)
	replies["intent-1"] = `{"intent_id":"intent-1","state":"created","records":[],"outcomes":[{"state":"created","at":"2026-11-23T12:00:02Z","topic":"payment-outcomes","partition":1,"offset":7}]}`
	waits("The replica knows an outcome of it, created, in partition 1 of payment-outcomes at offset 7, of 2026-11-23 12:00:02 UTC.", "--admin", replica.URL)
	replies["older"] = replies["intent-1"]
	if _, errs := d.tells("older", "=unknown", "--admin", replica.URL); !strings.Contains(errs, "The replica knows an outcome of it") {
		t.Errorf("%s: want what the replica knows of an intent that is not in the range", errs)
	}
	delete(replies, "intent-1")
	waits("does not have it in hand", "--admin", replica.URL)
	replies["intent-1"] = "<html>"
	waits("it answers no JSON of ours", "--admin", replica.URL)
	replica.Close()
	waits("does not answer", "--admin", replica.URL)

	client, err := d.Broker.Kafka().Client()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, tt := range []struct {
		committed int64
		want      string
	}{{0, "no replica of the service"}, {1, "no outcome of it was found"}} {
		var offsets kadm.Offsets
		offsets.AddOffset(devstack.Intents, 1, tt.committed, -1)
		if _, err := kadm.NewClient(client).CommitOffsets(t.Context(), "paylink", offsets); err != nil {
			t.Fatal(err)
		}
		waits(tt.want)
	}
}

// TestExplainReadsEveryFormat: intents and outcomes in Avro and Protobuf, whose
// payment ids are no text.
func TestExplainReadsEveryFormat(t *testing.T) {
	for _, f := range schemas.Formats() {
		t.Run(f.String(), func(t *testing.T) {
			d := newDesk(t, 3)
			reg, err := registry.New(registry.Config{URL: d.Registry.URL, Register: true})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(reg.Close)
			id, _, err := reg.Put(t.Context(), registry.Subject{Name: "in", Format: f, Record: schemas.Intent, Level: 1})
			if err != nil {
				t.Fatal(err)
			}
			body := []byte(intent("intent-1", "order-1", "1", ""))
			switch f {
			case schemas.Avro:
				s, err := avro.Parse(schemas.Text(f, schemas.Intent))
				if err != nil {
					t.Fatal(err)
				}
				body, err = s.Encode(contract.AvroPaymentIntent{IntentId: "intent-1", OrderId: "order-1", Amount: "1", Description: "d"})
				if err != nil {
					t.Fatal(err)
				}
			case schemas.Protobuf:
				if body, err = proto.Marshal(&contract.PaymentIntent{IntentId: "intent-1", OrderId: "order-1", Amount: "1", Description: "d"}); err != nil {
					t.Fatal(err)
				}
				body = append([]byte{0}, body...)
			}
			d.intents = event.NewDecoder(event.DecoderConfig{DefaultMerchant: "540001", Schemas: reg})
			d.encoder = event.NewEncoder(event.EncoderConfig{Format: f, Topic: devstack.Outcomes, IDs: reg})
			at, m := d.emitted(1, 0, "a key", string(append(binary.BigEndian.AppendUint32([]byte{0}, uint32(id)), body...)))
			d.settled(at, m, 1, created(5_000_000_001, 1))

			_, errs := d.tells("intent-1", "created =created") // by its headers
			if !strings.Contains(errs, "could not be read: payment-intents/1@0: unknown_schema") {
				t.Errorf("%s: want that the intent cannot be read without its registry", errs)
			}
			d.environ = append(d.environ, "PAYLINK_SCHEMA_REGISTRY_URL="+d.Registry.URL)
			for _, id := range []string{"intent-1", "order-1", "5000000001"} {
				if _, errs := d.tells(id, "emitted created =created"); strings.Contains(errs, "in full") {
					t.Errorf("%s: it stands there in plain bytes: %s", id, errs)
				}
			}
		})
	}
}
