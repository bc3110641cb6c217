package freedompay

// The causes a GatewayError of this room may have: constants, fit for the
// label of a metric.
const (
	// Nothing left this process.
	CauseUnknownMerchant = "unknown_merchant" // not configured
	CauseNoSecret        = "no_secret"        // configured without a secret
	CauseBadGatewayURL   = "bad_gateway_url"  // configured with a URL that is none
	CauseNoLease         = "no_lease"         // Config.MayWrite said no

	// No answer.
	CauseDNS            = "dns"             // the gateway's name does not resolve
	CauseConnect        = "connect"         // refused or unreachable
	CauseConnectTimeout = "connect_timeout" // no connection in time
	CauseTLS            = "tls"             // the handshake failed
	CauseProxy          = "proxy"           // a proxy refused to connect us
	CauseStale          = "stale"           // a kept connection was closed before the call was written
	CauseTimeout        = "timeout"         // sent, but no whole answer in time
	CauseCut            = "cut"             // sent, and the connection ended before the whole answer
	CauseCanceled       = "canceled"        // the caller did not want to wait any longer

	// An answer that is no message of the gateway.
	CauseRedirect  = "redirect"   // HTTP 3xx, never followed
	CauseTooMany   = "http_429"   // HTTP 429
	CauseHTTP4xx   = "http_4xx"   // any other HTTP 4xx
	CauseHTTP5xx   = "http_5xx"   // HTTP 5xx
	CauseHTTPOdd   = "http_odd"   // any other HTTP status that is not 2xx
	CauseTooLarge  = "too_large"  // larger than Config.MaxAnswer
	CauseEncoding  = "encoding"   // compressed in a way that is not known, or broken
	CauseEmpty     = "empty"      // no body
	CauseHTML      = "html"       // HTML instead of XML
	CauseBrokenXML = "broken_xml" // anything else that is no well-formed XML
	CauseNoStatus  = "no_status"  // XML, but without one pg_status

	// A message that proves nothing.
	CauseBadSignature  = "bad_signature"  // the signature does not verify
	CauseUnsignedOK    = "unsigned_ok"    // "ok" without a signature
	CausePending       = "pending"        // pg_status is "pending"
	CauseUnknownStatus = "unknown_status" // pg_status is another word
	CauseBadPaymentID  = "bad_payment_id" // signed, but the payment id is missing or no positive int64
	CauseBadURL        = "bad_url"        // signed, but the link is missing or none that may be published; Err says why
	CauseBadURLType    = "bad_url_type"   // signed, but the kind of page is missing, or no word
	CauseBadState      = "bad_state"      // signed, but the payment's status is missing
	CauseOtherOrder    = "other_order"    // about another order

	// An error the gateway told.
	CauseRefused       = "refused"       // this intent, for good
	CauseDuplicate     = "duplicate"     // order or key is used
	CauseMisconfigured = "misconfigured" // our credentials or set-up
	CauseMayPass       = "may_pass"      // its own trouble
	CauseUnknownCode   = "unknown_code"  // a code of no known class
	CauseNoCode        = "no_code"       // an error without a code
	CauseNotFound      = "not_found"     // no such order; wraps payment.ErrNotFound

	// Health only.
	CauseUnhealthy = "unhealthy" // the gateway says of itself that it is not well
)
