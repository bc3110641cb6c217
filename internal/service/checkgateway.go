package service

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"

	"paylink/internal/config"
	"paylink/internal/finding"
	"paylink/internal/freedompay"
	"paylink/internal/payment"
)

// lookUps is how many merchants' look-ups are under way at once.
const lookUps = 8

// fewMerchants is up to how many merchants that are accepted have a line of their own.
const fewMerchants = 5

// checkGateways asks each gateway for its health, and in each merchant's name for
// an order that cannot exist: a wrong secret, number or address, or a missing
// right for look-ups, then shows before the first payment.
func checkGateways(ctx context.Context, cfg config.Run, deps Deps) []finding.Finding {
	var b merchants
	b.replace(cfg.Merchants)
	client := freedompay.New(freedompay.Config{
		Merchant: b.merchant, Timeout: cfg.Gateway.Timeout, Dial: deps.GatewayDial, Proxy: deps.Proxy,
		TLS: cfg.Gateway.TLS.Config(),
	})
	defer client.Close()
	var found []finding.Finding
	away := map[string]bool{}
	for _, m := range cfg.Merchants {
		if _, seen := away[m.GatewayURL]; seen {
			continue
		}
		err := client.Health(ctx, m.GatewayURL)
		away[m.GatewayURL] = err != nil
		f := finding.Finding{Level: finding.OK, About: "gateway", What: m.GatewayURL + " answers"}
		if err != nil {
			f = finding.Finding{Level: finding.Fail, About: "gateway", What: fmt.Sprintf("%s: %v", m.GatewayURL, err) + httpStatus(err),
				Mend: "check PAYLINK_GATEWAY_URL, name resolution, firewall and proxy, and PAYLINK_GATEWAY_TLS_CA_FILE where the gateway has an authority of its own"}
		}
		found = append(found, f)
	}
	return append(found, checkLookUps(ctx, client, cfg.Merchants, away)...)
}

// httpStatus tells the status that an error came with; "" if it came with none.
func httpStatus(err error) string {
	if ge := payment.AsGatewayError(err); ge.Status != 0 {
		return fmt.Sprintf(" (HTTP %d)", ge.Status)
	}
	return ""
}

// checkLookUps makes a look-up for each merchant whose gateway is not away.
func checkLookUps(ctx context.Context, client *freedompay.Client, all []config.Merchant, away map[string]bool) []finding.Finding {
	answers := make([]error, len(all))
	var calls sync.WaitGroup
	free := make(chan struct{}, lookUps)
	for i, m := range all {
		if away[m.GatewayURL] {
			continue
		}
		free <- struct{}{}
		calls.Go(func() {
			defer func() { <-free }()
			_, answers[i] = client.Find(ctx, payment.Intent{Merchant: m.ID, OrderID: "paylink-check-" + rand.Text()})
		})
	}
	calls.Wait()

	var found, accepted []finding.Finding
	for i, m := range all {
		if away[m.GatewayURL] {
			continue
		}
		if f := lookUp(m, answers[i]); f.Level == finding.OK {
			accepted = append(accepted, f)
		} else {
			found = append(found, f)
		}
	}
	if len(accepted) > fewMerchants {
		what := fmt.Sprintf("the gateway accepts number, secret and look-ups of %d merchants", len(accepted))
		accepted = []finding.Finding{{Level: finding.OK, About: "look-ups", What: what}}
	}
	return append(accepted, found...)
}

// lookUp says what the answer to a look-up of an order that cannot exist means.
func lookUp(m config.Merchant, err error) finding.Finding {
	f := finding.Finding{Level: finding.Fail, About: "look-ups"}
	ge := payment.AsGatewayError(err)
	says := fmt.Sprintf("merchant %s at %s: ", m.ID, m.GatewayURL)
	switch {
	case err == nil || errors.Is(err, payment.ErrNotFound):
		return finding.Finding{Level: finding.OK, About: "look-ups", What: says + "number, secret and look-ups are accepted"}
	case ge.Cause == freedompay.CauseBadSignature && ge.Class != payment.Misconfigured:
		f.What = says + "its answer is not signed with our secret"
		f.Mend = "check the merchant's secret key for payments, and that it is of this gateway, not of its sandbox"
	case ge.Class == payment.Misconfigured:
		f.What = fmt.Sprintf("%sthe look-up is refused with error %s", says, ge.Code)
		f.Mend = mendOf(ge.Code)
	case ge.Class == payment.NotSent || ge.Status == 0:
		f.What = fmt.Sprintf("%sno answer (%s)", says, ge.Cause)
		f.Mend = "check PAYLINK_GATEWAY_URL, name resolution, firewall and proxy, and PAYLINK_GATEWAY_TLS_CA_FILE where the gateway has an authority of its own"
	case ge.Cause == freedompay.CauseTooMany, ge.Cause == freedompay.CauseHTTP5xx, ge.Cause == freedompay.CauseMayPass:
		f.Level = finding.Warn
		f.What = says + "it could not tell: " + ge.Error()
		f.Mend = "check again later; the service waits for a gateway like that"
	case ge.Code != "":
		f.Level = finding.Warn
		f.What = fmt.Sprintf("%sthe look-up is answered with error %s", says, ge.Code)
		f.Mend = "ask the gateway whether the merchant may look payments up; without that, what a lost answer made cannot be found"
	default:
		f.What = fmt.Sprintf("%swhat answers is not the gateway's interface (%s, HTTP %d)", says, ge.Cause, ge.Status)
		f.Mend = "check PAYLINK_GATEWAY_URL or gateway_url: scheme, host and path before the script's name"
	}
	return f
}

// mendOf says what to do about an error code that is about our set-up.
func mendOf(code string) string {
	switch code {
	case "1100", "9998":
		return "check the merchant's secret key for payments, here and in the gateway's cabinet"
	case "9997":
		return "check the merchant's number, and that it is of this gateway, not of its sandbox"
	case "9992", "9994", "9996":
		return "ask the gateway to allow look-ups (get_status3.php), and to check the contract"
	}
	return "check the merchant's number and secret key, and ask the gateway what the code means"
}
