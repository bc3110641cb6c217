// Package console is the read-only web page of a running service, and the same
// as JSON. A tired operator sees first what is wrong, then whether work moves,
// then the rest.
//
// It changes nothing, needs no other file than itself, loads nothing from
// elsewhere, and knows no other room: whoever runs it tells it the state.
package console

import (
	"bytes"
	"context"
	"crypto/rand"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"time"
)

//go:embed page
var files embed.FS

// A State is everything the page shows, at one moment. Empty lists are fine.
type State struct {
	Now     time.Time `json:"now"`
	Started time.Time `json:"started"`
	Service Service   `json:"service"`

	Ready  bool    `json:"ready"`
	Checks []Check `json:"checks"` // of readiness
	Alarms []Alarm `json:"alarms"` // what a person must look at

	Partitions []Partition `json:"partitions"` // those in our hands
	Counters   []Counter   `json:"counters"`   // since the start
	Outcomes   []Outcome   `json:"outcomes"`   // the newest first
}

// A Service says what runs.
type Service struct {
	Version     string `json:"version"`
	Group       string `json:"group"`
	Instance    string `json:"instance,omitempty"`
	Intents     string `json:"intents"`
	Outcomes    string `json:"outcomes"`
	DeadLetters string `json:"dead_letters"`
	Gateway     string `json:"gateway"` // host; several: some of them
}

// A Check is one check of readiness; Reason is a sentence if it is not OK.
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Reason string `json:"reason,omitempty"`
}

// An Alarm is something that does not mend itself.
type Alarm struct {
	What  string    `json:"what"`           // a sentence
	Mend  string    `json:"mend,omitempty"` // what to do
	Since time.Time `json:"since,omitzero"`
}

// A Partition is one intent partition in our hands.
type Partition struct {
	Number     int32  `json:"partition"`
	State      string `json:"state"`     // fencing, loading, running, draining
	Healthy    bool   `json:"healthy"`   // State is nothing to worry about
	Watermark  int64  `json:"watermark"` // everything below is settled
	Lag        int64  `json:"lag"`       // records not settled yet; -1: not known
	Unfinished int    `json:"unfinished"`
}

// A Counter is a number since the start. Group is its heading.
type Counter struct {
	Group string `json:"group"`
	Name  string `json:"name"`
	Value uint64 `json:"value"`
	Bad   bool   `json:"bad,omitempty"` // more than 0 deserves a look
}

// An Outcome is one that was published.
type Outcome struct {
	At       time.Time `json:"at"`
	IntentID string    `json:"intent_id"`
	Type     string    `json:"type"` // created, failed, dead letter
	Reason   string    `json:"reason,omitempty"`
	Attempts int       `json:"attempts"`
	Link     string    `json:"link,omitempty"` // only with ShowLinks
}

// Config says what a console shows.
type Config struct {
	State func() State // called for each request, concurrently

	// Lanes and Intent answer why something waits, or where its outcome is, with what
	// becomes their JSON; Intent reports false for an intent that nothing is known of.
	// Nil: not asked for.
	Lanes  func() any
	Intent func(ctx context.Context, id string) (any, bool)

	// ShowLinks shows payment links. Who has a link can open the payer's page,
	// so this is for laptops only.
	ShowLinks bool
}

// New returns the console: the page at /, its JSON at /api/v1/state, and
// why lanes and intents wait at /api/v1/lanes and /api/v1/intents/{id}, which also
// tells where an intent's outcome is.
func New(c Config) (http.Handler, error) {
	page, err := template.New("page.html").Funcs(template.FuncMap{
		"since": since, "thousands": thousands, "groups": groups, "clock": clock, "short": short,
	}).ParseFS(files, "page/page.html")
	if err != nil {
		return nil, fmt.Errorf("console page: %w", err)
	}
	style, err := files.ReadFile("page/style.css")
	if err != nil {
		return nil, fmt.Errorf("console style: %w", err)
	}
	h := &handler{config: c, page: page, style: template.CSS(style)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", h.html)
	mux.HandleFunc("GET /api/v1/state", h.json)
	if c.Lanes != nil {
		mux.HandleFunc("GET /api/v1/lanes", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, c.Lanes()) })
	}
	if c.Intent != nil {
		mux.HandleFunc("GET /api/v1/intents/{id}", h.intent)
	}
	return mux, nil
}

type handler struct {
	config Config
	page   *template.Template
	style  template.CSS
}

// state asks for the state and takes out what is not to be shown.
func (h *handler) state() State {
	s := h.config.State()
	s.Checks, s.Alarms = append([]Check{}, s.Checks...), append([]Alarm{}, s.Alarms...) // [] in JSON, not null
	s.Partitions, s.Counters = append([]Partition{}, s.Partitions...), append([]Counter{}, s.Counters...)
	s.Outcomes = append([]Outcome{}, s.Outcomes...)
	for i := range s.Outcomes {
		if !h.config.ShowLinks {
			s.Outcomes[i].Link = ""
		}
	}
	return s
}

func (h *handler) html(w http.ResponseWriter, _ *http.Request) {
	nonce := rand.Text()
	var body bytes.Buffer
	s := h.state()
	err := h.page.Execute(&body, map[string]any{"S": s, "V": verdict(s), "Nonce": nonce, "Style": h.style})
	if err != nil {
		http.Error(w, "the page could not be made", http.StatusInternalServerError)
		return
	}
	head(w, "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", fmt.Sprintf(
		"default-src 'none'; style-src 'nonce-%[1]s'; script-src 'nonce-%[1]s'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'", nonce))
	_, _ = w.Write(body.Bytes()) // an error means that the reader has gone
}

func (h *handler) json(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, h.state())
}

// intent answers why an intent waits, or where its outcome is; 404 means that neither
// is known: it was not read yet, or is in another replica's hands.
func (h *handler) intent(w http.ResponseWriter, r *http.Request) {
	what, known := h.config.Intent(r.Context(), r.PathValue("id"))
	if !known {
		writeJSON(w, http.StatusNotFound, map[string]string{"error": "no such intent waits here, and none has its outcome: it is not read yet, is older than the ledger, or in another replica's hands"})
		return
	}
	writeJSON(w, http.StatusOK, what)
}

func writeJSON(w http.ResponseWriter, status int, what any) {
	head(w, "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(what) // the reader is gone
}

func head(w http.ResponseWriter, contentType string) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("X-Content-Type-Options", "nosniff")
}
