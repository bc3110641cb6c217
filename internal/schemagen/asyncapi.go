package schemagen

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// asyncHead is the AsyncAPI document as it is written by hand: topics, headers,
// security. A line "#examples NAME" stands for the examples of a message, and the
// schemas of the records follow at its end.
//
//go:embed asyncapi.yaml
var asyncHead []byte

// asyncAPI writes the AsyncAPI document, whole in itself: what generators of
// models name after components has one, with a name that people can read.
func asyncAPI(intent []field) (map[string][]byte, error) {
	var out bytes.Buffer
	out.WriteString("# " + generatedBy + "\n")
	for line := range bytes.Lines(asyncHead) {
		name, ok := strings.CutPrefix(strings.TrimSpace(string(line)), "#examples ")
		if !ok {
			out.Write(line)
			continue
		}
		made, err := messageExamples(name, intent)
		if err == nil {
			err = yamlBlock(&out, "      ", made)
		}
		if err != nil {
			return nil, errorAt("asyncapi.yaml: examples of "+name, err)
		}
	}
	if err := yamlBlock(&out, "    ", asyncSchemas(intent)); err != nil {
		return nil, errorAt("asyncapi.yaml", err)
	}
	return map[string][]byte{"asyncapi.yaml": out.Bytes()}, nil
}

// asyncSchemas are the components: the records, and each part that has a name
// of its own.
func asyncSchemas(intent []field) object {
	c := components{}
	c.add(nameIntent, append(object{{"description", strictDoc}}, strictSchema(intent)...))
	for _, v := range views[1:] {
		c.add(v.name, append(object{{"description", v.doc}}, outcomeSchema(v)...))
	}
	return object(c)
}

// components collects named schemas.
type components object

// add adds a schema, with those of its parts that are objects or lists of words.
func (c *components) add(name string, schema object) {
	at := len(*c)
	*c = append(*c, member{name: name})
	named := object{{"title", name}}
	for _, m := range schema {
		if m.name == "title" {
			continue
		}
		if props, ok := m.value.(object); ok && m.name == "properties" {
			m.value = c.parts(props)
		}
		named = append(named, m)
	}
	(*c)[at].value = named
}

func (c *components) parts(props object) object {
	out := object{}
	for _, p := range props {
		schema := p.value.(object)
		if items, ok := schema.get("items").(object); ok {
			schema = schema.set("items", c.ref(items.get("title").(string), items))
		} else if title, ok := schema.get("title").(string); ok {
			schema = c.ref(title, schema)
		} else if schema.get("enum") != nil {
			schema = c.ref(goName(p.name), schema)
		}
		out = out.with(p.name, schema)
	}
	return out
}

// ref makes a schema a component, once, and returns a reference to it.
func (c *components) ref(name string, schema object) object {
	if object(*c).get(name) == nil {
		c.add(name, schema)
	}
	return object{{"$ref", "#/components/schemas/" + name}}
}

// messageExamples are two examples of a message: all there can be, and the least.
func messageExamples(file string, intent []field) (object, error) {
	headers := object{{"traceparent", exampleTrace}}
	whole, least := strictBodies(intent)
	if file != "payment-intent" {
		i := slices.IndexFunc(views, func(v view) bool { return v.file == file })
		if i < 0 {
			return nil, fmt.Errorf("nobody knows %s", file)
		}
		whole, least = outcomeBodies(views[i])
		headers = outcomeHeaders(views[i])
	}
	return object{{"examples", []object{
		{{"name", "whole"}, {"summary", "Every field there can be."}, {"headers", headers}, {"payload", whole}},
		{{"name", "least"}, {"summary", "The required fields."}, {"headers", headers}, {"payload", least}},
	}}}, nil
}

const exampleTrace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func outcomeHeaders(v view) object {
	of := func(name string) string {
		i := slices.IndexFunc(outcomeFields, func(f outcomeField) bool { return f.name == name })
		return outcomeFields[i].example
	}
	return object{
		{"ce_specversion", "1.0"}, {"ce_id", of("event_id")}, {"ce_source", "/paylink/paylink"}, {"ce_type", "paylink." + v.file + ".v1"},
		{"ce_subject", of("intent_id")}, {"ce_time", of("created_at")}, {"content-type", "application/json"},
		{"paylink-intent-id", of("intent_id")}, {"paylink-intent-digest", strings.Repeat("0123456789abcdef", 2)}, {"traceparent", exampleTrace},
	}
}

// yamlBlock writes an object as YAML, indented.
func yamlBlock(out *bytes.Buffer, indent string, o object) error {
	v, err := yamlValue(o)
	if err != nil {
		return err
	}
	text, err := yaml.MarshalWithOptions(v, yaml.Indent(2), yaml.UseSingleQuote(true))
	if err != nil {
		return err
	}
	for line := range bytes.Lines(text) {
		out.WriteString(indent)
		out.Write(line)
	}
	return nil
}

// yamlValue is a JSON value as the YAML package takes it, in its order.
func yamlValue(v any) (any, error) {
	switch v := v.(type) {
	case object:
		out := yaml.MapSlice{}
		for _, m := range v {
			inner, err := yamlValue(m.value)
			if err != nil {
				return nil, err
			}
			out = append(out, yaml.MapItem{Key: m.name, Value: inner})
		}
		return out, nil
	case []object:
		out := []any{}
		for _, o := range v {
			inner, err := yamlValue(o)
			if err != nil {
				return nil, err
			}
			out = append(out, inner)
		}
		return out, nil
	case []any:
		out := []any{}
		for _, e := range v {
			inner, err := yamlValue(e)
			if err != nil {
				return nil, err
			}
			out = append(out, inner)
		}
		return out, nil
	case json.Number:
		return yamlNumber(v)
	case json.RawMessage:
		var out any
		dec := json.NewDecoder(bytes.NewReader(v))
		dec.UseNumber()
		if err := dec.Decode(&out); err != nil {
			return nil, err
		}
		return yamlValue(out)
	}
	return v, nil
}

func yamlNumber(n json.Number) (any, error) {
	if i, err := n.Int64(); err == nil {
		return i, nil
	}
	return n.Float64()
}
