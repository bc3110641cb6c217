package schemagen

import (
	"bytes"
	"context"
	"fmt"
	"go/format"
	"path"
	"slices"
	"strings"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/cmd/protoc-gen-go/internal_gengo"
	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"

	"paylink/internal/payment"
)

// goFiles writes the Go types of Protobuf and Avro. protoc is not needed: the
// compiler is bufbuild's, and what follows is what protoc-gen-go does.
func goFiles(intent []field) (map[string][]byte, error) {
	protos, err := protoFiles(intent)
	if err != nil {
		return nil, err
	}
	out := map[string][]byte{}
	if out[path.Join("contract", "avro.go")], err = avroTypes(intent); err != nil {
		return nil, errorAt("avro.go", err)
	}
	sources := map[string]string{}
	var names []string
	for name, text := range protos {
		if name, ok := strings.CutPrefix(name, "protobuf/"); ok && path.Ext(name) == ".proto" {
			names = append(names, name)
			sources[name] = string(text)
		}
	}
	slices.Sort(names)
	made, err := protocGenGo(sources, names)
	if err != nil {
		return nil, errorAt("protoc-gen-go", err)
	}
	for name, text := range made {
		out[path.Join("contract", path.Base(name))] = text
	}
	return out, nil
}

// Compile compiles Protobuf sources. Only the well-known types may be imported
// beside them.
func Compile(sources map[string]string, names ...string) ([]protoreflect.FileDescriptor, error) {
	c := protocompile.Compiler{
		Resolver:       protocompile.WithStandardImports(&protocompile.SourceResolver{Accessor: protocompile.SourceAccessorFromMap(sources)}),
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	files, err := c.Compile(context.Background(), names...)
	if err != nil {
		return nil, err
	}
	var out []protoreflect.FileDescriptor
	for _, f := range files {
		out = append(out, f)
	}
	return out, nil
}

func protocGenGo(sources map[string]string, names []string) (map[string][]byte, error) {
	files, err := Compile(sources, names...)
	if err != nil {
		return nil, err
	}
	req := &pluginpb.CodeGeneratorRequest{FileToGenerate: names, Parameter: proto.String("paths=source_relative")}
	seen := map[string]bool{}
	for _, f := range files {
		addFile(req, f, seen)
	}
	plugin, err := protogen.Options{}.New(req)
	if err != nil {
		return nil, err
	}
	for _, f := range plugin.Files {
		if f.Generate {
			internal_gengo.GenerateFile(plugin, f)
		}
	}
	res := plugin.Response()
	if res.Error != nil {
		return nil, fmt.Errorf("%s", res.GetError())
	}
	out := map[string][]byte{}
	for _, f := range res.File {
		out[f.GetName()] = []byte(f.GetContent())
	}
	return out, nil
}

// addFile adds a file after those that it imports.
func addFile(req *pluginpb.CodeGeneratorRequest, f protoreflect.FileDescriptor, seen map[string]bool) {
	if seen[f.Path()] {
		return
	}
	seen[f.Path()] = true
	for i := range f.Imports().Len() {
		addFile(req, f.Imports().Get(i).FileDescriptor, seen)
	}
	req.ProtoFile = append(req.ProtoFile, fileProto(f))
}

func fileProto(f protoreflect.FileDescriptor) *descriptorpb.FileDescriptorProto {
	if has, ok := f.(interface {
		FileDescriptorProto() *descriptorpb.FileDescriptorProto
	}); ok {
		return has.FileDescriptorProto()
	}
	return protodesc.ToFileDescriptorProto(f)
}

// avroTypes writes the Go structs that Avro is decoded into and encoded from.
func avroTypes(intent []field) ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "// %s\n\npackage contract\n\nimport (\n\t\"strconv\"\n\t\"time\"\n)\n\n", generatedBy)
	fmt.Fprintf(&b, "// Avro%s is the Avro record %s.%s.\ntype Avro%s struct {\n", nameIntent, namespace, nameIntent, nameIntent)
	for _, f := range intent {
		tag := f.Name
		if f.Kind == payment.Time {
			tag += ",omitzero" // or the zero time would be written as the year 1
		}
		fmt.Fprintf(&b, "\t%s %s `avro:%q`\n", goName(f.Name), f.avroGo(), tag)
	}
	b.WriteString("}\n\n")
	eachText(&b, "Avro"+nameIntent, intent)
	for _, v := range views[:1] { // the others are read and written as this one
		fmt.Fprintf(&b, "// Avro%s is the Avro record %s.%s.\ntype Avro%s struct {\n", v.name, namespace, v.name, v.name)
		for _, f := range v.fields() {
			kind := avroShapeGo(f.shape)
			if v.need(f) != always && isPlain(f.shape) && f.shape != moment {
				kind = "*" + kind
			}
			if v.need(f) != always && f.shape == moment {
				kind = "*time.Time"
			}
			fmt.Fprintf(&b, "\t%s %s `avro:%q`\n", goName(f.name), kind, f.name)
		}
		b.WriteString("}\n\n")
	}
	avroInnerGo(&b, "Source", placeFields)
	avroInnerGo(&b, "Violation", violationFields)
	return format.Source(b.Bytes())
}

func avroInnerGo(b *bytes.Buffer, name string, fields []innerField) {
	fmt.Fprintf(b, "// Avro%s is the Avro record %s.%s.\ntype Avro%s struct {\n", name, namespace, name, name)
	for _, f := range fields {
		fmt.Fprintf(b, "\t%s %s `avro:%q`\n", goName(f.name), avroShapeGo(f.shape), f.name)
	}
	b.WriteString("}\n\n")
}

func avroShapeGo(s shape) string {
	switch s {
	case count:
		return "int32"
	case big:
		return "int64"
	case flag:
		return "bool"
	case moment:
		return "time.Time"
	case pairs:
		return "map[string]string"
	case place:
		return "AvroSource"
	case violations:
		return "[]AvroViolation"
	}
	return "string"
}

// avroGo is the Go type of a field. Texts and times need no pointer: their
// zero value is absent.
func (f field) avroGo() string {
	switch f.Kind {
	case payment.Integer:
		return "*int32"
	case payment.Flag:
		return "*bool"
	case payment.Time:
		return "time.Time"
	case payment.Pairs:
		return "map[string]string"
	}
	return "string"
}

// eachText writes the method that gives a record's fields as texts.
func eachText(b *bytes.Buffer, receiver string, intent []field) {
	fmt.Fprintf(b, `// Texts calls put with every field that is given, its index in the table of
// fields and its value as text; metadata is left out. This is how Avro comes
// under the same rules as JSON.
func (x *%s) Texts(put func(field int, value string)) {
`, receiver)
	for _, f := range intent {
		if f.Kind != payment.Pairs {
			b.WriteString(f.text())
		}
	}
	b.WriteString("}\n\n")
}

// text writes how one field is given.
func (f field) text() string {
	place := "x." + goName(f.Name)
	given, say := place+` != ""`, place
	switch f.Kind {
	case payment.Integer:
		given, say = place+" != nil", "strconv.FormatInt(int64(*"+place+"), 10)"
	case payment.Flag:
		given, say = place+" != nil", "FlagText(*"+place+")"
	case payment.Time:
		given, say = "!"+place+".IsZero()", place+".UTC().Format(time.RFC3339Nano)"
	}
	return strings.Join([]string{"\tif ", given, " {\n\t\tput(", fmt.Sprint(f.index), ", ", say, ")\n\t}\n"}, "")
}
