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
