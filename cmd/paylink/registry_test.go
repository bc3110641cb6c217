package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/sr/srfake"
)

// TestRegistryBehindTLSAndALogin registers through settings alone: a CA of its
// own, a client's certificate, and either login. What is missing is refused.
func TestRegistryBehindTLSAndALogin(t *testing.T) {
	fake := srfake.NewRegistry().Handler()
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, password, basic := r.BasicAuth()
		if !(basic && name == "shop" && password == canary) && r.Header.Get("Authorization") != "Bearer "+canary {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		fake.ServeHTTP(w, r)
	}))
	web.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	web.StartTLS()
	t.Cleanup(web.Close)
	file := func(name, kind string, der []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pair := web.TLS.Certificates[0]
	keyDER, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, key := file("cert.pem", "CERTIFICATE", pair.Certificate[0]), file("key.pem", "PRIVATE KEY", keyDER)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(canary+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const p = "PAYLINK_SCHEMA_REGISTRY_"
	ca, own := []string{p + "CA_FILE=" + cert}, []string{p + "CERT_FILE=" + cert, p + "KEY_FILE=" + key}
	for _, tt := range []struct {
		name string
		set  [][]string
		code int
	}{
		{"basic", [][]string{ca, own, {p + "USERNAME=shop", p + "PASSWORD=" + canary}}, exitOK},
		{"basic from a file", [][]string{ca, own, {p + "USERNAME=shop", p + "PASSWORD_FILE=" + secret}}, exitOK},
		{"bearer", [][]string{ca, own, {p + "TOKEN=" + canary}}, exitOK},
		{"bearer from a file", [][]string{ca, own, {p + "TOKEN_FILE=" + secret}}, exitOK},
		{"no login", [][]string{ca, own}, exitFailure},
		{"a wrong password", [][]string{ca, own, {p + "USERNAME=shop", p + "PASSWORD=other"}}, exitFailure},
		{"no CA", [][]string{own, {p + "TOKEN=" + canary}}, exitFailure},
		{"no certificate", [][]string{ca, {p + "TOKEN=" + canary}}, exitFailure},
		{"half a certificate", [][]string{ca, {p + "CERT_FILE=" + cert}}, exitUsage},
		{"two logins", [][]string{ca, own, {p + "TOKEN=a", p + "USERNAME=b"}}, exitUsage},
		{"a CA file that is none", [][]string{{p + "CA_FILE=" + key}}, exitUsage},
	} {
		t.Run(tt.name, func(t *testing.T) {
			environ := []string{p + "URL=" + web.URL}
			for _, set := range tt.set {
				environ = append(environ, set...)
			}
			var out, errs strings.Builder
			code := run(t.Context(), []string{"schemas", "register"}, world{environ: environ, out: &out, err: &errs})
			if code != tt.code {
				t.Errorf("exit %d, want %d: %s%s", code, tt.code, out.String(), errs.String())
			}
			if strings.Contains(out.String()+errs.String(), canary) {
				t.Error("the secret is shown")
			}
		})
	}
}

// TestCheckSaysWhatTheRegistryRefuses: srfake calls every change compatible, so
// the refusal of a real registry is put before it.
func TestCheckSaysWhatTheRegistryRefuses(t *testing.T) {
	fake := srfake.NewRegistry().Handler()
	refuses := false
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refuses && strings.HasPrefix(r.URL.Path, "/compatibility/subjects/payment-outcomes-value/") {
			_, _ = w.Write([]byte(`{"is_compatible":false,"messages":["field attempts has no default"]}`))
			return
		}
		fake.ServeHTTP(w, r)
	}))
	t.Cleanup(web.Close)
	do := func(want int, verb string, lines ...string) {
		t.Helper()
		var out, errs strings.Builder
		code := run(t.Context(), []string{"schemas", verb}, world{environ: []string{"PAYLINK_SCHEMA_REGISTRY_URL=" + web.URL}, out: &out, err: &errs})
		if code != want {
			t.Errorf("%s: exit %d, want %d: %s%s", verb, code, want, out.String(), errs.String())
		}
		for _, line := range lines {
			if !strings.Contains(out.String(), line) {
				t.Errorf("%s: %q, want %q", verb, out.String(), line)
			}
		}
	}
	do(exitOK, "register")
	do(exitOK, "check", "ok     payment-outcomes-value: compatible with 1, FULL_TRANSITIVE")
	refuses = true
	do(exitFailure, "check", "ok     payment-intents-value", "BROKEN payment-outcomes-value: our schema may not follow the 1 there", "field attempts has no default")
	refuses = false
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, web.URL+"/config/payment-outcomes-value", strings.NewReader(`{"compatibility":"NONE"}`))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	do(exitFailure, "check", "BROKEN payment-outcomes-value: its compatibility is NONE, want FULL_TRANSITIVE")
	do(exitOK, "register")
	do(exitOK, "check")
}

// A schema that the registry refuses is named, and does not keep the others out.
func TestRegisterTakesOneSubjectAtATime(t *testing.T) {
	fake := srfake.NewRegistry().Handler()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && r.URL.Path == "/subjects/payment-intents-value/versions" {
			w.WriteHeader(http.StatusConflict)
			_, _ = w.Write([]byte(`{"error_code":409,"message":"field amount has no default"}`))
			return
		}
		fake.ServeHTTP(w, r)
	}))
	t.Cleanup(web.Close)
	var out, errs strings.Builder
	code := run(t.Context(), []string{"schemas", "register"}, world{environ: []string{"PAYLINK_SCHEMA_REGISTRY_URL=" + web.URL}, out: &out, err: &errs})
	for _, want := range []string{"REFUSED    payment-intents-value: ", "field amount has no default", "registered payment-outcomes-value: "} {
		if code != exitFailure || !strings.Contains(out.String(), want) {
			t.Errorf("exit %d, %q%q; want exit %d, and %q", code, out.String(), errs.String(), exitFailure, want)
		}
	}
}
