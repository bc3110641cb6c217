package telemetry_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"

	"paylink/internal/telemetry"
)

// manySecrets are n secrets, half of which begin alike.
func manySecrets(n int) []string {
	all := make([]string, n)
	for i := range all {
		sum := sha256.Sum256(fmt.Append(nil, i))
		all[i] = hex.EncodeToString(sum[:12])
		if i%2 == 0 {
			all[i] = "sk_live_" + all[i]
		}
	}
	return all
}

func TestEachOfManySecretsIsMasked(t *testing.T) {
	secrets := manySecrets(10_000)
	var out bytes.Buffer
	log, err := telemetry.NewLogger(&out, telemetry.JSON, "info", secrets[:5_000]...)
	if err != nil {
		t.Fatal(err)
	}
	telemetry.Hide(log, secrets[5_000:]...)
	for _, s := range secrets {
		out.Reset()
		log.WithField("field", "before"+s+"behind").Info(s)
		if line := out.String(); strings.Contains(line, s) || !strings.Contains(line, `"before***behind"`) {
			t.Fatalf("%q is not masked alone in %s", s, line)
		}
	}
}

// The longer of two secrets that begin alike is masked whole.
func TestTheLongerSecretIsMaskedWhole(t *testing.T) {
	var out bytes.Buffer
	log, err := telemetry.NewLogger(&out, telemetry.JSON, "info", "canary", "canary-and-more")
	if err != nil {
		t.Fatal(err)
	}
	log.Info("a canary-and-more, a canary-and")
	if !strings.Contains(out.String(), `"a ***, a ***-and"`) {
		t.Errorf("log = %s", out.String())
	}
}

// BenchmarkLine is what a line of an intent costs, by the number of secrets.
func BenchmarkLine(b *testing.B) {
	for _, n := range []int{1, 3_000, 10_000} {
		b.Run(fmt.Sprintf("secrets=%d", n), func(b *testing.B) {
			log, err := telemetry.NewLogger(io.Discard, telemetry.JSON, "info", manySecrets(n)...)
			if err != nil {
				b.Fatal(err)
			}
			line := log.WithFields(logrus.Fields{"intent_id": "ord-2026-000000001", "order_id": "2026-000000001", "merchant_id": "540001",
				"partition": 7, "offset": 123456, "outcome": "created", "attempts": 1, "took_ms": 312, "trace_id": "0af7651916cd43dd8448eb211c80319c"})
			line.Info("settled")
			b.ReportAllocs()
			for b.Loop() {
				line.Info("settled")
			}
		})
	}
}
