// Package grafana holds the dashboard; its test asks every panel's queries of the
// metrics that a service serves.
package grafana
