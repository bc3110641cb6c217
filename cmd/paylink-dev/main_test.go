package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"paylink/internal/devstack"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"paylink-dev": main})
}

// TestScripts runs the command lines in testdata. Each has an embedded broker
// at $BROKER, and addresses that are free: $ADDR1, $ADDR2, $ADDR3.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata",
		UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(env *testscript.Env) error {
			b, err := devstack.StartBroker(devstack.BrokerOptions{})
			if err != nil {
				return err
			}
			env.Defer(b.Close)
			env.Setenv("BROKER", b.Addrs()[0])
			for i := range 3 {
				addr, err := freeAddr(devstack.Addr{})
				if err != nil {
					return err
				}
				env.Setenv(fmt.Sprintf("ADDR%d", i+1), addr)
			}
			return nil
		},
	})
}

// script runs one command line in this process.
func script(ctx context.Context, in string, args ...string) (code int, out, errs string) {
	var stdout, stderr bytes.Buffer
	code = run(ctx, args, world{in: bytes.NewBufferString(in), out: &stdout, err: &stderr})
	return code, stdout.String(), stderr.String()
}

func TestWrongUsageIsToldInOneLine(t *testing.T) {
	for _, args := range [][]string{
		{"emit", "--invalid=2"},
		{"emit", "--nonsense"},
		{"bench", "--zipf=0.5"},
		{"bench", "--gateway=soon"},
		{"watch", "--isolation=serializable"},
		{"nothing"},
	} {
		code, out, errs := script(t.Context(), "", args...)
		if code != exitUsage || out != "" || bytes.Count([]byte(errs), []byte("\n")) > 2 {
			t.Errorf("paylink-dev %v: exit code %d, out %q, err %q; want %d and one line", args, code, out, errs, exitUsage)
		}
	}
}
