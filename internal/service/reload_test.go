package service_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"paylink/internal/config"
	"paylink/internal/devstack"
	"paylink/internal/event"
	"paylink/internal/service"
)

// hears waits until the log says something.
func (b *buffer) hears(t *testing.T, what string, times int) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if strings.Count(b.String(), what) >= times {
			return
		}
	}
	t.Fatalf("the log never says %q:\n%s", what, b.String())
}

func TestMerchantsChangeWhileTheServiceRuns(t *testing.T) {
	stack, cfg := world(t)
	file := filepath.Join(t.TempDir(), "merchants.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	one := "- id: 540001\n  secret: " + canary + "\n  rate: 1000/s+100\n"
	two := one + "- id: 540002\n  secret: other-" + canary + "\n  rate: 500/s+100\n  language: kz\n  testing_mode: true\n"
	write(one)
	stack.Gateway.Sim.SetSecret("540002", "other-"+canary)
	cfg.Gateway.Secret, cfg.Gateway.MerchantsFile = "", file
	settings := func() (config.Run, error) {
		next := cfg
		return next, next.Prepare()
	}
	cfg, err := settings()
	if err != nil {
		t.Fatal(err)
	}
	var out buffer
	log, err := service.Logger(cfg, &out)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 60*time.Second)
	reload, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- service.Run(ctx, cfg, service.Deps{Log: log, Reload: reload, Settings: settings})
	}()
	kafka, n := stack.Broker.Kafka(), 0
	outcome := func() string {
		t.Helper()
		n++
		value := fmt.Sprintf(`{"intent_id":"i-%d","merchant_id":"540002","amount":"10.00","description":"x"}`, n)
		if err := kafka.Emit(ctx, devstack.Intents, event.Message{Key: []byte(value), Value: []byte(value)}); err != nil {
			t.Fatal(err)
		}
		recs, err := kafka.ReadN(ctx, devstack.Outcomes, devstack.ReadUncommitted, n)
		if err != nil {
			t.Fatalf("%v\n%s", err, out.String())
		}
		for _, r := range recs {
			if string(r.Header(event.HeaderIntentID)) == fmt.Sprint("i-", n) {
				return string(r.Value)
			}
		}
		t.Fatalf("no outcome of i-%d", n)
		return ""
	}

	if v := outcome(); !strings.Contains(v, `"invalid_intent"`) || !strings.Contains(v, `"merchant_id"`) {
		t.Errorf("outcome for an unknown merchant: %s", v)
	}
	write(two) // the file is watched
	out.hears(t, "merchant added", 1)
	if v := outcome(); !strings.Contains(v, `"payment-created"`) {
		t.Errorf("outcome for the merchant that was added: %s", v)
	}
	write(strings.Replace(two, "500/s", "fast", 1))
	reload <- struct{}{} // SIGHUP
	out.hears(t, "are not valid: going on with the old ones", 1)
	if v := outcome(); !strings.Contains(v, `"payment-created"`) {
		t.Errorf("outcome after a bad change: %s", v)
	}
	write(strings.Replace(two, "500/s", "400/s", 1))
	out.hears(t, "rate changed", 1)
	for _, c := range stack.Gateway.Sim.Calls() {
		if !strings.Contains(c.Params, "pg_language=kz") || !strings.Contains(c.Params, "pg_testing_mode=1") {
			t.Errorf("the merchant's defaults are not sent: %s", c.Params)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if strings.Contains(out.String(), canary) {
		t.Error("a secret was printed")
	}
}

func TestHoldEndsForANewSecretAndForNothingElseInTheFolder(t *testing.T) {
	stack, cfg := world(t)
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	merchants := func(secret, rate string) string {
		return "- id: 540001\n  secret: " + secret + "\n- id: 540002\n  secret: other-" + canary + "\n  rate: " + rate + "\n"
	}
	write("merchants.yaml", merchants("wrong-secret", "1/s"))
	cfg.Gateway.Secret, cfg.Gateway.MerchantID, cfg.Gateway.MerchantsFile = "", "", filepath.Join(dir, "merchants.yaml")
	var out buffer
	reload := startReloading(t, cfg, &out)

	value := []byte(`{"intent_id":"held","merchant_id":"540001","amount":"10.00","description":"x"}`)
	if err := stack.Broker.Kafka().Emit(t.Context(), devstack.Intents, event.Message{Key: value, Value: value}); err != nil {
		t.Fatal(err)
	}
	out.hears(t, "merchant on hold", 1)
	calls := len(stack.Gateway.Sim.Calls())
	for i := range 96 {
		write("paylink.log", strings.Repeat("a line\n", i))
	}
	reload <- struct{}{}
	out.hears(t, "nothing has changed", 1)
	write("merchants.yaml", merchants("wrong-secret", "2/s"))
	out.hears(t, "rate changed", 1)
	reload <- struct{}{}
	out.hears(t, "nothing has changed", 2)
	if n := len(stack.Gateway.Sim.Calls()); n > calls+1 || strings.Contains(out.String(), "no longer on hold") {
		t.Errorf("%d calls after the hold began, want one at most, the probe in 10 s:\n%s", n-calls, out.String())
	}

	write("merchants.yaml", merchants(canary, "2/s"))
	recs, err := stack.Broker.Kafka().ReadN(t.Context(), devstack.Outcomes, devstack.ReadUncommitted, 1)
	if err != nil || !strings.Contains(string(recs[0].Value), `"payment-created"`) {
		t.Errorf("outcome after the secret is mended: %v, %v", recs, err)
	}
}

func TestSecretFilesAreWatchedInWhateverFolder(t *testing.T) {
	_, cfg := world(t)
	merchants, first, second := filepath.Join(t.TempDir(), "merchants.yaml"), filepath.Join(t.TempDir(), "one"), filepath.Join(t.TempDir(), "two")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	entry := func(id, file string) string { return "- id: " + id + "\n  secret_file: " + file + "\n" }
	write(merchants, entry("540001", first))
	write(first, "secret-1")
	cfg.Gateway.Secret, cfg.Gateway.MerchantsFile = "", merchants
	var out buffer
	var log logrus.FieldLogger
	reload := startReloading(t, cfg, &out, func(d *service.Deps) { log = d.Log })
	reload <- struct{}{} // by now it watches
	out.hears(t, "nothing has changed", 1)
	write(first, "secret-2")
	out.hears(t, "merchant's secret changed", 1)

	write(second, "secret-1")
	write(merchants, entry("540001", first)+entry("540002", second))
	out.hears(t, "merchant added", 1)
	reload <- struct{}{}
	out.hears(t, "nothing has changed", 2)
	write(second, "secret-2")
	out.hears(t, "merchant's secret changed", 2)
	if log.Info("none of secret-1 and secret-2 is told"); !strings.Contains(out.String(), "none of *** and *** is told") {
		t.Errorf("a secret that came by a change is not masked:\n%s", out.String())
	}
}

func TestWhatIsNotTakenUpIsSaidOnce(t *testing.T) {
	_, cfg := world(t)
	var giveUp atomic.Int64
	giveUp.Store(int64(cfg.Flow.GiveUpAfter))
	var out buffer
	reload := startReloading(t, cfg, &out, func(d *service.Deps) {
		d.Settings = func() (config.Run, error) {
			next := cfg
			next.Flow.GiveUpAfter = time.Duration(giveUp.Load())
			return next, next.Prepare()
		}
	})
	const word = `"message":"settings have changed that need a restart: until then the old values are in force","settings":["PAYLINK_GIVE_UP_AFTER"]`
	change := func(d time.Duration, words, same int) {
		t.Helper()
		giveUp.Store(int64(d))
		reload <- struct{}{}
		reload <- struct{}{} // the same again
		out.hears(t, "nothing has changed", same)
		if n := strings.Count(out.String(), word); n != words {
			t.Errorf("give_up_after is %s: %d words in all, want %d:\n%s", d, n, words, out.String())
		}
	}
	change(2*time.Hour, 1, 1)
	change(3*time.Hour, 2, 2)
	change(cfg.Flow.GiveUpAfter, 2, 3) // as it is in force
}

func TestChangedDefaultsAreNamed(t *testing.T) {
	_, cfg := world(t)
	file := filepath.Join(t.TempDir(), "merchants.yaml")
	write := func(defaults string) {
		t.Helper()
		if err := os.WriteFile(file, []byte("- id: 540001\n  secret: "+canary+"\n"+defaults), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("  language: kz\n  success_url: https://shop.example/ok\n  testing_mode: true\n")
	cfg.Gateway.Secret, cfg.Gateway.MerchantsFile = "", file
	var out buffer
	reload := startReloading(t, cfg, &out)
	write("  success_url: https://shop.example/thanks\n  failure_url: https://shop.example/no\n  testing_mode: true\n")
	reload <- struct{}{}
	out.hears(t, `"fields":["failure_url","language","success_url"]`, 1)
	if s := out.String(); !strings.Contains(s, "merchant's defaults changed") || strings.Contains(s, "shop.example") {
		t.Errorf("want names, and no values:\n%s", s)
	}
}

func TestMerchantOfNamelessIntentsCannotBeTakenAway(t *testing.T) {
	stack, cfg := world(t)
	file := filepath.Join(t.TempDir(), "merchants.yaml")
	write := func(id string) {
		t.Helper()
		if err := os.WriteFile(file, []byte("- id: "+id+"\n  secret: "+canary+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("540001")
	cfg.Gateway.Secret, cfg.Gateway.MerchantID, cfg.Gateway.MerchantsFile = "", "", file
	var out buffer
	reload := startReloading(t, cfg, &out)
	write("540002")
	reload <- struct{}{}
	out.hears(t, "merchant 540001 is gone, whose the intents are that name none", 1)
	value := []byte(`{"intent_id":"nameless","amount":"10.00","description":"x"}`)
	if err := stack.Broker.Kafka().Emit(t.Context(), devstack.Intents, event.Message{Key: value, Value: value}); err != nil {
		t.Fatal(err)
	}
	recs, err := stack.Broker.Kafka().ReadN(t.Context(), devstack.Outcomes, devstack.ReadUncommitted, 1)
	if err != nil || !strings.Contains(string(recs[0].Value), `"payment-created"`) {
		t.Errorf("outcome of an intent that names no merchant: %v, %v", recs, err)
	}
}

func TestConcurrencyAndLogLevelChangeLive(t *testing.T) {
	stack, cfg := world(t)
	cfg.Flow.Concurrency, cfg.Log.Level = 1, "warn"
	var next atomic.Pointer[config.Run]
	next.Store(&cfg)
	var out buffer
	var log *logrus.Logger
	reload := startReloading(t, cfg, &out, func(d *service.Deps) {
		log = d.Log.(*logrus.Logger)
		d.SetLevel = func(level string) {
			l, err := logrus.ParseLevel(level)
			if err != nil {
				t.Error(err)
			}
			log.SetLevel(l)
		}
		d.Settings = func() (config.Run, error) { n := *next.Load(); return n, n.Prepare() }
	})
	called, answer := make(chan struct{}, 10), make(chan struct{})
	stack.Gateway.Sim.SetLatency(func(*rand.Rand) time.Duration { called <- struct{}{}; <-answer; return 0 })
	defer close(answer)
	for i := range 5 {
		value := fmt.Appendf(nil, `{"intent_id":"i-%d","amount":"10.00","description":"x"}`, i)
		if err := stack.Broker.Kafka().Emit(t.Context(), devstack.Intents, event.Message{Key: value, Value: value}); err != nil {
			t.Fatal(err)
		}
	}
	<-called
	change := func(concurrency int, level string, says ...string) {
		t.Helper()
		n := cfg
		n.Flow.Concurrency, n.Log.Level = concurrency, level
		next.Store(&n)
		reload <- struct{}{}
		reload <- struct{}{} // taken up by then
		for _, line := range says {
			out.hears(t, line, 1)
		}
	}
	change(1, "info", `"message":"setting changed: PAYLINK_LOG_LEVEL","new":"info","old":"warn"`)
	if len(called) > 0 {
		t.Errorf("%d calls more in flight, want one in all", len(called))
	}
	change(3, "info", `"message":"setting changed: PAYLINK_CONCURRENCY","new":3,"old":1`)
	<-called
	<-called
	change(3, "error", `"message":"setting changed: PAYLINK_LOG_LEVEL","new":"error","old":"info"`)
	if log.Warn("not told"); strings.Contains(out.String(), "not told") {
		t.Error("a warning is told at level error")
	}
	if len(called) > 0 {
		t.Errorf("%d calls more in flight, want three in all", len(called))
	}
}

// startReloading runs a service that reads its settings anew, from the files that
// cfg names, until the test ends. What it returns stands for SIGHUP.
func startReloading(t *testing.T, cfg config.Run, out *buffer, change ...func(*service.Deps)) chan<- struct{} {
	t.Helper()
	settings := func() (config.Run, error) {
		next := cfg
		return next, next.Prepare()
	}
	first, err := settings()
	if err != nil {
		t.Fatal(err)
	}
	log, err := service.Logger(first, out)
	if err != nil {
		t.Fatal(err)
	}
	reload, ended := make(chan struct{}), make(chan error, 1)
	deps := service.Deps{Log: log, Reload: reload, Settings: settings}
	for _, f := range change {
		f(&deps)
	}
	ctx, stop := context.WithCancel(t.Context())
	go func() { ended <- service.Run(ctx, first, deps) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return reload
}
