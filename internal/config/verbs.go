package config

import (
	"strconv"
	"strings"
	"time"

	"paylink/internal/payment"
)

// Reading is what the verbs share that read the topics: where, which range and
// which intents of it, and in what form they answer.
type Reading struct {
	File         File          `name:"config" env:"PAYLINK_CONFIG" placeholder:"FILE" group:"General" help:"YAML file with any of the settings below and of the service."`
	From         string        `name:"from" placeholder:"WHEN" group:"Range" help:"Begin of the range: a time by RFC 3339, so long ago (2h, 7d), earliest or latest. Default: the ledger window ago."`
	To           string        `name:"to" placeholder:"WHEN" group:"Range" help:"End of the range, exclusive, likewise. Default: now."`
	Merchant     string        `name:"merchant" placeholder:"DIGITS" group:"Range" help:"Only intents of this merchant."`
	Intent       string        `name:"intent" placeholder:"ID" group:"Range" help:"Only the intent with this id."`
	Order        string        `name:"order" placeholder:"ID" group:"Range" help:"Only intents with this order id."`
	Output       string        `name:"output" short:"o" default:"table" enum:"table,json,csv" group:"Output" help:"table for people; json: one object per line, each with a kind, the summary last; csv: a head and the rows, without the summary."`
	ShowPersonal bool          `name:"show-personal" group:"Output" help:"Show phone, e-mail and IP, which are hidden otherwise."`
	Kafka        Broker        `embed:"" group:"Kafka"`
	Group        string        `name:"kafka-group" env:"PAYLINK_KAFKA_GROUP" default:"paylink" group:"Kafka" help:"Consumer group of the service. Its offsets are read; nobody joins it."`
	Topics       Topics        `embed:"" group:"Topics"`
	Registry     Registry      `embed:"" group:"Schema registry"`
	LedgerWindow time.Duration `name:"ledger-window" env:"PAYLINK_LEDGER_WINDOW" default:"168h" group:"Flow" help:"How far back the service remembers answered intents."`
	GiveUpAfter  time.Duration `name:"give-up-after" env:"PAYLINK_GIVE_UP_AFTER" default:"1h" group:"Flow" help:"Age at which the service gives an intent up."`

	Begin When `kong:"-"` // From; Prepare fills it
	End   When `kong:"-"` // To
}

// A When is one end of a range. The zero When was not given.
type When struct {
	At       time.Time
	Ago      time.Duration // if At is zero
	Earliest bool
	Latest   bool
}

// Given reports whether it was.
func (w When) Given() bool { return w != When{} }

// Time returns the moment it means; zero for earliest, latest and none.
func (w When) Time(now time.Time) time.Time {
	if w.At.IsZero() && w.Ago != 0 {
		return now.Add(-w.Ago)
	}
	return w.At
}

func (r *Reading) prepare() error {
	var from, to, merchant error
	r.Begin, from = whenOf("--from", r.From)
	r.End, to = whenOf("--to", r.To)
	if !r.Begin.Given() {
		r.Begin.Ago = r.LedgerWindow
	}
	if r.Merchant != "" {
		merchant = checkMerchantID("--merchant", r.Merchant)
	}
	return join(r.Kafka.prepare(), r.Topics.check(), r.Registry.prepare(), from, to, merchant, r.forwards())
}

// forwards checks that a range does not end before it begins.
func (r *Reading) forwards() error {
	now := time.Now()
	begin, end := r.Begin.Time(now), r.End.Time(now)
	if r.End.Earliest || r.Begin.Latest && r.End.Given() && !r.End.Latest || !end.IsZero() && !begin.IsZero() && !begin.Before(end) {
		from := strconv.Quote(r.From)
		if r.From == "" {
			from = "the ledger window ago"
		}
		return problem("--to", "%q is not after --from %s; the range ends where it begins", r.To, from).against("--from")
	}
	return nil
}

// whenOf reads one end of a range; empty text is no When.
func whenOf(flag, text string) (When, error) {
	switch strings.ToLower(text) {
	case "":
		return When{}, nil
	case "earliest":
		return When{Earliest: true}, nil
	case "latest":
		return When{Latest: true}, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil && !at.IsZero() {
		return When{At: at}, nil
	}
	ago := text
	if n, ok := strings.CutSuffix(text, "d"); ok {
		ago = n + "h"
	}
	d, err := time.ParseDuration(ago)
	if err != nil || d <= 0 {
		return When{}, problem(flag, "%q is no time; write 2026-11-23T12:00:00Z, 2h or 7d for so long ago, earliest or latest", text)
	}
	if ago != text {
		d *= 24
	}
	return When{Ago: d}, nil
}

// Asking is how the verbs reach the gateway, and whose intents they know. It is
// the service's; what a verb can do without, it does without.
type Asking struct {
	Gateway   Gateway    `embed:"" group:"Gateway and merchants"`
	Merchants []Merchant `kong:"-"` // Prepare fills it; empty: none is configured
}

// prepare reads the merchants, if there are any.
func (a *Asking) prepare() (err error) {
	bad := a.Gateway.prepare()
	if a.Gateway.MerchantsFile == "" && a.Gateway.Secret == "" && a.Gateway.SecretFile == "" {
		if id := a.Gateway.MerchantID; id != "" {
			return join(bad, checkMerchantID("PAYLINK_MERCHANT_ID", id))
		}
		return bad
	}
	a.Merchants, err = a.Gateway.LoadMerchants()
	return join(bad, err)
}

// DefaultMerchant is the merchant of intents that name none.
func (a *Asking) DefaultMerchant() payment.MerchantID {
	if len(a.Merchants) == 0 {
		return payment.MerchantID(a.Gateway.MerchantID)
	}
	return a.Gateway.DefaultMerchant(a.Merchants)
}

// Verify is the settings of `paylink verify`.
type Verify struct {
	Reading `embed:""`
	Asking  `embed:""`
}

// Prepare is as that of Run.
func (v *Verify) Prepare() error {
	return join(v.Reading.prepare(), v.Asking.prepare())
}
