package helm

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/santhosh-tekuri/jsonschema/v6"
	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	security "k8s.io/pod-security-admission/api"
	restricted "k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"
)

// A release is what one file of values makes, as Kubernetes reads it.
type release struct {
	names     map[string]bool // of all objects: kind and name
	workloads []workload
	services  []core.Service
	monitors  []monitoring.ServiceMonitor
	budgets   []policy.PodDisruptionBudget
	policies  []networking.NetworkPolicy
	scaled    []map[string]any // ScaledObjects; KEDA's types would bring half of Kubernetes along
}

// A workload is what makes pods: StatefulSet, Deployment or Job.
type workload struct {
	name     string
	selector *meta.LabelSelector // nil: a Job
	template core.PodTemplateSpec
	service  string // that a StatefulSet names
}

// read takes the manifests of a file of values apart. A field that Kubernetes does
// not know, or of another type, is an error.
func read(t *testing.T, file string) *release {
	t.Helper()
	r := &release{names: map[string]bool{}}
	for _, text := range strings.Split(mustRender(t, file), "\n---\n") {
		var head struct {
			meta.TypeMeta   `json:",inline"`
			meta.ObjectMeta `json:"metadata"`
		}
		if err := yaml.Unmarshal([]byte(text), &head); err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if name := head.Kind + "/" + head.Name; r.names[name] {
			t.Errorf("%s stands there twice", name)
		}
		r.names[head.Kind+"/"+head.Name] = true
		if err := r.add(head.APIVersion+" "+head.Kind, []byte(text)); err != nil {
			t.Errorf("%s %s: %v", head.Kind, head.Name, err)
		}
	}
	return r
}

func (r *release) add(kind string, text []byte) error {
	switch kind {
	case "apps/v1 StatefulSet":
		o, err := strictly[apps.StatefulSet](text)
		r.workloads = append(r.workloads, workload{o.Name, o.Spec.Selector, o.Spec.Template, o.Spec.ServiceName})
		return err
	case "apps/v1 Deployment":
		o, err := strictly[apps.Deployment](text)
		r.workloads = append(r.workloads, workload{o.Name, o.Spec.Selector, o.Spec.Template, ""})
		return err
	case "batch/v1 Job":
		o, err := strictly[batch.Job](text)
		r.workloads = append(r.workloads, workload{o.Name, nil, o.Spec.Template, ""})
		return err
	case "v1 Service":
		return addTo(&r.services, text)
	case "policy/v1 PodDisruptionBudget":
		return addTo(&r.budgets, text)
	case "networking.k8s.io/v1 NetworkPolicy":
		return addTo(&r.policies, text)
	case "monitoring.coreos.com/v1 ServiceMonitor":
		return addTo(&r.monitors, text)
	case "keda.sh/v1alpha1 ScaledObject":
		return addTo(&r.scaled, text)
	case "v1 ConfigMap":
		_, err := strictly[core.ConfigMap](text)
		return err
	case "v1 ServiceAccount":
		_, err := strictly[core.ServiceAccount](text)
		return err
	}
	return errKind(kind)
}

// errKind is a kind that this test does not judge. No Secret is among those that it does.
type errKind string

func (e errKind) Error() string { return "the chart makes no " + string(e) }

func strictly[T any](text []byte) (o T, err error) {
	return o, yaml.UnmarshalStrict(text, &o)
}

func addTo[T any](all *[]T, text []byte) error {
	o, err := strictly[T](text)
	*all = append(*all, o)
	return err
}

// each runs a test on what each file of values makes.
func each(t *testing.T, test func(*testing.T, *release)) {
	for _, file := range cases(t) {
		t.Run(filepath.Base(file), func(t *testing.T) { test(t, read(t, file)) })
	}
}

// TestPodsAreRestricted asks the judge of Kubernetes' own admission, of the highest level.
func TestPodsAreRestricted(t *testing.T) {
	judge, err := restricted.NewEvaluator(restricted.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	level := security.LevelVersion{Level: security.LevelRestricted, Version: security.LatestVersion()}
	each(t, func(t *testing.T, r *release) {
		for _, w := range r.workloads {
			for _, c := range judge.EvaluatePod(level, &w.template.ObjectMeta, &w.template.Spec) {
				if !c.Allowed {
					t.Errorf("%s: %s (%s)", w.name, c.ForbiddenReason, c.ForbiddenDetail)
				}
			}
			if token := w.template.Spec.AutomountServiceAccountToken; token == nil || *token {
				t.Errorf("%s mounts a token of its service account", w.name)
			}
			for _, c := range containers(w) {
				if only := c.SecurityContext.ReadOnlyRootFilesystem; only == nil || !*only {
					t.Errorf("%s: the root file system of %s can be written", w.name, c.Name)
				}
			}
		}
	})
}

func containers(w workload) []core.Container {
	return append(slices.Clone(w.template.Spec.InitContainers), w.template.Spec.Containers...)
}

// TestSecretsAreFiles: none is a manifest, and none is in the environment, where it
// would not be taken up when it changes.
func TestSecretsAreFiles(t *testing.T) {
	each(t, func(t *testing.T, r *release) {
		for _, w := range r.workloads {
			for _, c := range containers(w) {
				if len(c.EnvFrom) > 0 {
					t.Errorf("%s: %s has its environment from elsewhere", w.name, c.Name)
				}
				for _, e := range c.Env {
					if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
						t.Errorf("%s: %s is a secret in the environment", w.name, e.Name)
					}
				}
			}
		}
	})
}

// TestReferencesLeadSomewhere follows what one object says of another.
func TestReferencesLeadSomewhere(t *testing.T) {
	each(t, func(t *testing.T, r *release) {
		var pods []workload // of the service
		for _, w := range r.workloads {
			spec := w.template.Spec
			if account := spec.ServiceAccountName; account != "default" && !r.names["ServiceAccount/"+account] {
				t.Errorf("%s: there is no service account %s", w.name, account)
			}
			if w.service != "" && !r.names["Service/"+w.service] {
				t.Errorf("%s: there is no service %s", w.name, w.service)
			}
			if w.selector != nil {
				pods = append(pods, w)
				r.selects(t, "the workload", *w.selector, w.name)
			}
			followVolumes(t, r, w)
			followPorts(t, w)
		}
		if len(pods) != 1 {
			t.Fatalf("%d workloads of the service, want 1", len(pods))
		}
		for _, s := range r.services {
			r.selects(t, "service", meta.LabelSelector{MatchLabels: s.Spec.Selector}, pods[0].name)
			for _, m := range r.monitors {
				if !matches(t, m.Spec.Selector, s.Labels) || m.Spec.Endpoints[0].Port != s.Spec.Ports[0].Name {
					t.Errorf("monitor %s does not find service %s", m.Name, s.Name)
				}
			}
		}
		for _, b := range r.budgets {
			r.selects(t, "budget", *b.Spec.Selector, pods[0].name)
		}
		for _, c := range pods[0].template.Spec.TopologySpreadConstraints {
			r.selects(t, "spread", *c.LabelSelector, pods[0].name)
		}
		for _, p := range r.policies { // the Job has one of its own, with its name
			r.selects(t, "network policy", p.Spec.PodSelector, p.Name)
		}
		for _, o := range r.scaled {
			target := o["spec"].(map[string]any)["scaleTargetRef"].(map[string]any)
			if name := target["kind"].(string) + "/" + target["name"].(string); !r.names[name] {
				t.Errorf("the scaled object aims at %s, which is not there", name)
			}
		}
	})
}

// selects reports when a selector takes other pods than those of one workload.
func (r *release) selects(t *testing.T, what string, selector meta.LabelSelector, want string) {
	t.Helper()
	for _, w := range r.workloads {
		if got := matches(t, selector, w.template.Labels); got != (w.name == want) {
			t.Errorf("%s for %s: selects pods of %s: %v", what, want, w.name, got)
		}
	}
}

func matches(t *testing.T, selector meta.LabelSelector, of map[string]string) bool {
	t.Helper()
	s, err := meta.LabelSelectorAsSelector(&selector)
	if err != nil {
		t.Fatal(err)
	}
	return !s.Empty() && s.Matches(labels.Set(of))
}

func followVolumes(t *testing.T, r *release, w workload) {
	t.Helper()
	there, mounted := map[string]bool{}, map[string]bool{}
	for _, v := range w.template.Spec.Volumes {
		there[v.Name] = true
		if v.ConfigMap != nil && !r.names["ConfigMap/"+v.ConfigMap.Name] {
			t.Errorf("%s: there is no ConfigMap %s", w.name, v.ConfigMap.Name)
		}
	}
	for _, c := range containers(w) {
		for _, m := range c.VolumeMounts {
			mounted[m.Name] = true
			if !there[m.Name] {
				t.Errorf("%s: %s mounts the volume %s, which is not there", w.name, c.Name, m.Name)
			}
			if m.SubPath != "" || !m.ReadOnly {
				t.Errorf("%s: %s would not see changes of the volume %s, or could write it", w.name, c.Name, m.Name)
			}
		}
	}
	for name := range there {
		if !mounted[name] {
			t.Errorf("%s: nobody mounts the volume %s", w.name, name)
		}
	}
}

func followPorts(t *testing.T, w workload) {
	t.Helper()
	for _, c := range containers(w) {
		for _, p := range []*core.Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
			switch {
			case w.selector == nil && p == nil:
			case p == nil || p.HTTPGet == nil:
				t.Errorf("%s: a probe is missing", w.name)
			case !slices.ContainsFunc(c.Ports, func(o core.ContainerPort) bool { return o.Name == p.HTTPGet.Port.StrVal }):
				t.Errorf("%s: there is no port %s for the probe", w.name, p.HTTPGet.Port.String())
			}
		}
	}
}

// TestScaledObjectFitsItsSchema holds it against KEDA's own definition.
func TestScaledObjectFitsItsSchema(t *testing.T) {
	schema, scaled := kedaSchema(t), read(t, "testdata/full.values.yaml").scaled
	if len(scaled) != 1 {
		t.Fatalf("%d ScaledObjects, want 1", len(scaled))
	}
	if err := schema.Validate(any(scaled[0])); err != nil {
		t.Error(err)
	}
	scaled[0]["spec"].(map[string]any)["minReplicas"] = 1 // and no field may be unknown
	if schema.Validate(any(scaled[0])) == nil {
		t.Error("an unknown field fits")
	}
}

func kedaSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	crd := values(t, "testdata/scaledobject.crd.yaml")
	version := crd["spec"].(map[string]any)["versions"].([]any)[0].(map[string]any)
	schema := version["schema"].(map[string]any)["openAPIV3Schema"].(map[string]any)
	closeObjects(schema)
	c := jsonschema.NewCompiler()
	if err := c.AddResource("keda.json", schema); err != nil {
		t.Fatal(err)
	}
	return c.MustCompile("keda.json")
}

// closeObjects forbids fields that are not named, which the API server would drop.
func closeObjects(schema map[string]any) {
	props, _ := schema["properties"].(map[string]any)
	if len(props) > 0 && schema["x-kubernetes-preserve-unknown-fields"] == nil {
		schema["additionalProperties"] = false
	}
	for _, p := range props {
		closeObjects(p.(map[string]any))
	}
	for _, key := range []string{"items", "additionalProperties"} {
		if below, ok := schema[key].(map[string]any); ok {
			closeObjects(below)
		}
	}
}
