package internal

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// What a page may have. README.md is read in one go.
const (
	readmeWords = 1700
	pageColumns = 120 // outside of tables and code
)

// pages returns all Markdown files of the repository, by their paths.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != ".." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "bin" || d.Name() == "testdata"):
			return filepath.SkipDir
		case strings.HasSuffix(name, ".md"):
			data, err := os.ReadFile(name)
			all[name] = string(data)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"../README.md", "../deploy/operations.md", "../schemas/README.md"} {
		if all[name] == "" {
			t.Fatalf("%s is missing", name)
		}
	}
	return all
}

// prose returns the lines of a page that are no code, each under its number.
func prose(text string) map[int]string {
	lines, code := map[int]string{}, false
	for i, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			code = !code
		} else if !code {
			lines[i+1] = line
		}
	}
	return lines
}

func TestPagesFitTheirLines(t *testing.T) {
	for name, text := range pages(t) {
		for i, line := range prose(text) {
			if n := utf8.RuneCountInString(line); n > pageColumns && !strings.HasPrefix(line, "|") {
				t.Errorf("%s:%d has %d columns, want at most %d", name, i, n, pageColumns)
			}
		}
	}
}

func TestREADMEIsShort(t *testing.T) {
	if n := len(strings.Fields(pages(t)["../README.md"])); n > readmeWords {
		t.Errorf("README.md has %d words, want at most %d", n, readmeWords)
	}
}

// guide is the page of those who change the code.
const guide = "../internal/README.md"

// TestTheGuideNamesEveryRoom compares its table of rooms with the map.
func TestTheGuideNamesEveryRoom(t *testing.T) {
	_, table, found := strings.Cut(pages(t)[guide], "\n## Rooms\n")
	if !found {
		t.Fatal("the guide has no table of rooms")
	}
	var told []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(table, -1) {
		told = append(told, m[1])
	}
	slices.Sort(told)
	if want := slices.Sorted(maps.Keys(rooms)); !slices.Equal(told, want) {
		t.Errorf("the guide's rooms are %v, want those of the map %v", told, want)
	}
}

var fileName = regexp.MustCompile("`([a-z0-9_-]+(?:/[a-z0-9_-]+)*/[A-Za-z0-9_-]+\\.(?:go|md))`")

// TestFilesOfTheGuideExist looks for each below internal, or beside it.
func TestFilesOfTheGuideExist(t *testing.T) {
	names := fileName.FindAllStringSubmatch(pages(t)[guide], -1)
	for _, m := range names {
		_, below := os.Stat(m[1])
		_, beside := os.Stat(filepath.Join("..", m[1]))
		if below != nil && beside != nil {
			t.Errorf("%s: there is no %s", guide, m[1])
		}
	}
	if len(names) < 100 {
		t.Errorf("%d names of files found, want at least 100", len(names))
	}
}

var (
	namedIn = regexp.MustCompile("`([a-z0-9_/-]+\\.go)`((?:[\\s,(]+`[A-Za-z]+(?:\\.[A-Za-z]+)?`\\)?)+)")
	goName  = regexp.MustCompile("`([A-Za-z.]+)`")
)

// TestWhatTheGuideNamesStandsInItsFile looks for each function and type that is named
// right behind a file.
func TestWhatTheGuideNamesStandsInItsFile(t *testing.T) {
	found := 0
	for _, m := range namedIn.FindAllStringSubmatch(pages(t)[guide], -1) {
		file := m[1]
		if _, err := os.Stat(file); err != nil {
			file = filepath.Join("..", file)
		}
		declared := declaredIn(t, file)
		for _, name := range goName.FindAllStringSubmatch(m[2], -1) {
			found++
			if !declared[name[1]] {
				t.Errorf("%s: %s declares no %s", guide, m[1], name[1])
			}
		}
	}
	if found < 50 {
		t.Errorf("%d names found, want at least 50", found)
	}
}

// declaredIn returns what a file declares; a method with its type's name, and without.
func declaredIn(t *testing.T, file string) map[string]bool {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			names[d.Name.Name] = true
			if d.Recv != nil {
				names[receiver(d.Recv.List[0].Type)+"."+d.Name.Name] = true
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				if s, ok := s.(*ast.TypeSpec); ok {
					names[s.Name.Name] = true
				}
			}
		}
	}
	return names
}

// receiver is the name of a method's type.
func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

func TestLinksOfPagesLeadSomewhere(t *testing.T) {
	all, links := pages(t), 0
	for name, text := range all {
		for i, line := range prose(text) {
			for _, m := range link.FindAllStringSubmatch(line, -1) {
				links++
				if why := leads(all, name, m[1]); why != "" {
					t.Errorf("%s:%d: %s: %s", name, i, m[1], why)
				}
			}
		}
	}
	if links < 10 {
		t.Errorf("%d links found, want at least 10", links)
	}
}

// leads says why a link leads nowhere, or nothing. Links to other places are not followed.
func leads(all map[string]string, from, to string) string {
	if strings.Contains(to, "://") {
		return ""
	}
	file, heading, _ := strings.Cut(to, "#")
	target := from
	if file != "" {
		target = filepath.Join(filepath.Dir(from), file)
	}
	if _, err := os.Stat(target); err != nil {
		return "no such file"
	}
	if heading != "" && !anchors(all[target])[heading] {
		return fmt.Sprintf("%s has no such heading", target)
	}
	return ""
}

// anchors are the names that GitHub gives to the headings of a page.
func anchors(text string) map[string]bool {
	all := map[string]bool{}
	for _, line := range prose(text) {
		if title := strings.TrimLeft(line, "#"); title != line {
			all[anchor(title)] = true
		}
	}
	return all
}

func anchor(title string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-', r == '_', unicode.IsLetter(r), unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, strings.TrimSpace(title))
}

// night is the page that the alarms lead to.
const night = "../deploy/runbook.md"

// joint is where the code breaks a text over lines.
var joint = regexp.MustCompile(`" \+\n\s*"`)

// said is every text of the code, in one piece each.
func said(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return err
		}
		data, err := os.ReadFile(name)
		all.WriteString(strings.ReplaceAll(joint.ReplaceAllString(string(data), ""), `\"`, `"`))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

var section = regexp.MustCompile(`deploy/runbook\.md, "([^"]+)"`)

// TestAlarmsLeadToSectionsOfTheRunbook: those of the console and the words of explain.
func TestAlarmsLeadToSectionsOfTheRunbook(t *testing.T) {
	headings, named := anchors(pages(t)[night]), section.FindAllStringSubmatch(said(t), -1)
	for _, m := range named {
		if !headings[anchor(m[1])] {
			t.Errorf("%s has no section %q", night, m[1])
		}
	}
	if len(named) < 6 {
		t.Errorf("the code names %d sections, want at least 6", len(named))
	}
	lines := field.FindAllStringSubmatch(said(t), -1)
	for _, m := range lines {
		if !headings[m[1]] {
			t.Errorf("%s has no section #%s", night, m[1])
		}
	}
	if len(lines) < 6 {
		t.Errorf("lines of the log name %d sections, want at least 6", len(lines))
	}
}

var field = regexp.MustCompile(`deploy/runbook\.md#([a-z-]+)`)

var quote = regexp.MustCompile("(?s)```log\n(.*?)\n```")

// TestTheRunbookQuotesWhatIsSaid looks for its lines of console and log in the code; …
// stands for what differs.
func TestTheRunbookQuotesWhatIsSaid(t *testing.T) {
	texts, quotes := said(t), quote.FindAllStringSubmatch(pages(t)[night], -1)
	for _, m := range quotes {
		for _, part := range strings.Split(m[1], "…") {
			if part = strings.Trim(part, " ()"); !strings.Contains(texts, part) {
				t.Errorf("%s quotes %q, which nobody says", night, part)
			}
		}
	}
	if len(quotes) < 8 {
		t.Errorf("%d quotes found, want at least 8", len(quotes))
	}
}

// TestREADMEArguesForEveryDependency looks for each direct one, and each tool, by
// its path without host and version.
func TestREADMEArguesForEveryDependency(t *testing.T) {
	data, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(pages(t)["../README.md"], "\n## Dependencies\n")
	count := 0
	for _, line := range strings.Split(string(data), "\n") {
		if !strings.HasPrefix(line, "\t") || strings.Contains(line, "// indirect") {
			continue
		}
		count++
		if name := dependency(strings.Fields(line)[0]); !strings.Contains(table, name+"`") {
			t.Errorf("README.md does not say why %s is there", name)
		}
	}
	if count < 10 {
		t.Errorf("%d dependencies found in go.mod, want at least 10", count)
	}
}

// dependency is what README calls a module: "twmb/franz-go" for github.com/twmb/franz-go/pkg/kadm.
func dependency(path string) string {
	name, hosted := strings.CutPrefix(path, "github.com/")
	name = regexp.MustCompile(`/v\d+$`).ReplaceAllString(name, "")
	if hosted {
		name, _, _ = strings.Cut(name, "/pkg/")
	}
	return name
}
