package bench

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"

	"github.com/twmb/avro"
	"google.golang.org/protobuf/proto"

	"paylink/internal/registry"
	"paylink/schemas"
	"paylink/schemas/contract"
)

// mixedLoop is the service under intents of all formats in turn, plain JSON
// among them; its outcomes are Avro.
const mixedLoop = "mixed"

// formatLoops are the service under intents and outcomes of one format each.
func formatLoops() []string {
	var names []string
	for _, f := range schemas.Formats() {
		names = append(names, f.String())
	}
	return append(names, mixedLoop)
}

// outcomeFormat is what a loop's outcomes are written in.
func outcomeFormat(loop string) string {
	switch loop {
	case paylinkLoop, plainLoop:
		return "json"
	case mixedLoop:
		return schemas.Avro.String()
	}
	return loop
}

// A writer writes the value of an intent.
type writer func(intent) ([]byte, error)

// writers returns how the intents of a loop are written, the i-th by the i-th of
// the formats in turn. What their schemas need is registered.
func (b *bed) writers(ctx context.Context, loop string) ([]writer, error) {
	plain := func(in intent) ([]byte, error) { return json.Marshal(in) }
	var all []writer
	if loop == paylinkLoop || loop == plainLoop || loop == mixedLoop {
		all = append(all, plain)
	}
	for _, f := range schemas.Formats() {
		if loop != mixedLoop && loop != f.String() {
			continue
		}
		w, err := b.framed(ctx, f)
		if err != nil {
			return nil, err
		}
		all = append(all, w)
	}
	return all, nil
}

// framed writes as a registry's serializers do.
func (b *bed) framed(ctx context.Context, f schemas.Format) (writer, error) {
	reg, err := registry.New(registry.Config{URL: b.registry, Register: true})
	if err != nil {
		return nil, err
	}
	defer reg.Close()
	text := schemas.Text(f, schemas.Intent)
	id, err := reg.SchemaID(ctx, "bench-"+f.String(), f, text)
	if err != nil {
		return nil, err
	}
	head := binary.BigEndian.AppendUint32([]byte{0}, uint32(id))
	frame := func(body []byte, err error) ([]byte, error) { return append(head[:len(head):len(head)], body...), err }
	switch f {
	case schemas.Avro:
		schema, err := avro.Parse(text)
		return func(in intent) ([]byte, error) {
			return frame(schema.Encode(&contract.AvroPaymentIntent{IntentId: in.IntentID, OrderId: in.OrderID,
				Amount: in.Amount, Currency: in.Currency, Description: in.Description, UserPhone: in.UserPhone}))
		}, err
	case schemas.Protobuf:
		head = append(head, 0) // the index of the first message
		return func(in intent) ([]byte, error) {
			return frame(proto.Marshal(&contract.PaymentIntent{IntentId: in.IntentID, OrderId: in.OrderID,
				Amount: in.Amount, Currency: in.Currency, Description: in.Description, UserPhone: in.UserPhone}))
		}, nil
	case schemas.JSONSchema:
		return func(in intent) ([]byte, error) { return frame(json.Marshal(in)) }, nil
	}
	return nil, fmt.Errorf("no intents are written as %s", f)
}
