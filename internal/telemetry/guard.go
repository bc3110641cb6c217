package telemetry

import (
	"crypto/subtle"
	"net"
	"net/http"
	"slices"
	"strings"

	"paylink/internal/payment"
)

// A Guard says who may look behind the admin address. Probes ask for neither token
// nor certificate, because orchestrators have none; without them they are told
// whether the service is ready, and not why.
type Guard struct {
	Token        payment.Secret // empty: none is asked for
	Certificates bool           // a client must show a verified certificate

	// Hosts are names that a request may give as its Host, beside addresses,
	// localhost and names without a dot, which no foreign page can have. That keeps a
	// page elsewhere from reading ours through a browser that can reach us (DNS
	// rebinding).
	Hosts []string
}

// protect lets through who may look; others are told nothing.
func (g Guard) protect(behind http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !g.knows(r.Host):
			refuse(w, http.StatusMisdirectedRequest)
		case !g.admits(r):
			w.Header().Set("WWW-Authenticate", `Bearer realm="paylink"`)
			refuse(w, http.StatusUnauthorized)
		default:
			behind.ServeHTTP(w, r)
		}
	})
}

// probe answers in one word who may not look.
func (g Guard) probe(h *Health) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.knows(r.Host) && g.admits(r) {
			h.ServeHTTP(w, r)
			return
		}
		ready, _ := h.Look()
		writeJSON(w, status(ready), map[string]any{"ready": ready})
	})
}

func refuse(w http.ResponseWriter, status int) {
	http.Error(w, http.StatusText(status), status)
}

// admits reports whether a request shows what is asked for.
func (g Guard) admits(r *http.Request) bool {
	if g.Certificates && (r.TLS == nil || len(r.TLS.VerifiedChains) == 0) {
		return false
	}
	if g.Token == "" {
		return true
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare([]byte(token), []byte(g.Token.Reveal())) == 1
}

// knows reports whether a Host may be ours.
func (g Guard) knows(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	return net.ParseIP(strings.Trim(host, "[]")) != nil || !strings.Contains(host, ".") ||
		slices.ContainsFunc(g.Hosts, func(known string) bool { return strings.EqualFold(known, host) })
}
