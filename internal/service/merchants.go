package service

import (
	"maps"
	"net/url"
	"slices"
	"sync/atomic"

	"paylink/internal/config"
	"paylink/internal/payment"
	"paylink/internal/pipeline"
)

// A book is the configured merchants. It is replaced as a whole when the
// settings change, so that nobody sees half a change.
type book struct {
	current atomic.Pointer[edition]
}

// An edition is a book between two changes.
type edition struct {
	merchants map[payment.MerchantID]config.Merchant
	hosts     []string // of their gateways, each once, in order
}

func (b *book) replace(all []config.Merchant) {
	e, hosts := edition{merchants: make(map[payment.MerchantID]config.Merchant, len(all))}, map[string]bool{}
	for _, m := range all {
		e.merchants[m.ID] = m
		hosts[hostOf(m.GatewayURL)] = true
	}
	e.hosts = slices.Sorted(maps.Keys(hosts))
	b.current.Store(&e)
}

func (b *book) find(id payment.MerchantID) (config.Merchant, bool) {
	m, ok := b.current.Load().merchants[id]
	return m, ok
}

// gateways are the hosts of the merchants' gateways.
func (b *book) gateways() []string { return b.current.Load().hosts }

// hosts is how many there are.
func (b *book) hosts() int { return len(b.gateways()) }

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

// permit is what an emitter may say, for the decoder.
func (b *book) permit(id payment.MerchantID) payment.Permit {
	m, _ := b.find(id)
	return m.Permit
}

// terms is what the engine asks for.
func (b *book) terms(id payment.MerchantID) pipeline.Terms {
	m, ok := b.find(id)
	if !ok {
		return pipeline.Terms{} // never called: the decoder does not know it either
	}
	return pipeline.Terms{Rate: m.Rate, Host: hostOf(m.GatewayURL)}
}

func hostOf(gateway string) string {
	if u, err := url.Parse(gateway); err == nil {
		return u.Host
	}
	return gateway
}
