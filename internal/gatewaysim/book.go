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

// A book holds the payments.
type book struct {
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

func newBook(keep int) *book {
	return &book{keep: keep, byID: map[int64]*Payment{}, byKey: map[ref]*Payment{}, byOrder: map[ref][]*Payment{}}
}

// A finding is what the book says to an Init.
type finding int

const (
	fresh   finding = iota // no payment has this idempotency key: made
	known                  // the key came before, with the same parameters
	misused                // the key came before, with other parameters
)

// open makes a payment, unless its key is known. If it is, open returns the
// first payment of the key; again says that a new payment is made even so.
func (b *book) open(p Payment, prefix string, again bool) (Payment, finding) {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := ref{p.Merchant, p.IdempotencyKey}
	was := fresh
	if first := b.byKey[key]; first != nil && p.IdempotencyKey != "" {
		if first.params != p.params {
			return *first, misused
		}
		if !again {
			return *first, known
		}
		was = known
	}
	p.ID = firstPayment + b.made
	p.RedirectURL = prefix + "/pay/" + strconv.FormatInt(p.ID, 10)
	b.add(&p, key)
	return p, was
}

func (b *book) add(p *Payment, key ref) {
	b.made++
	b.list = append(b.list, p)
	b.byID[p.ID] = p
	if b.byKey[key] == nil && key.name != "" {
		b.byKey[key] = p
	}
	order := ref{p.Merchant, p.OrderID}
	b.byOrder[order] = append(b.byOrder[order], p)
	if b.keep > 0 && len(b.list) > b.keep {
		b.forgetOldest()
	}
}

func (b *book) forgetOldest() {
	p := b.list[0]
	b.list[0] = nil
	b.list = b.list[1:]
	delete(b.byID, p.ID)
	if key := (ref{p.Merchant, p.IdempotencyKey}); b.byKey[key] == p {
		delete(b.byKey, key)
	}
	order := ref{p.Merchant, p.OrderID}
	if b.byOrder[order] = b.byOrder[order][1:]; len(b.byOrder[order]) == 0 {
		delete(b.byOrder, order)
	}
}

// find looks a payment up by id, or else by order id: the newest of the order.
func (b *book) find(merchant string, id int64, orderID string, now time.Time) (Payment, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.byID[id]
	if id == 0 {
		if of := b.byOrder[ref{merchant, orderID}]; orderID != "" && len(of) > 0 {
			p = of[len(of)-1]
		}
	}
	if p == nil || p.Merchant != merchant || orderID != "" && p.OrderID != orderID {
		return Payment{}, false
	}
	return p.at(now), true
}

// get returns a payment of any merchant.
func (b *book) get(id int64, now time.Time) (Payment, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p := b.byID[id]; p != nil {
		return p.at(now), true
	}
	return Payment{}, false
}

func (b *book) setState(id int64, state string, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.byID[id]
	if p == nil {
		return false
	}
	p.settle(state, now)
	return true
}

// close ends a payment that is still open, and returns it as it is then: the
// payer may press a button twice.
func (b *book) close(id int64, state string, now time.Time) (Payment, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.byID[id]
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

func (b *book) all(now time.Time) []Payment {
	b.mu.Lock()
	defer b.mu.Unlock()
	return standing(b.list, now)
}

// ofOrder returns the payments of an order id, of whichever merchant.
func (b *book) ofOrder(orderID string, now time.Time) []Payment {
	b.mu.Lock()
	defer b.mu.Unlock()
	var of []*Payment
	for _, p := range b.list {
		if p.OrderID == orderID {
			of = append(of, p)
		}
	}
	return standing(of, now)
}

// latest returns the newest payments, the newest first.
func (b *book) latest(n int, now time.Time) []Payment {
	b.mu.Lock()
	defer b.mu.Unlock()
	var ps []Payment
	for i := len(b.list) - 1; i >= 0 && len(ps) < n; i-- {
		ps = append(ps, b.list[i].at(now))
	}
	return ps
}

func standing(list []*Payment, now time.Time) []Payment {
	ps := make([]Payment, 0, len(list))
	for _, p := range list {
		ps = append(ps, p.at(now))
	}
	return ps
}
