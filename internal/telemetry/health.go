package telemetry

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"paylink/internal/pulse"
)

// Health is a set of named checks: the service is ready while none of them has
// a reason against it. Its methods may be called concurrently.
type Health struct {
	mu      sync.Mutex
	checks  []healthCheck
	notes   []func() string
	started atomic.Bool // it was ready once
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

// Note adds what is worth saying beside the checks, and is no reason against
// readiness: a quick function that returns a sentence, or "".
func (h *Health) Note(say func() string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.notes = append(h.notes, say)
}

// Notes are the sentences of now.
func (h *Health) Notes() []string {
	h.mu.Lock()
	all := slices.Clone(h.notes)
	h.mu.Unlock()
	said := []string{}
	for _, say := range all {
		if s := say(); s != "" {
			said = append(said, s)
		}
	}
	return said
}

// Started reports whether the service is ready, or was when somebody asked: the
// start is over.
func (h *Health) Started() bool {
	if !h.started.Load() {
		h.Look()
	}
	return h.started.Load()
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
	if ready {
		h.started.Store(true)
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
	writeJSON(w, status(ready), map[string]any{"ready": ready, "checks": checks, "notes": h.Notes()})
}

func status(ready bool) int {
	if ready {
		return http.StatusOK
	}
	return http.StatusServiceUnavailable
}

// serveStartup answers /startupz: 503 until the service has been ready once.
func (h *Health) serveStartup(w http.ResponseWriter, _ *http.Request) {
	started := h.Started()
	writeJSON(w, status(started), map[string]any{"started": started})
}

// live answers /livez: 503 with their names while loops stand still. A restart is
// then the only help.
func live(p *pulse.Pulse) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		stuck := p.Stuck()
		says := map[string]any{"live": len(stuck) == 0}
		if len(stuck) > 0 {
			says["stuck"] = stuck
		}
		writeJSON(w, status(len(stuck) == 0), says)
	}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // an error means that the client has gone
}
