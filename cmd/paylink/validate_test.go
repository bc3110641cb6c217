package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"paylink/internal/devstack"
	"paylink/internal/event"
	"paylink/internal/payment"
	schemaregistry "paylink/internal/registry"
	"paylink/schemas"
	"paylink/schemas/contract"
)

// private is what no line of validate may show: a value of a field that breaks
// its rule, and the payer's phone beside it.
const private = "77001234567890123"

// validated runs validate and returns what it printed, and its exit code.
func validated(t *testing.T, stack *devstack.Stack, args ...string) ([]string, int) {
	t.Helper()
	var out, errs strings.Builder
	environ := []string{"PAYLINK_KAFKA_BROKERS=" + stack.Broker.Addrs()[0], "PAYLINK_SCHEMA_REGISTRY_URL=" + stack.Registry.URL, "PAYLINK_MERCHANT_ID=540001"}
	code := run(t.Context(), append([]string{"schemas", "validate"}, args...), world{environ: environ, in: strings.NewReader(""), out: &out, err: &errs})
	if both := out.String() + errs.String(); strings.Contains(both, private) {
		t.Errorf("validate %v shows a value: %s", args, both)
	}
	if errs.Len() > 0 {
		t.Errorf("validate %v: %s", args, errs.String())
	}
	return strings.Split(strings.TrimSpace(out.String()), "\n"), code
}

// framedIntents are a good and a broken intent in each format of a registry.
func framedIntents(t *testing.T, reg *schemaregistry.Registry) [][]byte {
	t.Helper()
	var all [][]byte
	for _, f := range schemas.Formats() {
		id, _, err := reg.Put(t.Context(), schemaregistry.Subject{Name: "in-" + f.String(), Format: f, Record: schemas.Intent, Level: 1})
		if err != nil {
			t.Fatal(err)
		}
		for _, phone := range []string{"77001234567", private} {
			var body []byte
			switch f {
			case schemas.Avro:
				body, err = avro.MustParse(schemas.Text(schemas.Avro, schemas.Intent)).Encode(&contract.AvroPaymentIntent{IntentId: f.String(), Amount: "10", Description: "d", UserPhone: phone})
			case schemas.Protobuf:
				body, err = proto.Marshal(&contract.PaymentIntent{IntentId: f.String(), Amount: "10", Description: "d", UserPhone: phone})
				body = append([]byte{0}, body...)
			default:
				body = fmt.Appendf(nil, `{"intent_id":%q,"amount":"10","description":"d","user_phone":%q}`, f, phone)
			}
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, append(binary.BigEndian.AppendUint32([]byte{0}, uint32(id)), body...))
		}
	}
	return all
}

// TestValidateJudgesARangeOfATopic: every form that the service reads, each
// violation at its place; what a consumer does not see is not judged.
func TestValidateJudgesARangeOfATopic(t *testing.T) {
	stack := startStack(t)
	k, ctx := stack.Broker.Kafka(), t.Context()
	if err := k.CreateTopics(ctx, devstack.Topic{Name: "payment-intents", Partitions: 2}, devstack.Topic{Name: "copy", Partitions: 1}); err != nil {
		t.Fatal(err)
	}
	reg, err := schemaregistry.New(schemaregistry.Config{URL: stack.Registry.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer reg.Close()
	emit := func(topic string, partition int32, m ...event.Message) {
		t.Helper()
		if err := k.EmitTo(ctx, topic, partition, m...); err != nil {
			t.Fatal(err)
		}
	}
	for _, value := range framedIntents(t, reg) {
		emit("payment-intents", 0, event.Message{Value: value})
	}
	if err := k.EmitInTransaction(ctx, "t", kgo.TryAbort, "payment-intents", event.Message{Value: []byte("aborted"), Key: []byte("a")}, event.Message{Value: []byte("aborted"), Key: []byte("b")}); err != nil {
		t.Fatal(err)
	}
	hour := time.Now().Add(time.Hour)
	emit("payment-intents", 1, event.Message{Time: hour, Value: []byte(`{"specversion":"1.0","type":"t","source":"s","id":"1","data":{"intent_id":"ce","amount":"1e3","currency":"` + private + `","description":"d"}}`)})
	emit("payment-intents", 1, event.Message{Time: hour.Add(time.Minute)})
	emit("payment-intents", 1, event.Message{Time: hour.Add(time.Minute), Value: append([]byte{0, 0x7f, 0, 0, 0}, private...)})

	phone := "user_phone must have at most 15 characters, has 17"
	wantZero := []string{"payment-intents/0@1: " + phone, "payment-intents/0@3: " + phone, "payment-intents/0@5: " + phone}
	got, code := validated(t, stack, "--topic", "payment-intents", "--partition", "0")
	if diff := cmp.Diff(append(wantZero[:3:3], "6 records, 3 of them wrong"), firstRules(got)); diff != "" || code != exitFailure {
		t.Errorf("partition 0: exit %d (-want +got):\n%s", code, diff)
	}
	if got, code := validated(t, stack, "--topic", "payment-intents", "--partition", "0", "--from", "2", "--to", "3"); code != exitOK || got[0] != "1 records, 0 of them wrong" {
		t.Errorf("one good record: exit %d, %q", code, got)
	}
	got, code = validated(t, stack, "--topic", "payment-intents")
	if last := got[len(got)-1]; code != exitFailure || last != "9 records, 6 of them wrong" {
		t.Errorf("all: exit %d, %q", code, got)
	}
	got, code = validated(t, stack, "--topic", "payment-intents", "--from", hour.UTC().Format(time.RFC3339), "--to", hour.Add(30*time.Second).UTC().Format(time.RFC3339))
	if text := strings.Join(got, "\n"); code != exitFailure || len(got) != 3 || !strings.Contains(text, ": amount must be a plain") || !strings.Contains(text, ": currency must match") {
		t.Errorf("by time: exit %d, %q, want both violations of one record", code, got)
	}
	got, _ = validated(t, stack, "--topic", "payment-intents", "--partition", "1", "--from", hour.Add(30*time.Second).UTC().Format(time.RFC3339))
	if text := strings.Join(got, "\n"); !strings.Contains(text, ": empty: ") || !strings.Contains(text, ": unknown_schema: ") {
		t.Errorf("dead letters: %q", got)
	}
}

// firstRules leaves out further rules that the same value breaks.
func firstRules(lines []string) (out []string) {
	for _, line := range lines {
		place, _, _ := strings.Cut(line, ": ")
		if len(out) == 0 || !strings.HasPrefix(out[len(out)-1], place+": ") {
			out = append(out, line)
		}
	}
	return out
}

// TestValidateJudgesOutcomes of every format, by the topic's name or by their type.
func TestValidateJudgesOutcomes(t *testing.T) {
	stack := startStack(t)
	k, ctx := stack.Broker.Kafka(), t.Context()
	for _, topic := range []string{"payment-outcomes", "copy"} {
		if err := k.CreateTopics(ctx, devstack.Topic{Name: topic, Partitions: 1}); err != nil {
			t.Fatal(err)
		}
	}
	reg, err := schemaregistry.New(schemaregistry.Config{URL: stack.Registry.URL, Register: true})
	if err != nil {
		t.Fatal(err)
	}
	defer reg.Close()
	d, err := event.NewDecoder(event.DecoderConfig{DefaultMerchant: "540001"}).Decode(ctx, event.Message{Value: []byte(`{"intent_id":"i","amount":"10","description":"d"}`)})
	if err != nil {
		t.Fatal(err)
	}
	at := event.Place{Topic: "payment-intents", Offset: 7}
	for _, f := range append(schemas.Formats(), 0) {
		e := event.NewEncoder(event.EncoderConfig{Format: f, Naming: schemas.ByTopic, Topic: "payment-outcomes", IDs: reg})
		for _, o := range []payment.Outcome{
			payment.Created{Link: payment.Link{PaymentID: 1, RedirectURL: "https://x", RedirectURLType: payment.URLNeedData}, Attempts: 1, At: time.Now()},
			payment.Failed{Reason: private, Attempts: 1, At: time.Now()},
		} {
			m, err := e.Outcome(ctx, d, nil, at, o)
			if err != nil {
				t.Fatal(err)
			}
			for _, topic := range []string{"payment-outcomes", "copy"} {
				if err := k.EmitTo(ctx, topic, 0, m); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for topic, noun := range map[string]string{"payment-outcomes": "outcomes", "copy": "records"} {
		var want []string
		for i := 1; i < 8; i += 2 {
			want = append(want, fmt.Sprintf("%s/0@%d: reason must be one of the words of the contract", topic, i))
		}
		got, code := validated(t, stack, "--topic", topic)
		if diff := cmp.Diff(append(want, "8 "+noun+", 4 of them wrong"), got); diff != "" || code != exitFailure {
			t.Errorf("%s: exit %d (-want +got):\n%s", topic, code, diff)
		}
	}
}

func TestValidateEndsInOneLine(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs strings.Builder
	code := run(ctx, []string{"schemas", "validate", "-"}, world{in: strings.NewReader("{}\n{}\n"), out: &out, err: &errs})
	if want := "paylink: interrupted: 0 records were judged, 0 of them wrong, and none after the beginning; run it again\n"; code != exitFailure || errs.String() != want || out.String() != "" {
		t.Errorf("exit %d, %q %q; want exit %d and %q", code, out.String(), errs.String(), exitFailure, want)
	}
}
