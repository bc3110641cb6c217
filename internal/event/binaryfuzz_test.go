package event

import (
	"errors"
	"maps"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/avro"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"paylink/internal/payment"
	"paylink/schemas"
	"paylink/schemas/contract"
)

// told is what a draft was told: fields by name, and metadata.
func toldOf(dr *draft) (map[string]string, map[string]string) {
	fields, pairs := map[string]string{}, map[string]string{}
	for i, s := range dr.said {
		if s.given && payment.Fields[i].Kind != payment.Pairs {
			fields[payment.Fields[i].Name] = string(dr.text[s.text.from:s.text.to])
		}
	}
	maps.Copy(pairs, metadata(dr.pairs, string(dr.text)))
	if len(dr.pairs) == payment.MaxMetadataEntries { // which of more are kept is chance
		pairs = nil
	}
	return fields, pairs
}

// alike compares what two ways of reading made of one body.
func alike(t *testing.T, want, got *draft, wantErr, gotErr error) {
	t.Helper()
	if (wantErr == nil) != (gotErr == nil) {
		t.Fatalf("error %v, want %v", gotErr, wantErr)
	}
	if wantErr != nil {
		var un *Unreadable
		if !errors.As(gotErr, &un) {
			t.Fatalf("error %v, want an *Unreadable", gotErr)
		}
		return
	}
	wantFields, wantPairs := toldOf(want)
	gotFields, gotPairs := toldOf(got)
	if diff := cmp.Diff(wantFields, gotFields); diff != "" {
		t.Errorf("fields (-library +ours):\n%s", diff)
	}
	if diff := cmp.Diff(wantPairs, gotPairs); diff != "" || want.entries != got.entries || want.pairBytes != got.pairBytes {
		t.Errorf("metadata, %d and %d entries (-library +ours):\n%s", want.entries, got.entries, diff)
	}
}

// protoTexts gives a message's fields as texts, by reflection.
func protoTexts(x *contract.PaymentIntent, put func(field int, value string)) {
	m := x.ProtoReflect()
	for i, f := range payment.Fields {
		fd := m.Descriptor().Fields().ByName(protoreflect.Name(f.Name))
		if !m.Has(fd) || f.Kind == payment.Pairs {
			continue
		}
		switch v := m.Get(fd); f.Kind {
		case payment.Flag:
			put(i, contract.FlagText(v.Bool()))
		case payment.Integer:
			put(i, strconv.FormatInt(v.Int(), 10))
		case payment.Time:
			put(i, v.Message().Interface().(*timestamppb.Timestamp).AsTime().Format(time.RFC3339Nano))
		default:
			put(i, v.String())
		}
	}
}

// FuzzProtobufMeansWhatItsCodeMeans holds readProtobuf against the generated code.
func FuzzProtobufMeansWhatItsCodeMeans(f *testing.F) {
	whole, err := proto.Marshal(fullProtobuf())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(append(whole, whole...)) // every field again: the last counts
	for _, seed := range []string{
		"", "\x0a\x01a\x0a\x00", "\x0a\x01\xff", "\x08\x05", "\x0a\xff\xff\xff\xff\x0f", "\x38\x05\x38\x00", "\xc2\x01\x02\x08\x01\xc2\x01\x02\x10\x05",
		"\xfa\x01\x06\x0a\x01a\x12\x01b\xfa\x01\x03\x0a\x01a", "\x03\x04", "\x0b\x0c", "\x00\x00", "\xff\xff\xff\xff\x0f\x00", "\xf8\xff\xff\xff\x0f\x01", "\x0d1234", "\x091234567",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		want, got := &scratch{draft: newDraft()}, &scratch{draft: newDraft()}
		var message contract.PaymentIntent
		wantErr := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(body, &message)
		if wantErr == nil {
			protoTexts(&message, want.draft.putText)
			want.draft.putPairs(message.GetMetadata())
		}
		err := readProtobuf(got, body)
		for _, b := range got.draft.broken { // of another wire type, which that code skips
			want.draft.said[b.field], got.draft.said[b.field] = said{}, said{}
		}
		alike(t, &want.draft, &got.draft, wantErr, err)
	})
}

// FuzzAvroPlanMeansWhatTheLibraryMeans holds the plan against the library.
func FuzzAvroPlanMeansWhatTheLibraryMeans(f *testing.F) {
	w, bad := compileAvro(WriterSchema{Format: schemas.Avro, Text: schemas.Text(schemas.Avro, schemas.Intent)})
	if bad != nil || w.plan == nil {
		f.Fatalf("no plan of our own schema: %v", bad)
	}
	for _, in := range []*contract.AvroPaymentIntent{fullAvro(), {IntentId: "i"}, {Metadata: map[string]string{"\xff": "", "a": "\xff"}}} {
		body, err := avro.MustParse(schemas.Text(schemas.Avro, schemas.Intent)).Encode(in)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
		f.Add(body[:len(body)-1])
		f.Add(append(body, 0))
	}
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x0f}) // a length of gigabytes
	f.Fuzz(func(t *testing.T, body []byte) {
		want, got := &scratch{draft: newDraft()}, &scratch{draft: newDraft()}
		library := avroWriter{branches: w.branches}
		alike(t, &want.draft, &got.draft, readAvro(want, &library, schemaName{}, body), readAvro(got, w, schemaName{}, body))
	})
}

// TestAvroPlanIsOnlyForOurFields: other writers are the library's.
func TestAvroPlanIsOnlyForOurFields(t *testing.T) {
	const record = `{"type":"record","name":"Order","fields":[{"name":"intent_id","type":"string"},{"name":"amount","type":"string"},{"name":"description","type":"string"}]}`
	if w, bad := compileAvro(WriterSchema{Format: schemas.Avro, Text: record}); w.plan != nil || bad != nil {
		t.Errorf("plan %v, %v, want none", w.plan, bad)
	}
}
