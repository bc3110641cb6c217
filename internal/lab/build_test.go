package lab

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
)

// An edit replaces a text that occurs exactly once in a file.
type edit struct{ file, old, new string }

// build compiles a laboratory with clocks that jump, and with mistakes in the
// service, through "go test -overlay".
func build(dir, bin string, mistakes []edit) error {
	goroot, err := goSource()
	if err != nil {
		return err
	}
	files, err := edited(goroot, clocks)
	if err != nil {
		return fmt.Errorf("%s: %w", runtime.Version(), err)
	}
	ours, err := edited("..", slices.Concat(narrow, mistakes))
	if err != nil {
		return err
	}
	maps.Copy(files, ours)
	args := []string{"test", "-c", "-vet=off", "-ldflags=-w", "-tags=jumping", "-o", bin}
	return compile(files, dir, append(args, raceFlag()...))
}

// raceFlag is the flag by which this laboratory was compiled, if it was.
func raceFlag() []string {
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		return []string{"-race"}
	}
	return nil
}

func goSource() (string, error) {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	return filepath.Join(strings.TrimSpace(string(out)), "src"), err
}

// edited returns the changed files below a folder by their names.
func edited(root string, edits []edit) (map[string]string, error) {
	out := map[string]string{}
	for _, e := range edits {
		name, err := filepath.Abs(filepath.Join(root, e.file))
		if err != nil {
			return nil, err
		}
		text, ok := out[name]
		if !ok {
			b, err := os.ReadFile(name)
			if err != nil {
				return nil, err
			}
			text = string(b)
		}
		if n := strings.Count(text, e.old); n != 1 {
			return nil, fmt.Errorf("%s holds %q %d times, want once", e.file, e.old, n)
		}
		out[name] = strings.Replace(text, e.old, e.new, 1)
	}
	return out, nil
}

// compile runs the go command as if some files were others.
func compile(files map[string]string, dir string, args []string) error {
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for name, text := range files {
		changed := filepath.Join(dir, fmt.Sprintf("%d-%s", len(overlay.Replace), filepath.Base(name)))
		if err := os.WriteFile(changed, []byte(text), 0o600); err != nil {
			return err
		}
		overlay.Replace[name] = changed
	}
	list, err := json.Marshal(overlay)
	if err != nil {
		return err
	}
	plan := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(plan, list, 0o600); err != nil {
		return err
	}
	cmd := exec.Command("go", append(args, "-overlay", plan)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("compile: %w\n%s", err, stderr.String())
	}
	return nil
}
