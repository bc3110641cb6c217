package telemetry

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// Health is a set of named checks: the service is ready while none of them has
// a reason against it. Its methods may be called concurrently.
type Health struct {
	mu     sync.Mutex
	checks []healthCheck
}

type healthCheck struct {
	name   string
	reason func() string
}

// A Check is what one check said.
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Reason string `json:"reason,omitempty"` // a sentence, if not OK
}

// Add adds a check: a quick function that returns why the service is not ready,
// or "". Reasons are shown to whoever asks, so they hold nothing secret.
func (h *Health) Add(name string, reason func() string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks = append(h.checks, healthCheck{name, reason})
}

// Look asks all checks, those that object first.
func (h *Health) Look() (ready bool, checks []Check) {
	h.mu.Lock()
	all := slices.Clone(h.checks)
	h.mu.Unlock()
	ready = true
	for _, c := range all {
		reason := c.reason()
		checks = append(checks, Check{Name: c.name, OK: reason == "", Reason: reason})
		ready = ready && reason == ""
	}
	slices.SortStableFunc(checks, func(a, b Check) int {
		if a.OK != b.OK {
			return map[bool]int{false: -1, true: 1}[a.OK]
		}
		return strings.Compare(a.Name, b.Name)
	})
	return ready, checks
}

// ServeHTTP answers /readyz: 200 if the service is ready, else 503, with every
// check and its reason as JSON.
func (h *Health) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	ready, checks := h.Look()
	writeJSON(w, status(ready), map[string]any{"ready": ready, "checks": checks})
}

func status(ready bool) int {
	if ready {
		return http.StatusOK
	}
	return http.StatusServiceUnavailable
}

func live(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{"live": true})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // an error means that the client has gone
}
