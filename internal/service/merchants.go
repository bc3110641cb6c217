package service

import (
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"paylink/internal/config"
	"paylink/internal/payment"
	"paylink/internal/pipeline"
)

// merchants are the configured ones. They are replaced as a whole when the
// settings change, so that nobody sees half a change.
type merchants struct {
	current atomic.Pointer[edition]
}

// An edition is what they are between two changes.
type edition struct {
	byID  map[payment.MerchantID]*config.Merchant
	hosts []string // of their gateways, each once, in order
}

// replace puts others in force, which must not change any more.
func (ms *merchants) replace(all []config.Merchant) {
	e, hosts := edition{byID: make(map[payment.MerchantID]*config.Merchant, len(all))}, map[string]bool{}
	for i := range all {
		m := &all[i]
		e.byID[m.ID] = m
		hosts[hostOf(m.GatewayURL)] = true
	}
	e.hosts = slices.Sorted(maps.Keys(hosts))
	ms.current.Store(&e)
}

func (ms *merchants) find(id payment.MerchantID) (config.Merchant, bool) {
	m, ok := ms.current.Load().byID[id]
	if !ok {
		return config.Merchant{}, false
	}
	return *m, true
}

// gateways are the hosts of the merchants' gateways.
func (ms *merchants) gateways() []string { return ms.current.Load().hosts }

// count is how many merchants there are.
func (ms *merchants) count() int { return len(ms.current.Load().byID) }

// merchant is what the gateway client asks for.
func (ms *merchants) merchant(id payment.MerchantID) (payment.Merchant, bool) {
	m, ok := ms.find(id)
	return m.Merchant, ok
}

// knows is what the decoder asks for.
func (ms *merchants) knows(id payment.MerchantID) bool {
	_, ok := ms.find(id)
	return ok
}

// defaults is what the decoder adds to an intent.
func (ms *merchants) defaults(id payment.MerchantID) []payment.Param {
	m, _ := ms.find(id)
	return m.Defaults
}

// permit is what an emitter may say, for the decoder.
func (ms *merchants) permit(id payment.MerchantID) payment.Permit {
	m, _ := ms.find(id)
	return m.Permit
}

// terms is what the engine asks for.
func (ms *merchants) terms(id payment.MerchantID) pipeline.Terms {
	m, ok := ms.find(id)
	if !ok {
		return pipeline.Terms{} // never called: the decoder does not know it either
	}
	return pipeline.Terms{Rate: m.Rate, Endpoint: hostOf(m.GatewayURL), Gateway: strings.TrimRight(m.GatewayURL, "/")}
}

func hostOf(gateway string) string {
	if u, err := url.Parse(gateway); err == nil {
		return u.Host
	}
	return gateway
}
