package config

import (
	"errors"
	"fmt"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// settingsFile is the YAML file of settings: flat, and each value as it was
// written, so that 010 stays 010.
type settingsFile struct{ values map[string]given }

// parseSettings reads a settings file. What is wrong with single keys does not
// keep it from reading on: keys that belong to no variable, each told with the
// nearest that does, and values that are none.
func parseSettings(path string, data []byte, variables map[string]bool) (f *settingsFile, wrong []error, err error) {
	known := map[string]bool{}
	for v := range variables {
		known[keyOf(v)] = true
	}
	f = &settingsFile{values: map[string]given{}}
	body, err := parseYAML(path, data)
	if err != nil || body == nil {
		return f, nil, err
	}
	entries, err := mapping(path, body)
	if err != nil {
		return f, nil, err
	}
	for _, e := range entries {
		if !known[e.key] {
			wrong = append(wrong, problem(e.at(path), "unknown key %s; the nearest known one is %s", e.key, nearest(e.key, known)))
			continue
		}
		g, err := e.given(path)
		if err != nil {
			wrong = append(wrong, err)
		} else if g.text != "" || g.list != nil {
			f.values[e.key] = g
		}
	}
	return f, wrong, nil
}

// parseYAML returns the body of the only document, or nil if there is nothing
// in it. Errors name the place and quote nothing: the file may hold secrets.
func parseYAML(path string, data []byte) (ast.Node, error) {
	file, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey()) // mapping says so better
	if err != nil {
		return nil, problem(path+yamlPlace(err), "is not valid YAML; write key: value, and quote values with special characters")
	}
	if len(file.Docs) > 1 {
		return nil, problem(path, "holds several YAML documents; write one")
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil || file.Docs[0].Body.Type() == ast.NullType || file.Docs[0].Body.Type() == ast.CommentType {
		return nil, nil
	}
	return file.Docs[0].Body, nil
}

func yamlPlace(err error) string {
	var e yaml.Error
	if !errors.As(err, &e) || e.GetToken() == nil || e.GetToken().Position == nil {
		return ""
	}
	return fmt.Sprintf(" line %d", e.GetToken().Position.Line)
}

// An entry is one key of a mapping, with its value.
type entry struct {
	key   string
	line  int
	value ast.Node
}

func (e entry) at(path string) string { return fmt.Sprintf("%s line %d", path, e.line) }

// mapping returns the entries of a mapping in their order; each key once.
func mapping(path string, n ast.Node) ([]entry, error) {
	m, ok := n.(ast.MapNode)
	if !ok {
		return nil, problem(fmt.Sprintf("%s line %d", path, n.GetToken().Position.Line), "must be a mapping of keys to values")
	}
	var entries []entry
	seen := map[string]bool{}
	for it := m.MapRange(); it.Next(); {
		key := it.Key().GetToken()
		e := entry{key: key.Value, line: key.Position.Line, value: it.Value()}
		if seen[e.key] {
			return nil, problem(e.at(path), "%s is given twice", e.key)
		}
		seen[e.key] = true
		entries = append(entries, e)
	}
	return entries, nil
}

// given returns an entry's value as it was written.
func (e entry) given(path string) (given, error) {
	g := given{from: e.at(path) + ", " + e.key}
	if seq, ok := e.value.(*ast.SequenceNode); ok {
		g.list = []string{}
		for _, item := range seq.Values {
			text, err := scalar(g.from, item)
			if err != nil {
				return g, err
			}
			g.list = append(g.list, text)
		}
		return g, nil
	}
	var err error
	g.text, err = scalar(g.from, e.value)
	return g, err
}

func scalar(from string, n ast.Node) (string, error) {
	switch n := n.(type) {
	case *ast.NullNode:
		return "", nil
	case *ast.LiteralNode:
		return n.Value.Value, nil
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, nil
	}
	return "", problem(from, "must be a plain value: text, number, true or false")
}
