//go:build integration

package service_test

import (
	"fmt"
	"strings"
	"testing"

	"paylink/internal/devstack"
	"paylink/internal/realkafka"
)

// TestTheRightsOfThePageSufficeAndEachIsNeeded is at a real broker, whose
// authorizer has the last word.
func TestTheRightsOfThePageSufficeAndEachIsNeeded(t *testing.T) {
	c, guarded := realkafka.StartGuarded(t)
	e := newEstate(t, devstack.Kafka{Brokers: c.Brokers()}, []string{guarded})
	if got := fmt.Sprint(e.failures()); !strings.Contains(got, "Read on group paylink") { // the group is new
		t.Errorf("check without any right: %s", got)
	}
	e.theRightsSuffice()
}
