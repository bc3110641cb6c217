// Command licences says under which licence each module is that paylink and
// paylink-dev link, and Go itself. It refuses a module without a licence, and one
// whose licence is not among those that we may hand on.
//
//	go -C deploy run ./licences                     writes licences.md
//	go -C deploy run ./licences -texts FILE         writes the licences in full, for the images
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/google/licensecheck"
)

// permitted are licences that ask for their text, and for nothing else. MPL-2.0 also
// asks for the sources of its own files, which the module proxy has.
var permitted = []string{"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MPL-2.0", "Unlicense"}

// known is how much of a text must be a licence's, in percent.
const known = 75

// named are files that hold a licence, or what it wants to be handed on with it.
var (
	named  = regexp.MustCompile(`(?i)^(licen[sc]e|copying|unlicense)([.-].*)?$`)
	notice = regexp.MustCompile(`(?i)^(notice|patents)(\.(md|txt))?$`)
)

func main() {
	texts := flag.String("texts", "", "write the licences in full to this `file`, and no page")
	flag.Parse()
	if err := run("..", "licences.md", *texts); err != nil {
		fmt.Fprintln(os.Stderr, "licences:", err)
		os.Exit(1)
	}
}

// run looks at the module in folder root.
func run(root, page, texts string) error {
	all, err := modules(root)
	if err != nil {
		return err
	}
	var list, full bytes.Buffer
	list.WriteString(head)
	for _, path := range slices.Sorted(maps.Keys(all)) {
		ids, err := all[path].write(&full)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		fmt.Fprintf(&list, "| `%s` | %s |\n", path, strings.Join(ids, ", "))
	}
	if texts != "" {
		return os.WriteFile(texts, full.Bytes(), 0o644)
	}
	return os.WriteFile(page, list.Bytes(), 0o644)
}

const head = `# Licences

Of the modules that the images hold, and of Go. Written by ` + "`make licences`" + `. The images carry the texts as ` + "`/LICENCES`" + `.

| module | licence |
|---|---|
`

// A module is one that is linked.
type module struct {
	path, version, dir string
	files              map[string]bool // licences and notices of its packages, and above them
}

// modules finds those of both commands, as the images hold them, by path.
func modules(root string) (map[string]*module, error) {
	cmd := exec.Command("go", "list", "-deps", "-json=Dir,Standard,Module", "./cmd/paylink", "./cmd/paylink-dev")
	cmd.Dir, cmd.Stderr = root, os.Stderr
	cmd.Env = append(os.Environ(), "GOOS=linux", "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	dir := strings.TrimSpace(string(goroot))
	all := map[string]*module{"go": {"go", runtime.Version(), dir, map[string]bool{}}}
	if err := all["go"].look(dir); err != nil {
		return nil, err
	}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			Dir      string
			Standard bool
			Module   *struct {
				Path, Version, Dir string
				Main               bool
			}
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		if p.Standard || p.Module == nil || p.Module.Main {
			continue
		}
		m := all[p.Module.Path]
		if m == nil {
			m = &module{p.Module.Path, p.Module.Version, p.Module.Dir, map[string]bool{}}
			all[m.path] = m
		}
		if err := m.look(p.Dir); err != nil {
			return nil, err
		}
	}
}

// look takes the files beside a package, and above it up to the module's folder.
func (m *module) look(dir string) error {
	for ; ; dir = filepath.Dir(dir) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if !e.IsDir() && (named.MatchString(e.Name()) || notice.MatchString(e.Name())) {
				m.files[filepath.Join(dir, e.Name())] = true
			}
		}
		if dir == m.dir || dir == filepath.Dir(dir) {
			return nil
		}
	}
}

// write appends the module's texts, and returns which licences they are.
func (m *module) write(full *bytes.Buffer) ([]string, error) {
	seen := map[string]bool{}
	for _, file := range slices.Sorted(maps.Keys(m.files)) {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		name := strings.TrimPrefix(file, m.dir+string(filepath.Separator))
		fmt.Fprintf(full, "==== %s %s: %s\n\n%s\n", m.path, m.version, name, bytes.TrimSpace(text))
		if !named.MatchString(filepath.Base(file)) {
			continue
		}
		found := licensecheck.Scan(text)
		if found.Percent < known {
			return nil, fmt.Errorf("%s is no licence that is known", name)
		}
		for _, match := range found.Match {
			seen[match.ID] = true
		}
	}
	ids := slices.Sorted(maps.Keys(seen))
	if len(ids) == 0 {
		return nil, errors.New("has no licence")
	}
	for _, id := range ids {
		if !slices.Contains(permitted, id) {
			return nil, fmt.Errorf("licence %s is not among those that we may hand on: %v", id, permitted)
		}
	}
	return ids, nil
}
