package lab

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A checker sees whether changed packages compile, as far as types tell. What they
// import comes out of the build's cache, so it is much faster than compiling them.
type checker struct {
	packages map[string]*goPackage // by folder
	exports  map[string]string     // files of what packages export, by import path
}

// A goPackage is what the go command says of one.
type goPackage struct {
	Dir, ImportPath, Export string
	GoFiles                 []string

	mu      sync.Mutex // held while a version of it is checked
	fset    *token.FileSet
	imports types.Importer // remembers what it has read
}

// newChecker knows the packages of files below this room's parent, and those of Go that change.
func newChecker(files []string) (*checker, error) {
	args := append([]string{"list", "-export", "-deps", "-json=Dir,ImportPath,Export,GoFiles"}, raceFlag()...)
	args = append(args, "time", "net/http")
	for _, name := range files {
		args = append(args, "../"+filepath.Dir(name))
	}
	cmd := exec.Command("go", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w\n%s", err, stderr.String())
	}
	c := &checker{map[string]*goPackage{}, map[string]string{}}
	exported := func(path string) (io.ReadCloser, error) {
		return os.Open(cmp.Or(c.exports[path], c.exports["vendor/"+path])) // Go's own have what they need with them
	}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		p := &goPackage{fset: token.NewFileSet()}
		if err := d.Decode(p); errors.Is(err, io.EOF) {
			return c, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		p.imports = importer.ForCompiler(p.fset, "gc", exported)
		c.packages[p.Dir], c.exports[p.ImportPath] = p, p.Export
	}
}

// check checks the packages that edits below a folder change.
func (c *checker) check(root string, edits []edit) error {
	changed, err := edited(root, edits)
	if err != nil {
		return err
	}
	done := map[string]bool{}
	for name := range changed {
		dir := filepath.Dir(name)
		if done[dir] {
			continue
		}
		done[dir] = true
		if err := c.packages[dir].check(changed); err != nil {
			return err
		}
	}
	return nil
}

func (p *goPackage) check(changed map[string]string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var files []*ast.File
	for _, name := range p.GoFiles {
		name = filepath.Join(p.Dir, name)
		var text any // nil: as the file is
		if t, ok := changed[name]; ok {
			text = t
		}
		f, err := parser.ParseFile(p.fset, name, text, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		files = append(files, f)
	}
	conf := types.Config{Importer: p.imports, Sizes: types.SizesFor("gc", runtime.GOARCH)}
	_, err := conf.Check(p.ImportPath, p.fset, files, nil)
	return err
}

// TestClocksAndMutantsCompile: each text fits, and what comes of it compiles. Else one
// learns of it when the laboratory is to run, which is seldom.
func TestClocksAndMutantsCompile(t *testing.T) {
	var files []string
	for _, m := range mutants {
		for _, e := range slices.Concat(narrow, m.edits) {
			files = append(files, e.file)
		}
	}
	slices.Sort(files)
	c, err := newChecker(slices.Compact(files))
	if err != nil {
		t.Fatal(err)
	}
	t.Run("clocks", func(t *testing.T) {
		t.Parallel()
		goroot, err := goSource()
		if err == nil {
			err = c.check(goroot, clocks)
		}
		if err != nil {
			t.Errorf("%s: %v", runtime.Version(), err)
		}
	})
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			if err := c.check("..", slices.Concat(narrow, m.edits)); err != nil {
				t.Error(err)
			}
		})
	}
	// Nor is it deaf: of each kind of mistake one is heard.
	for says, e := range map[string]edit{
		"declared and not used: unused": {"pace/lend.go", "\tl.tokens--\n", "\tunused := l.tokens\n"},
		`"os" imported and not used`:    {"pace/lend.go", "import \"time\"\n", "import (\n\t\"os\"\n\t\"time\"\n)\n"},
		"cannot use now":                {"pace/lend.go", "\tl.tokens--\n", "\tl.tokens = now\n"},
		"undefined: nobodyKnows":        {"kafkaio/turns.go", "fullPause, nil\n", "nobodyKnows, nil\n"},
		"missing return":                {"pace/lend.go", "\tl.lent = append(l.lent, loan{until, ask.From, ask.Number})\n\treturn true\n", ""},
		"expected 'IDENT'":              {"pace/lend.go", "func (l *Limit) Lacks(", "func (l *Limit) ("},
		"holds \"nowhere\" 0 times":     {"pace/lend.go", "nowhere", ""},
	} {
		t.Run("without "+says, func(t *testing.T) {
			t.Parallel()
			if err := c.check("..", []edit{e}); err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("a mutant that does not compile: %v, want %s", err, says)
			}
		})
	}
}
