package event

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	traceA = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	traceB = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
)

// envelope1 returns a CloudEvents envelope with more members.
func envelope1(members string) string {
	return `{"specversion":"1.0","type":"shop.order","source":"/shop","id":"e-1",` + members + "}"
}

func header(key, value string) Header { return Header{key, []byte(value)} }

func TestDecodeCloudEvents(t *testing.T) {
	structured := header("content-type", "application/cloudevents+json; charset=UTF-8")
	const intent = "{" + least + "}"
	in64 := base64.StdEncoding.EncodeToString([]byte(intent))
	tests := []struct {
		name, value string
		headers     []Header
	}{
		{"binary", intent, []Header{header("ce_specversion", "1.0"), header("ce_id", "e-1"), header("ce_type", "t"), header("ce_source", "/s"), header("content-type", "application/json")}},
		{"binary, headers do not override", intent, []Header{header("ce_specversion", "1.0"), header("ce_intent_id", "other"), header("ce_subject", "other")}},
		{"structured", envelope1(`"data":` + intent), []Header{structured}},
		{"structured, header in capitals", envelope1(`"data":` + intent), []Header{header("Content-Type", "Application/CloudEvents+JSON")}},
		{"structured, data first", `{"data":` + intent + `,"specversion":"1.0","type":"t","source":"s","id":"i"}`, []Header{structured}},
		{"structured, white space and a name with escapes", envelope1("\"d\\u0061ta\" :\n\t" + intent + " "), []Header{structured}},
		{"structured, an attribute like a field", envelope1(`"description":"of the event","amount":"99","data":` + intent), []Header{structured}},
		{"structured, an attribute like the id", envelope1(`"intent_id":"other","data":` + intent), []Header{structured}},
		{"structured, base64", envelope1(`"data_base64":"` + in64 + `"`), []Header{structured}},
		{"structured, data null and base64", envelope1(`"data":null,"data_base64":"` + in64 + `"`), []Header{structured}},
		{"structured, data in base64 with the names of attributes", envelope1(`"data_base64":"` + base64.StdEncoding.EncodeToString([]byte(with(`"source":"web","id":"7"`))) + `"`), []Header{structured}},
		{"f01, data with the names of attributes", envelope1(`"data":` + with(`"source":"web","type":"top-up","id":"7","specversion":"x","data":[]`)), []Header{structured}},
		{"f01, an extension of the same name", envelope1(`"tenant":"a","data":` + with(`"tenant":"a"`)), nil},
		{"by its looks", envelope1(`"data":` + intent), nil},
		{"by its looks, base64", envelope1(`"data_base64":"` + in64 + `"`), nil},
		{"by its looks, though another content type", envelope1(`"data":` + intent), []Header{header("content-type", "application/json")}},
		{"no envelope, as it names an intent", envelope1(least + `,"data":{"intent_id":"other"}`), nil},
		{"no envelope, as source is missing", `{"specversion":"1.0","type":"t","id":"i","data":{"intent_id":"other"},` + least + "}", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := decoded(t, intent)
			if diff := cmp.Diff(want, decoded(t, tt.value, tt.headers...), asWritten); diff != "" {
				t.Errorf("Decode(%s) (-want +got):\n%s", tt.value, diff)
			}
		})
	}
}

func TestDecodeBadCloudEvents(t *testing.T) {
	structured := header("content-type", "application/cloudevents+json")
	tests := []struct {
		name, value string
		headers     []Header
		want        DeadReason
	}{
		{"no data", envelope1(`"x":1`), []Header{structured}, NoIntentID},
		{"intent without envelope", "{" + least + "}", []Header{structured}, NoIntentID},
		{"null data", envelope1(`"data":null`), []Header{structured}, NoIntentID},
		{"data is a string", envelope1(`"data":"{}"`), []Header{structured}, NotJSON},
		{"data is a string, though no content type", envelope1(`"data":"{}"`), nil, NotJSON},
		{"data is an array, though no content type", envelope1(`"data":[]`), nil, NotJSON},
		{"data is an array", envelope1(`"data":[]`), []Header{structured}, NotJSON},
		{"data without intent id", envelope1(`"data":{}`), nil, NoIntentID},
		{"an envelope within", envelope1(`"data":` + envelope1(`"data":{`+least+`}`)), nil, NoIntentID},
		{"data twice", envelope1(`"data":{` + least + `},"data":{"intent_id":"b"}`), nil, BadIntentID},
		{"data both ways", envelope1(`"data":{` + least + `},"data_base64":"e30="`), nil, BadIntentID},
		{"no base64", envelope1(`"data_base64":"%%"`), nil, NotJSON},
		{"base64 of nothing", envelope1(`"data_base64":""`), nil, NotJSON},
		{"base64 of no JSON", envelope1(`"data_base64":"AAAA"`), nil, NotJSON},
		{"envelope cut short", strings.TrimSuffix(envelope1(`"data":{}`), "}"), nil, NotJSON},
		{"a batch", "[" + envelope1(`"data":{}`) + "]", []Header{header("content-type", "application/cloudevents-batch+json")}, NotJSON},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := NewDecoder(DecoderConfig{}).Decode(context.Background(), Message{Value: []byte(tt.value), Headers: tt.headers})
			var un *Unreadable
			if !errors.As(err, &un) || un.Reason != tt.want {
				t.Errorf("Decode(%s) = %v, want %s", tt.value, err, tt.want)
			}
		})
	}
}

// What is a CloudEvent, but not one in JSON, is called so.
func TestDecodeNamesOtherFormsOfCloudEvents(t *testing.T) {
	for _, tt := range []struct{ contentType, value, want string }{
		{"application/cloudevents-batch+json; charset=UTF-8", "[" + envelope1(`"data":{}`) + "]", "the value is a batch of CloudEvents; emit every event as a record of its own"},
		{"application/cloudevents-batch+json", " []", "the value is a batch of CloudEvents; emit every event as a record of its own"},
		{"application/cloudevents+avro", "\x02\x04", "the value is a CloudEvent in another format than JSON; emit application/cloudevents+json"},
		{"application/cloudevents+protobuf", "\x0a\x01a", "the value is a CloudEvent in another format than JSON; emit application/cloudevents+json"},
	} {
		m := Message{Value: []byte(tt.value), Headers: []Header{header("content-type", tt.contentType)}}
		_, err := NewDecoder(DecoderConfig{}).Decode(t.Context(), m)
		var un *Unreadable
		if !errors.As(err, &un) || un.Reason != NotJSON || un.Text != tt.want {
			t.Errorf("Decode(%s) = %v, want %s", tt.contentType, err, tt.want)
		}
	}
}

// A name that comes twice within one of the two scopes is a violation, still.
func TestDecodeRepeatedNamesWithinTheData(t *testing.T) {
	vs := decoded(t, envelope1(`"data":`+with(`"source":"a","source":"b"`))).Violations
	if len(vs) != 1 || vs[0].Field != "source" {
		t.Errorf("violations = %v, want one of source", vs)
	}
}

func TestDecodeEnvelopeWithARepeatedName(t *testing.T) {
	vs := decoded(t, envelope1(`"subject":"a","subject":"b","data":{`+least+`}`)).Violations
	if len(vs) != 1 || vs[0].Field != "subject" || vs[0].Rule != ruleRepeated {
		t.Errorf("violations = %v, want one of subject", vs)
	}
}

func TestDecodeCarriesTheTrace(t *testing.T) {
	const intent = "{" + least + "}"
	both := []Header{header("traceparent", traceA), header("tracestate", "a=1,b=2")}
	tests := []struct {
		name, value string
		headers     []Header
		want        []Header
	}{
		{"none", intent, nil, nil},
		{"headers", intent, both, both},
		{"parent alone", intent, both[:1], both[:1]},
		{"state alone", intent, both[1:], nil},
		{"the last of two", intent, []Header{header("traceparent", traceB), header("traceparent", traceA)}, both[:1]},
		{"CloudEvents headers", intent, []Header{header("ce_traceparent", traceA), header("ce_tracestate", "a=1,b=2")}, both},
		{"the record's own before CloudEvents", intent, append([]Header{header("ce_traceparent", traceB)}, both...), both},
		{"CloudEvents where the record's own is bad", intent, []Header{header("traceparent", "x"), header("ce_traceparent", traceA)}, both[:1]},
		{"envelope", envelope1(`"traceparent":"` + traceA + `","tracestate":"a=1,b=2","data":` + intent), nil, both},
		{"no envelope", with(`"traceparent":"` + traceA + `"`), nil, nil},
		{"a later version", intent, []Header{header("traceparent", "01"+traceA[2:]+"-more")}, []Header{header("traceparent", "01"+traceA[2:]+"-more")}},
		{"version ff", intent, []Header{header("traceparent", "ff"+traceA[2:])}, nil},
		{"version 00 with more", intent, []Header{header("traceparent", traceA+"-more")}, nil},
		{"capitals", intent, []Header{header("traceparent", strings.ToUpper(traceA))}, nil},
		{"no trace id", intent, []Header{header("traceparent", "00-"+strings.Repeat("0", 32)+traceA[35:])}, nil},
		{"no parent id", intent, []Header{header("traceparent", traceA[:36]+strings.Repeat("0", 16)+"-01")}, nil},
		{"a newline in the state", intent, []Header{both[0], header("tracestate", "a=1\nb=2")}, both[:1]},
		{"a state too long", intent, []Header{both[0], header("tracestate", strings.Repeat("a", 513))}, both[:1]},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, decoded(t, tt.value, tt.headers...).Trace); diff != "" {
				t.Errorf("trace (-want +got):\n%s", diff)
			}
		})
	}
}
