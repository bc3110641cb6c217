package gatewaysim

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"regexp"
	"strconv"
)

//go:embed page
var pageFiles embed.FS

// pages are the templates of page/*.html.
var pages = template.Must(template.ParseFS(pageFiles, "page/*.html"))

// shownPayments is how many payments the overview lists.
const shownPayments = 50

// typedPhone is what the payer may type: a plus, spaces and hyphens are fine.
var typedPhone = regexp.MustCompile(`^\+?[0-9][0-9 -]{5,19}$`)

func (g *Gateway) pageRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", g.serveOverview)
	mux.HandleFunc("GET /pay/{id}", g.servePayPage)
	mux.HandleFunc("POST /pay/{id}", g.servePay)
	mux.HandleFunc("GET /sim/style.css", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFileFS(w, r, pageFiles, "page/style.css")
	})
}

// payView is what the payment page shows. Nothing in it is personal.
type payView struct {
	Payment
	Phrase string // what was wrong with what the payer typed
	Open   bool
}

func (g *Gateway) servePayPage(w http.ResponseWriter, r *http.Request) {
	p, ok := g.payments.get(idOf(r), g.cfg.Now())
	if !ok {
		showPage(w, http.StatusNotFound, "missing.html", nil)
		return
	}
	showPage(w, http.StatusOK, "pay.html", payView{Payment: p, Open: p.State == StateNew})
}

// servePay pays or declines. The phone is looked at and not kept.
func (g *Gateway) servePay(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxAdminBody)
	state := StateSuccess
	if r.PostFormValue("do") == "decline" {
		state = StateFailed
	}
	if state == StateSuccess && !typedPhone.MatchString(r.PostFormValue("phone")) {
		g.askAgain(w, r)
		return
	}
	p, ok := g.payments.close(idOf(r), state, g.cfg.Now())
	if !ok {
		showPage(w, http.StatusNotFound, "missing.html", nil)
		return
	}
	http.Redirect(w, r, "/pay/"+strconv.FormatInt(p.ID, 10), http.StatusSeeOther)
}

func (g *Gateway) askAgain(w http.ResponseWriter, r *http.Request) {
	p, ok := g.payments.get(idOf(r), g.cfg.Now())
	if !ok {
		showPage(w, http.StatusNotFound, "missing.html", nil)
		return
	}
	showPage(w, http.StatusUnprocessableEntity, "pay.html", payView{Payment: p, Open: p.State == StateNew,
		Phrase: "That is no phone number. Digits with country code, please: 77001234567"})
}

func idOf(r *http.Request) int64 {
	id, _ := strconv.ParseInt(r.PathValue("id"), 10, 64)
	return id
}

func (g *Gateway) serveOverview(w http.ResponseWriter, _ *http.Request) {
	showPage(w, http.StatusOK, "overview.html", struct {
		Counts   Counts
		Rules    string
		Payments []Payment
	}{g.Counts(), joinRules(g.Rules()), g.payments.latest(shownPayments, g.cfg.Now())})
}

// showPage renders before it answers, so that a page is whole or an error.
func showPage(w http.ResponseWriter, status int, name string, data any) {
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name, data); err != nil {
		http.Error(w, "render page: "+err.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(b.Bytes())
}
