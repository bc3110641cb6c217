//go:build integration

package kafkaio_test

import (
	"net"
	"testing"
	"time"

	"paylink/internal/devstack"
	"paylink/internal/pipeline/conformance"
	"paylink/internal/realkafka"
)

// On a real Kafka each test has topics and a group of its own, and all run at the
// same time: they mostly wait for sessions.
func TestTheSourceKeepsTheContractOnARealKafka(t *testing.T) {
	brokers := realkafka.Start(t)
	in := func(t *testing.T, f func(*testing.T)) { t.Parallel(); f(t) }
	conformance.Run(t, in, func(t *testing.T) conformance.Bench {
		limit := "max.message.bytes=" + largest
		return (&bench{
			t: t, kafka: devstack.Kafka{Brokers: brokers}, dial: (&net.Dialer{Timeout: 3 * time.Second}).DialContext,
			group:    realkafka.Name(t, "group"),
			intents:  realkafka.Topic(t, brokers, "intents", 1),
			outcomes: realkafka.Topic(t, brokers, "outcomes", 1, limit),
			dead:     realkafka.Topic(t, brokers, "dead", 1, limit),
		}).bench()
	})
}
