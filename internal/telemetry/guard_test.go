package telemetry_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"paylink/internal/telemetry"
)

const token = "a-token-that-is-long-enough"

// guarded starts an admin server and returns its address.
func guarded(t *testing.T, c telemetry.ServerConfig) string {
	t.Helper()
	var health telemetry.Health
	health.Add("group", func() string { return "broker b-3 is away" })
	c.Addr, c.Metrics, c.Health = "127.0.0.1:0", telemetry.NewRegistry("v1"), &health
	c.Page = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "the page") })
	ctx, stop := context.WithCancel(t.Context())
	s, err := telemetry.Listen(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return s.Addr().String()
}

// ask makes a request and returns status and body.
func ask(t *testing.T, client *http.Client, url, host, authorization string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if req.Host = host; host == "" {
		req.Host = req.URL.Host
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func TestWithoutTheTokenNothingIsTold(t *testing.T) {
	addr := guarded(t, telemetry.ServerConfig{Guard: telemetry.Guard{Token: token}, Pprof: true})
	for _, path := range []string{"/", "/metrics", "/api/v1/state", "/debug/pprof/", "/nowhere"} {
		for _, auth := range []string{"", "Bearer wrong", "Basic " + token, "Bearer", token} {
			if code, body := ask(t, http.DefaultClient, "http://"+addr+path, "", auth); code != 401 || strings.TrimSpace(body) != "Unauthorized" {
				t.Errorf("GET %s with %q = %d %q, want 401 and no word more", path, auth, code, body)
			}
		}
		if code, _ := ask(t, http.DefaultClient, "http://"+addr+path, "", "bearer "+token); code != 200 {
			t.Errorf("GET %s with the token = %d, want 200", path, code)
		}
	}
	if code, body := ask(t, http.DefaultClient, "http://"+addr+"/readyz", "", ""); code != 503 || strings.TrimSpace(body) != `{"ready":false}` {
		t.Errorf("a probe without token = %d %q, want 503 without the cause", code, body)
	}
	if code, body := ask(t, http.DefaultClient, "http://"+addr+"/readyz", "", "Bearer "+token); code != 503 || !strings.Contains(body, "b-3") {
		t.Errorf("a probe with the token = %d %q, want 503 with the cause", code, body)
	}
	if code, _ := ask(t, http.DefaultClient, "http://"+addr+"/livez", "", ""); code != 200 {
		t.Errorf("/livez without token = %d, want 200", code)
	}
}

func TestForeignHostsAreRefused(t *testing.T) {
	addr := guarded(t, telemetry.ServerConfig{Guard: telemetry.Guard{Hosts: []string{"paylink.pay.svc"}}})
	for host, want := range map[string]int{
		"": 200, "localhost:8080": 200, "paylink:8080": 200, "10.1.2.3": 200, "[::1]:8080": 200, "Paylink.pay.SVC:80": 200,
		"evil.example": 421, "127.0.0.1.evil.example:8080": 421, "localhost.": 200,
	} {
		if code, body := ask(t, http.DefaultClient, "http://"+addr+"/", host, ""); code != want || want != 200 && strings.Contains(body, "page") {
			t.Errorf("Host %q = %d %q, want %d", host, code, body, want)
		}
	}
}

func TestProfilesAreServedOnlyWhenAskedFor(t *testing.T) {
	addr := guarded(t, telemetry.ServerConfig{})
	if code, body := ask(t, http.DefaultClient, "http://"+addr+"/debug/pprof/", "", ""); body != "the page" {
		t.Errorf("profiles = %d %q, want the page's own answer", code, body)
	}
}

// selfSigned makes a certificate for both ends.
func selfSigned(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	is := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"example.com"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, is, is, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func TestClientsShowCertificates(t *testing.T) {
	pair, pool := selfSigned(t)
	addr := guarded(t, telemetry.ServerConfig{
		Guard: telemetry.Guard{Certificates: true},
		TLS: func() (*tls.Config, error) {
			return &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.VerifyClientCertIfGiven}, nil
		},
	})
	client := func(certs ...tls.Certificate) *http.Client {
		tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "example.com", Certificates: certs}}
		t.Cleanup(tr.CloseIdleConnections)
		return &http.Client{Transport: tr}
	}
	if code, body := ask(t, client(), "https://"+addr+"/metrics", "", ""); code != 401 {
		t.Errorf("without a certificate = %d %q, want 401", code, body)
	}
	if code, _ := ask(t, client(), "https://"+addr+"/readyz", "", ""); code != 503 {
		t.Errorf("a probe without a certificate = %d, want its answer", code)
	}
	if code, body := ask(t, client(pair), "https://"+addr+"/metrics", "", ""); code != 200 {
		t.Errorf("with a certificate = %d %q, want 200", code, body)
	}
}
