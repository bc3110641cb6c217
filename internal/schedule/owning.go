package schedule

import (
	"slices"
	"time"

	"paylink/internal/pace"
	"paylink/internal/payment"
)

// ownings are what this process has owned, and since when. Lanes are made when their
// first work comes; with this a new one's limit is as it were had it been there all
// the time, and that work need not wait as after a rebalance.
type ownings struct {
	list  []owning
	own   []int32 // of the newest
	all   int
	terms time.Time // when terms were changed last; zero: never
}

// An owning is a share that counts from a time on.
type owning struct {
	share *pace.Share
	at    time.Time
}

// mostOwnings is how many are remembered. What was before is forgotten: a new lane is
// then as in a process that came with the oldest of them, which may have called as much.
const mostOwnings = 16

// add remembers a share.
func (o *ownings) add(own []int32, all int, share *pace.Share, now time.Time) {
	if len(o.list) > 0 && all == o.all && slices.Equal(own, o.own) {
		return
	}
	o.own, o.all = slices.Clone(own), all
	if len(o.list) == mostOwnings {
		o.list = slices.Delete(o.list, 0, 1)
	}
	o.list = append(o.list, owning{share, now})
}

// limit returns the limit of a merchant that this process has never called for. What
// was owned before the newest change of terms counts, what was left unused does not:
// the merchant's rate may have been another, and others may still go by it.
func (o *ownings) limit(m payment.MerchantID, r pace.Rate, scope pace.Scope) *pace.Limit {
	before := r
	if !o.terms.IsZero() {
		before.Burst++
	}
	l := pace.NewLimit(string(m), before, scope)
	for _, is := range o.list {
		if is.at.After(o.terms) {
			l.SetRate(r, o.terms)
		}
		l.Own(is.share, is.at)
	}
	l.SetRate(r, o.terms)
	return l
}
