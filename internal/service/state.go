package service

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"paylink/internal/console"
	"paylink/internal/kafkaio"
	"paylink/internal/payment"
	"paylink/internal/pipeline"
)

// addChecks says when the service is ready: it is a living member of its group,
// what it was given is loaded, and it does not stop.
func (s *service) addChecks() {
	s.health.Add("running", func() string {
		if s.stopping.Load() {
			return "the service is stopping: calls in flight are finished"
		}
		return ""
	})
	s.health.Add("group", func() string {
		if a := s.noSchemas.Load(); a != nil {
			return a.What
		}
		return outside(s.source.State().Membership)
	})
	s.health.Add("login", func() string { return refused(s.source.State().Membership) })
	s.health.Add("rights", func() string { return strings.Join(s.source.State().Missing, "; ") })
	s.health.Add("append", func() string { return blocked(s.source.State()) })
	s.health.Add("ledger", func() string { return loading(s.source.State()) })
	s.health.Note(func() string { return held(s.engine.Held()) })
	s.health.Note(func() string { return unlent(s.source.State()) })
}

// refused says why a broker does not let us in, as long as it does not. What is
// connected works on, but who comes after us would not get in.
func refused(m kafkaio.Membership) string {
	if m.Refused == nil {
		return ""
	}
	return m.Refused.Error()
}

// outside says why we are no member of the group. Who is one, and was not yet told
// which partitions are its own, is not one either: it may be given a thousand.
func outside(m kafkaio.Membership) string {
	if m.Live && m.Joined {
		return ""
	}
	why := "not a living member of the group yet: brokers, topics or the other members are waited for"
	if m.Trouble != nil {
		why += fmt.Sprintf("; the last error, at %s UTC: %v", m.TroubleAt.UTC().Format(time.TimeOnly), m.Trouble)
	}
	return why
}

// held says which merchants are on hold. Others go on, so it is no reason against
// readiness.
func held(all []payment.MerchantID) string {
	var who []string
	for _, m := range all {
		who = append(who, string(m))
	}
	if len(who) == 0 {
		return ""
	}
	return fmt.Sprintf("on hold, because the gateway rejects our credentials or set-up: merchant %s", some(who, 3))
}

// loading says how many partitions the group gave us that we do not work on yet,
// or not any more. Who is no living member has none to fence, whatever the group
// gave it last: the check of the group says so.
func loading(k kafkaio.State) string {
	n := 0
	for _, p := range k.Partitions {
		if p.Assigned && p.State != kafkaio.Running {
			n++
		}
	}
	if !k.Membership.Live || n == 0 {
		return ""
	}
	why := "1 partition is being fenced, and its ledger read"
	if n > 1 {
		why = fmt.Sprintf("%d partitions are being fenced, and their ledgers read", n)
	}
	for _, t := range k.Troubles {
		if t.Kind == kafkaio.LedgerFull || t.Kind == kafkaio.TakeOverBlocked {
			why += "; " + t.What
			break
		}
	}
	return why
}

// blocked says what Kafka does not take from us.
func blocked(k kafkaio.State) string {
	var why []string
	for _, t := range k.Troubles {
		if t.Kind == kafkaio.AppendBlocked {
			why = append(why, fmt.Sprintf("%s, since %s UTC", t.What, t.Since.UTC().Format(time.TimeOnly)))
		}
	}
	return some(why, 3)
}

// troubles are the alarms of what stands in Kafka's way, or ours.
func troubles(all []kafkaio.Trouble) []console.Alarm {
	var out []console.Alarm
	for _, t := range all {
		out = append(out, console.Alarm{What: t.What, Mend: t.Mend, Since: t.Since})
	}
	return out
}

// state is what the console shows.
func (s *service) state() console.State {
	e, k, risk := s.engine.State(), s.source.State(), s.engine.Risk(soonGivenUp)
	ready, checks := s.health.Look()
	now := time.Now()
	samples := s.hour.list(now)
	is := sample{counts: e.Counts, kafka: k.Counters}
	hour := is.since(first(samples))
	st := console.State{
		Now: now, Started: s.started, Ready: ready, Service: s.about(),
		Alarms: slices.Concat(s.schemasAwaited(), logins(k.Membership), rights(k.Missing), gatewaysDown(e.Gateways), holds(e.Lanes), full(e.Partitions), troubles(k.Troubles),
			rises(e.Counts, k.Counters)),
		Risks: risks(risk, hour, s.cfg.Flow.GiveUpAfter, now), Charts: charts(samples),
		Lanes: console.Sum(lanesOf(e.Lanes)), Lending: lending(s.lends, k, is.since(from(samples, now.Add(-newly))).turns), Gateways: gateways(e), Partitions: partitions(k, e), Group: s.groupNow(now),
		Counters: counters(e, k.Counters, hour), Outcomes: outcomes(e), DeadLetters: deadLetters(e),
	}
	for _, c := range checks {
		st.Checks = append(st.Checks, console.Check{Name: c.Name, OK: c.OK, Reason: c.Reason})
	}
	return st
}

// about says what runs.
func (s *service) about() console.Service {
	return console.Service{
		Version: s.deps.Version, Group: s.cfg.Kafka.Group, Instance: s.cfg.Kafka.InstanceID,
		Intents: s.cfg.Topics.Intents, Outcomes: s.cfg.Topics.Outcomes, DeadLetters: s.cfg.Topics.DeadLetters,
		Gateway: some(s.merchants.gateways(), 3),
	}
}

// some names the first n of all, and says how many more there are.
func some(all []string, n int) string {
	if len(all) <= n {
		return strings.Join(all, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(all[:n], ", "), len(all)-n)
}

// logins is the alarm of a broker that does not let us in.
func logins(m kafkaio.Membership) []console.Alarm {
	if m.Refused == nil {
		return nil
	}
	return []console.Alarm{{
		What: "Kafka does not let us in: " + m.Refused.Error(),
		Mend: "Correct the file of the password or certificate: it is taken up at once, no restart is needed. Or correct user, " +
			"certificate or authority at the brokers.",
		Since: m.TroubleAt,
	}}
}

// schemasAwaited is the alarm of a registry that is waited for before anything begins.
func (s *service) schemasAwaited() []console.Alarm {
	if a := s.noSchemas.Load(); a != nil {
		return []console.Alarm{*a}
	}
	return nil
}

// rights are the alarms of rights that something waits for.
func rights(missing []string) (out []console.Alarm) {
	for _, m := range missing {
		out = append(out, console.Alarm{What: "Kafka: " + m, Mend: "Grant it: deploy/rights.md has the commands. Work goes on by itself then."})
	}
	return out
}

// gatewaysDown are the alarms of the gateways that fail broadly, by name.
func gatewaysDown(all []pipeline.Gateway) []console.Alarm {
	all = slices.DeleteFunc(slices.Clone(all), func(g pipeline.Gateway) bool { return !g.Down })
	slices.SortFunc(all, func(a, b pipeline.Gateway) int { return strings.Compare(a.Name, b.Name) })
	const mend = "See in the log how the calls end, and ask the gateway's people. If only we cannot reach it, \"paylink " +
		"check\" looks at address, name resolution, firewall and proxy. Calls go on by themselves once a probe works. See " +
		"deploy/runbook.md, \"The gateway was down\"."
	var out []console.Alarm
	if len(all) > manyDown {
		first, names := all[0].Since, []string{}
		for _, g := range all {
			if names = append(names, g.Name); g.Since.Before(first) {
				first = g.Since
			}
		}
		return append(out, console.Alarm{
			What: fmt.Sprintf("%d gateways fail broadly: their intents wait, and they are only probed", len(all)),
			Mend: mend + " They are " + some(names, 20) + ".", Since: first,
		})
	}
	for _, g := range all {
		out = append(out, console.Alarm{What: fmt.Sprintf("Gateway %s fails broadly: its intents wait, and it is only probed", g.Name), Mend: mend, Since: g.Since})
	}
	return out
}

// full is the alarm of the partitions that are not read on for the merchants' backlogs.
func full(all []pipeline.PartitionState) []console.Alarm {
	var which []string
	for _, p := range all {
		if p.Full {
			which = append(which, strconv.Itoa(int(p.Partition)))
		}
	}
	if len(which) == 0 {
		return nil
	}
	return []console.Alarm{{
		What: fmt.Sprintf("%d partitions are not read on (%s): as many intents wait for their merchants' turns as may, and those "+
			"behind them wait too, whatever their merchant", len(which), some(which, 20)),
		Mend: "See which merchant's intents wait, and whether its emitter means them. Raise its rate if the gateway allows it; more " +
			"replicas have more room. Reading goes on by itself.",
	}}
}

// manyDown is up to how many gateways have an alarm each.
const manyDown = 10

// fewHolds is up to how many merchants have an alarm each. More are one alarm that
// counts them: then it is not about a merchant.
const fewHolds = 3

// holds are the alarms of the merchants that the gateway does not accept, or whose
// look-ups it does not.
func holds(lanes []pipeline.Lane) []console.Alarm {
	var held, blind []pipeline.Lane
	for _, l := range lanes {
		switch {
		case l.OnHold:
			held = append(held, l)
		case l.Blind:
			blind = append(blind, l)
		}
	}
	one := func(l pipeline.Lane) string {
		return fmt.Sprintf("Merchant %s is on hold: the gateway rejects our credentials or set-up (error %s)", l.Merchant, l.Code)
	}
	out := merchantAlarms(held, one, "on hold: the gateway rejects our credentials or set-up",
		"Check the merchant's number, its secret and its contract. No intent fails for this, and calls go on by themselves once a "+
			"probe works. See deploy/runbook.md, \"The secret was wrong\".")
	one = func(l pipeline.Lane) string {
		return fmt.Sprintf("Merchant %s: the gateway refuses our status look-ups, though not our payments", l.Merchant)
	}
	return append(out, merchantAlarms(blind, one, "refused by the gateway in their status look-ups, though not in their payments",
		"Ask the gateway for the right to look up. Payments go on; what a look-up was to clear up ends as \"a payment may exist\".")...)
}

// merchantAlarms makes an alarm of each of a few merchants, or one of many, with the
// first since when it lasts.
func merchantAlarms(all []pipeline.Lane, one func(pipeline.Lane) string, many, mend string) (out []console.Alarm) {
	if len(all) <= fewHolds {
		for _, l := range all {
			out = append(out, console.Alarm{What: one(l), Mend: mend, Since: l.HeldSince})
		}
		return out
	}
	var who []string
	first := all[0].HeldSince
	for _, l := range all {
		who = append(who, string(l.Merchant))
		if l.HeldSince.Before(first) {
			first = l.HeldSince
		}
	}
	return []console.Alarm{{
		What: fmt.Sprintf("%d merchants are %s", len(all), many), Mend: mend + " They are " + some(who, 20) + "; the page of merchants lists them.",
		Since: first,
	}}
}

// rises are the alarms of what should never happen. They stay until the service
// is started anew: it does not know whether anybody has seen to them.
func rises(c pipeline.Counts, k kafkaio.Counters) []console.Alarm {
	var out []console.Alarm
	for _, a := range []struct {
		n          uint64
		what, mend string
	}{
		{k.CorruptBatches, "Batches of the intent topic cannot be read: their partitions stand still",
			"Look at the log for partition and offset; the batch is broken on the broker's disk."},
		{c.Second, "The gateway holds another payment than the published link's: it did not honour the " +
			"idempotency key", "Reconcile these orders with the gateway; the log names each, with \"reconcile\". Their payers " +
			"have one link only. See deploy/runbook.md, \"The gateway holds a second payment\"."},
		{c.Shared, "The gateway answered intents with a payment that another intent's link has already: those links are not " +
			"published", "Ask the gateway about both orders; the log names the intents. They wait, and are given up when their " +
			"time is up. See deploy/runbook.md, \"The gateway holds a second payment\"."},
		{c.Vanished, "Retention deleted intents that waited for their turn: they get no outcome",
			"Raise the retention of the intent topic above the longest wait, and have the emitter publish them again; the log " +
				"names partition and offset of each."},
		{k.LostRecords, "Kafka deleted intents before they were read",
			"Raise the retention of the intent topic, and have the emitter publish the lost intents again."},
		{k.BrokenFences, "Somebody else fenced partitions that we own",
			"Make sure that no other service has this group's name on this topic. Nothing is published twice: each fence was " +
				"made again. See deploy/runbook.md, \"Two links?\"."},
		{k.NewProducerIDs, "The transaction coordinator had forgotten us: a fence began anew",
			"Raise transactional.id.expiration.ms if this comes back."},
	} {
		if a.n > 0 {
			out = append(out, console.Alarm{What: fmt.Sprintf("%s (%d since the start)", a.what, a.n), Mend: a.mend})
		}
	}
	return out
}

// partitions are those in our hands: how far Kafka's side of each has come, and
// what the engine has of it once it runs.
func partitions(k kafkaio.State, e pipeline.State) []console.Partition {
	working := map[int32]pipeline.PartitionState{}
	for _, p := range e.Partitions {
		working[p.Partition] = p
	}
	var out []console.Partition
	for _, is := range k.Partitions {
		at, served := working[is.Number]
		p := console.Partition{
			Number: is.Number, State: is.State.String(), Healthy: is.State == kafkaio.Running && k.Membership.Live,
			Watermark: max(0, is.Committed), Unfinished: at.Unfinished, Lag: is.Lag(),
		}
		if served {
			p.Watermark = max(0, at.Watermark)
		}
		if !k.Membership.Live { // what we knew is old: nothing is fetched
			p.State, p.Lag = "cut off", -1
		}
		if p.Lag >= 0 {
			p.Lag += int64(at.Unfinished)
		}
		out = append(out, p)
	}
	return out
}
