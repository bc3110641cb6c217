package config

import (
	"errors"
	"strings"
	"testing"
)

func TestABadSettingIsOneLineThatNamesItAndSaysWhatToDo(t *testing.T) {
	empty, missing := write(t, "empty", "\n"), "/nowhere/secret"
	for _, c := range []struct {
		name string
		set  string // variable=value, added to a good environment
		want string // start of the line
		mend string // must be in it
	}{
		{"no brokers", "PAYLINK_KAFKA_BROKERS=", "PAYLINK_KAFKA_BROKERS: is not set", "host:port"},
		{"broker without port", "PAYLINK_KAFKA_BROKERS=one", "PAYLINK_KAFKA_BROKERS: \"one\" is no address", "kafka:9092"},
		{"broker as URL", "PAYLINK_KAFKA_BROKERS=http://one:9092", "PAYLINK_KAFKA_BROKERS: ", "host:port"},
		{"broker port", "PAYLINK_KAFKA_BROKERS=one:99999", "PAYLINK_KAFKA_BROKERS: ", "host:port"},
		{"only commas", "PAYLINK_KAFKA_BROKERS= , ,", "PAYLINK_KAFKA_BROKERS: is not set", "host:port"},
		{"broker with login", "PAYLINK_KAFKA_BROKERS=one:1,SASL_SSL://me:" + canary + "@two:9092", "PAYLINK_KAFKA_BROKERS: holds an entry with @", "host:port"},
		{"group", "PAYLINK_KAFKA_GROUP=a b", "PAYLINK_KAFKA_GROUP: ", "without spaces"},
		{"instance", "PAYLINK_KAFKA_GROUP_INSTANCE_ID=a b", "PAYLINK_KAFKA_GROUP_INSTANCE_ID: ", "letters"},
		{"start", "PAYLINK_KAFKA_START=newest", "PAYLINK_KAFKA_START: \"newest\" is not known", "earliest or latest"},
		{"duration", "PAYLINK_GATEWAY_TIMEOUT=30", "PAYLINK_GATEWAY_TIMEOUT: \"30\" is no duration", "30s"},
		{"no duration", "PAYLINK_GATEWAY_TIMEOUT=-1s", "PAYLINK_GATEWAY_TIMEOUT: ", "more than 0"},
		{"rate", "PAYLINK_RATE=fast", "PAYLINK_RATE: \"fast\" is no rate", "40/s"},
		{"scope", "PAYLINK_RATE_SCOPE=all", "PAYLINK_RATE_SCOPE: ", "group or partition"},
		{"number", "PAYLINK_CONCURRENCY=many", "PAYLINK_CONCURRENCY: \"many\" is no whole number", ""},
		{"range", "PAYLINK_CONCURRENCY=0", "PAYLINK_CONCURRENCY: 0 is out of range", "1 to"},
		{"switch", "PAYLINK_KAFKA_TLS_ENABLED=maybe", "PAYLINK_KAFKA_TLS_ENABLED: \"maybe\"", "true nor false"},
		{"gateway", "PAYLINK_GATEWAY_URL=api.freedompay.kz", "PAYLINK_GATEWAY_URL: ", "https://host"},
		{"gateway login", "PAYLINK_GATEWAY_URL=https://user:" + canary + "@host", "PAYLINK_GATEWAY_URL: ", "login"},
		{"gateway script", "PAYLINK_GATEWAY_URL=https://api.freedompay.kz/init_payment.php", "PAYLINK_GATEWAY_URL: must not name a script", "write https://api.freedompay.kz"},
		{"gateway script below a path", "PAYLINK_GATEWAY_URL=https://proxy.example/pay/get_status3.php/", "PAYLINK_GATEWAY_URL: must not name a script, and ends in \"get_status3.php\"", "write https://proxy.example/pay"},
		{"gateway script in capitals", "PAYLINK_GATEWAY_URL=https://host/INIT_PAYMENT", "PAYLINK_GATEWAY_URL: must not name a script", "write https://host"},
		{"gateway query", "PAYLINK_GATEWAY_URL=https://host/?key=" + canary, "PAYLINK_GATEWAY_URL: must not hold a login, a query or a fragment", "https://host"},
		{"gateway empty query", "PAYLINK_GATEWAY_URL=https://host?", "PAYLINK_GATEWAY_URL: must not hold a login, a query or a fragment", "https://host"},
		{"gateway fragment", "PAYLINK_GATEWAY_URL=https://host/#" + canary, "PAYLINK_GATEWAY_URL: must not hold a login, a query or a fragment", "https://host"},
		{"gateway port", "PAYLINK_GATEWAY_URL=https://host:0", "PAYLINK_GATEWAY_URL: must have a port from 1 to 65535", "https://host"},
		{"gateway spaces", "PAYLINK_GATEWAY_URL=https://host/a b", "PAYLINK_GATEWAY_URL: must not hold spaces", "https://host"},
		{"link host with scheme", "PAYLINK_GATEWAY_LINK_HOSTS=https://pay.example", "PAYLINK_GATEWAY_LINK_HOSTS: \"https://pay.example\" is no host", "without https://"},
		{"link host with login", "PAYLINK_GATEWAY_LINK_HOSTS=https://me:" + canary + "@pay.example", "PAYLINK_GATEWAY_LINK_HOSTS: holds an entry with @", "shop.example"},
		{"host in letters of others", "PAYLINK_ALLOW_HOSTS=магазин.example", "PAYLINK_ALLOW_HOSTS: \"магазин.example\" is no host", "xn--"},
		{"every link host", "PAYLINK_GATEWAY_LINK_HOSTS=*", "PAYLINK_GATEWAY_LINK_HOSTS: \"*\" is no host", "leave the setting out"},
		{"allowed host with port", "PAYLINK_ALLOW_HOSTS=shop.example:443", "PAYLINK_ALLOW_HOSTS: ", "port"},
		{"allowed host half wild", "PAYLINK_ALLOW_HOSTS=*shop.example", "PAYLINK_ALLOW_HOSTS: ", "*.shop.example"},
		{"many allowed hosts", "PAYLINK_ALLOW_HOSTS=" + strings.Repeat("a.b,", 256) + "a.b", "PAYLINK_ALLOW_HOSTS: lists 257 hosts", "at most 256"},
		{"lock of no field", "PAYLINK_LOCK_FIELDS=resulturl", "PAYLINK_LOCK_FIELDS: \"resulturl\" is no field of an intent", "result_url"},
		{"lock of what every intent needs", "PAYLINK_LOCK_FIELDS=testing_mode, amount", "PAYLINK_LOCK_FIELDS: amount cannot be locked", "every intent needs it"},
		{"lock of what is not for the gateway", "PAYLINK_LOCK_FIELDS=metadata", "PAYLINK_LOCK_FIELDS: metadata cannot be locked", "not for the gateway"},
		{"lock of the merchant", "PAYLINK_LOCK_FIELDS=merchant_id", "PAYLINK_LOCK_FIELDS: merchant_id cannot be locked", ""},
		{"merchant", "PAYLINK_MERCHANT_ID=", "PAYLINK_MERCHANT_ID: is not set", "PAYLINK_MERCHANTS_FILE"},
		{"merchant digits", "PAYLINK_MERCHANT_ID=shop", "PAYLINK_MERCHANT_ID: \"shop\" is no merchant number", "whole number"},
		{"no secret", "PAYLINK_MERCHANT_SECRET=", "PAYLINK_MERCHANT_SECRET: is not set", "PAYLINK_MERCHANT_SECRET_FILE"},
		{"a key for a secret", "PAYLINK_MERCHANT_SECRET=-----BEGIN PRIVATE KEY-----\n" + canary, "PAYLINK_MERCHANT_SECRET: the secret is a certificate or key", "right file"},
		{"blank secret", "PAYLINK_MERCHANT_SECRET=  ", "PAYLINK_MERCHANT_SECRET: the secret is empty", "file"},
		{"two secrets", "PAYLINK_MERCHANT_SECRET_FILE=" + empty, "PAYLINK_MERCHANT_SECRET: is given twice", "leave one out"},
		{"session", "PAYLINK_KAFKA_SESSION_TIMEOUT=2m", "PAYLINK_KAFKA_SESSION_TIMEOUT: 2m0s is more than", "PAYLINK_KAFKA_REBALANCE_TIMEOUT"},
		{"long session", "PAYLINK_KAFKA_SESSION_TIMEOUT=1h", "PAYLINK_KAFKA_SESSION_TIMEOUT: ", "30m"},
		{"drain", "PAYLINK_DRAIN_TIMEOUT=55s", "PAYLINK_DRAIN_TIMEOUT: 55s is too long", "PAYLINK_KAFKA_REBALANCE_TIMEOUT"},
		{"call", "PAYLINK_GATEWAY_TIMEOUT=36s", "PAYLINK_GATEWAY_TIMEOUT: 36s is more than", "PAYLINK_DRAIN_TIMEOUT"},
		{"window", "PAYLINK_LEDGER_WINDOW=1h", "PAYLINK_LEDGER_WINDOW: 1h0m0s is not more than", "PAYLINK_GIVE_UP_AFTER"},
		{"admin", "PAYLINK_ADMIN_ADDR=8080", "PAYLINK_ADMIN_ADDR: ", "127.0.0.1:8080"},
		{"admin token", "PAYLINK_ADMIN_TOKEN=guess-me", "PAYLINK_ADMIN_TOKEN: is 8 characters long", "at least 16"},
		{"admin token file", "PAYLINK_ADMIN_TOKEN_FILE=" + missing, "PAYLINK_ADMIN_TOKEN: ", "no such file"},
		{"admin certificate", "PAYLINK_ADMIN_TLS_CERT_FILE=" + empty, "PAYLINK_ADMIN_TLS_CERT_FILE: ", ""},
		{"admin clients without a server", "PAYLINK_ADMIN_TLS_CLIENT_CA_FILE=" + empty, "PAYLINK_ADMIN_TLS_CERT_FILE: is not set", "server's own"},
		{"topic", "PAYLINK_TOPIC_INTENTS=a/b", "PAYLINK_TOPIC_INTENTS: ", "letters"},
		{"same topic", "PAYLINK_TOPIC_OUTCOMES=payment-intents", "PAYLINK_TOPIC_OUTCOMES: ", "must differ"},
		{"topic of turns", "PAYLINK_TOPIC_TURNS=a/b", "PAYLINK_TOPIC_TURNS: ", "letters"},
		{"topic of turns that is another", "PAYLINK_TOPIC_TURNS=payment-outcomes", "PAYLINK_TOPIC_TURNS: ", "of their own, or off"},
		{"registry", "PAYLINK_SCHEMA_REGISTRY_URL=registry", "PAYLINK_SCHEMA_REGISTRY_URL: ", "https://host"},
		{"form", "PAYLINK_OUTCOME_FORMAT=avro", "PAYLINK_OUTCOME_FORMAT: ", "json"},
		{"log", "PAYLINK_LOG_LEVEL=loud", "PAYLINK_LOG_LEVEL: ", "debug, info, warn or error"},
		{"TLS off", "PAYLINK_KAFKA_TLS_CA_FILE=ca.pem", "PAYLINK_KAFKA_TLS_ENABLED: ", "set it to true"},
		{"SASL", "PAYLINK_KAFKA_SASL_MECHANISM=gssapi", "PAYLINK_KAFKA_SASL_MECHANISM: ", "scram-sha-512"},
		{"SASL off", "PAYLINK_KAFKA_SASL_PASSWORD=" + canary, "PAYLINK_KAFKA_SASL_MECHANISM: ", "plain"},
		{"SASL user", "PAYLINK_KAFKA_SASL_MECHANISM=plain", "PAYLINK_KAFKA_SASL_USERNAME: ", "name"},
		{"file", "PAYLINK_CONFIG=" + missing, "PAYLINK_CONFIG: open " + missing, ""},
		{"merchants and secret", "PAYLINK_MERCHANTS_FILE=" + missing, "PAYLINK_MERCHANTS_FILE: is given together", "unset"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := parse(good(c.set))
			var bad *Error
			if !errors.As(err, &bad) {
				t.Fatalf("%s: %v, want an *Error", c.set, err)
			}
			line := err.Error()
			if !strings.HasPrefix(line, c.want) || !strings.Contains(line, c.mend) || strings.Contains(line, "\n") {
				t.Errorf("%s:\n got %s\nwant %s… with %q", c.set, line, c.want, c.mend)
			}
			if strings.Contains(line, canary) {
				t.Errorf("the line holds a secret: %s", line)
			}
		})
	}
}

func TestBadFlagsNameTheFlag(t *testing.T) {
	for _, c := range []struct{ arg, want string }{
		{"--rate=fast", "--rate (PAYLINK_RATE): "},
		{"--merchant-secret=" + canary, "--merchant-secret (PAYLINK_MERCHANT_SECRET): secrets are not taken"},
		{"--kafka-sasl-password=" + canary, "--kafka-sasl-password (PAYLINK_KAFKA_SASL_PASSWORD): secrets are not taken"},
		{"--bogus", "unknown flag --bogus"},
		{"bogus", "unexpected argument bogus"},
	} {
		_, _, err := parse(good(), c.arg)
		if err == nil || !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v, want %s…", c.arg, err, c.want)
		}
	}
}

func TestBadSettingsFiles(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"kafka_broker: x:1", "line 1: unknown key kafka_broker; the nearest known one is kafka_brokers"},
		{"rate: 40/s\nrate: 50/s", "twice"},
		{"rate: fast", "line 1, rate: \"fast\" is no rate"},
		{"rate: {a: b}", "must be a plain value"},
		{"rate: [40/s]", "is a list"},
		{"kafka_brokers: [[x]]", "must be a plain value"},
		{"- a\n- b", "must be a mapping"},
		{"just text", "must be a mapping"},
		{"merchant_secret: \"" + canary, "line 1: is not valid YAML"},
		{"a: b: " + canary, "is not valid YAML"},
		{"{merchant_secret " + canary + "}", "line 1: is not valid YAML"},
		{"rate: 40/s\n---\nrate: 50/s", "several YAML documents"},
		{"merchant_secret: &a " + canary, "must be a plain value"},
	} {
		file := write(t, "paylink.yaml", c.text+"\n")
		_, _, err := parse([]string{"PAYLINK_CONFIG=" + file})
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), canary) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q:\n got %v\nwant …%s", c.text, err, c.want)
		}
	}
}

func TestEmptySettingsFilesAreFine(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "---\n", "null\n"} {
		file := write(t, "paylink.yaml", text)
		if _, _, err := parse(good("PAYLINK_CONFIG=" + file)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzSettingsFileNeverQuotesItself(f *testing.F) {
	for _, s := range []string{"rate: 40/s", "a: b: c", "- x", "kafka_brokers: [a, b]", "x: &a y", "\"", "? a\n: b", "a: |\n  b"} {
		f.Add(s)
	}
	known := map[string]bool{"PAYLINK_RATE": true, "PAYLINK_MERCHANT_SECRET": true}
	f.Fuzz(func(t *testing.T, text string) {
		_, wrong, err := parseSettings("paylink.yaml", []byte("merchant_secret: "+canary+"\n"+text), known)
		err = errors.Join(append(wrong, err)...)
		if err != nil && strings.Contains(err.Error(), canary) && !strings.Contains(text, "canary") {
			t.Errorf("%q: %v", text, err)
		}
	})
}
