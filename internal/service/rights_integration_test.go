//go:build integration

package service_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"paylink/internal/devstack"
	"paylink/internal/realkafka"
)

// TestTheRightsOfThePageSufficeAndEachIsNeeded is at a real broker, whose
// authorizer has the last word. Passwords are changed there too.
func TestTheRightsOfThePageSufficeAndEachIsNeeded(t *testing.T) {
	c, guarded := realkafka.StartGuarded(t)
	e := newEstate(t, devstack.Kafka{Brokers: c.Brokers()}, []string{guarded})
	if got := fmt.Sprint(e.failures()); !strings.Contains(got, "Read on group paylink") { // the group is new
		t.Errorf("check without any right: %s", got)
	}
	e.theRightsSuffice()
	e.passwordIsTakenUp()
	e.judge()
}

// passwordIsTakenUp starts the service with a password that is none, mends it, and
// changes it once more while intents are settled.
func (e *estate) passwordIsTakenUp() {
	e.t.Helper()
	file := filepath.Join(e.t.TempDir(), "password")
	fileSays := func(text string) {
		e.t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			e.t.Fatal(err)
		}
	}
	fileSays("wrong-" + canary)
	e.spareNoEpochs()
	e.cfg.Kafka.SASL.Password, e.cfg.Kafka.SASL.PasswordFile = "", file
	if err := e.cfg.Prepare(); err != nil {
		e.t.Fatal(err)
	}
	e.start()
	defer func() { e.stop() }()
	e.readyzSays("the broker refuses this user with this password (PAYLINK_KAFKA_SASL_PASSWORD, or its file)")
	fileSays(aclPassword)
	e.out.hears(e.t, "the brokers accept our login again", 1)
	e.emit(false)
	e.settled()

	setPassword(e.t, e.admin, secondPassword)
	fileSays(secondPassword)
	e.out.hears(e.t, "the brokers accept the new login", 2)
	e.emit(false)
	e.settled()
	if strings.Contains(e.out.String(), canary) {
		e.t.Error("a secret was printed")
	}
}
