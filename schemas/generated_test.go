package schemas_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"paylink/internal/schemagen"
	"paylink/schemas"
)

// ownFiles are the files here that are written by hand.
var ownFiles = []string{"contract/doc.go", "contract/text.go"}

// TestFilesAreWhatTheTableSays makes every generated file anew, in memory.
// Whoever changes a rule, and forgets go generate, meets this test.
func TestFilesAreWhatTheTableSays(t *testing.T) {
	want, err := schemagen.Files()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range want {
		got, err := os.ReadFile(filepath.FromSlash(name))
		if err != nil {
			t.Errorf("%v: run go generate ./schemas", err)
		} else if !bytes.Equal(got, text) {
			t.Errorf("%s is not what the table of fields says: run go generate ./schemas", name)
		}
	}
	for _, dir := range []string{"json", "avro", "protobuf", "examples", "contract"} {
		err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
			name = filepath.ToSlash(name)
			if err == nil && !d.IsDir() && want[name] == nil && !slices.Contains(ownFiles, name) && !strings.HasSuffix(name, "_test.go") {
				t.Errorf("%s is not generated, and does not belong here", name)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestNothingReleasedBreaks compares with the schemas of every release.
func TestNothingReleasedBreaks(t *testing.T) {
	now, err := schemagen.Files()
	if err != nil {
		t.Fatal(err)
	}
	releases, err := fs.ReadDir(schemas.FS, "released")
	if err != nil || len(releases) == 0 {
		t.Fatalf("no releases to compare with: %v", err)
	}
	for _, r := range releases {
		tree, err := fs.Sub(schemas.FS, "released/"+r.Name())
		if err != nil {
			t.Fatal(err)
		}
		broken, err := schemagen.Break(tree, now)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range broken {
			t.Errorf("%s: %s", r.Name(), s)
		}
	}
}

func TestEveryRecordIsThereInEveryFormat(t *testing.T) {
	for _, f := range schemas.Formats() {
		for _, r := range schemas.Records() {
			if text := schemas.Text(f, r); !strings.Contains(text, r.FullName()[len("paylink.v1."):]) {
				t.Errorf("%s does not name %s", schemas.Path(f, r), r.FullName())
			}
		}
	}
}

func TestSubjectsAreNamedAsConfluentDoes(t *testing.T) {
	for naming, want := range map[schemas.Naming]string{
		schemas.ByTopic: "t-value", schemas.ByRecord: "paylink.v1.PaymentCreated", schemas.ByTopicRecord: "t-paylink.v1.PaymentCreated",
	} {
		if got := naming.Subject("t", schemas.Created); got != want {
			t.Errorf("%s: subject %s, want %s", naming, got, want)
		}
	}
}

// TestEveryFieldIsDocumented: a sentence, and an example, of every field.
func TestEveryFieldIsDocumented(t *testing.T) {
	type field struct {
		Description string
		Type        any
		Const       any
		Examples    []any
	}
	for _, r := range schemas.Records() {
		var schema struct{ Properties map[string]field }
		if err := json.Unmarshal([]byte(schemas.Text(schemas.JSONSchema, r)), &schema); err != nil {
			t.Fatal(err)
		}
		proto := schemas.Text(schemas.Protobuf, r)
		for name, f := range schema.Properties {
			simple := f.Type != "object" && f.Type != "array" && f.Const == nil
			if len(f.Description) < 10 || simple && len(f.Examples) == 0 {
				t.Errorf("%s: field %s has description %q and examples %v", r, name, f.Description, f.Examples)
			}
			if !strings.Contains(proto, f.Description[:10]) {
				t.Errorf("%s: field %s has no such description in Protobuf", r, name)
			}
		}
	}
}
