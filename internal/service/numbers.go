package service

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"paylink/internal/console"
	"paylink/internal/kafkaio"
	"paylink/internal/payment"
	"paylink/internal/pipeline"
)

// risks are what may cost somebody money, and what did not end well in the last hour.
// All of them are told, also those that are not there, so that a person sees what is
// looked at.
func risks(r pipeline.Risk, hour hourCounts, giveUp time.Duration, now time.Time) []console.Risk {
	slow := r.Unpublished
	if r.PublishedBy.IsZero() || now.Sub(r.PublishedBy) < slowToPublish {
		slow = 0
	}
	second := hour.second + hour.shared
	gaveUp, expired := hour.settled[[2]string{"failed", string(payment.GaveUp)}], hour.settled[[2]string{"failed", string(payment.Expired)}]
	all := []console.Risk{
		{Money: true, Name: "second payments, last hour", N: second, Level: console.Bad,
			Text: "The gateway holds a payment beside the one whose link is published, or gave two intents the same one. The log names them: reconcile them with the gateway."},
		{Money: true, Name: "failed though a payment may exist, last hour", N: hour.mayExist, Level: console.Bad,
			Text: "Their outcomes say payment_may_exist. Before anybody pays again, look them up at the gateway; the log names them."},
		{Money: true, Name: "in doubt now", N: uint64(r.InDoubt), Level: console.Wait, Text: doubt(r, now)},
		{Money: true, Name: "answered, but not published yet", N: uint64(slow), Level: console.Wait,
			Text: fmt.Sprintf("Kafka has not taken these outcomes or dead letters, the oldest for %s. They are sent until it has; nobody is asked again.", span(now, r.PublishedBy))},
		{Money: true, Name: fmt.Sprintf("given up within %s, unless they go on", short(min(soonGivenUp, giveUp))), N: uint64(r.Ending), Level: console.Wait,
			Text: "Their time is nearly up. What they wait for stands at merchants and gateways below."},
		{Money: true, Name: "given up, last hour", N: gaveUp, Level: console.Bad,
			Text: "No call was free for them in time, or none had an answer to rely on. Their emitters may send them again as new intents."},
		{Name: "dead letters, last hour", N: sum(hour.dead, ""), Level: console.Bad,
			Text: reasons(hour.dead) + ". Nobody gets a link for these until they are mended and sent again; schemas/README.md says what each reason means."},
		{Name: "expired, last hour", N: expired, Level: console.Wait, Text: "Their expires_at passed before there was a link."},
	}
	for i := range all {
		if all[i].N == 0 {
			all[i].Level, all[i].Text = console.Good, ""
		}
	}
	return all
}

// doubt says what it means that intents are in doubt.
func doubt(r pipeline.Risk, now time.Time) string {
	return fmt.Sprintf("%s; the oldest was asked for %s ago. A call had no answer to rely on, so a payment may exist. Each is called again "+
		"with the same key, which makes no second payment, until the answer is certain.", amounts(r.Amounts), span(now, r.DoubtSince))
}

// amounts writes sums of money, by currency.
func amounts(all map[string]int64) string {
	var out []string
	for _, currency := range slices.Sorted(maps.Keys(all)) {
		name := currency
		if name == "" {
			name = "in the merchants' own currency"
		}
		out = append(out, fmt.Sprintf("%d.%02d %s", all[currency]/100, all[currency]%100, name))
	}
	return strings.Join(out, ", ")
}

// reasons names what was counted, the most frequent first.
func reasons(of map[[2]string]uint64) string {
	keys := slices.SortedFunc(maps.Keys(of), func(a, b [2]string) int {
		return cmp.Or(cmp.Compare(of[b], of[a]), strings.Compare(a[0], b[0]))
	})
	var out []string
	for _, k := range keys {
		if of[k] > 0 {
			out = append(out, fmt.Sprintf("%d %s", of[k], k[0]))
		}
	}
	return strings.Join(out, ", ")
}

// span is how long ago a time was, to the second.
func span(now, t time.Time) string { return short(now.Sub(t).Round(time.Second)) }

// short writes a duration without units that are zero.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// counters are the numbers of the console, the most telling first.
func counters(e pipeline.State, k kafkaio.Counters, hour hourCounts) []console.Counter {
	out := []console.Counter{
		{Group: "Now", Name: "calls in flight", Value: uint64(max(0, e.InFlight)), Now: true},
		{Group: "Now", Name: "waiting to repeat", Value: uint64(max(0, e.BackingOff)), Now: true},
	}
	for _, f := range []struct {
		group  string
		counts []pipeline.Count
		hour   map[[2]string]uint64
		bad    func(name string) bool
	}{
		{"Intents settled", e.Counts.Settled, hour.settled, func(name string) bool { return name == "failed gave_up" }},
		{"Skipped", e.Counts.Skipped, hour.skipped, nil},
		{"Dead letters", e.Counts.Dead, hour.dead, func(string) bool { return true }},
		{"Gateway calls", e.Counts.Calls, hour.calls, nil},
		{"Turns lent", e.Counts.Turns, hour.turns, nil},
	} {
		for _, c := range f.counts {
			name := strings.TrimSpace(c.Labels[0] + " " + c.Labels[1])
			out = append(out, console.Counter{Group: f.group, Name: name, Value: c.N, Hour: f.hour[c.Labels], Bad: f.bad != nil && f.bad(name)})
		}
	}
	return append(out,
		console.Counter{Group: "Gateway calls", Name: "to be repeated", Value: e.Counts.Repeats, Hour: hour.repeats},
		console.Counter{Group: "Kafka", Name: "records appended", Value: k.RecordsAppended, Hour: hour.appended},
		console.Counter{Group: "Kafka", Name: "appends repeated", Value: k.AppendRetries, Hour: hour.appendRetries},
		console.Counter{Group: "Kafka", Name: "fetches that failed", Value: k.FetchErrors, Hour: hour.fetchErrors},
		console.Counter{Group: "Kafka", Name: "fences found broken", Value: k.BrokenFences, Hour: hour.brokenFences, Bad: true},
	)
}

func outcomes(e pipeline.State) []console.Outcome {
	var out []console.Outcome
	for _, r := range e.Recent {
		o := console.Outcome{At: r.At, IntentID: string(r.Intent), Merchant: string(r.Merchant), Took: r.Took}
		switch v := r.Outcome.(type) {
		case payment.Created:
			o.Type, o.Attempts, o.Link = "created", v.Attempts, v.RedirectURL
		case payment.Failed:
			o.Type, o.Attempts, o.Reason, o.MayExist = "failed", v.Attempts, string(v.Reason), v.PaymentMayExist
		}
		out = append(out, o)
	}
	return out
}

func deadLetters(e pipeline.State) []console.DeadLetter {
	var out []console.DeadLetter
	for _, d := range e.Dead {
		out = append(out, console.DeadLetter{At: d.At, IntentID: string(d.Intent), Reason: d.Reason, Partition: d.Partition, Offset: d.Offset})
	}
	return out
}
