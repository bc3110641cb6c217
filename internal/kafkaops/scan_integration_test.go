//go:build integration

package kafkaops_test

import (
	"testing"

	"paylink/internal/devstack"
	"paylink/internal/realkafka"
)

func TestScanOnARealKafka(t *testing.T) {
	brokers := realkafka.Start(t)
	scanRanges(t, devstack.Kafka{Brokers: brokers}, realkafka.Topic(t, brokers, "scan", 2))
}
