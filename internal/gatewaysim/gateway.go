package gatewaysim

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"paylink/internal/payment"
)

// A Config says how the gateway behaves. The zero value is a kind gateway that
// knows no merchant.
type Config struct {
	// Merchants are the secrets by merchant id. See SetSecret.
	Merchants map[string]payment.Secret
	// PublicURL begins every link, without a slash at the end. Empty: the
	// scheme and host of the request that made the payment.
	PublicURL string
	// Now is the clock of the log and of the payments; nil: time.Now.
	Now func() time.Time
	// Seed decides all chance: rates, latencies, salts.
	Seed uint64
	// Repeat is what a repeated idempotency key gets.
	Repeat Repeat
	// Root is the root element of answers.
	Root Root
	// SignErrors signs the errors of known merchants. The gateway's page says
	// so; in the field most errors are unsigned, which is the default.
	SignErrors bool
	// Latency is the time between the deed and its answer; nil: none.
	Latency func(*rand.Rand) time.Duration
	// MinInterval is the time that should lie between two calls of a merchant.
	// Sooner calls are served all the same, and counted as haste. Zero: none.
	MinInterval time.Duration
	// Rules are the unkindnesses at the start. See Misbehave.
	Rules []Rule
	// KeepCalls is how many calls the log keeps; older ones live on in Counts
	// only. Zero: all. (Of every order a few bytes stay, for its chance.)
	KeepCalls int
	// KeepPayments is how many payments are remembered; older ones are
	// forgotten, their idempotency keys included. Zero: all.
	KeepPayments int
}

// A Repeat is what an idempotency key gets when it comes again with the same
// parameters. With other parameters it always gets an error.
type Repeat int

const (
	FirstAnswer    Repeat = iota // the first payment again, under a fresh signature
	DuplicateError               // error 11013
	NewPayment                   // a second payment, as if the key meant nothing
)

// A Root is the name of the root element of answers.
type Root int

const (
	RootResponse  Root = iota // <response>, as production sends
	RootRoot                  // <root>, as the page says
	RootAlternate             // one and the other in turn
)

// A Downtime is how a gateway that is down answers.
type Downtime int

const (
	Working    Downtime = iota // it is not down
	Refuse503                  // HTTP 503 with an HTML page
	Disconnect                 // every connection is cut
)

// A Gateway is the simulated gateway. It is an http.Handler; all its methods
// may be called concurrently.
type Gateway struct {
	cfg      Config
	mux      *http.ServeMux
	mask     masker
	log      *callLog
	payments *payments
	visitors *visitors

	mu      sync.Mutex
	secrets map[string]payment.Secret
	latency func(*rand.Rand) time.Duration
	down    Downtime
	rules   []liveRule
	turns   map[uint64]uint64 // calls of an order so far
}

// New returns a gateway. It panics if a rule of the configuration is none that
// ParseRules would accept.
func New(cfg Config) *Gateway {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.PublicURL = strings.TrimRight(cfg.PublicURL, "/")
	g := &Gateway{
		cfg:      cfg,
		mask:     newMasker(),
		log:      newCallLog(cfg.KeepCalls),
		payments: newPayments(cfg.KeepPayments),
		visitors: newVisitors(cfg.MinInterval),
		secrets:  maps.Clone(cfg.Merchants),
		latency:  cfg.Latency,
		turns:    map[uint64]uint64{},
	}
	if g.secrets == nil {
		g.secrets = map[string]payment.Secret{}
	}
	if err := g.Misbehave(cfg.Rules...); err != nil {
		panic(fmt.Sprintf("gatewaysim: %v", err))
	}
	g.mux = g.routes()
	return g
}

func (g *Gateway) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("/"+initScript, g.serveScript(initScript))
	mux.HandleFunc("/"+statusScript, g.serveScript(statusScript))
	mux.HandleFunc("/sim/redirected", g.serveRedirected)
	mux.HandleFunc("GET /status/healthcheck", g.serveHealth)
	g.pageRoutes(mux)
	g.adminRoutes(mux)
	return mux
}

// ServeHTTP serves everything the package comment lists. It panics with
// http.ErrAbortHandler to cut a connection, as net/http wants it.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	script := strings.TrimPrefix(r.URL.Path, "/")
	logged := script == initScript || script == statusScript
	if how := g.downtime(); how != Working && !logged && !strings.HasPrefix(r.URL.Path, "/sim/") {
		how.reply().send(w, r, g.cfg.Now())
		return
	}
	g.mux.ServeHTTP(w, r)
}

func (g *Gateway) serveHealth(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, map[string]string{"status": "ok", "time": g.cfg.Now().Format(time.RFC3339)})
}

// Misbehave replaces the rules in force. After an error the old ones stay.
func (g *Gateway) Misbehave(rules ...Rule) error {
	live, err := enliven(rules)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.rules = live
	return nil
}

// Behave ends all rules. Markers of orders stay in force.
func (g *Gateway) Behave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.rules = nil
}

// Rules returns the rules in force, those that are used up left out.
func (g *Gateway) Rules() []Rule {
	g.mu.Lock()
	defer g.mu.Unlock()
	var rules []Rule
	for _, l := range g.rules {
		if l.usedUp() {
			continue
		}
		l.Rule.Count = l.left
		rules = append(rules, l.Rule)
	}
	return rules
}

// Down takes the gateway away until Up: scripts, pages and health check, but
// not /sim/. Calls are logged all the same.
func (g *Gateway) Down(how Downtime) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.down = how
}

// Up ends what Down began.
func (g *Gateway) Up() { g.Down(Working) }

func (g *Gateway) downtime() Downtime {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.down
}

// SetSecret gives a merchant another secret, so that calls signed with the old
// one get error 9998. The empty secret removes the merchant: error 9997.
func (g *Gateway) SetSecret(merchant string, s payment.Secret) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s == "" {
		delete(g.secrets, merchant)
		return
	}
	g.secrets[merchant] = s
}

func (g *Gateway) secret(merchant string) (payment.Secret, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s, ok := g.secrets[merchant]
	return s, ok
}

// SetLatency replaces Config.Latency; nil: none.
func (g *Gateway) SetLatency(f func(*rand.Rand) time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.latency = f
}

func (g *Gateway) waitFor(rng *rand.Rand) time.Duration {
	g.mu.Lock()
	f := g.latency
	g.mu.Unlock()
	if f == nil {
		return 0
	}
	return f(rng)
}

// Between is a latency anywhere from low to high, both included.
func Between(low, high time.Duration) func(*rand.Rand) time.Duration {
	return func(rng *rand.Rand) time.Duration {
		return low + time.Duration(rng.Int64N(int64(max(high-low, 0))+1))
	}
}

// Calls returns the log, in order of arrival. Calls in progress are in it,
// with an empty Answer.
func (g *Gateway) Calls() []Call { return g.log.all(func(*Call) bool { return true }) }

// CallsOf returns the calls of an order, in order of arrival.
func (g *Gateway) CallsOf(orderID string) []Call {
	return g.log.all(func(c *Call) bool { return c.OrderID == orderID })
}

// Counts returns the counters, which know also the calls that the log dropped.
func (g *Gateway) Counts() Counts { return g.log.totals() }

// Payments returns all payments, the oldest first.
func (g *Gateway) Payments() []Payment { return g.payments.all(g.cfg.Now()) }

// PaymentsOf returns the payments of an order, the oldest first.
func (g *Gateway) PaymentsOf(orderID string) []Payment {
	return g.payments.ofOrder(orderID, g.cfg.Now())
}

// SetState makes status tell another word of a payment, as if the payer or the
// operator had done something. It reports whether there is such a payment.
func (g *Gateway) SetState(id int64, state string) bool {
	return g.payments.setState(id, state, g.cfg.Now())
}
