package internal

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"flag"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"paylink/internal/config"
	"paylink/internal/payment"
)

var update = flag.Bool("update", false, "write what the chart takes from the settings")

// The chart's folder, and in it what it knows of the settings; -update writes it.
const (
	chart       = "../deploy/helm/paylink"
	chartSchema = chart + "/values.schema.json" // properties of config, names of files
	chartLive   = chart + "/live.json"          // keys of settings that need no restart
)

// A setting is what a chart must know of one.
type setting struct {
	key  string
	live bool
	typ  reflect.Type
	tag  reflect.StructTag
}

// settings are those of a command that the chart runs, but for those that it sets
// itself and for secrets, which come from files.
func settings(of reflect.Type) (all []setting) {
	for i := range of.NumField() {
		f := of.Field(i)
		env, is := f.Tag.Lookup("env")
		_, live := f.Tag.Lookup("live")
		key := strings.ToLower(strings.TrimPrefix(env, "PAYLINK_"))
		switch {
		case !is && f.Type.Kind() == reflect.Struct && f.Tag.Get("kong") != "-":
			all = append(all, settings(f.Type)...)
		case is && f.Type != reflect.TypeFor[payment.Secret]() && !slices.Contains(ofTheChart, key):
			all = append(all, setting{key: key, live: live, typ: f.Type, tag: f.Tag})
		}
	}
	return all
}

// ofTheChart are the settings that the chart sets itself.
var ofTheChart = []string{"config", "admin_addr", "kafka_group_instance_id"}

// schema is the JSON Schema of a setting's value in the settings file.
func (s setting) schema() map[string]any {
	m := map[string]any{"description": s.tag.Get("help")}
	if v := s.tag.Get("default"); v != "" {
		m["default"] = v
	}
	enum, one := s.tag.Lookup("enum")
	switch {
	case one:
		m["enum"] = strings.Split(enum, ",")
	case s.typ == reflect.TypeFor[time.Duration]():
		m["type"], m["pattern"] = "string", `^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	case s.typ.Kind() == reflect.Bool:
		m["type"] = "boolean"
	case s.typ.Kind() == reflect.Int:
		m["type"] = "integer"
	case s.typ.Kind() == reflect.Slice:
		m["type"], m["items"] = []string{"array", "string"}, map[string]any{"type": "string"}
	case s.key == "merchant_id":
		m["type"] = []string{"integer", "string"}
	default:
		m["type"] = "string"
	}
	return m
}

// TestTheChartKnowsEverySetting compares its schema and its list of live settings
// with the settings themselves.
func TestTheChartKnowsEverySetting(t *testing.T) {
	properties, files, live := map[string]any{}, []string{}, []string{}
	for _, s := range append(settings(reflect.TypeFor[config.Run]()), settings(reflect.TypeFor[config.TopicsCreate]())...) {
		if properties[s.key] != nil {
			continue
		}
		properties[s.key] = s.schema()
		if strings.HasSuffix(s.key, "_file") {
			files = append(files, s.key)
		}
		if s.live {
			live = append(live, s.key)
		}
	}
	var schema map[string]any
	readJSON(t, chartSchema, &schema)
	values := schema["properties"].(map[string]any)
	values["config"].(map[string]any)["properties"] = properties
	values["files"].(map[string]any)["propertyNames"] = map[string]any{"enum": files}
	sameJSON(t, chartSchema, schema)
	sameJSON(t, chartLive, live)
}

func readJSON(t *testing.T, name string, v any) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err == nil {
		err = json.Unmarshal(data, v)
	}
	if err != nil {
		t.Fatal(name, err)
	}
}

// sameJSON compares a file with what it should hold, or writes it.
func sameJSON(t *testing.T, name string, v any) {
	t.Helper()
	var want bytes.Buffer
	enc := json.NewEncoder(&want)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(name, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.String(), string(got)); diff != "" {
		t.Errorf("%s (go test ./internal -run Chart -update writes it):\n%s", name, diff)
	}
}

// An object is as much of a manifest as says how the service is started.
type object struct {
	Kind     string
	Metadata struct{ Name string }
	Data     map[string]string
	Spec     struct {
		Template struct {
			Spec podSpec
		}
	}
}

type podSpec struct {
	Grace      int `yaml:"terminationGracePeriodSeconds"`
	Containers []container
	Inits      []container `yaml:"initContainers"`
	Volumes    []volume
}

type container struct {
	Args   []string
	Env    []struct{ Name, Value string }
	Mounts []mount `yaml:"volumeMounts"`
}

type mount struct {
	Name string
	Path string `yaml:"mountPath"`
}

type volume struct {
	Name      string
	ConfigMap struct{ Name string } `yaml:"configMap"`
	Secret    struct {
		Name string `yaml:"secretName"`
	}
	Projected struct {
		Sources []struct {
			Secret    items
			ConfigMap items `yaml:"configMap"`
		}
	}
}

type items struct {
	Items []struct{ Key, Path string }
}

// A node stands for the machine that mounts the volumes of a pod, below a folder.
type node struct {
	root string
	maps map[string]map[string]string // ConfigMaps by name
}

// contents is what the Secrets of the goldens hold: a text that passes as each of
// the files that a setting may name.
func contents(name string) string {
	switch {
	case name == "merchants.yaml":
		return "- {id: 540001, secret: 0123456789abcdef}\n"
	case strings.HasSuffix(name, "_ca_file"):
		server := httptest.NewTLSServer(nil)
		defer server.Close()
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	}
	return "0123456789abcdef"
}

// mount makes the files of a volume, and returns where they are.
func (n node) mount(t *testing.T, v volume) string {
	t.Helper()
	dir, files := filepath.Join(n.root, v.Name), map[string]string{}
	for name, text := range n.maps[v.ConfigMap.Name] {
		files[name] = text
	}
	for _, s := range v.Projected.Sources {
		for _, i := range append(s.Secret.Items, s.ConfigMap.Items...) {
			files[i.Path] = contents(i.Path)
		}
	}
	if v.Secret.Name != "" {
		files["merchants.yaml"] = contents("merchants.yaml")
	}
	for name, text := range files {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		// Paths of other volumes are below the root too.
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.ReplaceAll(text, "/etc/paylink", n.root)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// start parses a container's command line as the binary in it would.
func (n node) start(t *testing.T, pod podSpec, c container) *commands {
	t.Helper()
	for _, v := range pod.Volumes {
		n.mount(t, v)
	}
	for _, m := range c.Mounts {
		if want := "/etc/paylink/" + m.Name; strings.HasPrefix(m.Path, "/etc/paylink") && m.Path != want {
			t.Errorf("volume %s is mounted at %s, want %s", m.Name, m.Path, want)
		}
	}
	var environ []string
	for _, e := range c.Env {
		value := strings.ReplaceAll(e.Value, "/etc/paylink", n.root)
		if value == "" { // from a field of the pod
			value = "paylink-0"
		}
		environ = append(environ, e.Name+"="+value)
	}
	cmd := new(commands)
	parsed, err := config.Parse(cmd, config.Invocation{Name: "paylink", Args: c.Args, Environ: environ, Stdout: io.Discard, Stderr: io.Discard})
	if err != nil || len(parsed.Warnings) > 0 {
		t.Errorf("paylink %s: %v %v", strings.Join(c.Args, " "), err, parsed.Warnings)
	}
	return cmd
}

// commands are the verbs of paylink that the chart starts.
type commands struct {
	Run    config.Run   `cmd:""`
	Check  config.Check `cmd:""`
	Topics struct {
		Create config.TopicsCreate `cmd:""`
	} `cmd:""`
}

// TestTheServiceTakesWhatTheChartGives starts every container of the goldens as far
// as its settings: no key or variable is unknown, no file is missing, and the pod
// is left more time to stop than the drain takes.
func TestTheServiceTakesWhatTheChartGives(t *testing.T) {
	goldens, err := filepath.Glob("../deploy/helm/testdata/*.golden.yaml")
	if err != nil || len(goldens) < 3 {
		t.Fatalf("%d goldens of the chart found, want at least 3 (%v)", len(goldens), err)
	}
	for _, golden := range goldens {
		t.Run(filepath.Base(golden), func(t *testing.T) {
			runs := 0
			n := node{maps: map[string]map[string]string{}}
			all := objects(t, golden)
			for _, o := range all {
				if o.Kind == "ConfigMap" {
					n.maps[o.Metadata.Name] = o.Data
				}
			}
			for _, o := range all {
				pod := o.Spec.Template.Spec
				for _, c := range append(pod.Inits, pod.Containers...) {
					n.root = t.TempDir()
					cmd := n.start(t, pod, c)
					if c.Args[0] != "run" {
						continue
					}
					runs++
					if least := cmd.Run.Flow.DrainTimeout + 15*time.Second; time.Duration(pod.Grace)*time.Second < least {
						t.Errorf("the pod has %d s to stop, want at least %v", pod.Grace, least)
					}
					if static := cmd.Run.Kafka.InstanceID != ""; static != (o.Kind == "StatefulSet") {
						t.Errorf("%s: static membership is %v", o.Kind, static)
					}
				}
			}
			if runs != 1 {
				t.Errorf("%d workloads run the service, want 1", runs)
			}
		})
	}
}

func objects(t *testing.T, name string) (all []object) {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for dec := yaml.NewDecoder(file); ; {
		var o object
		switch err := dec.Decode(&o); {
		case err == io.EOF:
			return all
		case err != nil:
			t.Fatal(name, err)
		}
		all = append(all, o)
	}
}
