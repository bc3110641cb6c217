// Package deploy is a module of its own for what judges and packs the service:
// the chart's tests, the list of licences, and the tool for the bill of materials.
// So Helm and Kubernetes are no dependencies of paylink.
package deploy
