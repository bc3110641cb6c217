package event

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"paylink/schemas"
)

func longID(id uint64) []byte { return binary.BigEndian.AppendUint64(nil, id) }

// TestDecodeByApicuriosHeaders: the content id is what the Confluent API knows.
func TestDecodeByApicuriosHeaders(t *testing.T) {
	s := ours()
	s[21] = WriterSchema{Format: schemas.Protobuf, Text: protoFile("", "") + "message Other { string x = 1; }"}
	d := NewDecoder(DecoderConfig{DefaultMerchant: "540001", Schemas: s})
	avroText, message := avroBody(t, s[5].Text, fullAvro()), protoBody(t, fullProtobuf())
	for name, m := range map[string]Message{
		"Avro":     {Value: []byte(avroText), Headers: []Header{{headerContentID, longID(5)}}},
		"Protobuf": {Value: []byte(message), Headers: []Header{{headerContentID, longID(9)}, {headerGlobalID, longID(77)}}},
		"JSON":     {Value: []byte(fullIntent(nil)), Headers: []Header{{headerGlobalID, longID(1)}}},
	} {
		if out, err := d.Decode(t.Context(), m); err != nil || len(out.Violations) > 0 || out.Intent.ID != decodedFull().ID {
			t.Errorf("%s: %+v, %v", name, out, err)
		}
	}
	s[22] = WriterSchema{Format: schemas.Protobuf, Text: strings.Replace(protoFile("", "message Inner { string x = 1; }"), "message Intent", "message Other { string x = 1; } message Intent", 1)}
	const intent = "\x0a\x05ord-1\x12\x0210\x1a\x01d"
	for name, m := range map[string]Message{
		"the message in a header":                 {Value: []byte(intent), Headers: []Header{{headerContentID, longID(22)}, header(headerMessageType, "Intent")}},
		"the message's name in place of an index": {Value: framed(22, "\x08\x0a\x06Intent"+intent)},
		"a true index":                            {Value: framed(22, "\x02\x02"+intent)},
	} {
		if out, err := d.Decode(t.Context(), m); err != nil || len(out.Violations) > 0 || out.Intent.ID != "ord-1" || out.Intent.Amount != "10" {
			t.Errorf("%s: %+v, %v", name, out, err)
		}
	}
	for name, m := range map[string]Message{
		"another message in a header":       {Value: []byte(intent), Headers: []Header{{headerContentID, longID(22)}, header(headerMessageType, "Other")}},
		"no message in a header":            {Value: []byte(intent), Headers: []Header{{headerContentID, longID(22)}, header(headerMessageType, "Nothing")}},
		"another name in place of an index": {Value: framed(22, "\x07\x0a\x05Other"+intent)},
	} {
		if _, err := d.Decode(t.Context(), m); err == nil || !strings.HasPrefix(err.Error(), "unknown_schema: schema id 22 has ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := d.Decode(t.Context(), Message{Value: []byte(message), Headers: []Header{{headerContentID, longID(21)}}})
	if wantReason(t, err, UnknownSchema); !strings.Contains(err.Error(), "more than one message") {
		t.Errorf("a file with two messages = %v", err)
	}
}

// TestDecodeNamesOtherFramings: what cannot be read is called by its name, with
// and without a registry.
func TestDecodeNamesOtherFramings(t *testing.T) {
	glue := "\x03\x00\x89\x79\x17\x62\x23\x36\x41\x86\x96\x74\x29\x9b\x90\xa8\x02\xe2body"
	apicurio := "which the registry's Confluent API cannot look up by; let the serializer use the content id (apicurio.registry.use-id=contentId)"
	for _, tt := range []struct {
		name string
		m    Message
		want DeadReason
		says string
	}{
		{"AWS Glue", Message{Value: []byte(glue)}, UnknownSchema, "the framing of AWS Glue (schema version " + guidOf5 + ")"},
		{"AWS Glue, compressed", Message{Value: []byte("\x03\x05" + glue[2:])}, UnknownSchema, "the framing of AWS Glue"},
		{"Azure", Message{Value: []byte("\x0aord-1"), Headers: []Header{header("content-type", "avro/binary+4b8f9c")}}, UnknownSchema, "Azure's registry"},
		{"Azure, before content types", Message{Value: []byte("\x00\x00\x00\x00" + strings.ReplaceAll(guidOf5, "-", "") + "body")}, UnknownSchema, "the framing of Azure's registry (schema 89791762"},
		{"Apicurio's ids of 8 bytes", Message{Value: append([]byte{0}, append(longID(5), "body"...)...)}, UnknownSchema, "a schema id of 8 bytes"},
		{"Apicurio's global id", Message{Value: []byte("\x0aord-1"), Headers: []Header{{headerGlobalID, longID(5)}}}, UnknownSchema, headerGlobalID + " names the schema, " + apicurio},
		{"Apicurio's hash", Message{Value: []byte("\x0aord-1"), Headers: []Header{header(headerContentHash, "ab")}}, UnknownSchema, headerContentHash + " names"},
		{"Apicurio's artifact", Message{Value: []byte("\x0aord-1"), Headers: []Header{header(headerArtifactID, "a")}}, UnknownSchema, headerArtifactID + " names"},
		{"Apicurio's content id that is none", Message{Value: []byte("\x0aord-1"), Headers: []Header{{headerContentID, longID(1 << 40)}}}, UnknownSchema, headerContentID + " names"},
		{"single-object Avro", Message{Value: []byte("\xc3\x0112345678x")}, NotJSON, "Avro's single-object encoding"},
		{"Avro file", Message{Value: []byte("Obj\x01x")}, NotJSON, "an Avro file"},
		{"gzip", Message{Value: []byte("\x1f\x8b\x08")}, NotJSON, "compressed with gzip"},
		{"UTF-16", Message{Value: []byte("\xff\xfe{\x00")}, NotJSON, "UTF-16"},
		{"UTF-16 without its mark", Message{Value: []byte("{\x00\"\x00i\x00")}, NotJSON, "UTF-16"},
		{"UTF-16 the other way round", Message{Value: []byte("\x00{\x00\"\x00i")}, NotJSON, "UTF-16"},
		{"zstd", Message{Value: []byte("\x28\xb5\x2f\xfd\x04")}, NotJSON, "compressed with zstd"},
		{"lz4", Message{Value: []byte("\x04\x22\x4d\x18\x64")}, NotJSON, "compressed with lz4"},
		{"snappy", Message{Value: []byte("\x82SNAPPY\x00")}, NotJSON, "compressed with snappy"},
		{"a Java object", Message{Value: []byte("\xac\xed\x00\x05sr")}, NotJSON, "a serialized Java object"},
		{"Avro without framing", Message{Value: []byte("\x02a\x04"), Headers: []Header{header("ce_specversion", "1.0"), header("content-type", "application/avro")}}, NotJSON, "Avro by its content type, and names no schema"},
		{"Protobuf without framing", Message{Value: []byte("\x0a\x01a"), Headers: []Header{header("Content-Type", "application/x-protobuf; messageType=\"x\"")}}, NotJSON, "Protobuf by its content type, and names no schema"},
		{"a mark of UTF-8", Message{Value: []byte("\xef\xbb\xbf{}")}, NotJSON, "a byte order mark"},
		{"XML", Message{Value: []byte("<intent/>")}, NotJSON, "XML or HTML"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, s := range []Schemas{nil, ours()} {
				cfg := DecoderConfig{}
				if s != nil {
					cfg.Schemas = s
				}
				_, err := NewDecoder(cfg).Decode(t.Context(), tt.m)
				var un *Unreadable
				if wantReason(t, err, tt.want); errors.As(err, &un) && !strings.Contains(un.Text, tt.says) {
					t.Errorf("says %q, want it to hold %q", un.Text, tt.says)
				}
			}
		})
	}
}
