package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"paylink/internal/payment"
)

// settingsPage tells every setting; its tables are written by -update.
const settingsPage = "../../deploy/settings.md"

// commands are the settings of all commands, those of the service first.
var commands = []any{Run{}, TopicsCreate{}, Check{}, TopicsDescribe{}, SchemasList{}, SchemasRegistry{}, SchemasShow{}, SchemasValidate{}, Sign{}, Ready{}, Explain{}, Completion{}}

// tables collects rows of settings by group.
type tables struct {
	titles []string
	rows   map[string][]string
	seen   map[string]bool
}

func (ts *tables) add(group string, typ reflect.Type) {
	for i := range typ.NumField() {
		f, title := typ.Field(i), group
		if g := f.Tag.Get("group"); g != "" {
			title = g
		}
		env := f.Tag.Get(envTag)
		switch {
		case env == "" && f.Type.Kind() == reflect.Struct && f.Tag.Get("kong") != "-":
			ts.add(title, f.Type)
		case env != "" && !ts.seen[env]:
			ts.seen[env] = true
			if ts.rows[title] == nil {
				ts.titles = append(ts.titles, title)
			}
			ts.rows[title] = append(ts.rows[title], row(env, f))
		}
	}
}

func row(env string, f reflect.StructField) string {
	value := f.Tag.Get("default")
	_, must := f.Tag.Lookup("must")
	_, live := f.Tag.Lookup("live")
	switch {
	case must:
		value = "required"
	case value != "":
		value = "`" + value + "`"
	case f.Type.Kind() == reflect.Bool:
		value = "off"
	}
	help := strings.NewReplacer("|", `\|`, "<", `\<`).Replace(f.Tag.Get("help"))
	if f.Type == reflect.TypeFor[payment.Secret]() {
		help += " Not a flag."
	}
	return fmt.Sprintf("| `%s` | %s | %s | %s |\n", env, value, map[bool]string{true: "live"}[live], help)
}

func (ts *tables) String() string {
	var b strings.Builder
	for _, title := range ts.titles {
		fmt.Fprintf(&b, "\n### %s\n\n| variable | default | | meaning |\n|---|---|---|---|\n%s", title, strings.Join(ts.rows[title], ""))
	}
	return b.String() + "\n"
}

func TestSettingsPageTellsEverySetting(t *testing.T) {
	ts := &tables{rows: map[string][]string{}, seen: map[string]bool{}}
	for _, c := range commands {
		ts.add("Other", reflect.TypeOf(c))
	}
	data, err := os.ReadFile(settingsPage)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(data), "<!-- settings -->\n")
	got, after, ends := strings.Cut(rest, "<!-- end -->")
	if !begins || !ends {
		t.Fatalf("%s has no place for the settings", settingsPage)
	}
	if *update {
		got = ts.String()
		if err := os.WriteFile(settingsPage, []byte(before+"<!-- settings -->\n"+got+"<!-- end -->"+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(ts.String(), got); diff != "" {
		t.Errorf("%s (-update writes it):\n%s", settingsPage, diff)
	}
	for _, name := range variables(t, ".") {
		if !strings.Contains(got, "| `"+name+"` |") {
			t.Errorf("%s lacks %s; is its command on the list in this test?", settingsPage, name)
		}
	}
}

// variables returns what the Go files of a folder read from the environment, by
// the tags of their fields.
func variables(t *testing.T, dir string) (names []string) {
	t.Helper()
	tag := regexp.MustCompile(`env:"(PAYLINK_[A-Z0-9_]+)"`)
	for _, text := range texts(t, filepath.Join(dir, "*.go")) {
		for _, m := range tag.FindAllStringSubmatch(text, -1) {
			names = append(names, m[1])
		}
	}
	return names
}

// texts returns what files hold, by their names.
func texts(t *testing.T, patterns ...string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, p := range patterns {
		files, err := filepath.Glob(p)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no files (%v)", p, err)
		}
		for _, name := range files {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			all[name] = string(data)
		}
	}
	return all
}

func TestPagesNameOnlyVariablesThatAreRead(t *testing.T) {
	known, name := append(variables(t, "."), variables(t, "../../cmd/paylink-dev")...), regexp.MustCompile(`PAYLINK_[A-Z0-9_]*[A-Z0-9]\b`)
	for file, text := range texts(t, "../../README.md", "../../deploy/*.md", "../../schemas/README.md") {
		for _, v := range name.FindAllString(text, -1) {
			if !slices.Contains(known, v) {
				t.Errorf("%s names %s, which nothing reads", file, v)
			}
		}
	}
}
