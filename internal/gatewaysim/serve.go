package gatewaysim

import (
	"context"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"paylink/internal/freedompay"
	"paylink/internal/payment"
)

// The scripts: what is signed, and what the URL ends in.
const (
	initScript   = "init_payment.php"
	statusScript = "get_status3.php"
)

// A visit is one call while it is served. It belongs to its handler; only call
// is shared, under the log's lock.
type visit struct {
	script   string
	params   []param
	form     *form
	call     *Call
	merchant string
	order    string
	secret   payment.Secret // empty: unknown merchant
	prefix   string         // of links
	rng      *rand.Rand     // all chance of this call
	rule     Rule           // the unkindness to play; no name: none
	down     Downtime       // comes before any rule
}

func (g *Gateway) serveScript(script string) http.HandlerFunc {
	params := initParams
	if script == statusScript {
		params = statusParams
	}
	return func(w http.ResponseWriter, r *http.Request) {
		v := &visit{script: script, params: params, call: g.log.arrive(script, g.cfg.Now)}
		g.receive(v, r)
		reply := g.answer(v)
		reply.root = g.rootName(v.call.N)
		reply.seal(v.script, v.secret, v.rng)
		if v.down == Working && !pause(r.Context(), g.waitFor(v.rng)+reply.wait) {
			reply.kind, reply.cut = "gone", true
		}
		g.log.finish(v.call, reply.kind, g.cfg.Now())
		reply.send(w, r, g.cfg.Now())
	}
}

// serveRedirected notes that somebody followed a redirect with a payment in hand.
func (g *Gateway) serveRedirected(w http.ResponseWriter, _ *http.Request) {
	c := g.log.arrive("sim/redirected", g.cfg.Now)
	g.log.change(c, func(c *Call) { c.Violations = []Violation{{Rule: "redirect was followed"}} })
	g.log.finish(c, "http 404", g.cfg.Now())
	http.Error(w, "a payment request must not follow redirects", http.StatusNotFound)
}

// receive reads the call, judges it and writes down what it says.
func (g *Gateway) receive(v *visit, r *http.Request) {
	v.form = readForm(r)
	v.merchant = v.form.value("pg_merchant_id")
	v.order = v.form.value("pg_order_id")
	v.secret, _ = g.secret(v.merchant)
	v.prefix = g.cfg.PublicURL
	if v.prefix == "" {
		v.prefix = schemeOf(r) + "://" + r.Host
	}
	g.judge(v)
	badMarker := g.plan(v)
	key, said := v.form.value("pg_idempotency_key"), v.form.canonical(v.params, g.mask)
	haste, stale := g.visitors.greet(v.merchant, v.form.value("pg_salt"), v.call.At)
	if stale {
		v.form.violations = append(v.form.violations, Violation{Field: "pg_salt", Rule: "was sent before"})
	}
	g.log.change(v.call, func(c *Call) {
		c.Merchant, c.OrderID, c.IdempotencyKey, c.Params = v.merchant, v.order, key, said
		c.Host = r.Host
		c.Violations, c.Haste, c.BadMarker = v.form.violations, haste, badMarker
		c.Unkindness = v.unkindness()
	})
}

func schemeOf(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

// judge notes every broken rule: those of the page, merchant and signature.
func (g *Gateway) judge(v *visit) {
	f := v.form
	f.check(v.params)
	if len(f.fields) == 0 {
		return
	}
	if v.script == statusScript && v.order == "" && f.value("pg_payment_id") == "" {
		f.wrong("", "neither pg_order_id nor pg_payment_id")
	}
	switch {
	case v.secret == "" && v.merchant != "":
		f.violations = append(f.violations, Violation{Field: "pg_merchant_id", Rule: "is unknown", Code: codeMerchant})
	case v.secret != "" && !freedompay.Verify(v.script, f.fields, v.secret):
		f.violations = append(f.violations, Violation{Field: "pg_sig", Rule: "does not verify", Code: codeSignature})
	}
}

// plan decides which unkindness is played, and gives the call its chance. It
// returns why a marker cannot be played.
func (g *Gateway) plan(v *visit) (badMarker string) {
	steps, err := readMarkers(g.markedText(v))
	if err != nil {
		badMarker = err.Error()
	}
	status := v.script == statusScript
	g.mu.Lock()
	defer g.mu.Unlock()
	id := v.identity()
	nth := g.turns[id]
	g.turns[id]++
	v.rng = rand.New(rand.NewPCG(g.cfg.Seed, id+nth*0x9e3779b97f4a7c15))
	chance := v.rng.Float64()
	if v.down = g.down; v.down != Working {
		return badMarker
	}
	if step, ok := stepFor(steps, status, nth); ok {
		v.rule = step
	} else if i := choose(g.rules, status, v.merchant, chance); i >= 0 {
		v.rule = g.rules[i].use()
		v.rule.Rate, v.rule.Count, v.rule.Merchant = 0, 0, ""
	}
	return badMarker
}

// markedText is where markers are looked for. A status call carries no
// description: that of the payment counts.
func (g *Gateway) markedText(v *visit) string {
	if v.script == initScript {
		return v.order + " " + v.form.value("pg_description")
	}
	if p, ok := g.lookUp(v); ok {
		return p.OrderID + " " + p.Description
	}
	return v.order
}

// unkindness names what is to be played, for the log.
func (v *visit) unkindness() string {
	switch {
	case v.down != Working:
		return "down"
	case v.rule.Name != "":
		return v.rule.String()
	}
	return ""
}

// lookUp finds the payment that a status call asks for.
func (g *Gateway) lookUp(v *visit) (Payment, bool) {
	id, _ := strconv.ParseInt(v.form.value("pg_payment_id"), 10, 64)
	return g.payments.find(v.merchant, id, v.order, g.cfg.Now())
}

// identity tells orders and scripts apart: what chance and counts depend on.
func (v *visit) identity() uint64 {
	name := v.order
	if name == "" {
		name = v.form.value("pg_idempotency_key") + v.form.value("pg_payment_id")
	}
	h := fnv.New64a()
	h.Write([]byte(v.script + "\x00" + v.merchant + "\x00" + name))
	return h.Sum64()
}

// answer does what the call asks for, unless an unkindness comes before.
func (g *Gateway) answer(v *visit) reply {
	if v.down != Working {
		return v.down.reply()
	}
	u := unkindnessNamed(v.rule.Name)
	var r reply
	if u == nil || u.made {
		r = g.settle(v)
	}
	if u != nil && (r.kind == "ok" || !u.spoils) {
		u.play(&r, v.rule.Arg)
	}
	if v.secret == "" && r.signing == signed {
		r.signing = unsigned // nobody could verify it
	}
	return r
}

func (g *Gateway) settle(v *visit) reply {
	if code, detail := worst(v.form.violations); code != "" {
		return g.refuse(code, detail)
	}
	if v.script == statusScript {
		return g.look(v)
	}
	return g.open(v)
}

// worst returns the error that violations earn: merchant, then signature, then
// the first rule of the page.
func worst(violations []Violation) (code, detail string) {
	for _, want := range []string{codeMerchant, codeSignature, codeValidation} {
		for _, x := range violations {
			if x.Code == want && want == codeValidation {
				return x.Code, strings.TrimSpace(x.Field + " " + x.Rule)
			}
			if x.Code == want {
				return x.Code, ""
			}
		}
	}
	return "", ""
}

func (g *Gateway) refuse(code, detail string) reply {
	how := unsigned
	if g.cfg.SignErrors {
		how = signed
	}
	return errorReply(code, detail, how)
}

func (g *Gateway) rootName(n int) string {
	if g.cfg.Root == RootRoot || g.cfg.Root == RootAlternate && n%2 == 0 {
		return "root"
	}
	return "response"
}

// pause waits; false: the caller went away first.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
