// Package console is the read-only web page of a running service, and the same
// as JSON. A tired operator sees first what is wrong and whether money is at risk,
// then whether work moves, then the rest.
//
// It changes nothing, needs no other file than itself, loads nothing from
// elsewhere, and knows no other room: whoever runs it tells it the state. It works
// without JavaScript; with it, the page changes in place, so that focus, scrolling
// and what is being typed stay.
package console

import (
	"bytes"
	"context"
	"crypto/rand"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed page
var files embed.FS

// Config says what a console shows. Its functions are called for each request,
// concurrently. Only State is required.
type Config struct {
	State func() State
	About func() Service // what State says of it, for pages that need no more

	Lanes  func() []Lane                              // of all merchants, in their order
	Intent func(ctx context.Context, id string) Story // of an intent, by its id or its order's

	Now func() time.Time // nil: the time of day

	// ShowLinks shows payment links. Who has a link can open the payer's page,
	// so this is for laptops only.
	ShowLinks bool
}

// New returns the console: pages at /, /merchants, /partitions and /intents, and JSON
// at /api/v1/state, /api/v1/lanes and /api/v1/intents/{id}.
func New(c Config) (http.Handler, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.About == nil {
		c.About = func() Service { return c.State().Service }
	}
	if c.Lanes == nil {
		c.Lanes = func() []Lane { return nil }
	}
	if c.Intent == nil {
		c.Intent = func(_ context.Context, id string) Story { return Story{ID: id, State: "unknown"} }
	}
	h := &handler{config: c}
	var err error
	if h.pages, err = template.New("").Funcs(words).ParseFS(files, "page/*.html"); err != nil {
		return nil, fmt.Errorf("console pages: %w", err)
	}
	style, err := files.ReadFile("page/style.css")
	if err != nil {
		return nil, fmt.Errorf("console style: %w", err)
	}
	script, err := files.ReadFile("page/script.js")
	if err != nil {
		return nil, fmt.Errorf("console script: %w", err)
	}
	h.style, h.script = template.CSS(style), template.JS(script)
	for _, page := range []string{"overview.html", "merchants.html", "partitions.html", "intent.html"} {
		if err := h.pages.ExecuteTemplate(io.Discard, page, view{}); err != nil { // what takes long is done once, and now
			return nil, fmt.Errorf("console pages: %w", err)
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", h.overview)
	mux.HandleFunc("GET /merchants", h.merchants)
	mux.HandleFunc("GET /partitions", h.partitions)
	mux.HandleFunc("GET /intents", h.search)
	mux.HandleFunc("GET /api/v1/state", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, h.state()) })
	mux.HandleFunc("GET /api/v1/lanes", h.lanes)
	mux.HandleFunc("GET /api/v1/intents/{id}", h.intent)
	return mux, nil
}

type handler struct {
	config Config
	pages  *template.Template
	style  template.CSS
	script template.JS
}

// state asks for the state and takes out what is not to be shown.
func (h *handler) state() State {
	s := h.config.State()
	s.Checks, s.Alarms, s.Risks = listed(s.Checks), listed(s.Alarms), listed(s.Risks) // [] in JSON, not null
	s.Partitions, s.Counters, s.Gateways = listed(s.Partitions), listed(s.Counters), listed(s.Gateways)
	if n := len(s.Gateways); n > mostGateways {
		slices.SortStableFunc(s.Gateways, func(a, b Gateway) int { return order(b.Down) - order(a.Down) })
		s.Gateways, s.MoreGateways = s.Gateways[:mostGateways], n-mostGateways
	}
	s.Outcomes, s.DeadLetters, s.Lanes.States = listed(s.Outcomes), listed(s.DeadLetters), listed(s.Lanes.States)
	for i := range s.Outcomes {
		if !h.config.ShowLinks {
			s.Outcomes[i].Link = ""
		}
	}
	return s
}

// mostGateways is how many gateways are shown, those that are down first: there may be
// as many as merchants.
const mostGateways = 100

func order(b bool) int {
	if b {
		return 1
	}
	return 0
}

// about is a state without what takes long to find out.
func (h *handler) about() State { return State{Service: h.config.About(), Now: h.config.Now()} }

// listed copies a list; none is an empty one.
func listed[T any](all []T) []T { return append([]T{}, all...) }

// A view is what a page is made of.
type view struct {
	S     State
	V     Verdict
	Title string
	Here  string // path of the page

	Lanes      []Lane
	Partitions []Partition
	Filter     string // of the lanes, by what they wait for
	Pages      Pages
	Query      string
	Story      Story
	ShowLinks  bool

	Nonce  string
	Style  template.CSS
	Script template.JS
}

// perPage is how many rows a page of a list has.
const perPage = 100

// fewPartitions is up to how many partitions the first page shows.
const fewPartitions = 24

func (h *handler) overview(w http.ResponseWriter, _ *http.Request) {
	s := h.state()
	v := view{S: s, V: verdict(s), Here: "/", Partitions: s.Partitions, Lanes: s.Lanes.Worst, ShowLinks: h.config.ShowLinks}
	v.Title = v.V.Word
	if len(v.Partitions) > fewPartitions {
		slices.SortStableFunc(v.Partitions, graver)
		v.Partitions = v.Partitions[:fewPartitions]
	}
	h.show(w, "overview.html", v)
}

// graver orders partitions by how bad they are.
func graver(a, b Partition) int {
	if a.Healthy != b.Healthy {
		if b.Healthy {
			return -1
		}
		return 1
	}
	return int(max(-1, min(1, b.Lag-a.Lag)))
}

func (h *handler) merchants(w http.ResponseWriter, r *http.Request) {
	v := view{S: h.about(), Title: "Merchants", Here: "/merchants", Filter: r.FormValue("state")}
	all := h.config.Lanes()
	v.S.Lanes = Sum(all)
	if v.Filter != "" {
		all = slices.DeleteFunc(slices.Clone(all), func(l Lane) bool { return l.State != v.Filter })
	}
	v.Pages = pagesOf(r, len(all), "state", v.Filter)
	v.Lanes = all[v.Pages.From:v.Pages.To]
	h.show(w, "merchants.html", v)
}

func (h *handler) partitions(w http.ResponseWriter, r *http.Request) {
	v := view{S: h.state(), Title: "Partitions", Here: "/partitions"}
	v.Pages = pagesOf(r, len(v.S.Partitions), "", "")
	v.Partitions = v.S.Partitions[v.Pages.From:v.Pages.To]
	h.show(w, "partitions.html", v)
}

func (h *handler) search(w http.ResponseWriter, r *http.Request) {
	v := view{S: h.about(), Title: "Find an intent", Here: "/intents", Query: r.FormValue("q")}
	if v.Query != "" {
		v.Story = h.config.Intent(r.Context(), v.Query)
	}
	h.show(w, "intent.html", v)
}

// show writes a page. Nothing in it may run, or be loaded, but its own style and
// script.
func (h *handler) show(w http.ResponseWriter, page string, v view) {
	v.Nonce, v.Style, v.Script = rand.Text(), h.style, h.script
	var body bytes.Buffer
	if err := h.pages.ExecuteTemplate(&body, page, v); err != nil {
		http.Error(w, "the page could not be made", http.StatusInternalServerError)
		return
	}
	head(w, "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", fmt.Sprintf(
		"default-src 'none'; style-src 'nonce-%[1]s'; script-src 'nonce-%[1]s'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'", v.Nonce))
	_, _ = w.Write(body.Bytes()) // an error means that the reader has gone
}

// lanes answers with a page of lanes.
func (h *handler) lanes(w http.ResponseWriter, r *http.Request) {
	all := listed(h.config.Lanes())
	if state := r.FormValue("state"); state != "" {
		all = slices.DeleteFunc(all, func(l Lane) bool { return l.State != state })
	}
	out := lanePage{Total: len(all)}
	if r.FormValue("page") != "" {
		p := pagesOf(r, len(all), "", "")
		out.Lanes, out.Page, out.Pages = all[p.From:p.To], p.Number, p.Count
	} else {
		out.Lanes, out.Next = lanesAfter(all, r)
	}
	writeJSON(w, http.StatusOK, out)
}

// A lanePage is a part of all lanes, which are in the order of their merchants.
type lanePage struct {
	Lanes []Lane `json:"lanes"`
	Total int    `json:"total"`
	Next  string `json:"next,omitempty"` // address of the lanes behind these; empty: there are none

	Page  int `json:"page,omitempty"` // if one was asked for by its number
	Pages int `json:"pages,omitempty"`
}

// mostLanes is how many lanes an answer has at most.
const mostLanes = 1000

// lanesAfter returns the first lanes behind that of the merchant that a request names,
// as many as it asks for, and the address of the next ones. Lanes that come and go
// meanwhile move no other from one page to the next.
func lanesAfter(all []Lane, r *http.Request) (page []Lane, next string) {
	after, limit := r.FormValue("after"), mostLanes
	if n, err := strconv.Atoi(r.FormValue("limit")); err == nil {
		limit = min(max(1, n), mostLanes)
	}
	from, found := slices.BinarySearchFunc(all, after, func(l Lane, m string) int { return strings.Compare(l.Merchant, m) })
	if found {
		from++
	}
	page = all[from:min(len(all), from+limit)]
	if from+limit >= len(all) {
		return page, ""
	}
	q := url.Values{"after": {page[limit-1].Merchant}, "limit": {strconv.Itoa(limit)}}
	if state := r.FormValue("state"); state != "" {
		q.Set("state", state)
	}
	return page, r.URL.Path + "?" + q.Encode()
}

// intent answers with what is known of an intent; 404 means that nothing is: it is
// settled, or in another replica's hands.
func (h *handler) intent(w http.ResponseWriter, r *http.Request) {
	story := h.config.Intent(r.Context(), r.PathValue("id"))
	if !story.Known() {
		writeJSON(w, http.StatusNotFound, map[string]string{"error": "no such intent waits here: it is settled, not read yet, or in another replica's hands"})
		return
	}
	writeJSON(w, http.StatusOK, story)
}

// Pages says which part of a list a page shows.
type Pages struct {
	Number, Count   int // from 1
	From, To, Total int
	filter          string // of its addresses
}

// pagesOf takes the page from a request; one that is not there is the nearest that is.
func pagesOf(r *http.Request, total int, name, filter string) Pages {
	p := Pages{Total: total, Count: max(1, (total+perPage-1)/perPage)}
	asked, _ := strconv.Atoi(r.FormValue("page")) // nonsense is the first
	p.Number = min(max(1, asked), p.Count)
	p.From = (p.Number - 1) * perPage
	p.To = min(total, p.From+perPage)
	if filter != "" {
		p.filter = name + "=" + template.URLQueryEscaper(filter) + "&"
	}
	return p
}

// At returns the address of another page of the list.
func (p Pages) At(step int) template.URL {
	return template.URL("?" + p.filter + "page=" + strconv.Itoa(p.Number+step))
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
