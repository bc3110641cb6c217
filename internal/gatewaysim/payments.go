package gatewaysim

import (
	"strconv"
	"sync"
	"time"
)

// firstPayment is the first payment id: beyond 2³¹, where the real ones will
// be soon, so that nobody keeps them in 32 bits.
const firstPayment = 2_200_000_001

// The words of pg_payment_status that the simulator says by itself.
const (
	StateNew     = "new"
	StateSuccess = "success"
	StateFailed  = "failed"
)

// defaultLifetime is the gateway's default of pg_lifetime.
const defaultLifetime = 24 * time.Hour

// A Payment is one the gateway made.
type Payment struct {
	ID              int64         `json:"id"`
	Merchant        string        `json:"merchant"`
	OrderID         string        `json:"order_id,omitempty"`
	IdempotencyKey  string        `json:"idempotency_key,omitempty"`
	Amount          string        `json:"amount"` // as written
	Currency        string        `json:"currency"`
	Description     string        `json:"description"`
	Testing         bool          `json:"testing"`
	State           string        `json:"state"` // the gateway's word
	CreatedAt       time.Time     `json:"created_at"`
	PaidAt          time.Time     `json:"paid_at,omitzero"`
	Lifetime        time.Duration `json:"-"`
	SuccessURL      string        `json:"success_url,omitempty"`
	FailureURL      string        `json:"failure_url,omitempty"`
	RedirectURL     string        `json:"redirect_url"`
	RedirectURLType string        `json:"redirect_url_type"`
	WithQR          bool          `json:"with_qr"`

	params string // what the call said, canonical: a repeat must say the same
}

// at returns the payment as it stands at a time: an unpaid one fails when its
// lifetime is over.
func (p Payment) at(now time.Time) Payment {
	if p.State == StateNew && now.Sub(p.CreatedAt) > p.Lifetime {
		p.State = StateFailed
	}
	return p
}

// payments are all that the gateway made and keeps.
type payments struct {
	keep int // 0: all

	mu      sync.Mutex
	made    int64 // how many ever
	list    []*Payment
	byID    map[int64]*Payment
	byKey   map[ref]*Payment   // the first of a key
	byOrder map[ref][]*Payment // the oldest first
}

// A ref is a name that is unique within a merchant.
type ref struct{ merchant, name string }

func newPayments(keep int) *payments {
	return &payments{keep: keep, byID: map[int64]*Payment{}, byKey: map[ref]*Payment{}, byOrder: map[ref][]*Payment{}}
}

// A finding is what the payments say to an Init.
type finding int

const (
	fresh   finding = iota // no payment has this idempotency key: made
	known                  // the key came before, with the same parameters
	misused                // the key came before, with other parameters
)

// open makes a payment, unless its key is known. If it is, open returns the
// first payment of the key; again says that a new payment is made even so.
func (ps *payments) open(p Payment, prefix string, again bool) (Payment, finding) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	key := ref{p.Merchant, p.IdempotencyKey}
	was := fresh
	if first := ps.byKey[key]; first != nil && p.IdempotencyKey != "" {
		if first.params != p.params {
			return *first, misused
		}
		if !again {
			return *first, known
		}
		was = known
	}
	p.ID = firstPayment + ps.made
	p.RedirectURL = prefix + "/pay/" + strconv.FormatInt(p.ID, 10)
	ps.add(&p, key)
	return p, was
}

func (ps *payments) add(p *Payment, key ref) {
	ps.made++
	ps.list = append(ps.list, p)
	ps.byID[p.ID] = p
	if ps.byKey[key] == nil && key.name != "" {
		ps.byKey[key] = p
	}
	order := ref{p.Merchant, p.OrderID}
	ps.byOrder[order] = append(ps.byOrder[order], p)
	if ps.keep > 0 && len(ps.list) > ps.keep {
		ps.forgetOldest()
	}
}

func (ps *payments) forgetOldest() {
	p := ps.list[0]
	ps.list[0] = nil
	ps.list = ps.list[1:]
	delete(ps.byID, p.ID)
	if key := (ref{p.Merchant, p.IdempotencyKey}); ps.byKey[key] == p {
		delete(ps.byKey, key)
	}
	order := ref{p.Merchant, p.OrderID}
	if ps.byOrder[order] = ps.byOrder[order][1:]; len(ps.byOrder[order]) == 0 {
		delete(ps.byOrder, order)
	}
}

// find looks a payment up by id, or else by order id: the newest of the order.
func (ps *payments) find(merchant string, id int64, orderID string, now time.Time) (Payment, bool) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	p := ps.byID[id]
	if id == 0 {
		if of := ps.byOrder[ref{merchant, orderID}]; orderID != "" && len(of) > 0 {
			p = of[len(of)-1]
		}
	}
	if p == nil || p.Merchant != merchant || orderID != "" && p.OrderID != orderID {
		return Payment{}, false
	}
	return p.at(now), true
}

// get returns a payment of any merchant.
func (ps *payments) get(id int64, now time.Time) (Payment, bool) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if p := ps.byID[id]; p != nil {
		return p.at(now), true
	}
	return Payment{}, false
}

func (ps *payments) setState(id int64, state string, now time.Time) bool {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	p := ps.byID[id]
	if p == nil {
		return false
	}
	p.settle(state, now)
	return true
}

// close ends a payment that is still open, and returns it as it is then: the
// payer may press a button twice.
func (ps *payments) close(id int64, state string, now time.Time) (Payment, bool) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	p := ps.byID[id]
	if p == nil {
		return Payment{}, false
	}
	if p.at(now).State == StateNew {
		p.settle(state, now)
	}
	return p.at(now), true
}

func (p *Payment) settle(state string, now time.Time) {
	p.State = state
	if state == StateSuccess && p.PaidAt.IsZero() {
		p.PaidAt = now
	}
}

func (ps *payments) all(now time.Time) []Payment {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return standing(ps.list, now)
}

// ofOrder returns the payments of an order id, of whichever merchant.
func (ps *payments) ofOrder(orderID string, now time.Time) []Payment {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	var of []*Payment
	for _, p := range ps.list {
		if p.OrderID == orderID {
			of = append(of, p)
		}
	}
	return standing(of, now)
}

// latest returns the newest payments, the newest first.
func (ps *payments) latest(n int, now time.Time) []Payment {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	var newest []Payment
	for i := len(ps.list) - 1; i >= 0 && len(newest) < n; i-- {
		newest = append(newest, ps.list[i].at(now))
	}
	return newest
}

func standing(list []*Payment, now time.Time) []Payment {
	ps := make([]Payment, 0, len(list))
	for _, p := range list {
		ps = append(ps, p.at(now))
	}
	return ps
}
