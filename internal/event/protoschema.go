package event

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/parser"
	"github.com/bufbuild/protocompile/reporter"
	"google.golang.org/genproto/googleapis/type/calendarperiod"
	"google.golang.org/genproto/googleapis/type/color"
	"google.golang.org/genproto/googleapis/type/date"
	"google.golang.org/genproto/googleapis/type/datetime"
	"google.golang.org/genproto/googleapis/type/dayofweek"
	"google.golang.org/genproto/googleapis/type/decimal"
	"google.golang.org/genproto/googleapis/type/expr"
	"google.golang.org/genproto/googleapis/type/fraction"
	"google.golang.org/genproto/googleapis/type/interval"
	"google.golang.org/genproto/googleapis/type/latlng"
	"google.golang.org/genproto/googleapis/type/localized_text"
	"google.golang.org/genproto/googleapis/type/money"
	"google.golang.org/genproto/googleapis/type/month"
	"google.golang.org/genproto/googleapis/type/phone_number"
	"google.golang.org/genproto/googleapis/type/postaladdress"
	"google.golang.org/genproto/googleapis/type/quaternion"
	"google.golang.org/genproto/googleapis/type/timeofday"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Files that schema registries know by themselves: a schema may import them,
// and nobody registers them. protocompile brings google/protobuf.
var (
	wellKnownFiles = func() map[string]protoreflect.FileDescriptor {
		m := map[string]protoreflect.FileDescriptor{}
		for _, f := range []protoreflect.FileDescriptor{
			calendarperiod.File_google_type_calendar_period_proto, color.File_google_type_color_proto, date.File_google_type_date_proto,
			datetime.File_google_type_datetime_proto, dayofweek.File_google_type_dayofweek_proto, decimal.File_google_type_decimal_proto,
			expr.File_google_type_expr_proto, fraction.File_google_type_fraction_proto, interval.File_google_type_interval_proto,
			latlng.File_google_type_latlng_proto, localized_text.File_google_type_localized_text_proto, money.File_google_type_money_proto,
			month.File_google_type_month_proto, phone_number.File_google_type_phone_number_proto, postaladdress.File_google_type_postal_address_proto,
			quaternion.File_google_type_quaternion_proto, timeofday.File_google_type_timeofday_proto,
		} {
			m[f.Path()] = f
		}
		return m
	}()

	// Of Confluent's two, meta.proto is about options only, and those are left out.
	wellKnownTexts = map[string]string{
		"confluent/meta.proto": "syntax = \"proto3\"; package confluent; message Meta { string doc = 1; map<string, string> params = 2; repeated string tags = 3; }",
		"confluent/type/decimal.proto": "syntax = \"proto3\"; package confluent.type;" +
			" message Decimal { bytes value = 1; uint32 precision = 2; int32 scale = 3; }",
	}
)

// wellKnownMessages are the messages of those files that mean more than their fields.
var wellKnownMessages = sync.OnceValue(func() map[protoreflect.FullName]protoreflect.MessageDescriptor {
	files := []protoreflect.FileDescriptor{wrapperspb.File_google_protobuf_wrappers_proto, structpb.File_google_protobuf_struct_proto,
		timestamppb.File_google_protobuf_timestamp_proto, durationpb.File_google_protobuf_duration_proto,
		money.File_google_type_money_proto, decimal.File_google_type_decimal_proto, date.File_google_type_date_proto}
	if f, bad := compileProtobuf(WriterSchema{Text: wellKnownTexts["confluent/type/decimal.proto"]}); bad == nil {
		files = append(files, f)
	}
	m := map[protoreflect.FullName]protoreflect.MessageDescriptor{}
	for _, f := range files {
		for i := range f.Messages().Len() {
			m[f.Messages().Get(i).FullName()] = f.Messages().Get(i)
		}
	}
	return m
})

// compileProtobuf reads a writer's Protobuf file, with what it imports. Options
// of others' invention say nothing about bytes and are left out, so that what
// they need is not needed here.
func compileProtobuf(w WriterSchema) (protoreflect.FileDescriptor, *Unreadable) {
	src := protoSources{texts: map[string]string{}}
	name := "writer.proto"
	for _, ref := range w.References {
		src.texts[ref.Name] = ref.Text
		name += "_" // so that it is no reference's name, if one is called so
	}
	src.texts[name] = w.Text
	c := protocompile.Compiler{Resolver: protocompile.WithStandardImports(&src)}
	files, err := c.Compile(context.Background(), name)
	if err != nil {
		why := src.lacks()
		if why == "" {
			why = because(err)
		}
		return nil, &Unreadable{UnknownSchema, "is no Protobuf schema that can be read" + why}
	}
	return files[0], nil
}

// protoSources is the files of one schema. It is protocompile's Resolver.
type protoSources struct {
	texts map[string]string

	mu      sync.Mutex
	missing []string // imports that nobody knows
}

// FindFileByPath returns a file with its options and imports put right.
func (s *protoSources) FindFileByPath(path string) (protocompile.SearchResult, error) {
	text, ok := s.text(path)
	if !ok {
		if f := wellKnownFiles[path]; f != nil {
			return protocompile.SearchResult{Desc: f}, nil
		}
		return protocompile.SearchResult{}, protoregistry.NotFound
	}
	file, err := parseProto(path, text)
	if err != nil {
		return protocompile.SearchResult{}, err
	}
	file.Service = nil // of no meaning for bytes, either
	dropOptions(file.ProtoReflect())
	s.dropMissing(file)
	return protocompile.SearchResult{Proto: file}, nil
}

func (s *protoSources) text(path string) (string, bool) {
	text, ok := s.texts[path]
	if !ok {
		text, ok = wellKnownTexts[path]
	}
	return text, ok
}

// dropMissing leaves out imports that nobody knows. Whether a type of theirs is
// used turns out when the file is linked.
func (s *protoSources) dropMissing(file *descriptorpb.FileDescriptorProto) {
	var kept []string
	var public []int32
	for i, path := range file.Dependency {
		_, ok := s.text(path)
		if !ok && wellKnownFiles[path] == nil && !strings.HasPrefix(path, "google/protobuf/") {
			s.mu.Lock()
			s.missing = append(s.missing, path)
			s.mu.Unlock()
			continue
		}
		if slices.Contains(file.PublicDependency, int32(i)) {
			public = append(public, int32(len(kept)))
		}
		kept = append(kept, path)
	}
	file.Dependency, file.PublicDependency, file.WeakDependency = kept, public, nil
}

// lacks is the end of a sentence that names the first import that is missing.
func (s *protoSources) lacks() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.missing) == 0 {
		return ""
	}
	return fmt.Sprintf(": it imports %q, which the registry gives no reference for", cut(slices.Min(s.missing)))
}

// parseProto reads a file: its text, or a FileDescriptorProto in base64, which is
// what some serializers register.
func parseProto(path, text string) (*descriptorpb.FileDescriptorProto, error) {
	if b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text)); err == nil && len(b) > 0 {
		file := new(descriptorpb.FileDescriptorProto)
		if err := (proto.UnmarshalOptions{RecursionLimit: maxDepth}).Unmarshal(b, file); err != nil {
			return nil, err
		}
		file.Name = &path
		return file, nil
	}
	if !isShallow(text) {
		return nil, errDeepProto
	}
	h := reporter.NewHandler(nil)
	ast, err := parser.Parse(path, io.NopCloser(strings.NewReader(text)), h)
	if err != nil {
		return nil, err
	}
	res, err := parser.ResultFromAST(ast, true, h)
	if err != nil {
		return nil, err
	}
	return res.FileDescriptorProto(), nil
}

// dropOptions takes the options out of a descriptor that somebody's extensions
// brought, in everything that it holds, and names for JSON where they lack.
func dropOptions(m protoreflect.Message) {
	m.SetUnknown(nil)
	if f, ok := m.Interface().(*descriptorpb.FieldDescriptorProto); ok && f.JsonName == nil {
		f.JsonName = f.Name // of a descriptor; all that counts is that no two are the same
	}
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.IsExtension():
			m.Clear(fd)
		case fd.Name() == "uninterpreted_option":
			dropCustom(v.List())
		case fd.IsList() && fd.Message() != nil:
			for i := range v.List().Len() {
				dropOptions(v.List().Get(i).Message())
			}
		case fd.Message() != nil && !fd.IsMap():
			dropOptions(v.Message())
		}
		return true
	})
}

// dropCustom keeps the options whose names are plain.
func dropCustom(list protoreflect.List) {
	kept := 0
	for i := range list.Len() {
		o, ok := list.Get(i).Message().Interface().(*descriptorpb.UninterpretedOption)
		custom := !ok || slices.ContainsFunc(o.Name, (*descriptorpb.UninterpretedOption_NamePart).GetIsExtension)
		if !custom {
			list.Set(kept, list.Get(i))
			kept++
		}
	}
	list.Truncate(kept)
}

var errDeepProto = fmt.Errorf("it is nested deeper than %d levels", maxDepth)

// tokens are what may hold a bracket in a file that opens nothing, and brackets.
var tokens = regexp.MustCompile(`//[^\n]*|(?s:/\*.*?\*/)|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|[][(){}<>]`)

// isShallow reports whether a file opens no more than maxDepth brackets at a time. What
// parses it takes hundreds of megabytes for a quarter of one that does; and more than 32
// messages within each other there are in no file.
func isShallow(text string) bool {
	depth := 0
	for rest := text; ; {
		at := tokens.FindStringIndex(rest)
		if at == nil {
			return true
		}
		switch rest[at[0]] {
		case '[', '(', '{', '<':
			depth++
		case ']', ')', '}', '>':
			depth--
		}
		if rest = rest[at[1]:]; depth > maxDepth {
			return false
		}
	}
}
