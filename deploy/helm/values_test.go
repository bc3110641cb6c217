package helm

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// page tells every value; its table is written by -update.
const page = folder + "/README.md"

// A row is one value: its path, its default, and the comment above it.
type row struct{ path, value, comment string }

// rows are the values of a mapping, those of mappings in it included.
func rows(t *testing.T, above string, n *yaml.Node) (all []row) {
	t.Helper()
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		path, comment := above+key.Value, strings.ReplaceAll(strings.TrimPrefix(key.HeadComment, "# "), "\n# ", " ")
		if value.Kind == yaml.MappingNode && len(value.Content) > 0 && value.Style != yaml.FlowStyle && path != "resources" {
			if comment != "" {
				all = append(all, row{path, "", comment})
			}
			all = append(all, rows(t, path+".", value)...)
			continue
		}
		all = append(all, row{path, flow(t, value), comment})
	}
	return all
}

// flow is a default in one line.
func flow(t *testing.T, n *yaml.Node) string {
	t.Helper()
	var v any
	if err := n.Decode(&v); err != nil {
		t.Fatal(err)
	}
	if v == "" {
		return ""
	}
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return "`" + strings.ReplaceAll(strings.Trim(string(text), `"`), `\"`, `"`) + "`"
}

func TestREADMETellsEveryValue(t *testing.T) {
	data, err := os.ReadFile(folder + "/values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	table.WriteString("\n| value | default | meaning |\n|---|---|---|\n")
	for _, r := range rows(t, "", doc.Content[0]) {
		if r.comment == "" && !strings.HasSuffix(r.path, ".enabled") {
			t.Errorf("values.yaml says nothing of %s", r.path)
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", r.path, r.value, strings.ReplaceAll(r.comment, "|", `\|`))
	}
	table.WriteString("\n")
	readme, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(readme), "<!-- values -->\n")
	got, after, ends := strings.Cut(rest, "<!-- end -->")
	if !begins || !ends {
		t.Fatalf("%s has no place for the values", page)
	}
	if *update {
		got = table.String()
		if err := os.WriteFile(page, []byte(before+"<!-- values -->\n"+got+"<!-- end -->"+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(table.String(), got); diff != "" {
		t.Errorf("%s (-update writes it):\n%s", page, diff)
	}
}

// TestEveryValueHasADefault: what the schema allows stands in values.yaml, where a
// reader looks for it.
func TestEveryValueHasADefault(t *testing.T) {
	var schema struct {
		Properties map[string]struct{ Properties map[string]any }
	}
	data, err := os.ReadFile(folder + "/values.schema.json")
	if err == nil {
		err = json.Unmarshal(data, &schema)
	}
	if err != nil {
		t.Fatal(err)
	}
	all := values(t, folder+"/values.yaml")
	for name, s := range schema.Properties {
		value, there := all[name]
		if !there && name != "global" {
			t.Errorf("values.yaml lacks %s", name)
		}
		below, _ := value.(map[string]any)
		for sub := range s.Properties {
			if _, there := below[sub]; !there && name != "config" && name != "resources" {
				t.Errorf("values.yaml lacks %s.%s", name, sub)
			}
		}
	}
}
