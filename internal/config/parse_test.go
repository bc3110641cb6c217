package config

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

// canary is a secret that no line may hold.
const canary = "canary-3f9d1c77b2"

// A program is a grammar such as cmd/paylink has.
type program struct {
	Run  Run  `cmd:"" help:"Run the service."`
	Sign Sign `cmd:"" help:"Sign."`
}

// good is an environment with everything that is required.
func good(more ...string) []string {
	return append([]string{
		"PAYLINK_KAFKA_BROKERS=one:9092, two:9092", "PAYLINK_MERCHANT_ID=540001", "PAYLINK_MERCHANT_SECRET=" + canary,
		"PATH=/bin", "NOT_PAYLINK_RATE=1",
	}, more...)
}

func parse(environ []string, args ...string) (program, *Parsed, error) {
	var p program
	parsed, err := Parse(&p, Invocation{Name: "paylink", Args: append([]string{"run"}, args...), Environ: environ, Stdout: io.Discard, Stderr: io.Discard})
	return p, parsed, err
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaultsAreThoseOfTheManual(t *testing.T) {
	p, parsed, err := parse(good())
	if err != nil {
		t.Fatal(err)
	}
	r := p.Run
	got := map[string]any{
		"brokers": r.Kafka.Brokers, "group": r.Kafka.Group, "intents": r.Topics.Intents, "outcomes": r.Topics.Outcomes,
		"dead": r.Topics.DeadLetters, "turns": r.Turns.Name(), "url": r.Gateway.URL, "rate": r.Gateway.Rate.String(), "scope": r.Gateway.RateScope,
		"concurrency": r.Flow.Concurrency, "timeout": r.Gateway.Timeout, "giveup": r.Flow.GiveUpAfter, "drain": r.Flow.DrainTimeout,
		"session": r.Kafka.SessionTimeout, "rebalance": r.Kafka.RebalanceTimeout, "heartbeat": r.Kafka.HeartbeatInterval(),
		"start": r.Kafka.Start, "window": r.Flow.LedgerWindow, "admin": r.Admin.Addr, "format": r.Events.Format,
		"log": r.Log.Format + r.Log.Level, "tls": r.Kafka.TLS.Config() == nil,
	}
	want := map[string]any{
		"brokers": []string{"one:9092", "two:9092"}, "group": "paylink", "intents": "payment-intents", "outcomes": "payment-outcomes",
		"dead": "payment-intents.dead-letters", "turns": "payment-intents.turns", "url": "https://api.freedompay.kz", "rate": "1/1500ms", "scope": "group",
		"concurrency": 256, "timeout": 30 * time.Second, "giveup": time.Hour, "drain": 35 * time.Second,
		"session": 15 * time.Second, "rebalance": time.Minute, "heartbeat": 3 * time.Second,
		"start": "earliest", "window": 168 * time.Hour, "admin": "127.0.0.1:8080", "format": "json",
		"log": "info", "tls": true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(r.Merchants) != 1 || r.Merchants[0].ID != "540001" || r.Merchants[0].Secret.Reveal() != canary || r.Merchants[0].GatewayURL != r.Gateway.URL {
		t.Errorf("merchants = %+v", r.Merchants)
	}
	if parsed.Command != "run" || len(parsed.Warnings) != 0 {
		t.Errorf("parsed = %+v, want run without warnings", parsed)
	}
}

func TestDefaultIsPreparedLikeACommandLine(t *testing.T) {
	got, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	got.Kafka.Brokers, got.Gateway.MerchantID, got.Gateway.Secret = []string{"one:9092", "two:9092"}, "540001", canary
	if err := got.Prepare(); err != nil {
		t.Fatal(err)
	}
	want, _, err := parse(good())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.Run, got, cmp.AllowUnexported(TLS{}, SASL{}, Registry{}, GatewayTLS{}, OAuth{})); diff != "" {
		t.Error(diff)
	}
}

func TestAFlagWinsOverAVariableOverTheFileOverTheDefault(t *testing.T) {
	file := write(t, "paylink.yaml", "# ours\nconcurrency: 1\ngive_up_after: 2h\ndrain_timeout: 40s\nkafka_brokers:\n  - three:9092\n  - four:9092\nkafka_tls_enabled: true\nrate:\n")
	environ := []string{"PAYLINK_CONFIG=" + file, "PAYLINK_CONCURRENCY=2", "PAYLINK_GIVE_UP_AFTER=3h", "PAYLINK_MERCHANT_ID=1", "PAYLINK_MERCHANT_SECRET=" + canary, "PAYLINK_RATE="}
	p, _, err := parse(environ, "--concurrency=3")
	if err != nil {
		t.Fatal(err)
	}
	f, k := p.Run.Flow, p.Run.Kafka
	if f.Concurrency != 3 || f.GiveUpAfter != 3*time.Hour || f.DrainTimeout != 40*time.Second || p.Run.Gateway.Rate.String() != "1/1500ms" {
		t.Errorf("flow = %+v, want flag 3, variable 3h, file 40s; and the default rate", f)
	}
	if diff := cmp.Diff([]string{"three:9092", "four:9092"}, k.Brokers); diff != "" || !k.TLS.Enabled || k.TLS.Config() == nil {
		t.Errorf("brokers %s; TLS %v", diff, k.TLS.Enabled)
	}
	other := write(t, "other.yaml", "kafka_brokers: five:9092\n")
	if p, _, err = parse(environ, "--config", other); err != nil || p.Run.Kafka.Brokers[0] != "five:9092" {
		t.Errorf("with --config: brokers = %v, %v, want the flag's file", p.Run.Kafka.Brokers, err)
	}
}

func TestHelpTellsEverySetting(t *testing.T) {
	var out bytes.Buffer
	var p program
	_, err := Parse(&p, Invocation{Name: "paylink", Args: []string{"run", "--help"}, Stdout: &out, Stderr: io.Discard})
	if !errors.Is(err, ErrHelp) {
		t.Fatalf("Parse = %v, want ErrHelp", err)
	}
	golden := filepath.Join("testdata", "help.txt")
	if *update {
		if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), out.String()); diff != "" {
		t.Error(diff)
	}
	for _, name := range strings.Fields(`KAFKA_BROKERS KAFKA_GROUP TOPIC_INTENTS TOPIC_OUTCOMES TOPIC_DEAD_LETTERS TOPIC_TURNS GATEWAY_URL GATEWAY_TLS_CA_FILE GATEWAY_TLS_CERT_FILE GATEWAY_TLS_KEY_FILE GATEWAY_LINK_HOSTS LOCK_FIELDS ALLOW_HOSTS MERCHANT_ID MERCHANT_SECRET
		MERCHANT_SECRET_FILE RATE RATE_SCOPE MERCHANTS_FILE CONCURRENCY GATEWAY_TIMEOUT GIVE_UP_AFTER DRAIN_TIMEOUT KAFKA_SESSION_TIMEOUT
		KAFKA_REBALANCE_TIMEOUT KAFKA_GROUP_INSTANCE_ID KAFKA_START LEDGER_WINDOW ADMIN_ADDR SCHEMA_REGISTRY_URL OUTCOME_FORMAT LOG_FORMAT LOG_LEVEL
		KAFKA_TLS_ENABLED KAFKA_TLS_CA_FILE KAFKA_TLS_CERT_FILE KAFKA_TLS_KEY_FILE KAFKA_TLS_SERVER_NAME
		KAFKA_SASL_MECHANISM KAFKA_SASL_USERNAME KAFKA_SASL_PASSWORD KAFKA_SASL_PASSWORD_FILE CONFIG`) {
		if !strings.Contains(out.String(), "PAYLINK_"+name+" ") && !strings.Contains(out.String(), "PAYLINK_"+name+"\n") {
			t.Errorf("the help does not name PAYLINK_%s", name)
		}
	}
}

func TestUnknownVariablesAreWarnedOf(t *testing.T) {
	_, parsed, err := parse(good("PAYLINK_CONCURENCY=5",
		"PAYLINK_SERVICE_HOST=10.0.0.1", "PAYLINK_SERVICE_PORT=8080", "PAYLINK_SERVICE_PORT_METRICS=8080", "PAYLINK_PORT=tcp://10.0.0.1:8080",
		"PAYLINK_PORT_8080_TCP=tcp://10.0.0.1:8080", "PAYLINK_PORT_8080_TCP_PROTO=tcp", "PAYLINK_PORT_8080_TCP_PORT=8080", "PAYLINK_PORT_8080_TCP_ADDR=10.0.0.1",
		"PAYLINK_ADMIN_SERVICE_HOST=10.0.0.2", "PAYLINK_ADMIN_PORT=tcp://10.0.0.2:80", "PAYLINK_ADMIN_PORT_53_UDP_ADDR=10.0.0.2"))
	if err != nil {
		t.Fatal(err)
	}
	if len(parsed.Warnings) != 1 || !strings.Contains(parsed.Warnings[0], "unknown variable PAYLINK_CONCURENCY is ignored; the nearest known one is PAYLINK_CONCURRENCY") {
		t.Errorf("warnings = %q", parsed.Warnings)
	}
	for _, meant := range []string{"PAYLINK_ADMIN_PORT=8080", "PAYLINK_PORTS=1", "PAYLINK_KAFKA_SERVICE=a"} {
		if _, parsed, err := parse(good(meant)); err != nil || len(parsed.Warnings) != 1 {
			t.Errorf("%s: warnings = %q, %v, want one", meant, parsed.Warnings, err)
		}
	}
	_, parsed, err = parse([]string{"PAYLINK_KAFKA_BROKER=one:9092"})
	if err == nil || len(parsed.Warnings) != 1 {
		t.Errorf("warnings = %q, %v, want the warning beside the error", parsed.Warnings, err)
	}
}

func TestProxiesThatCannotBeReadAreWarnedOf(t *testing.T) {
	for proxy, want := range map[string]int{
		"HTTPS_PROXY=http://me:50%-" + canary + "@proxy:3128": 1, "http_proxy=http://me:x#" + canary + "@proxy:3128": 1, "HTTP_PROXY=:3128": 1,
		"HTTPS_PROXY=http://me:50%25@proxy:3128": 0, "https_proxy=proxy:3128": 0, "HTTPS_PROXY=socks5://proxy": 0, "HTTPS_PROXY=": 0, "NO_PROXY=%": 0,
	} {
		_, parsed, err := parse(good(proxy))
		if err != nil || len(parsed.Warnings) != want || strings.Contains(strings.Join(parsed.Warnings, ""), canary) {
			t.Errorf("%s: warnings = %q, %v, want %d", proxy, parsed.Warnings, err, want)
		}
	}
}

func TestDoubtfulSettingsAreWarnedOf(t *testing.T) {
	_, parsed, err := parse(good("PAYLINK_KAFKA_SASL_MECHANISM=plain", "PAYLINK_KAFKA_SASL_USERNAME=u", "PAYLINK_KAFKA_SASL_PASSWORD="+canary,
		"PAYLINK_KAFKA_SESSION_TIMEOUT=2s", "PAYLINK_GATEWAY_URL=http://api.example.com"))
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(parsed.Warnings, "\n")
	for _, want := range []string{"password in clear", "brokers refuse less than 6s", "travel unencrypted"} {
		if !strings.Contains(all, want) {
			t.Errorf("warnings = %q, want one with %q", parsed.Warnings, want)
		}
	}
	_, parsed, err = parse(good("PAYLINK_GATEWAY_URL=http://gateway:8080"))
	if err != nil || len(parsed.Warnings) != 0 {
		t.Errorf("inside a cluster: warnings = %q, %v, want none", parsed.Warnings, err)
	}
}

// mark is what editors put at the beginning of a file in UTF-8.
const mark = "\xef\xbb\xbf"

func TestSettingsInAnyCase(t *testing.T) {
	p, _, err := parse(good("PAYLINK_LOG_LEVEL=WARN", "PAYLINK_LOG_FORMAT=Json", "PAYLINK_KAFKA_SASL_MECHANISM=SCRAM-SHA-512", "PAYLINK_KAFKA_SASL_USERNAME=u",
		"PAYLINK_KAFKA_SASL_PASSWORD="+canary, "PAYLINK_OUTCOME_FORMAT=AVRO", "PAYLINK_SCHEMA_REGISTRY_URL=http://registry:8081", "PAYLINK_KAFKA_START=Latest",
		"PAYLINK_SUBJECT_NAMING=Topic-Record", "PAYLINK_RATE=40/S+2", "PAYLINK_GATEWAY_TIMEOUT=5S", "PAYLINK_TOPIC_TURNS=OFF", "PAYLINK_LOCK_FIELDS=Testing_Mode"), "--rate-scope=GROUP")
	if err != nil {
		t.Fatal(err)
	}
	got := []string{p.Run.Log.Level, p.Run.Log.Format, p.Run.Kafka.SASL.Mechanism, p.Run.Events.Format, p.Run.Kafka.Start, p.Run.Events.Naming, p.Run.Gateway.RateScope,
		p.Run.Gateway.Rate.String(), p.Run.Gateway.Timeout.String(), p.Run.Turns.Name(), p.Run.Merchants[0].Permit.Locked[0]}
	want := []string{"warn", "json", "scram-sha-512", "avro", "latest", "topic-record", "group", "40/s+2", "5s", "", "testing_mode"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

// What files and shells leave around values: of secrets alone it is a part, and warned of.
func TestBlanksAroundValues(t *testing.T) {
	file := write(t, "paylink.yaml", "concurrency: \" 7 \"\ngateway_url: |\n  https://gateway.example\n")
	p, parsed, err := parse(good("PAYLINK_CONFIG= "+file+"\n", "PAYLINK_RATE= 40/s\r", "PAYLINK_KAFKA_TLS_ENABLED=true\r\n", "PAYLINK_LOG_LEVEL=\twarn ", "PAYLINK_KAFKA_GROUP= ",
		"PAYLINK_KAFKA_SASL_MECHANISM=plain\n", "PAYLINK_KAFKA_SASL_USERNAME=u\n", "PAYLINK_KAFKA_SASL_PASSWORD= a b\n", "PAYLINK_MERCHANT_SECRET="+canary+" "))
	if err != nil {
		t.Fatal(err)
	}
	r := p.Run
	got := []any{r.Gateway.Rate.String(), r.Kafka.TLS.Enabled, r.Log.Level, r.Kafka.Group, r.Kafka.SASL.Username, r.Kafka.SASL.Password.Reveal(), r.Merchants[0].Secret.Reveal(), r.Flow.Concurrency, r.Gateway.URL}
	if diff := cmp.Diff([]any{"40/s", true, "warn", "paylink", "u", " a b", canary + " ", 7, "https://gateway.example"}, got); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	if len(parsed.Warnings) != 2 || !strings.HasPrefix(parsed.Warnings[0], "PAYLINK_KAFKA_SASL_PASSWORD: ") || !strings.HasPrefix(parsed.Warnings[1], "merchant 540001: ") || strings.Contains(strings.Join(parsed.Warnings, ""), canary) {
		t.Errorf("warnings = %q, want one of the password, one of the secret", parsed.Warnings)
	}
}

func TestEmptyBrokersAreSkipped(t *testing.T) {
	for _, text := range []string{"one:1,two:1,", " one:1 , ,two:1", ",one:1,,two:1,"} {
		p, _, err := parse(good("PAYLINK_KAFKA_BROKERS=" + text))
		if diff := cmp.Diff([]string{"one:1", "two:1"}, p.Run.Kafka.Brokers); err != nil || diff != "" {
			t.Errorf("%q: %v (-want +got):\n%s", text, err, diff)
		}
	}
}

// Files that others' editors saved: settings, merchants, secrets.
func TestFilesWithMarksAndCarriageReturns(t *testing.T) {
	settings := "kafka_brokers: one:1\nmerchant_id: 540001\nmerchant_secret: 0012345678\nrate: 40/s\n"
	merchants := "- id: 540001\n  secret: 0012345678\n  rate: 40/s\n"
	for name, as := range map[string]func(string) string{
		"mark":                      func(s string) string { return mark + s },
		"CRLF":                      func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") },
		"mark and CRLF":             func(s string) string { return mark + strings.ReplaceAll(s, "\n", "\r\n") },
		"carriage returns":          func(s string) string { return strings.ReplaceAll(s, "\n", "\r") },
		"no newline at the end":     func(s string) string { return strings.TrimSuffix(s, "\n") },
		"mark, comment, blank line": func(s string) string { return mark + "# ours\r\n\r\n" + s },
	} {
		p, _, err := parse([]string{"PAYLINK_CONFIG=" + write(t, "paylink.yaml", as(settings))})
		if err != nil || p.Run.Merchants[0].Secret.Reveal() != "0012345678" || p.Run.Gateway.Rate.String() != "40/s" {
			t.Errorf("settings, %s: %v, %+v", name, err, p.Run.Gateway)
		}
		p, _, err = parse([]string{"PAYLINK_KAFKA_BROKERS=one:1", "PAYLINK_MERCHANTS_FILE=" + write(t, "merchants.yaml", as(merchants))})
		if err != nil || p.Run.Merchants[0].Secret.Reveal() != "0012345678" {
			t.Errorf("merchants, %s: %v", name, err)
		}
	}
	for _, c := range []struct{ variable, text, want string }{
		{"CONFIG", "\xff\xfer\x00", " is UTF-16; save it as UTF-8"},
		{"CONFIG", "\xfe\xff\x00r", " is UTF-16; save it as UTF-8"},
		{"CONFIG", "r\x00a\x00", "holds zero bytes"},
		{"MERCHANTS_FILE", "\xff\xfe-\x00", " is UTF-16; save it as UTF-8"},
		{"MERCHANT_SECRET_FILE", "\xff\xfes\x00", " is UTF-16; save it as UTF-8"},
		{"MERCHANT_SECRET_FILE", "a\rb", "holds a carriage return"},
		{"MERCHANT_SECRET_FILE", mark, "the secret is empty"},
		{"MERCHANT_SECRET_FILE", mark + "\r\n", "the secret is empty"},
	} {
		_, _, err := parse([]string{"PAYLINK_KAFKA_BROKERS=one:1", "PAYLINK_MERCHANT_ID=1", "PAYLINK_" + c.variable + "=" + write(t, "file", c.text)})
		var bad *Error
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "PAYLINK_") {
			t.Errorf("%s of %q: %v, want … %s", c.variable, c.text, err, c.want)
		}
	}
}

func TestSecretsComeFromAFileLessOneNewline(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{canary, canary}, {canary + "\n", canary}, {canary + "\r\n", canary}, {canary + "\n\n", canary + "\n"}, {" " + canary, " " + canary},
		{mark + canary, canary}, {mark + canary + "\r\n", canary}, {canary + "\r", canary},
	} {
		file := write(t, "secret", c.text)
		p, _, err := parse([]string{"PAYLINK_KAFKA_BROKERS=one:1", "PAYLINK_MERCHANT_ID=1", "PAYLINK_MERCHANT_SECRET_FILE=" + file})
		if err != nil || p.Run.Merchants[0].Secret.Reveal() != c.want {
			t.Errorf("file %q = %v, want %q", c.text, err, c.want)
		}
	}
	file := write(t, "paylink.yaml", "merchant_secret: '"+canary+"'\n")
	p, _, err := parse([]string{"PAYLINK_KAFKA_BROKERS=one:1", "PAYLINK_MERCHANT_ID=1", "PAYLINK_CONFIG=" + file})
	if err != nil || p.Run.Merchants[0].Secret.Reveal() != canary {
		t.Errorf("settings file: %v", err)
	}
}

func TestSignTakesTheFileBeforeTheVariable(t *testing.T) {
	var p program
	file := write(t, "secret", "fromfile\n")
	_, err := Parse(&p, Invocation{Name: "paylink", Args: []string{"sign", "--secret-file", file}, Environ: good(), Stdout: io.Discard, Stderr: io.Discard})
	if err != nil || p.Sign.Secret.Reveal() != "fromfile" {
		t.Errorf("secret = %q, %v, want that of the file", p.Sign.Secret.Reveal(), err)
	}
}

// certificate writes the files of a certificate and its key.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	web := httptest.NewTLSServer(nil)
	defer web.Close()
	pair := web.TLS.Certificates[0]
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	cert = write(t, "cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})))
	return cert, write(t, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
}

func TestTLSFiles(t *testing.T) {
	cert, keyFile := certificate(t)
	on := "PAYLINK_KAFKA_TLS_ENABLED=true"
	p, _, err := parse(good(on, "PAYLINK_KAFKA_TLS_CA_FILE="+cert, "PAYLINK_KAFKA_TLS_CERT_FILE="+cert, "PAYLINK_KAFKA_TLS_KEY_FILE="+keyFile, "PAYLINK_KAFKA_TLS_SERVER_NAME=kafka"))
	if err != nil {
		t.Fatal(err)
	}
	c := p.Run.Kafka.TLS.Config()
	if c.ServerName != "kafka" || c.RootCAs == nil || len(c.Certificates) != 1 || c.MinVersion != tls.VersionTLS12 || c.InsecureSkipVerify {
		t.Errorf("TLS = %+v", c)
	}
	for _, bad := range []struct{ set, want string }{
		{"PAYLINK_KAFKA_TLS_CA_FILE=/nowhere.pem", "PAYLINK_KAFKA_TLS_CA_FILE: open /nowhere.pem"},
		{"PAYLINK_KAFKA_TLS_CA_FILE=" + keyFile, "holds no PEM certificate"},
		{"PAYLINK_KAFKA_TLS_CERT_FILE=" + cert, "give both or none"},
		{"PAYLINK_KAFKA_TLS_KEY_FILE=" + keyFile, "give both or none"},
		{"PAYLINK_KAFKA_TLS_CA_FILE=" + write(t, "utf16.pem", "\xff\xfe-\x00"), "is UTF-16"},
		{"PAYLINK_KAFKA_TLS_CA_FILE=" + write(t, "ca.der", "0\x82\x00"), "certificates and keys as PEM"},
	} {
		if _, _, err := parse(good(on, bad.set)); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%s: %v, want %s", bad.set, err, bad.want)
		}
	}
}

// TestTheFileThatIsWrongIsNamed: of a certificate and its key, either may be.
func TestTheFileThatIsWrongIsNamed(t *testing.T) {
	cert, key := certificate(t)
	other := strangeKey(t)
	empty := write(t, "empty.pem", "")
	for _, c := range []struct{ cert, key, want string }{
		{cert, empty, "KEY_FILE: " + empty + " is no private key for the certificate in " + cert},
		{cert, cert, "KEY_FILE: " + cert + " is no private key"},
		{cert, other, "KEY_FILE: " + other + " is no private key for the certificate"},
		{empty, key, "CERT_FILE: " + empty + " holds no PEM certificate"},
		{key, cert, "CERT_FILE: " + key + " holds no PEM certificate"},
	} {
		const prefix = "PAYLINK_KAFKA_TLS_"
		_, _, err := parse(good(prefix+"ENABLED=true", prefix+"CERT_FILE="+c.cert, prefix+"KEY_FILE="+c.key))
		if err == nil || !strings.HasPrefix(err.Error(), prefix+c.want) {
			t.Errorf("%s with %s: %v, want %s%s", c.cert, c.key, err, prefix, c.want)
		}
	}
}

// strangeKey writes a private key that goes with no certificate.
func strangeKey(t *testing.T) (file string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, "other.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
}

// Certificates and keys as others' editors save them, and keys that need a passphrase.
func TestTLSFilesOfOthers(t *testing.T) {
	web := httptest.NewTLSServer(nil)
	defer web.Close()
	pair := web.TLS.Certificates[0]
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	text := func(b *pem.Block) string { return string(pem.EncodeToMemory(b)) }
	cert, key := text(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}), text(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	for _, end := range []string{"\n", "\r\n", "\r"} {
		as := func(s string) string { return write(t, "file.pem", mark+strings.ReplaceAll(s, "\n", end)) }
		p, _, err := parse(good("PAYLINK_KAFKA_TLS_ENABLED=TRUE", "PAYLINK_KAFKA_TLS_CA_FILE="+as(cert), "PAYLINK_KAFKA_TLS_CERT_FILE="+as(cert), "PAYLINK_KAFKA_TLS_KEY_FILE="+as(key)))
		if err != nil || len(p.Run.Kafka.TLS.Config().Certificates) != 1 {
			t.Errorf("lines that end in %q: %v", end, err)
		}
	}
	for _, locked := range []*pem.Block{
		{Type: "ENCRYPTED PRIVATE KEY", Bytes: der},
		{Type: "RSA PRIVATE KEY", Bytes: der, Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-256-CBC,00"}},
	} {
		file := write(t, "locked.pem", text(locked))
		for _, prefix := range []string{"PAYLINK_KAFKA_TLS_", "PAYLINK_SCHEMA_REGISTRY_"} {
			_, _, err := parse(good("PAYLINK_KAFKA_TLS_ENABLED=true", "PAYLINK_SCHEMA_REGISTRY_URL=https://registry", prefix+"CERT_FILE="+write(t, "cert.pem", cert), prefix+"KEY_FILE="+file))
			if want := prefix + "KEY_FILE: the private key in " + file + " is encrypted"; err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%s: %v, want %s", locked.Type, err, want)
			}
		}
	}
}

func rewrite(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
