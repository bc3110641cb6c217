package telemetry

import (
	"crypto/tls"
	"crypto/x509"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/sirupsen/logrus"
	"go.opentelemetry.io/otel"
	"golang.org/x/net/http/httpguts"
)

// OpenTelemetry's library reads its variables by itself. Of what it cannot read it tells
// standard error, and quotes it: keys for the collector, mostly. So it is kept silent, and
// the log is told which variable that is.

// otlp is how the variables begin that say where spans go. The latter go first.
var otlp = []string{"OTEL_EXPORTER_OTLP_", "OTEL_EXPORTER_OTLP_TRACES_"}

// silence has the library say nothing. Its logger's zero value is one that does so.
func silence[L any](set func(L)) {
	var none L
	set(none)
}

// tellGarbled tells of the variables that the library cannot read all of.
func tellGarbled(getenv func(string) string, log logrus.FieldLogger) {
	silence(otel.SetLogger)
	for _, name := range garbled(getenv) {
		log.WithField("variable", name).Warn("OpenTelemetry's library cannot read this variable, or not all of it: what it cannot read does not count. " +
			"Headers are name=value with commas between them, and special characters of a value as in a URL")
	}
}

func garbled(getenv func(string) string) (names []string) {
	for _, of := range otlp {
		for _, v := range []struct {
			name string
			good func(string) bool
		}{
			{"ENDPOINT", func(s string) bool { _, err := url.Parse(s); return err == nil }},
			{"HEADERS", areHeaders},
			{"TIMEOUT", func(s string) bool { _, err := strconv.Atoi(s); return err == nil }},
			{"CERTIFICATE", func(s string) bool {
				pem, err := os.ReadFile(s)
				return err == nil && x509.NewCertPool().AppendCertsFromPEM(pem)
			}},
			{"CLIENT_CERTIFICATE", func(s string) bool {
				key := strings.TrimSpace(getenv(of + "CLIENT_KEY"))
				_, err := tls.LoadX509KeyPair(s, key)
				return key == "" || err == nil
			}},
		} {
			if s := strings.TrimSpace(getenv(of + v.name)); s != "" && !v.good(s) {
				names = append(names, of+v.name)
			}
		}
	}
	return names
}

// areHeaders reports whether a text is headers as the library reads them.
func areHeaders(s string) bool {
	for pair := range strings.SplitSeq(s, ",") {
		name, value, found := strings.Cut(pair, "=")
		_, err := url.PathUnescape(value)
		if pair != "" && (!found || err != nil || !httpguts.ValidHeaderFieldName(strings.TrimSpace(name))) {
			return false
		}
	}
	return true
}

// headerValues are what is sent along to the collector: keys, mostly.
func headerValues(getenv func(string) string) (secrets []string) {
	for _, of := range otlp {
		for pair := range strings.SplitSeq(getenv(of+"HEADERS"), ",") {
			_, value, _ := strings.Cut(pair, "=")
			secrets = append(secrets, strings.TrimSpace(value))
			if plain, err := url.PathUnescape(value); err == nil {
				secrets = append(secrets, strings.TrimSpace(plain))
			}
		}
	}
	return secrets
}
