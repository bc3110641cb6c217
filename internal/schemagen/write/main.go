// Command write writes the generated files of the contract below schemas/, and
// removes those that are not generated any more. It is what go generate runs.
//
// It fails, and writes nothing, if the change would break a consumer or an
// emitter of the released contract.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"paylink/internal/schemagen"
)

func main() {
	if err := run("."); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run writes into dir, the folder schemas.
func run(dir string) error {
	files, err := schemagen.Files()
	if err != nil {
		return err
	}
	if err := compare(dir, files); err != nil {
		return err
	}
	if err := clear(dir); err != nil {
		return err
	}
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// compare stops at a change that would break who uses a released schema.
func compare(dir string, files map[string][]byte) error {
	releases, err := os.ReadDir(filepath.Join(dir, "released"))
	if err != nil {
		return err
	}
	for _, r := range releases {
		broken, err := schemagen.Break(os.DirFS(filepath.Join(dir, "released", r.Name())), files)
		if err != nil {
			return err
		}
		if len(broken) > 0 {
			return fmt.Errorf("the change breaks the contract that was released as %s:\n  %s", r.Name(), strings.Join(broken, "\n  "))
		}
	}
	return nil
}

// clear removes the folders that hold nothing but generated files.
func clear(dir string) error {
	for _, name := range []string{"json", "avro", "protobuf", "examples"} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}
