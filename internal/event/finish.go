package event

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/google/uuid"

	"paylink/internal/payment"
)

// finish judges a draft by payment.Fields and makes an intent of it.
func (d *Decoder) finish(dr *draft) (Decoded, error) {
	text := string(dr.text)
	if err := d.checkID(dr, text); err != nil {
		return Decoded{}, err
	}
	vs, bySettings := d.judge(dr, text)
	out := Decoded{Intent: d.intent(dr, text, false), Violations: vs, BySettings: bySettings, OfDefault: !dr.said[merchantField].given}
	if len(vs) == 0 {
		out.Digest = DigestOf(out.Intent) // of what the emitter said: settings may change
		d.addDefaults(&out.Intent)
	} else {
		out.Digest = DigestOf(d.intent(dr, text, true))
		out.Intent = alone(out.Intent)
	}
	return out, nil
}

// alone copies the texts of an intent out of all that its record says: a field that
// breaks its rules may be as long as the record, and is not counted as what waits.
func alone(in payment.Intent) payment.Intent {
	in.ID, in.Merchant = payment.IntentID(strings.Clone(string(in.ID))), payment.MerchantID(strings.Clone(string(in.Merchant)))
	in.OrderID, in.IdempotencyKey = strings.Clone(in.OrderID), strings.Clone(in.IdempotencyKey)
	in.Amount, in.Currency = payment.Money(strings.Clone(string(in.Amount))), strings.Clone(in.Currency)
	for i := range in.Params {
		in.Params[i].Value = strings.Clone(in.Params[i].Value)
	}
	said := in.Metadata
	if said != nil {
		in.Metadata = make(map[string]string, len(said))
	}
	for key, value := range said {
		in.Metadata[strings.Clone(key)] = strings.Clone(value)
	}
	return in
}

// checkID says whether the record can get an outcome at all.
func (d *Decoder) checkID(dr *draft, text string) error {
	s := dr.said[d.idField]
	switch {
	case s.twice:
		return &Unreadable{BadIntentID, "intent_id is given more than once; which one is meant cannot be known"}
	case !s.given:
		return &Unreadable{NoIntentID, "intent_id is absent, null or empty; every intent needs one"}
	case s.wrong:
		return &Unreadable{BadIntentID, "intent_id is no string"}
	}
	f, id := &payment.Fields[d.idField], text[s.text.from:s.text.to]
	if d.quick[d.idField].keeps(f, id) {
		return nil
	}
	if rules := f.Check(id); len(rules) > 0 {
		return &Unreadable{BadIntentID, "intent_id " + strings.Join(rules, ", and ")}
	}
	return nil
}

// judge lists every broken rule, in the order of payment.Fields. bySettings says that
// all of them are of the settings.
func (d *Decoder) judge(dr *draft, text string) (vs []payment.Violation, bySettings bool) {
	ofSettings := 0
	may := d.speakerOf(dr, text)
	for i := range payment.Fields {
		f, s := &payment.Fields[i], &dr.said[i]
		if i == d.idField {
			continue // checkID did
		}
		if f.Kind == payment.Pairs {
			dr.judgePairs(i)
		}
		if s.wrong {
			for _, b := range dr.broken {
				if b.field == i {
					vs = append(vs, payment.Violation{Field: f.Name, Rule: b.rule})
				}
			}
			continue
		}
		rules := d.rules(i, text, s)
		if rule := d.settingsRule(&may, f, s, text); len(rules) == 0 && rule != "" {
			rules = []string{rule}
			ofSettings++
		}
		for _, rule := range rules {
			s.wrong = true
			vs = append(vs, payment.Violation{Field: f.Name, Rule: rule})
		}
	}
	for _, name := range dr.repeats {
		vs = append(vs, payment.Violation{Field: name, Rule: ruleRepeated})
	}
	return vs, len(vs) > 0 && ofSettings == len(vs)
}

// settingsRule returns the rule of the settings that a field breaks, or "".
func (d *Decoder) settingsRule(may *speaker, f *payment.Field, s *said, text string) string {
	merchant := f.Name == "merchant_id"
	switch {
	case !s.given && merchant && d.cfg.DefaultMerchant == "":
		return "is required, because there is no default merchant"
	case s.given && merchant && d.cfg.KnownMerchant != nil && !d.cfg.KnownMerchant(payment.MerchantID(text[s.text.from:s.text.to])):
		return "must be a merchant that this service is configured for"
	}
	return may.rule(f, s, text)
}

// A speaker is who emits a merchant's intents: what it may say, and what the
// merchant's settings say anyway.
type speaker struct {
	permit   payment.Permit
	defaults []payment.Param
}

// speakerOf returns the speaker of a draft's merchant. Of one that is given twice,
// or not as text, nobody knows what it may say: that is a violation already.
func (d *Decoder) speakerOf(dr *draft, text string) (may speaker) {
	s := &dr.said[merchantField]
	if d.cfg.Permit == nil || s.wrong {
		return may
	}
	merchant := d.cfg.DefaultMerchant
	if s.given {
		merchant = payment.MerchantID(text[s.text.from:s.text.to])
	}
	may.permit = d.cfg.Permit(merchant)
	if d.cfg.Defaults != nil {
		may.defaults = d.cfg.Defaults(merchant)
	}
	return may
}

// rule returns the rule that a field breaks by being given at all, or "".
func (m *speaker) rule(f *payment.Field, s *said, text string) string {
	if !s.given {
		return ""
	}
	return m.permit.Rule(f, text[s.text.from:s.text.to], m.defaults)
}

// rules returns the rules of payment.Fields that a field breaks.
func (d *Decoder) rules(i int, text string, s *said) []string {
	f := &payment.Fields[i]
	switch {
	case !s.given && f.Required:
		return []string{"is required"}
	case !s.given || f.Kind == payment.Pairs:
		return nil
	}
	if v := text[s.text.from:s.text.to]; !d.quick[i].keeps(f, v) {
		return f.Check(v)
	}
	return nil
}

// intent makes an intent of the fields that keep their rules; with all, of the
// others too, as they were written.
func (d *Decoder) intent(dr *draft, text string, all bool) payment.Intent {
	in := payment.Intent{Params: make([]payment.Param, 0, dr.given())}
	for i := range payment.Fields {
		f, s := &payment.Fields[i], &dr.said[i]
		if !s.given || s.wrong && !all {
			continue
		}
		v := text[s.text.from:s.text.to]
		if s.twice {
			v += "\x00twice"
		}
		if d.param[i] {
			in.Params = append(in.Params, payment.Param{Name: f.Name, Value: v})
			continue
		}
		assign(&in, f, v)
	}
	if !dr.said[metadataField].wrong {
		in.Metadata = metadata(dr.pairs, text)
	}
	d.fillIn(&in, dr)
	return in
}

func (dr *draft) given() (n int) {
	for i := range dr.said {
		if dr.said[i].given {
			n++
		}
	}
	return n
}

// assign puts a value where it belongs. A time that is none becomes zero,
// which only happens on the way to a digest.
func assign(in *payment.Intent, f *payment.Field, v string) {
	switch f.Name {
	case "intent_id":
		in.ID = payment.IntentID(v)
	case "merchant_id":
		in.Merchant = payment.MerchantID(v)
	case "order_id":
		in.OrderID = v
	case "idempotency_key":
		in.IdempotencyKey = v
	case "amount":
		in.Amount = payment.Money(v)
	case "currency":
		in.Currency = v
	case "expires_at":
		in.ExpiresAt, _ = payment.ParseTime(v)
	case "created_at":
		in.CreatedAt, _ = payment.ParseTime(v)
	}
}

// isParam reports whether a field of Init has no place of its own in an intent.
func isParam(f *payment.Field) bool {
	switch f.Name {
	case "merchant_id", "order_id", "idempotency_key", "amount", "currency":
		return false
	}
	return f.Init
}

func metadata(pairs []pair, text string) map[string]string {
	if len(pairs) == 0 {
		return nil
	}
	m := make(map[string]string, len(pairs))
	for _, p := range pairs {
		m[text[p.key.from:p.key.to]] = text[p.value.from:p.value.to]
	}
	return m
}

// fillIn puts defaults in the place of what was not given. What was given and
// breaks a rule stays empty.
func (d *Decoder) fillIn(in *payment.Intent, dr *draft) {
	if !dr.said[merchantField].given {
		in.Merchant = d.cfg.DefaultMerchant
	}
	if !dr.said[orderField].given {
		in.OrderID = orderIDFor(in.ID)
	}
	if !dr.said[keyField].given && in.Merchant != "" {
		in.IdempotencyKey = idempotencyKeyFor(in.Merchant, in.ID)
	}
}

// addDefaults adds the parameters that the merchant's settings give to intents
// that do not say otherwise.
func (d *Decoder) addDefaults(in *payment.Intent) {
	if d.cfg.Defaults == nil {
		return
	}
	for _, p := range d.cfg.Defaults(in.Merchant) {
		switch {
		case p.Name == "currency" && in.Currency == "":
			in.Currency = p.Value
		case p.Name != "currency" && in.Param(p.Name) == "":
			in.Params = append(in.Params, p)
		}
	}
}

// Indexes in payment.Fields.
var (
	merchantField = fieldIndex("merchant_id")
	orderField    = fieldIndex("order_id")
	keyField      = fieldIndex("idempotency_key")
	metadataField = fieldIndex("metadata")
)

func fieldIndex(name string) int {
	return slices.IndexFunc(payment.Fields, func(f payment.Field) bool { return f.Name == name })
}

const maxOrderID = 50 // characters, says the gateway's page; see TestDefaultOrderIDKeepsItsRule

// orderIDFor returns the order id of an intent that names none: the intent id
// if it fits, else 160 bits of its SHA-256 in hex.
func orderIDFor(id payment.IntentID) string {
	if len(id) <= maxOrderID {
		return string(id)
	}
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:20])
}

// The name spaces of our UUIDs (version 5), drawn once by chance. To change one
// would change the key of every intent under way: never do.
var (
	spaceOfKeys   = uuid.UUID{0x96, 0x73, 0x24, 0x52, 0xe5, 0x46, 0x41, 0x5c, 0x98, 0x1e, 0xf1, 0x21, 0x79, 0x9b, 0xf8, 0x8a}
	spaceOfEvents = uuid.UUID{0x17, 0xd4, 0x09, 0xbe, 0xfd, 0xbe, 0x49, 0x72, 0x80, 0x02, 0x94, 0x06, 0x99, 0xd3, 0xc8, 0x6c}
)

// idempotencyKeyFor returns the key of an intent that names none.
func idempotencyKeyFor(m payment.MerchantID, id payment.IntentID) string {
	return uuidOf(spaceOfKeys, m, id)
}

// eventIDFor returns the id of the outcome of an intent. The merchant of a
// broken intent may be empty.
func eventIDFor(m payment.MerchantID, id payment.IntentID) string {
	return uuidOf(spaceOfEvents, m, id)
}

// uuidOf is uuid.NewSHA1 of "merchant/intent", without what that allocates.
func uuidOf(space uuid.UUID, m payment.MerchantID, id payment.IntentID) string {
	var room [256]byte
	b := append(room[:0], space[:]...)
	b = append(append(append(b, m...), '/'), id...)
	sum := sha1.Sum(b)
	u := uuid.UUID(sum[:16])
	u[6] = u[6]&0x0f | 0x50 // version 5
	u[8] = u[8]&0x3f | 0x80 // as RFC 9562 has it
	return u.String()
}
