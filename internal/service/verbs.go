package service

import (
	"net/http"
	"net/url"

	"paylink/internal/config"
	"paylink/internal/event"
	"paylink/internal/freedompay"
)

// IntentDecoder is the decoder of the service, for verbs that read the intent
// topic. Where no merchant is configured, every merchant is known.
func IntentDecoder(a config.Asking, known event.Schemas) *event.Decoder {
	cfg := event.DecoderConfig{DefaultMerchant: a.DefaultMerchant(), Schemas: known}
	if len(a.Merchants) > 0 {
		var ms merchants
		ms.replace(a.Merchants)
		cfg.KnownMerchant, cfg.Defaults, cfg.Permit = ms.knows, ms.defaults, ms.permit
	}
	return event.NewDecoder(cfg)
}

// Gateway is the gateway's client of the service, for verbs that ask it.
func Gateway(a config.Asking, dial Dialer, proxy func(*http.Request) (*url.URL, error)) *freedompay.Client {
	var ms merchants
	ms.replace(a.Merchants)
	return freedompay.New(freedompay.Config{Merchant: ms.merchant, Timeout: a.Gateway.Timeout, Dial: dial, Proxy: proxy, TLS: a.Gateway.TLS.Config()})
}
