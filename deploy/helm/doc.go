// Package helm judges the Helm chart beside it, in its tests: what Helm makes of
// some values is compared with goldens, read by the types of Kubernetes, and held
// against what Kubernetes calls restricted. No cluster and no helm command is
// needed.
package helm
