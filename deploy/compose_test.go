package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const composeFile = "../docker-compose.yml"

// A composition is as much of the file as is judged here.
type composition struct {
	Services map[string]struct {
		Image       string
		Profiles    []string
		Volumes     []string
		Environment map[string]any
	}
}

func readCompose(t *testing.T) composition {
	t.Helper()
	data, err := os.ReadFile(composeFile)
	if err != nil {
		t.Fatal(err)
	}
	var c composition
	if err := yaml.Unmarshal(data, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestDockerComposeTakesEveryProfile asks Docker itself, which starts nothing.
func TestDockerComposeTakesEveryProfile(t *testing.T) {
	if out, err := exec.Command("docker", "compose", "version").CombinedOutput(); err != nil {
		t.Skipf("no docker compose here: %v %s", err, out)
	}
	for _, profile := range []string{"emit", "cluster", "registry", "observe", "*"} {
		args := []string{"compose", "-f", composeFile, "--profile", profile}
		if env := "compose/" + profile + ".env"; exists(env) {
			args = append(args, "--env-file", env)
		}
		if out, err := exec.Command("docker", append(args, "config", "-q")...).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("profile %s: %v\n%s", profile, err, out)
		}
	}
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

func TestEveryImageIsAVariable(t *testing.T) {
	variable := regexp.MustCompile(`^\$\{[A-Z_]+_IMAGE:-[a-z0-9./-]+:[a-z0-9.]+\}$`)
	for name, s := range readCompose(t).Services {
		if !variable.MatchString(s.Image) {
			t.Errorf("%s: the image is %s, want a variable with a default that names a version", name, s.Image)
		}
	}
}

func TestMountedFilesExist(t *testing.T) {
	mounts := 0
	for name, s := range readCompose(t).Services {
		for _, v := range s.Volumes {
			if from, _, _ := strings.Cut(v, ":"); strings.HasPrefix(from, ".") {
				mounts++
				if !exists(filepath.Join("..", from)) {
					t.Errorf("%s mounts %s, which is not there", name, from)
				}
			}
		}
	}
	if mounts < 4 {
		t.Errorf("%d files are mounted, want at least 4", mounts)
	}
}

// TestEveryProfileHasItsVariables: make up names the file of each, and each variable
// is one that the composition asks for.
func TestEveryProfileHasItsVariables(t *testing.T) {
	text, err := os.ReadFile(composeFile)
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range readCompose(t).Services {
		for _, p := range s.Profiles {
			if p == "emit" { // it runs by itself
				continue
			}
			env, err := os.ReadFile("compose/" + p + ".env")
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			for _, m := range regexp.MustCompile(`(?m)^([A-Z_]+)=`).FindAllStringSubmatch(string(env), -1) {
				if !strings.Contains(string(text), "${"+m[1]+":-") {
					t.Errorf("%s.env: nothing asks for %s", p, m[1])
				}
			}
		}
	}
}

// TestTargetsAreServices: whom Prometheus scrapes, and whom Grafana and the service ask.
func TestTargetsAreServices(t *testing.T) {
	services := readCompose(t).Services
	address := regexp.MustCompile(`(?:http://|targets: \[")([a-z0-9-]+):[0-9]+`)
	found := 0
	for _, file := range []string{"prometheus/prometheus.yaml", "compose/datasources.yaml", "compose/observe.env", "compose/registry.env"} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range address.FindAllStringSubmatch(string(data), -1) {
			found++
			if _, there := services[m[1]]; !there {
				t.Errorf("%s names %s, which is no service", file, m[1])
			}
		}
	}
	if found != 4 {
		t.Errorf("%d addresses found, want 4", found)
	}
}
