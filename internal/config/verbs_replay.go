package config

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/time/rate"
)

// Replaying is what the verbs share that put records on a topic again.
type Replaying struct {
	Reading    `embed:""`
	Execute    bool   `name:"execute" group:"Replay" help:"Do it. Without this flag nothing is changed: it is only told what would be."`
	MerchantID string `name:"merchant-id" env:"PAYLINK_MERCHANT_ID" placeholder:"DIGITS" group:"Replay" help:"The merchant of intents that name none, as the service has it."`
}

func (r *Replaying) prepare() error {
	if err := r.Reading.prepare(); err != nil {
		return err
	}
	if r.MerchantID != "" {
		return checkMerchantID("PAYLINK_MERCHANT_ID", r.MerchantID)
	}
	return nil
}

// Asking is what the decoder of intents needs: the default merchant alone, so that
// every merchant is known.
func (r *Replaying) Asking() Asking { return Asking{Gateway: Gateway{MerchantID: r.MerchantID}} }

// ReplayOutcomes is the settings of `paylink replay outcomes`.
type ReplayOutcomes struct {
	Replaying `embed:""`
	Turns     Turns  `embed:"" group:"Topics"`
	ToTopic   string `name:"to-topic" required:"" placeholder:"TOPIC" group:"Replay" help:"Topic to publish to. It must exist, and be none of the service's: on the outcome topic an intent would have two outcomes."`
	Places    string `name:"places" placeholder:"FILE" group:"Replay" help:"Where to go on, as lines of topic,partition,offset. The file is made, and kept up to date while the verb runs; given again, it goes on from there. Without it an interrupted run prints the lines."`
}

// Prepare is as that of Run.
func (r *ReplayOutcomes) Prepare() error {
	if err := r.Replaying.prepare(); err != nil {
		return err
	}
	if !topicName.MatchString(r.ToTopic) {
		return problem("--to-topic", "%q is no topic name", r.ToTopic)
	}
	if r.ToTopic == r.Topics.Outcomes || r.ToTopic == r.Topics.Intents || r.ToTopic == r.Topics.DeadLetters || r.ToTopic == r.Turns.Name() {
		return problem("--to-topic", "%s is a topic of the service; a second outcome of an intent must never stand there: give another topic", r.ToTopic)
	}
	return nil
}

// ReplayIntents is the settings of `paylink replay intents`.
type ReplayIntents struct {
	Replaying  `embed:""`
	ToDatetime string   `name:"to-datetime" placeholder:"TIME" group:"Target, one of them" help:"The first record of that time or later: 2026-11-23T12:00:00Z, or as kafka-consumer-groups.sh takes it, without a zone, in UTC."`
	ByDuration string   `name:"by-duration" placeholder:"DURATION" group:"Target, one of them" help:"The first record that is so old or younger: 3h, or PT3H as kafka-consumer-groups.sh takes it."`
	ShiftBy    string   `name:"shift-by" placeholder:"N" group:"Target, one of them" help:"So many offsets on, or back with a minus: --shift-by=-100."`
	ToOffset   string   `name:"to-offset" placeholder:"N" group:"Target, one of them" help:"This offset."`
	ToEarliest bool     `name:"to-earliest" group:"Target, one of them" help:"The oldest record that there is."`
	ToLatest   bool     `name:"to-latest" group:"Target, one of them" help:"Behind the newest record. What is passed over gets no outcome."`
	FromFile   string   `name:"from-file" placeholder:"FILE" group:"Target, one of them" help:"Offsets of a file, as kafka-consumer-groups.sh --export writes them: lines of topic,partition,offset, or group,topic,partition,offset."`
	Partitions []string `name:"partitions" placeholder:"N,…" group:"Replay" help:"Only these partitions. Default: all."`

	At      time.Time     `kong:"-"` // --to-datetime; Prepare fills these
	Ago     time.Duration `kong:"-"` // --by-duration, --from
	Shift   *int64        `kong:"-"`
	Offset  *int64        `kong:"-"`
	Numbers []int32       `kong:"-"` // Partitions
}

// Prepare is as that of Run.
func (r *ReplayIntents) Prepare() error {
	from := r.From != ""
	if err := r.Replaying.prepare(); err != nil {
		return err
	}
	if r.Intent != "" || r.Order != "" || r.Merchant != "" || r.To != "" {
		return problem("", "replay intents sets offsets, for all intents behind them: --intent, --order, --merchant and --to have no meaning here; see replay unanswered")
	}
	given := 0
	for _, is := range []bool{r.ToDatetime != "", r.ByDuration != "", r.ShiftBy != "", r.ToOffset != "", r.ToEarliest, r.ToLatest, r.FromFile != "", from} {
		if is {
			given++
		}
	}
	if given != 1 {
		return problem("", "give one target: --from, --to-datetime, --by-duration, --shift-by, --to-offset, --to-earliest, --to-latest or --from-file")
	}
	if from {
		r.At, r.Ago, r.ToEarliest, r.ToLatest = r.Begin.At, r.Begin.Ago, r.Begin.Earliest, r.Begin.Latest
	}
	return r.target()
}

func (r *ReplayIntents) target() (err error) {
	if r.ToDatetime != "" {
		if r.At, err = datetime(r.ToDatetime); err != nil {
			return problem("--to-datetime", "%q is no time; write 2026-11-23T12:00:00Z", r.ToDatetime)
		}
	}
	if r.ByDuration != "" {
		if r.Ago = duration(r.ByDuration); r.Ago <= 0 {
			return problem("--by-duration", "%q is no duration; write 3h, or PT3H", r.ByDuration)
		}
	}
	for _, n := range []struct {
		flag, text string
		to         **int64
	}{{"--shift-by", r.ShiftBy, &r.Shift}, {"--to-offset", r.ToOffset, &r.Offset}} {
		if n.text == "" {
			continue
		}
		v, err := strconv.ParseInt(n.text, 10, 64)
		if err != nil {
			return problem(n.flag, "%q is no whole number", n.text)
		}
		*n.to = &v
	}
	for _, text := range r.Partitions {
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil || n < 0 {
			return problem("--partitions", "%q is no partition; write numbers, separated by commas", text)
		}
		r.Numbers = append(r.Numbers, int32(n))
	}
	return nil
}

// datetime reads a time with or without a zone; UTC is meant without.
func datetime(text string) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	return time.Parse("2006-01-02T15:04:05.999", text)
}

// isoDuration is what Kafka's tools take: java.time.Duration.parse.
var isoDuration = regexp.MustCompile(`(?i)^P(?:(\d+)D)?(?:T(\d+H)?(\d+M)?(\d+(?:\.\d+)?S)?)?$`)

// duration reads 3h, 7d and P1DT3H; 0: it is none.
func duration(text string) time.Duration {
	if m := isoDuration.FindStringSubmatch(text); m != nil {
		days, _ := strconv.Atoi(m[1]) // none: 0
		rest, _ := time.ParseDuration(strings.ToLower(strings.Join(m[2:], "")))
		return time.Duration(days)*24*time.Hour + rest
	}
	w, err := whenOf("--by-duration", text)
	if err != nil {
		return 0
	}
	return w.Ago
}

// ReplayUnanswered is the settings of `paylink replay unanswered`.
type ReplayUnanswered struct {
	Replaying        `embed:""`
	AssumeUnanswered bool `name:"assume-unanswered" group:"Replay" help:"Also intents from before the oldest outcome that the outcome topic still holds. They may have had an outcome that was deleted since, and would get a second payment link."`
}

// Prepare is as that of Run.
func (r *ReplayUnanswered) Prepare() error { return r.Replaying.prepare() }

// Redrive is the settings of `paylink redrive`.
type Redrive struct {
	Replaying        `embed:""`
	Reasons          []string      `name:"reason" placeholder:"WORD,…" group:"Replay" help:"Only dead letters of these reasons: empty, not_json, no_intent_id, bad_intent_id, unknown_schema, conflict, too_old, too_large. Default: all."`
	Rate             string        `name:"rate" placeholder:"N" group:"Replay" help:"Records per second, at most: 10, or 0.5. Default: no limit."`
	MaxCycles        int           `name:"max-cycles" default:"3" group:"Replay" help:"A dead letter that was redriven so often is parked: it stays for good."`
	EditWith         string        `name:"edit-with" placeholder:"COMMAND" group:"Replay" help:"Pipe each value through this command of a shell, and emit what it prints. It must print an intent that keeps the rules, and may not change an intent id that could be read. Where it fails, the dead letter stays. It runs in a dry run too, and is not given PAYLINK_ variables that hold secrets."`
	EditTimeout      time.Duration `name:"edit-timeout" default:"10s" group:"Replay" help:"How long the command may take for one value."`
	AssumeUnanswered bool          `name:"assume-unanswered" group:"Replay" help:"Also dead letters of intents older than the ledger window, and those that were too_old. Nobody can tell whether they were answered since; those that were get a second payment link. And those of before the brokers forgot what was redriven (offsets.retention.minutes)."`

	Limit rate.Limit `kong:"-"` // Rate; Prepare fills it
}

// reasons are those of dead letters, of the contract.
var reasons = []string{"empty", "not_json", "no_intent_id", "bad_intent_id", "unknown_schema", "conflict", "too_old", "too_large"}

// Prepare is as that of Run.
func (r *Redrive) Prepare() error {
	if err := r.Replaying.prepare(); err != nil {
		return err
	}
	for _, word := range r.Reasons {
		if !slices.Contains(reasons, word) {
			return problem("--reason", "%q is not known; use %s", word, choices(reasons))
		}
	}
	if r.MaxCycles < 1 {
		return problem("--max-cycles", "%d drives nothing; write 1 or more", r.MaxCycles)
	}
	r.Limit = rate.Inf
	if r.Rate != "" {
		n, err := strconv.ParseFloat(strings.TrimSuffix(r.Rate, "/s"), 64)
		if err != nil || !(n > 0) || n > 1e6 {
			return problem("--rate", "%q is no rate; write records per second, such as 10 or 0.5", r.Rate)
		}
		r.Limit = rate.Limit(n)
	}
	return nil
}
