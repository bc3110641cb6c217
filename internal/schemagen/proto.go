package schemagen

import (
	"fmt"
	"path"
	"strings"

	"paylink/internal/payment"
)

// protoFiles writes Protobuf. The three outcome messages share their numbers,
// so that one body can be read as PaymentOutcome or as its own type.
func protoFiles(intent []field) (map[string][]byte, error) {
	return map[string][]byte{
		path.Join(protoDir, "payment_intent.proto"):  protoIntent(intent),
		path.Join(protoDir, "payment_outcome.proto"): protoOutcome(),
		path.Join("protobuf", "buf.yaml"):            []byte(bufYAML),
	}, nil
}

// protoDir is named after the package, as all of Protobuf's tools expect it.
const protoDir = "protobuf/paylink/v1"

// bufYAML tells buf by which rules the files are judged: the standard ones, and
// a comment on everything. No rule is excepted. What follows a release is judged by
// what is on the wire, binary and JSON: in v1 the files stood in one folder.
const bufYAML = `# ` + generatedBy + `
version: v2
lint:
  use: [STANDARD, COMMENTS]
breaking:
  use: [WIRE_JSON]
`

const protoHead = `// %s

syntax = "proto3";

package %s;

import "google/protobuf/timestamp.proto";

option go_package = "paylink/schemas/contract";
option java_multiple_files = true;
option java_package = "%s";
`

func protoHeader() string { return fmt.Sprintf(protoHead, generatedBy, namespace, namespace) }

func protoIntent(intent []field) []byte {
	var b strings.Builder
	b.WriteString(protoHeader())
	b.WriteString("\n// Asks for one payment link.\nmessage " + nameIntent + " {\n")
	for _, n := range retired() {
		fmt.Fprintf(&b, "  reserved %d;\n", n)
	}
	for _, f := range intent {
		comment(&b, "  ", f.doc("what is not set, or empty, is absent"))
		fmt.Fprintf(&b, "  %s %s = %d;\n", f.protoType(), f.Name, f.number)
	}
	b.WriteString("}\n")
	return []byte(b.String())
}

// protoType is a field's type. Texts have no presence: the empty one is absent.
func (f field) protoType() string {
	switch f.Kind {
	case payment.Integer:
		return "optional int32"
	case payment.Flag:
		return "optional bool"
	case payment.Time:
		return protoShape(moment)
	case payment.Pairs:
		return protoShape(pairs)
	}
	return "string"
}

func protoOutcome() []byte {
	var b strings.Builder
	b.WriteString(protoHeader())
	for _, v := range views {
		b.WriteString("\n")
		comment(&b, "", v.doc)
		b.WriteString("message " + v.name + " {\n")
		for _, f := range v.fields() {
			doc := f.doc
			if len(f.enum) > 0 {
				doc += " One of: " + strings.Join(f.enum, ", ") + "."
			}
			comment(&b, "  ", doc)
			fmt.Fprintf(&b, "  %s %s = %d;\n", protoShape(f.shape), f.name, f.number)
		}
		b.WriteString("}\n")
	}
	protoInner(&b, "Source", "Where a record stands.", placeFields)
	protoInner(&b, "Violation", "One broken rule.", violationFields)
	return []byte(b.String())
}

func protoInner(b *strings.Builder, name, doc string, fields []innerField) {
	b.WriteString("\n// " + doc + "\nmessage " + name + " {\n")
	for _, f := range fields {
		comment(b, "  ", f.doc)
		fmt.Fprintf(b, "  %s %s = %d;\n", protoShape(f.shape), f.name, f.number)
	}
	b.WriteString("}\n")
}

func protoShape(s shape) string {
	switch s {
	case count:
		return "int32"
	case big:
		return "int64"
	case flag:
		return "bool"
	case moment:
		return "google.protobuf.Timestamp"
	case pairs:
		return "map<string, string>"
	case place:
		return "Source"
	case violations:
		return "repeated Violation"
	}
	return "string"
}

// comment writes a comment, broken into lines.
func comment(b *strings.Builder, indent, s string) {
	line := ""
	for word := range strings.FieldsSeq(s) {
		if line != "" && len(line)+1+len(word) > 90 {
			b.WriteString(indent + "// " + line + "\n")
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	b.WriteString(indent + "// " + line + "\n")
}
