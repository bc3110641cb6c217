package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"paylink/internal/payment"
)

func TestMerchantsFile(t *testing.T) {
	file := write(t, "merchants.yaml", `
- id: 540001
  secret: "0123456789"
- id: "540002"
  secret_file: two.secret
  rate: 40/s+10
  gateway_url: https://test-api.freedompay.kz
`)
	if err := os.WriteFile(filepath.Join(filepath.Dir(file), "two.secret"), []byte(canary+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, _, err := parse([]string{"PAYLINK_KAFKA_BROKERS=one:1", "PAYLINK_MERCHANTS_FILE=" + file, "PAYLINK_RATE=2/s", "PAYLINK_MERCHANT_ID=540002"})
	if err != nil {
		t.Fatal(err)
	}
	type merchant struct{ ID, Secret, URL, Rate string }
	var got []merchant
	for _, m := range p.Run.Merchants {
		got = append(got, merchant{string(m.ID), m.Secret.Reveal(), m.GatewayURL, m.Rate.String()})
	}
	want := []merchant{
		{"540001", "0123456789", "https://api.freedompay.kz", "2/s"},
		{"540002", canary, "https://test-api.freedompay.kz", "40/s+10"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{file, filepath.Join(filepath.Dir(file), "two.secret")}, p.Run.Files()); diff != "" {
		t.Errorf("files to watch: %s", diff)
	}
	if got := p.Run.Gateway.DefaultMerchant(p.Run.Merchants); got != "540002" {
		t.Errorf("default merchant = %q, want the configured one", got)
	}
}

// TestWhatEmittersMaySay holds that the settings are those of every merchant that
// does not say otherwise.
func TestWhatEmittersMaySay(t *testing.T) {
	rules := []string{"PAYLINK_KAFKA_BROKERS=one:1", "PAYLINK_LOCK_FIELDS=testing_mode, result_url,result_url", "PAYLINK_ALLOW_HOSTS=*.Shop.example,shop.example", "PAYLINK_GATEWAY_LINK_HOSTS=customer.freedompay.kz"}
	common := payment.Permit{Locked: []string{"result_url", "testing_mode"}, Hosts: payment.Hosts{"*.shop.example", "shop.example"}}
	links := payment.Hosts{"customer.freedompay.kz"}
	file := write(t, "merchants.yaml", `
- {id: 1, secret: a}
- id: 2
  secret: b
  lock: [lifetime]
  allow_hosts:
    - other.example
  link_hosts: "pay.example, *.pay.example"
- {id: 3, secret: c, lock: [], allow_hosts: [], link_hosts: []}
`)
	for _, c := range []struct {
		environ []string
		permits []payment.Permit
		links   []payment.Hosts
	}{
		{[]string{"PAYLINK_MERCHANT_ID=1", "PAYLINK_MERCHANT_SECRET=a"}, []payment.Permit{common}, []payment.Hosts{links}},
		{[]string{"PAYLINK_MERCHANTS_FILE=" + file},
			[]payment.Permit{common, {Locked: []string{"lifetime"}, Hosts: payment.Hosts{"other.example"}}, {}},
			[]payment.Hosts{links, {"*.pay.example", "pay.example"}, nil}},
	} {
		p, _, err := parse(append(rules, c.environ...))
		if err != nil {
			t.Fatal(err)
		}
		var permits []payment.Permit
		var links []payment.Hosts
		for _, m := range p.Run.Merchants {
			permits, links = append(permits, m.Permit), append(links, m.LinkHosts)
		}
		if diff := cmp.Diff(c.permits, permits); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(c.links, links); diff != "" {
			t.Error(diff)
		}
	}
}

func TestFilesOfOneMerchant(t *testing.T) {
	secret, file := write(t, "secret", canary), write(t, "paylink.yaml", "rate: 2/s\n")
	p, _, err := parse([]string{"PAYLINK_KAFKA_BROKERS=one:1", "PAYLINK_MERCHANT_ID=1", "PAYLINK_MERCHANT_SECRET_FILE=" + secret, "PAYLINK_CONFIG=" + file})
	if err != nil {
		t.Fatal(err)
	}
	got, want := p.Run.Files(), []string{secret, file}
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDefaultMerchant(t *testing.T) {
	one, two := Merchant{Merchant: payment.Merchant{ID: "1"}}, Merchant{Merchant: payment.Merchant{ID: "2"}}
	if got := (Gateway{}).DefaultMerchant([]Merchant{one}); got != "1" {
		t.Errorf("of one merchant = %q, want it", got)
	}
	if got := (Gateway{}).DefaultMerchant([]Merchant{one, two}); got != "" {
		t.Errorf("of two merchants = %q, want none", got)
	}
}

func TestDefaultsOfAMerchantInAnyCase(t *testing.T) {
	file := write(t, "merchants.yaml", "- id: 1\n  secret: x\n  testing_mode: TRUE\n  generate_qr: off\n  language: RU\n  request_method: post\n")
	p, _, err := parse([]string{"PAYLINK_KAFKA_BROKERS=one:1", "PAYLINK_MERCHANTS_FILE=" + file})
	if err != nil {
		t.Fatal(err)
	}
	want := []payment.Param{{Name: "testing_mode", Value: "1"}, {Name: "generate_qr", Value: "0"}, {Name: "language", Value: "ru"}, {Name: "request_method", Value: "POST"}}
	if diff := cmp.Diff(want, p.Run.Merchants[0].Defaults); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
}

func TestBadMerchantsFiles(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "must be a list"},
		{"id: 1", "must be a list"},
		{"[]", "must be a list"},
		{"- 540001", "must be a mapping"},
		{"- secret: " + canary, "has no id"},
		{"- id: 1", "the secret is empty"},
		{"- id: 1\n  secret: \"\"", "the secret is empty"},
		{"- id: 010\n  secret: " + canary, "\"010\" is no merchant number"},
		{"- id: shop\n  secret: " + canary, "is no merchant number"},
		{"- id: 1\n  secrt: " + canary, "merchants.yaml line 2: unknown key secrt of a merchant; the nearest known one is secret"},
		{"- id: 1\n  secret: " + canary + "\n  secret_file: x", "given twice"},
		{"- id: 1\n  secret: " + canary + "\n- id: 1\n  secret: " + canary, "merchants.yaml line 3: merchant 1 is listed twice"},
		{"- id: 1\n  secret: " + canary + "\n  rate: fast", "\"fast\" is no rate"},
		{"- id: 1\n  secret: " + canary + "\n  gateway_url: ftp://x", "is no absolute URL"},
		{"- id: 1\n  secret: [" + canary + "]", "is a list"},
		{"- id: 1\n  secret: " + canary + "\n  gateway_url: https://x/init_payment.php", "merchants.yaml line 3, gateway_url: must not name a script"},
		{"- id: 1\n  secret: " + canary + "\n  gateway_url: https://x?", "line 3, gateway_url: must not hold a login, a query or a fragment"},
		{"- id: 1\n  secret: " + canary + "\n  lock: [result_urls]", "merchants.yaml line 3, lock: \"result_urls\" is no field of an intent; the nearest that can be locked is result_url"},
		{"- id: 1\n  secret: " + canary + "\n  lock: description", "lock: description cannot be locked"},
		{"- id: 1\n  secret: " + canary + "\n  lock:", "lock: is empty; write a list, or [] for none"},
		{"- id: 1\n  secret: " + canary + "\n  lock: [[x]]", "must be a plain value"},
		{"- id: 1\n  secret: " + canary + "\n  allow_hosts: [https://x]", "allow_hosts: \"https://x\" is no host"},
		{"- id: 1\n  secret: " + canary + "\n  allow_hosts: [\"\"]", "allow_hosts: \"\" is no host"},
		{"- id: 1\n  secret: " + canary + "\n  link_hosts: \"*\"", "link_hosts: \"*\" is no host; leave the setting out"},
		{"- id: 1\n  secret: " + canary + "\n  locks: [x]", "unknown key locks of a merchant; the nearest known one is lock"},
		{"- id: 1\n  secret: a\t" + canary, "merchants.yaml line 2, secret: holds a tab; write the value in quotes"},
		{"- {id: 1, secret " + canary + "}", "line 1: is not valid YAML"},
		{"- id: " + canary + "\n  secret: 540001", "line 1, id: the value is no merchant number: it must"},
		{"- id: 1\n  secret_file: nowhere", "secret file: stat"},
		{"- id: 1\n  secret: \"" + canary, "is not valid YAML"},
		{"- id: 2\n  secret: " + canary, "merchant 1 is not in"}, // PAYLINK_MERCHANT_ID=1
	} {
		file := write(t, "merchants.yaml", c.text+"\n")
		_, _, err := parse([]string{"PAYLINK_KAFKA_BROKERS=one:1", "PAYLINK_MERCHANT_ID=1", "PAYLINK_MERCHANTS_FILE=" + file})
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), canary) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q:\n got %v\nwant …%s", c.text, err, c.want)
		}
	}
}

func FuzzMerchantsFileNeverQuotesSecrets(f *testing.F) {
	for _, s := range []string{"- id: 2\n  secret: x", "  rate: 40/s", "  rate: [", "- &a", "\t"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, err := parseMerchants("merchants.yaml", []byte("- id: 1\n  secret: "+canary+"\n"+text), Merchant{})
		if err != nil && strings.Contains(err.Error(), canary) && !strings.Contains(text, "canary") {
			t.Errorf("%q: %v", text, err)
		}
	})
}
