//go:build integration

package service_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"paylink/internal/config"
	"paylink/internal/realkafka"
	"paylink/internal/service"
)

// unsigned is a token as Kafka's OAuthBearerUnsecuredValidatorCallbackHandler takes
// it, which is for tests.
func unsigned(end time.Time) string {
	part := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	return part(`{"alg":"none"}`) + "." + part(fmt.Sprintf(`{"sub":"paylink","iat":%d,"exp":%d}`, time.Now().Add(-time.Minute).Unix(), end.Unix())) + "."
}

// TestARealBrokerTakesTokensAndTheLoginIsRenewed: it ends connections whose login is
// over (KIP-368), and ours stays.
func TestARealBrokerTakesTokensAndTheLoginIsRenewed(t *testing.T) {
	_, guarded := realkafka.StartTokens(t)
	file := filepath.Join(t.TempDir(), "token")
	says := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	says(unsigned(time.Now().Add(time.Hour)))
	cfg := config.Run{Kafka: config.Kafka{Broker: config.Broker{Brokers: []string{guarded}}}}
	cfg.Kafka.SASL.Mechanism, cfg.Kafka.SASL.OAuth.TokenFile = "oauthbearer", file
	var dialled atomic.Int64
	conn := service.Connection(cfg.Kafka.Broker, func(ctx context.Context, network, addr string) (net.Conn, error) {
		dialled.Add(1)
		return new(net.Dialer).DialContext(ctx, network, addr)
	})
	tr, err := conn.Transport()
	if err != nil {
		t.Fatal(err)
	}
	defer tr.CloseIdleConnections()
	ask := func() error {
		_, err := conn.Client(tr).ApiVersions(t.Context(), &kafka.ApiVersionsRequest{})
		return err
	}
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second) // a pool makes its connections one by one
	before := dialled.Load()
	for end := time.Now().Add(12 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if err := ask(); err != nil {
			t.Fatalf("a login of 3 s was not renewed: %v", err)
		}
	}
	if n := dialled.Load() - before; n != 0 {
		t.Errorf("%d connections more in four logins' time, want none", n)
	}

	says("no-token-" + canary)
	tr.CloseIdleConnections()
	other, err := conn.Transport()
	if err != nil {
		t.Fatal(err)
	}
	defer other.CloseIdleConnections()
	_, err = conn.Client(other).ApiVersions(t.Context(), &kafka.ApiVersionsRequest{})
	if err == nil || !strings.Contains(err.Error(), "the broker refuses the token") || strings.Contains(err.Error(), canary) {
		t.Errorf("a bad token: %v, want that the broker refuses it", err)
	}
}
