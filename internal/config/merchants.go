package config

import (
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/goccy/go-yaml/ast"

	"paylink/internal/payment"
)

// LoadMerchants reads the merchants of the settings: those of the merchants
// file, or else the one that the settings name. It reads the files anew, so that
// a running service can take up changes; on an error nothing has changed.
func (g Gateway) LoadMerchants() ([]Merchant, error) {
	if g.MerchantsFile != "" {
		return g.merchantsFromFile()
	}
	var id, noSecret error
	if g.MerchantID == "" {
		id = problem("PAYLINK_MERCHANT_ID", "is not set; give the gateway's number of the merchant, or several merchants with PAYLINK_MERCHANTS_FILE")
	} else {
		id = checkMerchantID("PAYLINK_MERCHANT_ID", g.MerchantID)
	}
	m, err := g.common()
	if g.Secret == "" && g.SecretFile == "" {
		noSecret = problem("PAYLINK_MERCHANT_SECRET", "is not set; give the merchant's secret key, or its file with PAYLINK_MERCHANT_SECRET_FILE")
	} else {
		m.Secret, noSecret = readSecret("PAYLINK_MERCHANT_SECRET", g.Secret, g.SecretFile)
	}
	if err := join(id, noSecret, err); err != nil {
		return nil, err
	}
	m.ID, m.SecretFile = payment.MerchantID(g.MerchantID), g.SecretFile
	return []Merchant{m}, nil
}

// common is what a merchant has that says nothing else.
func (g Gateway) common() (Merchant, error) {
	m := Merchant{Merchant: payment.Merchant{GatewayURL: g.URL}, Rate: g.Rate}
	var err, err2, err3 error
	m.LinkHosts, err = parseHosts("PAYLINK_GATEWAY_LINK_HOSTS", g.LinkHosts)
	m.Permit.Hosts, err2 = parseHosts("PAYLINK_ALLOW_HOSTS", g.AllowHosts)
	m.Permit.Locked, err3 = parseLocks("PAYLINK_LOCK_FIELDS", g.LockFields)
	return m, join(err, err2, err3)
}

// Files are what the merchants and the logins at brokers, schema registry and
// gateways are read from, and the settings file: what to watch for changes that a
// running service takes up.
func (r Run) Files() []string {
	seen := map[string]bool{string(r.File): true, r.Gateway.MerchantsFile: true}
	e := r.Events
	for _, f := range []string{
		r.Kafka.SASL.PasswordFile, r.Kafka.SASL.OAuth.SecretFile, r.Kafka.SASL.OAuth.CAFile, r.Kafka.TLS.CAFile, r.Kafka.TLS.CertFile, r.Kafka.TLS.KeyFile,
		e.PasswordFile, e.TokenFile, e.CAFile, e.CertFile, e.KeyFile,
		r.Gateway.TLS.CAFile, r.Gateway.TLS.CertFile, r.Gateway.TLS.KeyFile,
	} {
		seen[f] = true
	}
	for _, m := range r.Merchants {
		seen[m.SecretFile] = true
	}
	delete(seen, "")
	return slices.Sorted(maps.Keys(seen))
}

// DefaultMerchant is the merchant of intents that name none: the configured one,
// the only one, or nobody ("").
func (g Gateway) DefaultMerchant(all []Merchant) payment.MerchantID {
	if g.MerchantID == "" && len(all) == 1 {
		return all[0].ID
	}
	return payment.MerchantID(g.MerchantID)
}

func (g Gateway) merchantsFromFile() ([]Merchant, error) {
	if g.Secret != "" || g.SecretFile != "" {
		return nil, problem("PAYLINK_MERCHANTS_FILE", "is given together with PAYLINK_MERCHANT_SECRET or its file; write the secret into the merchants file and unset the other")
	}
	common, bad := g.common()
	data, err := readText(g.MerchantsFile, maxMerchantsFile)
	if err != nil {
		return nil, join(bad, problem("PAYLINK_MERCHANTS_FILE", "%v", err))
	}
	all, err := parseMerchants(g.MerchantsFile, data, common)
	if err := join(bad, err); err != nil {
		return nil, err
	}
	if g.MerchantID == "" {
		return all, nil
	}
	for _, m := range all {
		if string(m.ID) == g.MerchantID {
			return all, nil
		}
	}
	return nil, problem("PAYLINK_MERCHANT_ID", "merchant %s is not in %s; add it there, or unset the variable", g.MerchantID, g.MerchantsFile)
}

// parseMerchants reads a YAML list of merchants; what an entry leaves out it has
// from defaults. Its error tells of each bad entry what is wrong with it first. Secret
// files are looked for beside the merchants file.
func parseMerchants(path string, data []byte, defaults Merchant) ([]Merchant, error) {
	var all []Merchant
	var wrong []error
	seen := map[payment.MerchantID]bool{}
	for at, piece := range pieces(path, data, pieceSize) {
		body, err := parseYAML(at, piece)
		if err != nil {
			return nil, join(append(wrong, err)...)
		}
		seq, ok := body.(*ast.SequenceNode)
		if !ok {
			return nil, problem(path, noMerchants)
		}
		for _, item := range seq.Values {
			m, err := parseMerchant(at, item, defaults)
			if err == nil && seen[m.ID] {
				err = problem(at.of(item), "merchant %s is listed twice", m.ID)
			}
			if err != nil {
				wrong = append(wrong, err)
				continue
			}
			seen[m.ID] = true
			all = append(all, m)
		}
	}
	if len(all) == 0 && len(wrong) == 0 {
		return nil, problem(path, noMerchants)
	}
	return all, join(wrong...)
}

// maxMerchantsFile is more than 100,000 merchants need, each with all its defaults.
const maxMerchantsFile = 64 << 20

const noMerchants = "must be a list of merchants: - id: 540001, and on the next line secret_file: …"

func parseMerchant(at place, item ast.Node, m Merchant) (Merchant, error) {
	entries, err := mapping(at, item)
	if err != nil {
		return m, err
	}
	values := map[string]given{}
	for _, e := range entries {
		if values[e.key], err = e.given(at); err != nil {
			return m, err
		}
		if values[e.key].list != nil && !listKeys[e.key] && merchantKeys()[e.key] {
			return m, problem(values[e.key].from, "is a list; write one value")
		}
		if err := m.set(e, values[e.key], at); err != nil {
			return m, err
		}
	}
	if m.ID == "" {
		return m, problem(at.of(item), "a merchant has no id")
	}
	m.SecretFile = beside(at.file, values["secret_file"].text)
	m.Secret, err = readSecret(at.of(item)+", merchant "+string(m.ID), payment.Secret(values["secret"].text), m.SecretFile)
	return m, err
}

// set takes over one key of a merchant's entry; secrets are read at the end.
func (m *Merchant) set(e entry, g given, at place) error {
	switch e.key {
	case "id":
		m.ID = payment.MerchantID(g.text)
		return checkMerchantID(g.from, g.text)
	case "secret", "secret_file":
		return nil
	case "gateway_url":
		m.GatewayURL = g.text
		return checkGateway(g.from, g.text)
	case "link_hosts", "lock", "allow_hosts":
		return m.setList(e.key, g)
	case "rate":
		if err := m.Rate.UnmarshalText([]byte(g.text)); err != nil {
			return problem(g.from, "%q %v", g.text, err)
		}
		return nil
	}
	if f := payment.FieldNamed(e.key); f != nil && mayDefault(f) {
		return m.setDefault(f, g)
	}
	return problem(at.line(e.line), "unknown key %s of a merchant; the nearest known one is %s", e.key, nearest(e.key, merchantKeys()))
}

// merchantKeys are the keys of a merchant's entry.
func merchantKeys() map[string]bool {
	known := map[string]bool{"id": true, "secret": true, "secret_file": true, "rate": true, "gateway_url": true}
	maps.Copy(known, listKeys)
	for i := range payment.Fields {
		if mayDefault(&payment.Fields[i]) {
			known[payment.Fields[i].Name] = true
		}
	}
	return known
}

func beside(path, file string) string {
	if file == "" || filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(filepath.Dir(path), file)
}

func checkMerchantID(from, id string) error {
	if rules := payment.FieldNamed("merchant_id").Check(id); len(rules) > 0 {
		what := strconv.Quote(id)
		if len(id) >= 8 && strings.ContainsFunc(id, unicode.IsLetter) { // perhaps the secret: they are swapped
			what = "the value"
		}
		return problem(from, "%s is no merchant number: it %s", what, strings.Join(rules, ", and "))
	}
	return nil
}

// mayDefault reports whether a merchant may have a default for a field: it is a
// parameter of Init that is neither the intent's own nor the payer's.
func mayDefault(f *payment.Field) bool {
	return f.Init && !f.Required && !f.Personal && f.Name != "merchant_id" && f.Name != "order_id" && f.Name != "idempotency_key" && f.Name != "user_id"
}

// setDefault takes over a default of an Init field, judged by the field's rules.
func (m *Merchant) setDefault(f *payment.Field, g given) error {
	v := g.text
	if on, err := boolean(g); f.Kind == payment.Flag && err == nil {
		v = map[bool]string{true: "1", false: "0"}[on]
	}
	if i := slices.IndexFunc(f.Enum, func(word string) bool { return strings.EqualFold(word, v) }); i >= 0 {
		v = f.Enum[i]
	}
	if rules := f.Check(v); v == "" || len(rules) > 0 {
		return problem(g.from, "%s %s", f.Name, strings.Join(append(rules, "must not be empty")[:1], ""))
	}
	m.Defaults = append(slices.Clone(m.Defaults), payment.Param{Name: f.Name, Value: v})
	return nil
}
