package pipeline_test

import (
	"testing"
	"time"

	"paylink/internal/payment"
)

func TestRenewEndsTheHoldsOfThoseThatAreMendedOnly(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		l.gate.otherwise = func(payment.Intent, bool) answer { return ours }
		m, p, _ := l.one()
		p.emit("a", of("1", "one"))
		p.emit("b", of("2", "two"))
		after(5 * time.Second)
		same(t, "merchants on hold", m.metric(t, "paylink_merchants_on_hold"), 2.0)
		one, two := len(callsOfMerchant(l, "1")), len(callsOfMerchant(l, "2"))
		for range 96 {
			m.Renew(func(payment.MerchantID) bool { return false })
		}
		m.Renew(func(id payment.MerchantID) bool { return id == "2" })
		after(0)
		same(t, "calls of the merchant that is not mended", len(callsOfMerchant(l, "1")), one)
		same(t, "calls of the mended merchant", len(callsOfMerchant(l, "2")), two+1)
		same(t, "holds that ended", len(m.log.lines("merchant no longer on hold")), 1)
	})
}
