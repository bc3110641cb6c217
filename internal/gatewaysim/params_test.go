package gatewaysim

import (
	"strings"
	"testing"
)

// everyRule is what the gateway's page allows and forbids, by parameter.
var everyRule = []struct {
	name      string
	good, bad []string
}{
	{"pg_order_id", []string{"1", "550e8400-e29b-41d4-a716-446655440000", strings.Repeat("ё", 50)}, []string{"", strings.Repeat("a", 51), "\xff"}},
	{"pg_amount", []string{"0.01", "1", "20.5", "99999999", "99999999.00"}, []string{"", "0", "0.00", "0.009", "99999999.01", "100000000", "1.234", "1,5", "1e3", "-1", "+1", "01", ".5", "5.", " 1", "abc"}},
	{"pg_currency", []string{"KZT", "KGS", "UZS"}, []string{"", "kzt", "KZ", "KZTT", "398"}},
	{"pg_description", []string{"x", strings.Repeat("ж", 1024), "a\nb <&> 'c'"}, []string{"", strings.Repeat("x", 1025)}},
	{"pg_testing_mode", []string{"0", "1"}, []string{"", "2", "true", "01"}},
	{"pg_lifetime", []string{"300", "604800"}, []string{"", "299", "604801", "300.5", "5m"}},
	{"pg_language", []string{"ru", "en", "kz", "kg", "uz"}, []string{"", "de", "RU", "kk"}},
	{"pg_user_id", []string{"a", "No65GFR755789T", strings.Repeat("_", 50)}, []string{"", "a b", "é", strings.Repeat("a", 51)}},
	{"pg_user_ip", []string{"127.0.0.1", "2001:db8::1"}, []string{"", "localhost", "1.2.3", "300.1.1.1"}},
	{"pg_user_phone", []string{"77777777777"}, []string{"", "+77777777777", "7 777", strings.Repeat("7", 16)}},
	{"pg_user_contact_email", []string{"payer@example.com"}, []string{"", "payer", "Payer <payer@example.com>", "a@b@c"}},
	{"pg_payment_method", []string{"mobile_commerce"}, []string{"", "bankcard", "Mobile_Commerce"}},
	{"pg_request_method", []string{"GET", "POST", "XML"}, []string{"", "PUT", "get"}},
	{"pg_check_url", urlsGood, urlsBad},
	{"pg_result_url", urlsGood, urlsBad},
	{"pg_success_url", urlsGood, urlsBad},
	{"pg_failure_url", urlsGood, urlsBad},
	{"pg_site_url", urlsGood, urlsBad},
	{"pg_success_url_method", []string{"GET", "POST"}, []string{"", "XML", "post"}},
	{"pg_failure_url_method", []string{"GET", "POST"}, []string{"", "XML", "post"}},
	{"pg_param1", []string{"Additional information", strings.Repeat("я", 255)}, []string{"", strings.Repeat("я", 256)}},
	{"pg_param2", []string{"Additional information", strings.Repeat("я", 255)}, []string{"", strings.Repeat("я", 256)}},
	{"pg_param3", []string{"Additional information", strings.Repeat("я", 255)}, []string{"", strings.Repeat("я", 256)}},
	{"pg_commission_discount", []string{"0", "1"}, []string{"", "2", "yes"}},
	{"pg_commission_discount_fix", []string{"1", "99999999", "10.505"}, []string{"", "0", "0.99", "99999999.5", "1e2"}},
	{"pg_commission_discount_percentage", []string{"1", "100", "12.5"}, []string{"", "0.5", "100.01", "-3"}},
	{"pg_generate_qr", []string{"0", "1"}, []string{"", "2"}},
	{"pg_idempotency_key", []string{"k", strings.Repeat("k", 255)}, []string{"", strings.Repeat("k", 256)}},
	{"pg_salt", []string{"a", "Ab09"}, []string{"", "a-b", "соль"}},
}

var (
	urlsGood = []string{"https://site.com/check", "http://site.com:8080/a?b=c", "https://s.kz/" + strings.Repeat("a", 242)}
	urlsBad  = []string{"", "site.com/check", "ftp://site.com/", "https://", "https://s.kz/" + strings.Repeat("a", 243)}
)

func TestEveryRuleOfThePageIsKept(t *testing.T) {
	b := newBench(t, Config{})
	for _, rule := range everyRule {
		for _, v := range rule.good {
			a, call := b.tell(rule.name, v)
			if a.value("pg_status") != "ok" || len(call.Violations) != 0 {
				t.Errorf("%s=%.60q: answer %s, violations %v, want ok and none", rule.name, v, a.body, call.Violations)
			}
		}
		for _, v := range rule.bad {
			a, call := b.tell(rule.name, v)
			if a.value("pg_error_code") != "9403" || !strings.Contains(a.value("pg_error_description"), rule.name) {
				t.Errorf("%s=%.60q: answer %s, want error 9403 naming it", rule.name, v, a.body)
			}
			if len(call.Violations) != 1 || call.Violations[0].Field != rule.name || call.Made != 0 {
				t.Errorf("%s=%.60q: violations %v, made %d, want one of it and no payment", rule.name, v, call.Violations, call.Made)
			}
		}
	}
}

// tell calls Init with one parameter set.
func (b *bench) tell(name, value string) (answer, Call) {
	b.t.Helper()
	fields := without(order("o-1"), "pg_idempotency_key")
	if name == "pg_salt" {
		fields = sign(initScript, fields, secret)
		fields = with(without(fields, "pg_sig"), "pg_salt", value)
		b.visitors.of = map[string]*visitor{} // salts repeat here
		return b.send(initScript, resign(fields)), b.lastCall()
	}
	return b.in(initScript, with(fields, name, value)), b.lastCall()
}

func TestTheTableOfRulesKnowsEveryParameter(t *testing.T) {
	covered := map[string]bool{"pg_merchant_id": true, "pg_sig": true} // in TestForms
	for _, rule := range everyRule {
		covered[rule.name] = true
	}
	for _, p := range initParams {
		if !covered[p.name] {
			t.Errorf("%s has no good and bad values", p.name)
		}
	}
	if len(covered) != len(initParams) || len(initParams) != 31 {
		t.Errorf("%d parameters tested, %d in the table, want the page's 31", len(covered), len(initParams))
	}
}
