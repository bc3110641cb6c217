package gatewaysim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"paylink/internal/payment"
)

// maxAdminBody bounds what /sim/ reads.
const maxAdminBody = 64 << 10

func (g *Gateway) adminRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /sim/calls", g.serveCalls)
	mux.HandleFunc("GET /sim/payments", g.servePayments)
	mux.HandleFunc("GET /sim/counts", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, g.Counts()) })
	mux.HandleFunc("GET /sim/rules", g.serveRules)
	mux.HandleFunc("POST /sim/rules", admin(g.adminRules))
	mux.HandleFunc("POST /sim/down", admin(g.adminDown))
	mux.HandleFunc("POST /sim/up", admin(func(*http.Request, string) error { g.Up(); return nil }))
	mux.HandleFunc("POST /sim/latency", admin(g.adminLatency))
	mux.HandleFunc("POST /sim/merchants/{id}/secret", admin(g.adminSecret))
	mux.HandleFunc("POST /sim/payments/{id}/state", admin(g.adminState))
}

func (g *Gateway) serveCalls(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	order, merchant := query.Get("order"), query.Get("merchant")
	after, _ := strconv.Atoi(query.Get("after"))
	writeJSON(w, g.log.all(func(c *Call) bool {
		return c.N > after && (order == "" || c.OrderID == order) && (merchant == "" || c.Merchant == merchant)
	}))
}

func (g *Gateway) servePayments(w http.ResponseWriter, r *http.Request) {
	if order := r.URL.Query().Get("order"); order != "" {
		writeJSON(w, g.PaymentsOf(order))
		return
	}
	writeJSON(w, g.Payments())
}

func (g *Gateway) serveRules(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, struct {
		Rules        string   `json:"rules"`
		Unkindnesses []string `json:"unkindnesses"`
	}{joinRules(g.Rules()), unkindnessNames()})
}

func joinRules(rules []Rule) string {
	words := make([]string, len(rules))
	for i, r := range rules {
		words[i] = r.String()
	}
	return strings.Join(words, ",")
}

// admin is a handler for a deed that takes the body's text.
func admin(do func(r *http.Request, body string) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAdminBody))
		if err == nil {
			err = do(r, strings.TrimSpace(string(body)))
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		io.WriteString(w, "ok\n")
	}
}

func (g *Gateway) adminRules(_ *http.Request, body string) error {
	rules, err := ParseRules(body)
	if err != nil {
		return err
	}
	return g.Misbehave(rules...)
}

func (g *Gateway) adminDown(_ *http.Request, body string) error {
	switch body {
	case "", "503":
		g.Down(Refuse503)
	case "cut":
		g.Down(Disconnect)
	default:
		return fmt.Errorf("down %q: want 503 or cut", body)
	}
	return nil
}

func (g *Gateway) adminLatency(_ *http.Request, body string) error {
	first, second, ranged := strings.Cut(body, "-")
	low, err := time.ParseDuration(first)
	high := low
	if ranged && err == nil {
		high, err = time.ParseDuration(second)
	}
	if err != nil || low < 0 || high < low {
		return fmt.Errorf("latency %q: want a duration like 50ms, or a range like 50ms-200ms", body)
	}
	g.SetLatency(Between(low, high))
	return nil
}

func (g *Gateway) adminSecret(r *http.Request, body string) error {
	g.SetSecret(r.PathValue("id"), payment.Secret(body))
	return nil
}

func (g *Gateway) adminState(r *http.Request, body string) error {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	switch {
	case err != nil:
		return errors.New("payment id is no number")
	case body == "":
		return errors.New("body has no state")
	case !g.SetState(id, body):
		return fmt.Errorf("no payment %d", id)
	}
	return nil
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.Encode(v)
}
