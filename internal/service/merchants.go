package service

import (
	"net/url"
	"sync/atomic"

	"paylink/internal/config"
	"paylink/internal/payment"
	"paylink/internal/pipeline"
)

// A book is the configured merchants. It is replaced as a whole when the
// settings change, so that nobody sees half a change.
type book struct {
	current atomic.Pointer[map[payment.MerchantID]config.Merchant]
}

func (b *book) replace(all []config.Merchant) {
	m := make(map[payment.MerchantID]config.Merchant, len(all))
	for _, x := range all {
		m[x.ID] = x
	}
	b.current.Store(&m)
}

func (b *book) find(id payment.MerchantID) (config.Merchant, bool) {
	m, ok := (*b.current.Load())[id]
	return m, ok
}

// merchant is what the gateway client asks for.
func (b *book) merchant(id payment.MerchantID) (payment.Merchant, bool) {
	m, ok := b.find(id)
	return m.Merchant, ok
}

// knows is what the decoder asks for.
func (b *book) knows(id payment.MerchantID) bool {
	_, ok := b.find(id)
	return ok
}

// defaults is what the decoder adds to an intent.
func (b *book) defaults(id payment.MerchantID) []payment.Param {
	m, _ := b.find(id)
	return m.Defaults
}

// terms is what the engine asks for.
func (b *book) terms(id payment.MerchantID) pipeline.Terms {
	m, ok := b.find(id)
	if !ok {
		return pipeline.Terms{} // never called: the decoder does not know it either
	}
	host := m.GatewayURL
	if u, err := url.Parse(host); err == nil {
		host = u.Host
	}
	return pipeline.Terms{Rate: m.Rate, Host: host}
}

// hosts is how many gateways the merchants have.
func (b *book) hosts() int {
	seen := map[string]bool{}
	for id := range *b.current.Load() {
		seen[b.terms(id).Host] = true
	}
	return len(seen)
}
