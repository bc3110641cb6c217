package internal

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// product is what the service is made of; what is not in it is never linked
// into cmd/paylink.
var product = []string{
	"schemas", "payment", "event", "freedompay", "pace", "pq", "schedule", "partition", "attempt", "answered", "shelf", "budget", "metric", "pipeline", "kafkawire", "kafkaio", "kafkaops", "finding",
	"facts", "tell", "explain", "reconcile", "replay", "console", "burst", "pulse", "telemetry", "config", "service", "registry", "bearer",
}

// laptop is what serves laptops and tests only.
var laptop = []string{"gatewaysim", "devstack", "bench", "realkafka", "history", "torture", "lab", "schemagen", "model"}

// rooms says which rooms a room may enter, the one place to change when a door
// is cut. A package below a room belongs to it. A room may stand here before it is built.
var rooms = map[string][]string{
	"schemas":    {},
	"payment":    {},
	"event":      {"payment", "schemas"},
	"freedompay": {"payment"},
	"pace":       {"payment"},
	"pq":         {},
	"schedule":   {"payment", "pace", "pq"},
	"partition":  {"payment", "pq"},
	"attempt":    {"payment"},
	"answered":   {},
	"shelf":      {},
	"budget":     {},
	"burst":      {},
	"metric":     {},
	"pipeline":   {"payment", "event", "pace", "schedule", "partition", "attempt", "answered", "budget", "burst", "pulse", "metric"},
	"kafkawire":  {},
	"kafkaio":    {"payment", "event", "pace", "answered", "shelf", "pipeline", "budget", "burst", "pulse", "kafkawire", "metric"},
	"kafkaops":   {"event", "pipeline", "kafkawire", "kafkaio", "finding"},
	"finding":    {},
	"facts":      {"payment", "event"},
	"tell":       {},
	"explain":    {"payment", "event", "facts", "kafkaops"},
	"reconcile":  {"payment", "event", "facts", "kafkaops"},
	"replay":     {"payment", "event", "facts", "kafkaops"},
	"console":    {},
	"pulse":      {},
	"telemetry":  {"payment", "pulse", "metric", "burst"},
	"bearer":     {"payment"},
	"config":     {"payment", "pace"},
	"registry":   {"payment", "event", "schemas"},
	"service":    product,

	"gatewaysim": {"payment", "freedompay"},
	"devstack":   {"payment", "event", "freedompay", "gatewaysim"},
	"bench":      {"service", "config", "telemetry", "kafkaio", "kafkawire", "registry", "gatewaysim", "devstack", "freedompay", "event", "payment", "schemas"},
	"realkafka":  {},
	"schemagen":  {"payment"},
	"history":    {"devstack", "event", "payment"}, // all by records below it; history itself judges and enters nothing
	"model":      {},
	"torture":    {"history", "gatewaysim", "devstack", "realkafka", "event", "payment"},

	"lab": {"service", "config", "history", "gatewaysim", "devstack", "event", "pace", "payment", "facts", "kafkaio", "kafkaops", "reconcile", "replay"},

	"cmd/paylink":     product,
	"cmd/paylink-dev": slices.Concat(product, laptop),
}

// shut says who alone may import a package from outside. A name that ends in a
// slash covers all below it.
var shut = map[string][]string{
	// bench compares the service with the plainest kafka-go loop.
	"github.com/segmentio/kafka-go":  {"kafkaio", "kafkaops", "kafkawire", "bench"},
	"github.com/segmentio/kafka-go/": {"kafkaio", "kafkaops", "kafkawire", "bench"},
	"github.com/testcontainers/":     {"realkafka"},
	// Who makes spans needs the API only.
	"go.opentelemetry.io/otel/sdk/":       {"telemetry"},
	"go.opentelemetry.io/otel/exporters/": {"telemetry"},
	"github.com/twmb/franz-go/pkg/kgo":    {"devstack", "realkafka"},
}

// unlinked never becomes part of the service, however indirectly.
var unlinked = []string{
	"paylink/internal/gatewaysim", "paylink/internal/devstack", "paylink/internal/realkafka",
	"github.com/twmb/franz-go/pkg/kfake", "github.com/twmb/franz-go/pkg/sr/srfake", "github.com/twmb/franz-go/pkg/kgo",
	"github.com/testcontainers/testcontainers-go", "github.com/Shopify/toxiproxy/v2", "testing",
}

// unread is what the service itself never enters, though the operator's verbs of
// its binary may: it writes outcomes and reads none back.
var unread = []string{"paylink/internal/event/outcomes", "paylink/internal/facts"}

// A pkg is what the test asks of go list: imports without those of tests.
type pkg struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

// packages lists the module's packages, those behind the integration tag included.
func packages(t *testing.T) []pkg {
	t.Helper()
	lookAtSources(t)
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-tags=integration", "-json=ImportPath,Imports,Deps", "./...")
	cmd.Dir = ".."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var all []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		all = append(all, p)
	}
	if len(all) == 0 {
		t.Fatal("go list found no package")
	}
	return all
}

// lookAtSources looks at every Go file. Go repeats the result of a test from its
// cache until a file changes that the test itself looked at; what go list reads
// would not count.
func lookAtSources(t *testing.T) {
	t.Helper()
	for _, dir := range []string{"../cmd", "../internal", "../schemas"} {
		err := filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(name, ".go") {
				_, err = os.Stat(name)
			}
			return err
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
}

// room returns the room that a package belongs to: "payment", "cmd/paylink", or
// "" for packages of others and for this one.
func room(importPath string) string {
	rest, ours := strings.CutPrefix(importPath, "paylink/")
	if !ours {
		return ""
	}
	parts := strings.Split(rest, "/")
	switch {
	case parts[0] == "cmd" && len(parts) > 1:
		return path.Join(parts[:2]...)
	case parts[0] == "internal" && len(parts) > 1:
		return parts[1]
	case parts[0] == "internal":
		return ""
	}
	return parts[0]
}

func TestRoomsEnterOnlyWhereTheMapAllows(t *testing.T) {
	for _, p := range packages(t) {
		from := room(p.ImportPath)
		if from == "" {
			continue
		}
		doors, known := rooms[from]
		if !known {
			t.Errorf("%s: room %q is not on the map", p.ImportPath, from)
			continue
		}
		for _, imported := range p.Imports {
			to := room(imported)
			if to != "" && to != from && !slices.Contains(doors, to) {
				t.Errorf("%s enters %q, which the map does not allow", p.ImportPath, to)
			}
		}
	}
}

func TestTheMapNamesOnlyRooms(t *testing.T) {
	for from, doors := range rooms {
		for _, to := range doors {
			if _, known := rooms[to]; !known {
				t.Errorf("%q may enter %q, which is no room", from, to)
			}
		}
	}
	onMap := slices.Sorted(maps.Keys(rooms))
	told := slices.Sorted(slices.Values(slices.Concat(product, laptop, []string{"cmd/paylink", "cmd/paylink-dev"})))
	if !slices.Equal(onMap, told) {
		t.Errorf("rooms of the map %v, want those of product and laptop %v", onMap, told)
	}
}

func TestWhatIsShutStaysShut(t *testing.T) {
	for _, p := range packages(t) {
		from := room(p.ImportPath)
		for _, imported := range p.Imports {
			for name, who := range shut {
				covers := imported == name || strings.HasSuffix(name, "/") && strings.HasPrefix(imported, name)
				if covers && !slices.Contains(who, from) {
					t.Errorf("%s imports %s, which is for %v", p.ImportPath, imported, who)
				}
			}
		}
		if from == "payment" && !standardOnly(p.Imports) {
			t.Errorf("%s imports %v, want the standard library only", p.ImportPath, p.Imports)
		}
		if from == "pipeline" && slices.Contains(p.Imports, "net/http") {
			t.Errorf("%s imports net/http, but the engine knows no HTTP", p.ImportPath)
		}
	}
}

func standardOnly(imports []string) bool {
	return !slices.ContainsFunc(imports, func(imported string) bool {
		first, _, _ := strings.Cut(imported, "/")
		return strings.Contains(first, ".") || first == "paylink"
	})
}

func TestTheServiceLinksNothingOfTheSimulator(t *testing.T) {
	for _, p := range packages(t) {
		if p.ImportPath != "paylink/cmd/paylink" {
			continue
		}
		for _, name := range unlinked {
			if slices.Contains(p.Deps, name) {
				t.Errorf("cmd/paylink links %s", name)
			}
		}
	}
}

func TestTheServiceReadsNoOutcomesBack(t *testing.T) {
	for _, p := range packages(t) {
		for _, name := range unread {
			if p.ImportPath == "paylink/internal/service" && slices.Contains(p.Deps, name) {
				t.Errorf("%s enters %s", p.ImportPath, name)
			}
		}
	}
}

// topLevel is all that may stand beside the dot-files.
var topLevel = []string{
	"cmd", "internal", "schemas", "deploy", "docker-compose.yml", "Makefile", "README.md", "go.mod", "go.sum",
}

func TestTopLevelHoldsWhatTheDesignAllows(t *testing.T) {
	entries, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name := e.Name()
		if !slices.Contains(topLevel, name) && !strings.HasPrefix(name, ".") && !ignored(name) {
			t.Errorf("%s stands at the top level, want only %v", name, topLevel)
		}
	}
}

// ignored reports whether git leaves a file out: build output, profiles.
func ignored(name string) bool {
	cmd := exec.Command("git", "check-ignore", "-q", name)
	cmd.Dir = ".."
	return name == "bin" || cmd.Run() == nil
}
