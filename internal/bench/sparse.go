package bench

import (
	"context"
	"fmt"
	"time"
)

// Sparse merchants use less than half of their rate: whoever waits then waits for a
// turn that nobody needed. There are many of them, so that there are many waits in a
// short time; merchants share nothing.
const (
	sparseMerchants = 64
	sparseInterval  = 1500 * time.Millisecond // of the rate
	sparseEvery     = 3200 * time.Millisecond // between two intents of a merchant
)

// sparsePart measures how long intents of sparse merchants wait for their turn, with
// one replica and with several.
func (o *Options) sparsePart(s Streams) part {
	one, many, plain := o.trial(paylinkLoop), o.trial(paylinkLoop), o.trial(plainLoop)
	one.name, many.name, plain.name = "1 replica", fmt.Sprintf("%d replicas", o.Replicas), fmt.Sprintf("%d plain", o.Replicas)
	many.replicas, plain.replicas = o.Replicas, o.Replicas
	trials := []trial{one, many, plain}
	for i := range trials {
		trials[i].merchants = sparseMerchants
		trials[i].interval = sparseInterval
	}
	return part{
		"sparse", fmt.Sprintf("an intent every %s of each of %d merchants, rate 1/%s, for %s; it allows one call ahead for each replica",
			sparseEvery, sparseMerchants, sparseInterval, o.Duration),
		trials, func(ctx context.Context, t trial) (measurement, error) {
			return o.schedule(ctx, s, t, sparseMerchants/sparseEvery.Seconds())
		},
	}
}
