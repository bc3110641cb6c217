// Package prometheus holds the alerts; its tests fire and clear each.
package prometheus
