// Package deploy is a module of its own for what judges and packs the service, so
// that none of this is a dependency of paylink:
//
//   - helm.sh/helm renders and lints the chart; sigs.k8s.io/yaml is its YAML, and
//     go.yaml.in/yaml reads the comments of its values;
//   - k8s.io/api, k8s.io/apimachinery and prometheus-operator are the types that the
//     manifests are read into; santhosh-tekuri/jsonschema holds KEDA's against its schema;
//   - k8s.io/pod-security-admission judges the pods as a cluster does;
//   - google/go-containerregistry writes images without Docker;
//   - google/licensecheck knows licences by their texts;
//   - CycloneDX/cyclonedx-gomod writes the bill of materials;
//   - google/go-cmp shows differences in tests; staticcheck reads this module too.
package deploy
