package pipeline_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"paylink/internal/pace"
	"paylink/internal/payment"
	"paylink/internal/pipeline"
)

// fastAmongSlow gives merchant 9 a rate of 200/s, and all others 1/1500ms.
func fastAmongSlow(c *pipeline.Config) {
	rated(pace.Rate{Events: 1, Per: 1500 * time.Millisecond, Burst: 1})(c)
	slow := c.Terms
	c.Terms = func(m payment.MerchantID) pipeline.Terms {
		t := slow(m)
		if m == "9" {
			t.Rate = pace.Rate{Events: 200, Per: time.Second, Burst: 1}
		}
		return t
	}
}

// TestNoBacklogFillsTheWindow: what waits for a pace or a hold, of many merchants
// or of large records, takes no room from a merchant that could go.
func TestNoBacklogFillsTheWindow(t *testing.T) {
	const window = 64 << 10
	backlogs := map[string]func(l *lab, p *partition){
		"of many slow merchants": func(_ *lab, p *partition) {
			for i := range 100 * 36 {
				p.emit("", of(fmt.Sprint(1000+i%100), fmt.Sprint("s-", i)))
			}
		},
		"of a merchant on hold with large records": func(l *lab, p *partition) {
			l.gate.otherwise = wrongSecret
			p.emit("", of("1", "held"))
			after(time.Second)
			for i := range 40 {
				p.emit("", intent(fmt.Sprint("h-", i), `"merchant_id":"1"`, `"note":"`+strings.Repeat("x", window/8)+`"`))
			}
		},
	}
	for name, emit := range backlogs {
		t.Run(name, func(t *testing.T) {
			inLab(t, 1, func(l *lab) {
				_, p, _ := l.one(fastAmongSlow, func(c *pipeline.Config) { c.WindowBytes = window })
				emit(l, p)
				after(time.Second)
				began := time.Now()
				for i := range 100 {
					p.emit("", of("9", fmt.Sprint("fast-", i)))
					after(10 * time.Millisecond)
				}
				after(10 * time.Second)
				var took []time.Duration
				for id, v := range p.views() {
					if c, ok := v.Outcome.(payment.Created); ok && strings.HasPrefix(string(id), "fast-") {
						took = append(took, c.At.Sub(began))
					}
				}
				slices.Sort(took)
				if len(took) != 100 || took[98] > time.Second+2*time.Second {
					t.Fatalf("%d of 100 intents of the fast merchant are settled, after %v; want p99 under 2 s", len(took), took)
				}
			})
		})
	}
}
