package config

import (
	"bytes"
	"errors"
	"iter"
	"regexp"
	"strconv"
	"strings"
	"unicode"

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
	at := place{file: path}
	body, err := parseYAML(at, data)
	if err != nil || body == nil {
		return f, nil, err
	}
	entries, err := mapping(at, body)
	if err != nil {
		return f, nil, err
	}
	for _, e := range entries {
		if !known[e.key] {
			wrong = append(wrong, problem(at.line(e.line), "unknown key %s; the nearest known one is %s", e.key, nearest(e.key, known)))
			continue
		}
		g, err := e.given(at)
		if err != nil {
			wrong = append(wrong, err)
		} else if g.text != "" || g.list != nil {
			f.values[e.key] = g
		}
	}
	return f, wrong, nil
}

// A place is where a text stands: in a file, after so many lines of it.
type place struct {
	file   string
	before int
}

// line names a line of the text, counted from 1.
func (p place) line(n int) string { return p.file + " line " + strconv.Itoa(p.before+n) }

// of names the line that a node begins in.
func (p place) of(n ast.Node) string { return p.line(n.GetToken().Position.Line) }

// parseYAML returns the body of the only document, or nil if there is nothing
// in it. Errors name the place and quote nothing: the file may hold secrets.
func parseYAML(at place, data []byte) (ast.Node, error) {
	file, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey()) // mapping says so better
	if err != nil {
		return nil, problem(at.yaml(err), notYAML)
	}
	if len(file.Docs) > 1 {
		return nil, problem(at.file, "holds several YAML documents; write one")
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil || file.Docs[0].Body.Type() == ast.NullType || file.Docs[0].Body.Type() == ast.CommentType {
		return nil, nil
	}
	return file.Docs[0].Body, nil
}

const notYAML = "is not valid YAML; write key: value, and quote values with special characters"

// yaml names the line that the parser stopped at, if it tells.
func (p place) yaml(err error) string {
	var e yaml.Error
	if !errors.As(err, &e) || e.GetToken() == nil || e.GetToken().Position == nil {
		return p.file
	}
	return p.line(e.GetToken().Position.Line)
}

// pieceSize is how much of a long list is parsed at a time: a tree takes a hundred
// times the room of its text.
const pieceSize = 64 << 10

// pieces cuts a YAML list into lists of whole items of a size, as near as that goes,
// each with the place where it begins. What is no block list, or more than one
// document, stays whole.
func pieces(path string, data []byte, size int) iter.Seq2[place, []byte] {
	return func(yield func(place, []byte) bool) {
		at, next, least := place{file: path}, itemMark(data), size+len(firstItem.Find(data))
		for len(data) > 0 {
			piece := data
			if next != nil && len(data) > least {
				if i := bytes.Index(data[least:], next); i >= 0 {
					piece = data[:least+i+1]
				}
			}
			least = size
			if !yield(at, piece) {
				return
			}
			at.before += bytes.Count(piece, []byte("\n"))
			data = data[len(piece):]
		}
	}
}

// firstItem is where a block list begins: after comments and the mark of a document,
// with the dash of its first item. Nothing within an item can begin as far to the left.
var firstItem = regexp.MustCompile(`\A(?:[ \t]*(?:#.*)?\n|---[ \t]*\n)*( *- )`)

// itemMark is what each but the first item of a block list begins with; nil: it is
// none, or in several documents.
func itemMark(data []byte) []byte {
	begins := firstItem.FindSubmatch(data)
	if begins == nil {
		return nil
	}
	for _, ends := range []string{"\n---", "\n..."} {
		if bytes.Contains(data[len(begins[0])-len(begins[1]):], []byte(ends)) {
			return nil
		}
	}
	return append([]byte("\n"), begins[1]...)
}

// An entry is one key of a mapping, with its value.
type entry struct {
	key   string
	line  int
	value ast.Node
}

// mapping returns the entries of a mapping in their order; each key once.
func mapping(at place, n ast.Node) ([]entry, error) {
	m, ok := n.(ast.MapNode)
	if !ok {
		return nil, problem(at.of(n), "must be a mapping of keys to values")
	}
	var entries []entry
	seen := map[string]bool{}
	for it := m.MapRange(); it.Next(); {
		key := it.Key().GetToken()
		e := entry{key: key.Value, line: key.Position.Line, value: it.Value()}
		if strings.ContainsFunc(e.key, isNoName) { // {secret x} is a key without a value
			return nil, problem(at.line(e.line), notYAML)
		}
		if seen[e.key] {
			return nil, problem(at.line(e.line), "%s is given twice", e.key)
		}
		seen[e.key] = true
		entries = append(entries, e)
	}
	return entries, nil
}

// isNoName reports whether a character is none of a key's, known or not.
func isNoName(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("_-.", r)
}

// given returns an entry's value as it was written.
func (e entry) given(at place) (given, error) {
	g := given{from: at.line(e.line) + ", " + e.key}
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
		t := n.GetToken()
		if strings.Contains(strings.TrimSpace(t.Origin), "\t") && !strings.Contains(t.Value, "\t") { // the parser drops it
			return "", problem(from, "holds a tab; write the value in quotes")
		}
		return t.Value, nil
	}
	return "", problem(from, "must be a plain value: text, number, true or false")
}
