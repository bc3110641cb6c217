package main

import (
	"bytes"
	"encoding/json"
	"io"
	"log"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"paylink/internal/devstack"
	"paylink/internal/gatewaysim"
	"paylink/internal/payment"
)

// canary is a secret that nothing may print.
const canary = "canary-3f9d1c77b2"

// bePaylink in the environment makes the test binary the program itself, for
// tests that send it signals.
const bePaylink = "BE_PAYLINK"

func TestMain(m *testing.M) {
	if os.Getenv(bePaylink) != "" {
		main()
		return
	}
	testscript.Main(m, map[string]func(){"paylink": main})
}

// TestScripts runs the command lines of testdata/script against the real
// program, with the embedded broker and the gateway simulator behind $BROKERS
// and $GATEWAY.
func TestScripts(t *testing.T) {
	stack := startStack(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("BROKERS", strings.Join(stack.Broker.Addrs(), ","))
			env.Setenv("GATEWAY", stack.Gateway.URL)
			env.Setenv("REGISTRY", stack.Registry.URL)
			env.Setenv("CANARY", canary)
			return nil
		},
	})
}

// TestAllBadSettingsAreOneStart: nobody mends settings one start at a time.
func TestAllBadSettingsAreOneStart(t *testing.T) {
	var errs bytes.Buffer
	code := run(t.Context(), []string{"run", "--rate=fast"}, world{out: io.Discard, err: &errs})
	if lines := strings.Count(errs.String(), "paylink: "); code != exitUsage || lines != 4 || strings.Count(errs.String(), "\n") != lines {
		t.Errorf("exit %d, want %d and a line for each of rate, brokers, merchant and secret:\n%s", code, exitUsage, errs.String())
	}
}

// TestNothingIsPrintedPastTheLog: net/http prints what a gateway says unasked, a link or
// an error with somebody's phone, with package log.
func TestNothingIsPrintedPastTheLog(t *testing.T) {
	defer log.SetOutput(log.Writer())
	var printed bytes.Buffer
	log.SetOutput(&printed)
	code := run(t.Context(), []string{"version"}, world{out: io.Discard, err: io.Discard})
	if log.Print(canary); code != exitOK || printed.Len() > 0 {
		t.Errorf("exit %d, and package log prints %q", code, printed.String())
	}
}

// startStack starts a broker without topics and a gateway that knows merchant
// 540001 under the canary.
func startStack(t *testing.T) *devstack.Stack {
	t.Helper()
	stack, err := devstack.Start(t.Context(), devstack.Options{
		Broker:  devstack.BrokerOptions{Topics: []devstack.Topic{}},
		Gateway: devstack.GatewayOptions{Config: gatewaysim.Config{Merchants: map[string]payment.Secret{"540001": canary}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stack.Close)
	return stack
}

func TestSignAgreesWithTheOutsideVectors(t *testing.T) {
	data, err := os.ReadFile("testdata/signature-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		ID, Script, Secret string
		Fields             map[string]any
		Sig                string `json:"pg_sig"`
		Base               string `json:"string"`
	}
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	flat := 0
	for _, v := range vectors {
		input, err := json.Marshal(v.Fields)
		if err != nil {
			t.Fatal(err)
		}
		secret := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(secret, []byte(v.Secret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		var out, errs strings.Builder
		w := world{in: strings.NewReader(string(input)), out: &out, err: &errs}
		code := run(t.Context(), []string{"sign", "--script", v.Script, "--secret-file", secret, "--explain"}, w)
		if nested(v.Fields) {
			if code != exitFailure || !strings.Contains(errs.String(), "only flat fields") {
				t.Errorf("%s: exit %d, %s, want a refusal of nested fields", v.ID, code, errs.String())
			}
			continue
		}
		flat++
		var got struct {
			Sig     string `json:"pg_sig"`
			Explain string
		}
		if err := json.Unmarshal([]byte(out.String()), &got); err != nil || code != exitOK || got.Sig != v.Sig {
			t.Errorf("%s: exit %d, %v, pg_sig %q, want %q", v.ID, code, err, got.Sig, v.Sig)
		}
		if want := strings.TrimSuffix(v.Base, v.Secret) + "***"; got.Explain != want {
			t.Errorf("%s: explain %q, want %q", v.ID, got.Explain, want)
		}
	}
	if flat < 5 {
		t.Errorf("%d flat vectors, want more: are they the right ones?", flat)
	}
}

func nested(fields map[string]any) bool {
	for _, v := range fields {
		if _, ok := v.(string); !ok {
			return true
		}
	}
	return false
}

func FuzzReadFieldsKeepsNumbersAndNeverPanics(f *testing.F) {
	for _, s := range []string{`{"a":10.00}`, `{"a":"b","c":1e3}`, `{"a":{}}`, `{"a":tru`, `[]`, `{} {}`, `{"a":1,"a":2}`, "{\"a\":\"\xff\"}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		fields, err := readFields(strings.NewReader(text))
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: the error has several lines: %v", text, err)
		}
		for _, f := range fields {
			if err == nil && f.Fields != nil {
				t.Errorf("%q: field %s is nested", text, f.Name)
			}
		}
	})
}
