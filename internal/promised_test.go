package internal

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"paylink/internal/metric"
)

// promisedFile lists what users build on, as deploy/changes.md promises: settings,
// metrics with their types and labels, verbs with their flags. -update adds what is
// new; what goes away has to be taken out by hand, and told on that page.
const promisedFile = "testdata/promised.txt"

// offered is what there is now, by the pages that tests compare with the code.
func offered(t *testing.T) map[string]bool {
	t.Helper()
	text := func(name string) string {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	now := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(PAYLINK_[A-Z0-9_]+)` \\|").FindAllStringSubmatch(text("../deploy/settings.md"), -1) {
		now["setting "+m[1]] = true
	}
	for _, m := range metric.All {
		now[strings.TrimSpace("metric "+m.Name+" "+string(m.Type)+" "+strings.Join(m.Labels, " "))] = true
	}
	verb := ""
	for line := range strings.Lines(strings.ReplaceAll(text("../deploy/man/paylink.1"), `\-`, "-")) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), ".SS "); ok {
			verb = v
			now["verb "+verb] = true
		} else if f, ok := strings.CutPrefix(line, ".BR --"); ok && verb != "" {
			f, _, _ = strings.Cut(f, " ")
			now["verb "+verb+" --"+f] = true
		}
	}
	return now
}

func TestNothingPromisedVanishes(t *testing.T) {
	now := offered(t)
	data, err := os.ReadFile(promisedFile)
	if err != nil && !*update {
		t.Fatal(err)
	}
	promised := map[string]bool{}
	for line := range strings.Lines(string(data)) {
		promised[strings.TrimSpace(line)] = true
	}
	if *update {
		maps.Copy(promised, now)
		if err := os.WriteFile(promisedFile, []byte(strings.Join(slices.Sorted(maps.Keys(promised)), "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if len(promised) < 200 {
		t.Fatalf("%s lists %d things, want all that is there", promisedFile, len(promised))
	}
	for _, what := range slices.Sorted(maps.Keys(promised)) {
		if !now[what] {
			t.Errorf("%s is promised, and gone: bring it back, or tell it in deploy/changes.md and take it out of %s", what, promisedFile)
		}
	}
	for _, what := range slices.Sorted(maps.Keys(now)) {
		if !promised[what] {
			t.Errorf("%s is new: -update adds it to %s, and deploy/changes.md tells it", what, promisedFile)
		}
	}
}
