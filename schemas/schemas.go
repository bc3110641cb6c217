// Package schemas is the public contract of paylink, as files: JSON Schema,
// Avro and Protobuf of intents and outcomes, examples of each rule, and the
// AsyncAPI document of the three topics. README.md beside this file shows how
// to emit and consume.
//
// The files are generated from payment.Fields and never edited, but for the
// README; tests compare all of them with the code.
// Below released/ stand the schemas of each release, with which everything that
// follows must stay compatible.
package schemas

import (
	"embed"
	"fmt"
	"io/fs"
)

//go:generate go run ../internal/schemagen/write

// FS holds all files of the contract.
//
//go:embed json avro protobuf examples released asyncapi.yaml README.md
var FS embed.FS

// A Format is a form of records that a schema registry knows.
type Format int

// The formats.
const (
	JSONSchema Format = iota + 1
	Avro
	Protobuf
)

// String returns the format's name, as in the settings.
func (f Format) String() string {
	switch f {
	case JSONSchema:
		return "json-schema"
	case Avro:
		return "avro"
	case Protobuf:
		return "protobuf"
	}
	return fmt.Sprintf("format %d", int(f))
}

// Formats returns all of them.
func Formats() []Format { return []Format{JSONSchema, Avro, Protobuf} }

// A Record is a type of record of the contract.
type Record int

// The records. Outcome is Created or Failed as one type.
const (
	Intent Record = iota + 1
	Outcome
	Created
	Failed
)

// Records returns all of them.
func Records() []Record { return []Record{Intent, Outcome, Created, Failed} }

// String returns the record's name in file names: payment-intent and so on.
func (r Record) String() string {
	switch r {
	case Intent:
		return "payment-intent"
	case Outcome:
		return "payment-outcome"
	case Created:
		return "payment-created"
	case Failed:
		return "payment-failed"
	}
	return fmt.Sprintf("record %d", int(r))
}

// FullName returns the record's name with its namespace, as the subject naming
// strategies of schema registries have it.
func (r Record) FullName() string {
	switch r {
	case Intent:
		return "paylink.v1.PaymentIntent"
	case Outcome:
		return "paylink.v1.PaymentOutcome"
	case Created:
		return "paylink.v1.PaymentCreated"
	case Failed:
		return "paylink.v1.PaymentFailed"
	}
	return ""
}

// MessageIndex returns which message of its Protobuf file a record is, as the
// Confluent wire format writes it.
func (r Record) MessageIndex() []int {
	switch r {
	case Created:
		return []int{1}
	case Failed:
		return []int{2}
	}
	return []int{0}
}

// Path returns where the schema of a record stands in FS.
func Path(f Format, r Record) string {
	switch f {
	case Avro:
		return "avro/" + r.String() + ".avsc"
	case Protobuf:
		if r == Intent {
			return "protobuf/paylink/v1/payment_intent.proto"
		}
		return "protobuf/paylink/v1/payment_outcome.proto" // all three are messages of one file
	}
	return "json/" + r.String() + ".schema.json"
}

// Text returns the schema of a record. It panics for a format or record that
// does not exist.
func Text(f Format, r Record) string {
	b, err := fs.ReadFile(FS, Path(f, r))
	if err != nil {
		panic("schemas: " + err.Error())
	}
	return string(b)
}

// StrictPath is where StrictIntent stands in FS.
const StrictPath = "json/payment-intent-strict.schema.json"

// StrictIntent returns the JSON Schema by which emitters should write intents:
// one type a field. What it accepts, the schema of Intent accepts too. No registry
// holds it, and the service does not know it.
func StrictIntent() string {
	b, err := fs.ReadFile(FS, StrictPath)
	if err != nil {
		panic("schemas: " + err.Error())
	}
	return string(b)
}
