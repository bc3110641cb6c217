package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"paylink/internal/event"
)

// A mix is what share of the samples is not an ordinary intent, each from 0 to 1.
type mix struct {
	Invalid    float64 `default:"0.08" placeholder:"SHARE" help:"Share of intents that break rules, from 0 to 1 (default ${default})."`
	Dead       float64 `default:"0.05" placeholder:"SHARE" help:"Share of records that are no intent at all (default ${default})."`
	Duplicates float64 `default:"0.08" placeholder:"SHARE" help:"Share of intents that repeat an earlier one, byte for byte (default ${default})."`
	Conflicts  float64 `default:"0.03" placeholder:"SHARE" help:"Share of intents that reuse an earlier id with another amount (default ${default})."`
}

// Validate says whether the shares are shares.
func (m mix) Validate() error {
	sum := 0.0
	for _, s := range []float64{m.Invalid, m.Dead, m.Duplicates, m.Conflicts} {
		if s < 0 || s > 1 {
			return fmt.Errorf("share %v: must be from 0 to 1", s)
		}
		sum += s
	}
	if sum > 1 {
		return fmt.Errorf("shares add up to %.2f, more than 1", sum)
	}
	return nil
}

// An intent is the input event as an emitter writes it.
type intent struct {
	IntentID         string            `json:"intent_id,omitempty"`
	MerchantID       string            `json:"merchant_id,omitempty"`
	OrderID          string            `json:"order_id,omitempty"`
	Amount           string            `json:"amount,omitempty"`
	Currency         string            `json:"currency,omitempty"`
	Description      string            `json:"description,omitempty"`
	Language         string            `json:"language,omitempty"`
	UserID           string            `json:"user_id,omitempty"`
	UserPhone        string            `json:"user_phone,omitempty"`
	UserContactEmail string            `json:"user_contact_email,omitempty"`
	Lifetime         int               `json:"lifetime,omitempty"`
	SuccessURL       string            `json:"success_url,omitempty"`
	GenerateQR       bool              `json:"generate_qr,omitempty"`
	CreatedAt        string            `json:"created_at,omitempty"`
	Metadata         map[string]string `json:"metadata,omitempty"`
}

func (in intent) message() event.Message {
	value, err := json.Marshal(in)
	if err != nil {
		panic(err) // strings and numbers always marshal
	}
	return event.Message{Key: []byte(in.key()), Value: value}
}

func (in intent) key() string {
	if in.OrderID != "" {
		return in.OrderID
	}
	return in.IntentID
}

// A sampler makes up intents. The same seed, prefix and clock make the same ones.
type sampler struct {
	prefix    string   // of intent ids; distinct for each run, so that none meets its past
	merchants []string // empty: the intents name none
	mix       mix
	rng       *rand.Rand
	now       func() time.Time
	made      int
	repeats   int      // of those: byte for byte an earlier one
	past      []intent // a few ordinary intents, to repeat
}

func newSampler(prefix string, merchants []string, m mix, seed uint64) *sampler {
	return &sampler{prefix: prefix, merchants: merchants, mix: m, rng: rand.New(rand.NewPCG(seed, 1)), now: time.Now}
}

// next makes up the next record. The very first is always an ordinary intent.
func (s *sampler) next() event.Message {
	s.made++
	x := s.rng.Float64()
	if s.made == 1 {
		x = 1
	}
	for _, odd := range []struct {
		share float64
		make  func() event.Message
	}{{s.mix.Invalid, s.invalid}, {s.mix.Dead, s.dead}, {s.mix.Duplicates, s.duplicate}, {s.mix.Conflicts, s.conflict}} {
		if x -= odd.share; x < 0 {
			return odd.make()
		}
	}
	in := s.ordinary()
	if s.past = append(s.past, in); len(s.past) > 50 {
		s.past = s.past[1:]
	}
	return in.message()
}

var goods = []struct{ language, description string }{
	{"ru", "Пополнение баланса Beeline"},
	{"ru", "Пополнение мобильного счёта: «Актив», тариф «Всё включено»"},
	{"ru", "Заказ № %d, доставка по Алматы"},
	{"kz", "Ұялы байланыс теңгерімін толтыру: Kcell"},
	{"kz", "Тапсырыс № %d: кітаптар, Астанаға жеткізу"},
	{"en", "Mobile balance top-up, Tele2"},
	{"en", "Order #%d: 2 × headphones & a cable"},
}

func (s *sampler) ordinary() intent {
	g := goods[s.rng.IntN(len(goods))]
	in := intent{
		IntentID:    fmt.Sprintf("%s-%06d", s.prefix, s.made),
		Amount:      s.amount(),
		Currency:    "KZT",
		Description: strings.ReplaceAll(g.description, "%d", fmt.Sprint(1000+s.made)),
		Language:    g.language,
		UserID:      fmt.Sprintf("user-%d", s.rng.IntN(5000)),
		UserPhone:   fmt.Sprintf("7700%07d", s.rng.IntN(1e7)),
		CreatedAt:   s.now().UTC().Format(time.RFC3339),
	}
	if len(s.merchants) > 0 {
		in.MerchantID = s.merchants[s.rng.IntN(len(s.merchants))]
	}
	if s.rng.IntN(2) == 0 {
		in.OrderID = fmt.Sprintf("order-%s-%d", s.prefix, s.made)
		in.SuccessURL = "https://shop.example/thanks?order=" + in.OrderID
	}
	if s.rng.IntN(4) == 0 {
		in.UserContactEmail, in.Lifetime = "payer@example.com", 3600
		in.Metadata = map[string]string{"cart": fmt.Sprint(s.rng.IntN(1000)), "channel": "app"}
	}
	in.GenerateQR = s.rng.IntN(10) == 0
	return in
}

// amount is what people pay: mostly round, sometimes with tiyn, written in more than one way.
func (s *sampler) amount() string {
	tenge := (2 + s.rng.IntN(40)) * 500
	switch s.rng.IntN(4) {
	case 0:
		return fmt.Sprintf("%d.00", tenge)
	case 1:
		return fmt.Sprintf("%d.%02d", tenge-s.rng.IntN(100), s.rng.IntN(100))
	default:
		return fmt.Sprint(tenge)
	}
}

// invalid breaks one rule or several of an intent that is otherwise ordinary.
func (s *sampler) invalid() event.Message {
	in := s.ordinary()
	switch s.rng.IntN(6) {
	case 0:
		in.Amount = "0"
	case 1:
		in.Amount = "1500.005"
	case 2:
		in.Description = ""
	case 3:
		in.UserPhone, in.UserContactEmail, in.Lifetime = "+77001234567", "payer at example.com", 60
	case 4:
		in.Language = "fr"
	default:
		in.SuccessURL, in.Currency = "/thanks", "tenge"
	}
	return in.message()
}

// dead is a record that can get no outcome.
func (s *sampler) dead() event.Message {
	in := s.ordinary()
	key := []byte(in.key())
	switch s.rng.IntN(5) {
	case 0:
		return event.Message{Key: key, Value: []byte("amount=1500;order=17")}
	case 1:
		return event.Message{Key: key}
	case 2:
		in.IntentID = ""
		return in.message()
	case 3:
		in.IntentID = "order 17/б"
		return in.message()
	default:
		return event.Message{Key: key, Value: []byte(`{"intent_id":"` + in.IntentID + `","amount":`)}
	}
}

func (s *sampler) duplicate() event.Message {
	if len(s.past) == 0 {
		return s.ordinary().message()
	}
	s.repeats++
	return s.past[s.rng.IntN(len(s.past))].message()
}

func (s *sampler) conflict() event.Message {
	if len(s.past) == 0 {
		return s.ordinary().message()
	}
	in := s.past[s.rng.IntN(len(s.past))]
	in.Amount = "77777.77"
	return in.message()
}
