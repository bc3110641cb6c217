package metric

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// States are the values of label state of paylink_intents_waiting.
var States = []string{"backlog", "behind_key", "queued", "backing_off", "calling", "publishing"}

// What labels may be from the start. Tests compare them with those who set them.
var (
	reasons     = []string{"invalid_intent", "refused", "expired", "gave_up", "duplicate"}
	outcomes    = slices.Concat([][]string{{"created", ""}}, cross(each("failed"), each(reasons...)))
	deadReasons = []string{"empty", "not_json", "no_intent_id", "bad_intent_id", "unknown_schema", "conflict", "too_old", "too_large"}
	classes     = []string{"in_doubt", "not_sent", "refused", "duplicate", "misconfigured", "other"}
	results     = each(
		"ok", "not_found", "payment_of_another", "unknown_merchant", "no_secret", "bad_gateway_url", "no_lease", "dns",
		"connect", "connect_timeout", "tls", "proxy", "stale", "timeout", "cut", "canceled", "redirect", "http_429",
		"http_4xx", "http_5xx", "http_odd", "too_large", "encoding", "empty", "html", "broken_xml", "no_status",
		"bad_signature", "unsigned_ok", "pending", "unknown_status", "bad_payment_id", "bad_url", "bad_url_type",
		"bad_state", "other_order", "refused", "duplicate", "misconfigured", "may_pass", "unknown_code", "no_code",
	)
)

// All is the list. Names, labels and types are promised to stay: deploy/metrics.md.
var All = []Metric{
	{
		Name: "paylink_build_info", Type: Gauge, Labels: []string{"version"},
		Meaning: "Always 1; the label says which build this is.",
	},
	{
		Name: "paylink_intents_waiting", Type: Gauge, Unit: "intents", Labels: []string{"state"}, Start: each(States...),
		Meaning: "Intents taken and not answered yet, by state: backlog (not loaded, behind its merchant's rate or its key), behind_key, queued, backing_off, calling, publishing.",
		Do:      "backlog and queued are what merchants' rates make, unless `paylink_useful_lag_seconds` rises too; backing_off: see the gateway",
	},
	{
		Name: "paylink_intents_in_doubt", Type: Gauge, Unit: "intents", Start: one,
		Meaning: "Loaded intents for which a payment may exist at the gateway that is not known yet: a call had no answer to rely on, or an owner before may have called.",
		Do:      "it falls by itself once the gateway answers; if it does not, `paylink reconcile` tells whose payments exist",
	},
	{
		Name: "paylink_oldest_unanswered_seconds", Type: Gauge, Unit: "seconds", Start: one,
		Meaning: "Age of the oldest intent in hand that has no outcome, by its record's time; 0: there is none. It may be too high by a thousandth of the span in hand.",
		Do:      "find out what it waits for: `/api/v1/lanes`; it rises while a merchant is on hold or a gateway is down",
	},
	{
		Name: "paylink_amount_unanswered", Type: Gauge, Unit: "currency units", Labels: []string{"currency"}, Start: each("default"),
		Meaning: "Sum of the amounts of the intents taken and not answered yet, by currency (`default`: the merchant's own; `other`: beyond 20 currencies). Summed exactly in hundredths, served as a float.",
		Do:      "what is at stake now; it is no reason to act by itself",
	},
	{
		Name: "paylink_useful_lag_seconds", Type: Gauge, Unit: "seconds", Start: one,
		Meaning: "How long intents wait that more replicas would help: those that could be called for if all calls of this process were not taken, and those not read because of that. What merchants' rates, holds and a gateway that is down make is not in it.",
		Do:      "more replicas, at most as many as partitions, or a higher `PAYLINK_CONCURRENCY`",
	},
	{
		Name: "paylink_intents_settled_total", Type: Counter, Unit: "intents", Labels: []string{"outcome", "reason"}, Start: outcomes,
		Meaning: "Intents settled, by outcome (created, failed) and reason.",
	},
	{
		Name: "paylink_skipped_total", Type: Counter, Unit: "intents", Labels: []string{"kind"}, Start: each("redelivered", "repeated"),
		Meaning: "Intents that were answered before, by kind: redelivered (answered before this process took the partition) or repeated (answered by this process).",
	},
	{
		Name: "paylink_dead_letters_total", Type: Counter, Unit: "records", Labels: []string{"reason"}, Start: each(deadReasons...),
		Meaning: "Records sent to the dead letters, by reason. Alarm if it rises.",
		Do:      "read `paylink-reason` and `paylink-error` in their headers",
	},
	{
		Name: "paylink_gateway_calls_total", Type: Counter, Unit: "calls", Labels: []string{"call", "result"}, Start: cross(each("init", "status"), results),
		Meaning: "Calls of the gateway, by kind (init, status) and result (ok, or the cause of the error).",
	},
	{
		Name: "paylink_gateway_repeats_total", Type: Counter, Unit: "calls", Start: one,
		Meaning: "Calls that have to be made again.",
	},
	{
		Name: "paylink_gateway_retries_total", Type: Counter, Unit: "calls", Labels: []string{"class"}, Start: each(classes...),
		Meaning: "Calls that have to be made again, by class of the error; other: there was no error.",
		Do:      "in_doubt and not_sent: see the gateway and the way to it",
	},
	{
		Name: "paylink_turns_total", Type: Counter, Unit: "turns", Labels: []string{"event"}, Start: each("asked", "lent", "declined", "borrowed", "lost"),
		Meaning: "Turns that replicas lend each other, by event: asked (of others), lent and declined (to others), borrowed (a call was made for a loan), lost (a loan came too late, or its work was gone).",
		Do:      "if lost rises as borrowed does, the lending topic is slow; nothing depends on it but how long intents wait",
	},
	{
		Name: "paylink_gateway_calls_in_flight", Type: Gauge, Unit: "calls", Start: one,
		Meaning: "Calls of the gateway in flight.",
	},
	{
		Name: "paylink_gateway_down", Type: Gauge, Labels: []string{"gateway"},
		Meaning: "1 while a gateway host fails broadly and is only probed. Of more than 100 hosts the rest are one series, `other hosts`, which counts those that fail. Alarm if above 0.",
		Do:      "see the log; it goes on by itself",
	},
	{
		Name: "paylink_merchants_on_hold", Type: Gauge, Unit: "merchants", Start: one,
		Meaning: "Merchants that are not called because our credentials or set-up are wrong. Alarm if above 0.",
		Do:      "mend secret or contract; it goes on by itself",
	},
	{
		Name: "paylink_shared_payments_total", Type: Counter, Unit: "answers", Start: one,
		Meaning: "Answers with a payment that another intent's link has already; their links are not published. Alarm if it rises.",
		Do:      "ask the gateway about both orders",
	},
	{
		Name: "paylink_second_payments_total", Type: Counter, Unit: "intents", Start: one,
		Meaning: "Intents whose order shows another payment at the gateway than the published link's. Reconcile them.",
		Do:      "`paylink reconcile` shows them",
	},
	{
		Name: "paylink_intents_vanished_total", Type: Counter, Unit: "intents", Start: one,
		Meaning: "Intents that waited so long that the topic's retention deleted them. Alarm if it rises.",
		Do:      "lengthen the topic's retention; emit them again",
	},
	{
		Name: "paylink_registry_waits_total", Type: Counter, Start: one,
		Meaning: "Times that a record could not be read because the schema registry gave no answer; its partition waits. Alarm if it rises.",
		Do:      "mend the registry or its settings; it goes on by itself",
	},
	{
		Name: "paylink_intent_seconds", Type: Histogram, Unit: "seconds", Start: one, Buckets: exponential(0.01, 2.5, 14),
		Meaning: "Time from an intent's record to its durable outcome.",
		Do:      "see which stage: `paylink_stage_seconds`",
	},
	{
		Name: "paylink_stage_seconds", Type: Histogram, Unit: "seconds", Labels: []string{"stage"}, Start: each("wait", "call", "publish"), Buckets: exponential(0.01, 2.5, 14),
		Meaning: "Time that a settled intent spent in a stage: wait (from its record's time on, whatever it waited for), call (all its calls), publish (until its outcome was durable).",
		Do:      "wait: rates, holds or `paylink_useful_lag_seconds`; call: the gateway; publish: Kafka",
	},
	{
		Name: "paylink_gateway_call_seconds", Type: Histogram, Unit: "seconds", Labels: []string{"call"}, Start: each("init", "status"), Buckets: exponential(0.005, 2, 14),
		Meaning: "Duration of calls of the gateway.",
		Do:      "ask the gateway",
	},
	{
		Name: "paylink_kafka_partitions_assigned", Type: Gauge, Unit: "partitions", Start: one,
		Meaning: "Partitions of the intent topic that the group gave to this member.",
	},
	{
		Name: "paylink_kafka_partitions_lost_total", Type: Counter, Unit: "partitions", Start: one,
		Meaning: "Partitions lost without a hand-over.",
		Do:      "see why the process or its network stood still for a session timeout",
	},
	{
		Name: "paylink_kafka_fences_total", Type: Counter, Start: one,
		Meaning: "Fences made.",
	},
	{
		Name: "paylink_kafka_fences_broken_total", Type: Counter, Start: one,
		Meaning: "Fences found broken while we owned the partition. Alarm if it rises.",
		Do:      "look for a second service with the same group name",
	},
	{
		Name: "paylink_kafka_new_producer_ids_total", Type: Counter, Start: one,
		Meaning: "Transactional ids that the coordinator had forgotten. Alarm if it rises.",
		Do:      "check the brokers' expiry settings",
	},
	{
		Name: "paylink_kafka_ledger_outcomes_read_total", Type: Counter, Unit: "outcomes", Start: one,
		Meaning: "Outcomes read into ledgers.",
	},
	{
		Name: "paylink_kafka_ledger_intents", Type: Gauge, Unit: "intents", Labels: []string{"partition"},
		Meaning: "Answered intents known, per outcome partition, when its ledger was last read.",
	},
	{
		Name: "paylink_kafka_ledger_load_seconds", Type: Histogram, Unit: "seconds", Start: one, Buckets: exponential(0.01, 2.5, 14),
		Meaning: "Time to fence a partition and read its ledger, before its intents are worked on.",
		Do:      "shorten `PAYLINK_LEDGER_WINDOW`, or make more partitions",
	},
	{
		Name: "paylink_kafka_fetch_errors_total", Type: Counter, Start: one,
		Meaning: "Fetches that failed and were repeated.",
		Do:      "see the brokers",
	},
	{
		Name: "paylink_kafka_corrupt_batches_total", Type: Counter, Unit: "batches", Start: one,
		Meaning: "Batches that could not be read; their partition stands still. Alarm if it rises.",
		Do:      "repair or delete the batch",
	},
	{
		Name: "paylink_kafka_records_lost_to_retention_total", Type: Counter, Unit: "records", Start: one,
		Meaning: "Offsets that retention deleted before they were read. Alarm if it rises.",
		Do:      "lengthen the topic's retention; emit them again",
	},
	{
		Name: "paylink_kafka_partitions_made_again_total", Type: Counter, Unit: "partitions", Start: one,
		Meaning: "Intent partitions read from their beginning because their topic was deleted and made again. Alarm if it rises.",
		Do:      "see that nobody deletes it",
	},
	{
		Name: "paylink_kafka_lag_records", Type: Gauge, Unit: "records", Labels: []string{"partition"},
		Meaning: "Records of the intent partition not fetched yet, up to the log's end; NaN while no broker has told the end for 30 s.",
		Do:      "see what waits: `paylink_intents_waiting`",
	},
	{
		Name: "paylink_kafka_end_age_seconds", Type: Gauge, Unit: "seconds", Start: one,
		Meaning: "For how long no broker has told where the log ends, of the partition that this is longest for; or, while the group has not taken us in, for how long it has not. Alarm if above 60.",
		Do:      "the service is cut off from a partition's leader: see `/readyz` and the brokers",
	},
	{
		Name: "paylink_kafka_records_appended_total", Type: Counter, Unit: "records", Start: one,
		Meaning: "Outcomes and dead letters acknowledged by all in-sync replicas.",
	},
	{
		Name: "paylink_kafka_batches_appended_total", Type: Counter, Unit: "batches", Start: one,
		Meaning: "Batches acknowledged by all in-sync replicas.",
	},
	{
		Name: "paylink_kafka_append_retries_total", Type: Counter, Unit: "batches", Start: one,
		Meaning: "Batches sent again, byte for byte.",
		Do:      "see the brokers",
	},
	{
		Name: "paylink_kafka_commit_errors_total", Type: Counter, Start: one,
		Meaning: "Offset commits that failed and were repeated.",
		Do:      "see the brokers",
	},
	{
		Name: "paylink_kafka_logins_refused_total", Type: Counter, Unit: "connections", Start: one,
		Meaning: "Connections that a broker refused for their login or certificate. Alarm if it rises.",
		Do:      "correct the file, which is taken up at once, or the brokers",
	},
	{
		Name: "paylink_kafka_turn_notes_total", Type: Counter, Unit: "notes", Labels: []string{"direction", "result"},
		Start:   slices.Concat(cross(each("said"), each("sent", "dropped")), cross(each("heard"), each("taken", "late", "of_others", "unreadable", "dropped"))),
		Meaning: "Notes by which replicas lend each other turns, by direction (said, heard) and result: sent or taken; dropped (nobody could take it in time, or the topic does not work); late (its time was over); of_others (of another group, or to another replica); unreadable (no note). Our own are not heard.",
	},
	{
		Name: "paylink_kafka_turns_blocked", Type: Gauge, Start: one,
		Meaning: "1 while no turns are lent though `PAYLINK_TOPIC_TURNS` names a topic for them. Nothing depends on it but how long intents wait.",
		Do:      "see `/readyz`, which says why",
	},
	{
		Name: "paylink_kafka_short_ledger", Type: Gauge, Unit: "reasons", Start: one,
		Meaning: "Reasons why the ledger reaches less far back than its window: the outcome topic's settings, or a partition that was emptied. Alarm if not zero.",
		Do:      "raise the outcome topic's retention; see the console",
	},
	{
		Name: "paylink_kafka_ledger_full", Type: Gauge, Unit: "reasons", Start: one,
		Meaning: "1 from four fifths of `PAYLINK_LEDGER_INTENTS` on, and 1 more for each partition that waits for room in it. Alarm if not zero.",
		Do:      "raise `PAYLINK_LEDGER_INTENTS` with the memory, or run more replicas",
	},
	{
		Name: "paylink_kafka_outcome_limit", Type: Gauge, Unit: "topics", Start: one,
		Meaning: "Outcome topics whose max.message.bytes is below what an outcome may need. Alarm if not zero.",
		Do:      "raise `max.message.bytes`",
	},
	{
		Name: "paylink_kafka_compacted", Type: Gauge, Unit: "topics", Start: one,
		Meaning: "Outcome topics that are compacted; no partition is taken over. Alarm if not zero.",
		Do:      "set `cleanup.policy` to `delete`",
	},
	{
		Name: "paylink_kafka_input_blocked", Type: Gauge, Unit: "partitions", Start: one,
		Meaning: "Intent partitions of which the brokers give no records, or in which a hanging transaction hides them. Alarm if not zero.",
		Do:      "see the console; of a transaction: `kafka-transactions.sh find-hanging`, then `abort`",
	},
	{
		Name: "paylink_kafka_take_over_blocked", Type: Gauge, Unit: "partitions", Start: one,
		Meaning: "Intent partitions that the group gave us, and that stand still because their fence or ledger is not got for 15 s. Alarm if not zero.",
		Do:      "see the console, which says what the brokers say; it goes on by itself",
	},
	{
		Name: "paylink_kafka_append_blocked", Type: Gauge, Unit: "partitions", Labels: []string{"cause"}, Start: each("no_answer", "no_leader", "not_enough_replicas", "not_allowed", "invalid_timestamp", "invalid_record", "other"),
		Meaning: "Partitions of which Kafka has taken no outcome or dead letter for some seconds. Alarm if not zero.",
		Do:      "see the console; it goes on by itself",
	},
}

// one is the series of a metric without labels.
var one = [][]string{{}}

// each returns one series for each value of a label.
func each(values ...string) (out [][]string) {
	for _, v := range values {
		out = append(out, []string{v})
	}
	return out
}

// cross returns one series for each pair.
func cross(a, b [][]string) (out [][]string) {
	for _, x := range a {
		for _, y := range b {
			out = append(out, slices.Concat(x, y))
		}
	}
	return out
}

func exponential(start, factor float64, count int) []float64 {
	return prometheus.ExponentialBuckets(start, factor, count)
}
