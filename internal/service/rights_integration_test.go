//go:build integration

package service_test

import (
	"testing"

	"paylink/internal/devstack"
	"paylink/internal/realkafka"
)

// TestTheRightsOfThePageSufficeAndEachIsNeeded is at a real broker, whose
// authorizer has the last word.
func TestTheRightsOfThePageSufficeAndEachIsNeeded(t *testing.T) {
	c, guarded := realkafka.StartGuarded(t)
	newEstate(t, devstack.Kafka{Brokers: c.Brokers()}, []string{guarded}).theRightsSuffice()
}
