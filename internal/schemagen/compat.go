package schemagen

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/twmb/avro"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Break compares the schemas with a released set, a tree as below schemas/, and
// returns what the change would break, a sentence each.
//
// An intent must stay readable: whatever was ever emitted by the released
// schema is still accepted. An outcome must, besides, stay readable for those
// who know the released schema only.
func Break(released fs.FS, now map[string][]byte) ([]string, error) {
	var broken []string
	files := 0
	err := fs.WalkDir(released, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		old, err := fs.ReadFile(released, name)
		if err != nil {
			return err
		}
		text, ok := now[cmp.Or(moved[name], name)]
		if !ok {
			broken = append(broken, name+": the schema is gone; emitters and consumers that use it have no contract any more")
			return nil
		}
		found, err := breakOf(name, string(old), string(text))
		for _, s := range found {
			broken = append(broken, name+": "+s)
		}
		return errorAt(name, err)
	})
	if err == nil && files == 0 {
		err = errors.New("schemagen: there are no released schemas to compare with")
	}
	return broken, err
}

// moved are released files that stand elsewhere now, with the same package and
// names of messages, which is all that registries and the wire know of them.
var moved = map[string]string{
	"protobuf/payment_intent.proto":  protoDir + "/payment_intent.proto",
	"protobuf/payment_outcome.proto": protoDir + "/payment_outcome.proto",
}

func breakOf(name, old, now string) ([]string, error) {
	outcome := !strings.Contains(name, "intent")
	switch path.Ext(name) {
	case ".avsc":
		return breakAvro(old, now, outcome)
	case ".proto":
		return breakProto(old, now)
	case ".json":
		return breakJSON(old, now, outcome)
	}
	return nil, nil
}

func breakAvro(old, now string, outcome bool) ([]string, error) {
	before, err := avro.Parse(old)
	if err != nil {
		return nil, err
	}
	after, err := avro.Parse(now)
	if err != nil {
		return nil, err
	}
	var broken []string
	if err := avro.CheckCompatibility(before, after); err != nil {
		broken = append(broken, "what the released schema wrote cannot be read any more: "+err.Error())
	}
	if !outcome {
		return broken, nil
	}
	if err := avro.CheckCompatibility(after, before); err != nil {
		broken = append(broken, "consumers that know the released schema cannot read what is written now: "+err.Error())
	}
	return broken, nil
}

func breakProto(old, now string) ([]string, error) {
	before, err := Compile(map[string]string{"a.proto": old}, "a.proto")
	if err != nil {
		return nil, err
	}
	after, err := Compile(map[string]string{"a.proto": now}, "a.proto")
	if err != nil {
		return nil, err
	}
	var broken []string
	if before[0].Package() != after[0].Package() {
		broken = append(broken, fmt.Sprintf("package %s is %s now: registries and readers know messages by their full names", before[0].Package(), after[0].Package()))
	}
	messages := before[0].Messages()
	for i := range messages.Len() {
		b := messages.Get(i)
		a := after[0].Messages().ByName(b.Name())
		switch {
		case a == nil:
			broken = append(broken, fmt.Sprintf("message %s is gone", b.Name()))
		case a.Index() != b.Index():
			broken = append(broken, fmt.Sprintf("message %s moved from place %d to %d of its file, which the message index of every record names", b.Name(), b.Index(), a.Index()))
		default:
			broken = append(broken, breakMessage(b, a)...)
		}
	}
	return broken, nil
}

func breakMessage(before, after protoreflect.MessageDescriptor) []string {
	var broken []string
	for i := range before.Fields().Len() {
		b := before.Fields().Get(i)
		a := after.Fields().ByNumber(b.Number())
		switch {
		case a == nil && after.Fields().ByName(b.Name()) != nil:
			broken = append(broken, fmt.Sprintf("%s.%s had number %d, and has %d now: old bytes would be read as nothing", before.Name(), b.Name(), b.Number(), after.Fields().ByName(b.Name()).Number()))
		case a == nil:
			broken = append(broken, fmt.Sprintf("%s.%s is gone: who relies on it gets nothing", before.Name(), b.Name()))
		case a.Name() != b.Name():
			broken = append(broken, fmt.Sprintf("number %d of %s was %s, and is %s now: old bytes would be read as something else", b.Number(), before.Name(), b.Name(), a.Name()))
		case a.Kind() != b.Kind() || a.Cardinality() != b.Cardinality() || a.IsMap() != b.IsMap() || a.HasPresence() != b.HasPresence():
			broken = append(broken, fmt.Sprintf("%s.%s changed its type from %s to %s, or whether it is repeated or optional", before.Name(), b.Name(), b.Kind(), a.Kind()))
		}
	}
	return broken
}

// A node is a JSON Schema as far as ours use it.
type node struct {
	Type                 string
	Const                any
	Enum                 []any
	Required             []string
	Properties           map[string]node
	AnyOf, OneOf         []node
	Items                *node
	AdditionalProperties *node
	Defs                 map[string]node `json:"$defs"`
	Ref                  string          `json:"$ref"`

	Pattern, Format              string
	MinLength, MaxLength         *int
	MaxProperties                *int
	Minimum, Maximum, MultipleOf json.Number
}

// UnmarshalJSON reads a schema; false, which nothing fits, is one too.
func (n *node) UnmarshalJSON(b []byte) error {
	if string(b) == "false" {
		n.Const = "nothing"
		return nil
	}
	type plain node
	return json.Unmarshal(b, (*plain)(n))
}

func breakJSON(old, now string, outcome bool) ([]string, error) {
	var before, after node
	if err := json.Unmarshal([]byte(old), &before); err != nil {
		return nil, err
	}
	if err := json.Unmarshal([]byte(now), &after); err != nil {
		return nil, err
	}
	c := jsonChange{outcome: outcome}
	c.compare("", before, after)
	return c.broken, nil
}

// A jsonChange collects what a change breaks.
type jsonChange struct {
	outcome bool
	broken  []string
}

func (c *jsonChange) say(at, format string, args ...any) {
	if at == "" {
		at = "the record"
	}
	c.broken = append(c.broken, strings.TrimPrefix(at, ".")+" "+fmt.Sprintf(format, args...))
}

func (c *jsonChange) compare(at string, before, after node) {
	for _, name := range after.Required {
		if !slices.Contains(before.Required, name) {
			c.say(at+"."+name, "is required now: records that were good without it would be refused")
		}
	}
	for _, name := range before.Required {
		if c.outcome && !slices.Contains(after.Required, name) {
			c.say(at+"."+name, "is not required any more: consumers rely on it")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(before.Properties)) {
		a, ok := after.Properties[name]
		if !ok {
			c.say(at+"."+name, "is gone: what emitters say there would be ignored, what consumers look for is not there")
			continue
		}
		c.compare(at+"."+name, before.Properties[name], a)
	}
	for _, name := range slices.Sorted(maps.Keys(before.Defs)) {
		c.compare(at+"."+name, before.Defs[name], after.Defs[name])
	}
	c.compareRule(at, before, after)
	c.compareParts(at, before, after)
}

// compareParts compares what stands within anyOf, oneOf and items.
func (c *jsonChange) compareParts(at string, before, after node) {
	for _, pair := range []struct{ b, a []node }{{before.AnyOf, after.AnyOf}, {before.OneOf, after.OneOf}} {
		if len(pair.a) < len(pair.b) || c.outcome && len(pair.a) > len(pair.b) {
			c.say(at, "could be %d things, and can be %d now", len(pair.b), len(pair.a))
			continue
		}
		for i := range pair.b {
			c.compare(at, pair.b[i], pair.a[i])
		}
	}
	for _, pair := range []struct{ b, a *node }{{before.Items, after.Items}, {before.AdditionalProperties, after.AdditionalProperties}} {
		if (pair.b == nil) != (pair.a == nil) {
			c.say(at, "changed what it may hold")
		} else if pair.b != nil {
			c.compare(at+"[]", *pair.b, *pair.a)
		}
	}
}

// compareRule compares the rule of one value. A rule may become wider for
// intents, since emitters keep the old one; for outcomes it must stay.
func (c *jsonChange) compareRule(at string, before, after node) {
	if before.Type != after.Type {
		c.say(at, "was of type %q, and is of type %q now", before.Type, after.Type)
	}
	if before.Ref != after.Ref || fmt.Sprint(before.Const) != fmt.Sprint(after.Const) {
		c.say(at, "means something else now")
	}
	for _, s := range []struct{ what, b, a string }{
		{"pattern", before.Pattern, after.Pattern}, {"format", before.Format, after.Format},
		{"multipleOf", before.MultipleOf.String(), after.MultipleOf.String()},
	} {
		if s.b != s.a && (c.outcome || s.a != "") && !c.narrowed(at, s.what, s.a) {
			c.say(at, "changed its %s from %q to %q: what was good may be refused", s.what, s.b, s.a)
		}
	}
	c.compareWords(at, before.Enum, after.Enum)
	c.compareBound(at, "minLength", number(before.MinLength), number(after.MinLength), false)
	c.compareBound(at, "maxLength", number(before.MaxLength), number(after.MaxLength), true)
	c.compareBound(at, "maxProperties", number(before.MaxProperties), number(after.MaxProperties), true)
	c.compareBound(at, "minimum", before.Minimum, after.Minimum, false)
	c.compareBound(at, "maximum", before.Maximum, after.Maximum, true)
}

func (c *jsonChange) compareWords(at string, before, after []any) {
	if len(before) == 0 && len(after) == 0 {
		return
	}
	words := func(vs []any) (out []string) {
		for _, v := range vs {
			out = append(out, fmt.Sprintf("%#v", v))
		}
		return out
	}
	b, a := words(before), words(after)
	for _, w := range b {
		if !slices.Contains(a, w) && len(a) > 0 {
			c.say(at, "does not know the word %s any more", w)
		}
	}
	if len(b) == 0 {
		c.say(at, "takes only some words now")
	}
	for _, w := range a {
		if c.outcome && len(b) > 0 && !slices.Contains(b, w) {
			c.say(at, "has a new word %s, which old consumers do not know", w)
		}
	}
}

func number(n *int) json.Number {
	if n == nil {
		return ""
	}
	return json.Number(fmt.Sprint(*n))
}

// compareBound compares an upper or lower bound; an empty one is none.
func (c *jsonChange) compareBound(at, what string, before, after json.Number, upper bool) {
	if before == after {
		return
	}
	b, _ := before.Float64()
	a, _ := after.Float64()
	tighter := after != "" && (before == "" || upper && a < b || !upper && a > b)
	if (tighter || c.outcome) && !c.narrowed(at, what, after.String()) {
		c.say(at, "changed its %s from %q to %q: what was good may be refused", what, before, after)
	}
}
