package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"paylink/internal/devstack"
	"paylink/internal/gatewaysim"
	"paylink/internal/reconcile"
)

// oneLine reports a test's failure unless a verb failed with one clear line.
func oneLine(t *testing.T, what, errs string, code, want int, says ...string) {
	t.Helper()
	if code != want || strings.Count(errs, "\n") != 1 {
		t.Errorf("%s: exit %d, want %d and one line: %s", what, code, want, errs)
	}
	for _, s := range says {
		if !strings.Contains(errs, s) {
			t.Errorf("%s: %q does not say %q", what, errs, s)
		}
	}
}

// TestAWorkDirectoryThatIsNotOurs is named in one line, and nothing in it is believed.
func TestAWorkDirectoryThatIsNotOurs(t *testing.T) {
	l := newLab(t, 40, 1, 4)
	work := filepath.Join(t.TempDir(), "work")
	args := l.args("reconcile", slices.Concat(l.merchants("1000000/s"), []string{"-o", "json", "--work-dir"})...)
	if _, errs, code := ran(t, append(args[:len(args):len(args)], work)); code != exitFailure || !strings.Contains(errs, "to go on") {
		t.Fatalf("exit %d, %s", code, errs)
	}
	whole, err := os.ReadFile(filepath.Join(work, "reconcile.db"))
	if err != nil {
		t.Fatal(err)
	}
	dir := func(name string, data []byte) string {
		d := t.TempDir()
		if err := os.WriteFile(filepath.Join(d, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
		return d
	}
	calls := l.stack.Gateway.Sim.Counts().Status
	for what, d := range map[string]string{
		"somebody's files": dir("notes.txt", []byte("hello")),
		"no database":      dir("reconcile.db", []byte(strings.Repeat("hello ", 10_000))),
		"cut to a third":   dir("reconcile.db", whole[:len(whole)/3]),
		"cut to a page":    dir("reconcile.db", whole[:os.Getpagesize()]),
		"a changed range":  dir("reconcile.db", []byte(strings.ReplaceAll(string(whole), `"Partition":0`, `"Partition":7`))),
	} {
		out, errs, code := ran(t, append(args[:len(args):len(args)], d))
		oneLine(t, what, errs, code, exitFailure, "work directory "+d, "name another")
		if out != "" {
			t.Errorf("%s: %s", what, out)
		}
	}
	for what, other := range map[string][]string{
		"--merchant": {"--merchant", "540001"}, "group: paylink": {"--kafka-group", "another"}, "range: --from": {"--from", "earliest"},
		"--give-up-after": {"--give-up-after", "2h"},
	} {
		_, errs, code := ran(t, slices.Concat(args, []string{work}, other))
		oneLine(t, what, errs, code, exitFailure, "it is of a run with another", what)
	}
	other, err := reconcile.OpenWorkDir(work)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	_, errs, code := ran(t, append(args[:len(args):len(args)], work))
	if oneLine(t, "in use", errs, code, exitFailure, "work directory "+work+": another run is using it"); strings.Contains(errs, "delete") {
		t.Errorf("it tells to delete a directory that is in use: %s", errs)
	}
	if n := l.stack.Gateway.Sim.Counts().Status; n != calls {
		t.Errorf("%d look-ups for work directories that are not ours", n-calls)
	}
}

// TestVerbsOfBadRanges and of topics that do not exist.
func TestVerbsOfBadRanges(t *testing.T) {
	l := newLab(t, 1, 1, 4)
	brokers := []string{"--kafka-brokers", l.stack.Broker.Addrs()[0]}
	for _, verb := range [][]string{{"verify"}, {"reconcile", "--offline"}} {
		verb := slices.Concat(verb, brokers)
		_, errs, code := ran(t, append(verb, "--from", "2026-11-21T00:00:00Z", "--to", "2026-11-20T00:00:00Z"))
		oneLine(t, "backwards", errs, code, exitUsage, "--to", "--from")
		_, errs, code = ran(t, append(verb, "--from", "yesterday"))
		oneLine(t, "no time", errs, code, exitUsage, "--from", "yesterday")
		_, errs, code = ran(t, append(verb, "--from", "2030-01-01T00:00:00Z", "--to", "2030-01-02T00:00:00Z"))
		oneLine(t, "outside", errs, code, exitOK, "the range holds no record of payment-intents")
		_, errs, code = ran(t, append(verb, "--topic-outcomes", "nowhere"))
		oneLine(t, "no topic", errs, code, exitFailure, "nowhere")
	}
	_, errs, code := ran(t, append([]string{"reconcile"}, brokers...))
	oneLine(t, "no merchant", errs, code, exitUsage, "--offline")
	_, errs, code = ran(t, l.args("reconcile", slices.Concat(l.merchants("1/s"), []string{"--html", "/nowhere/at/all.html"})...))
	oneLine(t, "no place for the page", errs, code, exitFailure, "--html")
	_, errs, code = ran(t, l.args("reconcile", slices.Concat(l.merchants("1/s"), []string{"--html", t.TempDir()})...))
	oneLine(t, "a folder for the page", errs, code, exitFailure, "--html", "is no file")
}

// TestVerifyNamesRightsThatAreMissing, and does without what it can do without.
func TestVerifyNamesRightsThatAreMissing(t *testing.T) {
	read := func(topic string) kfake.ACL {
		return kfake.ACL{Resource: kmsg.ACLResourceTypeTopic, Name: topic, Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: kmsg.ACLOperationRead, Allow: true}
	}
	group := kfake.ACL{Resource: kmsg.ACLResourceTypeGroup, Name: "paylink", Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: kmsg.ACLOperationDescribe, Allow: true}
	all := []kfake.ACL{read(devstack.Intents), read(devstack.Outcomes), read(devstack.DeadLetters), group}
	for without, says := range []string{"Describe on topic payment-intents", "topic payment-outcomes", "topic payment-intents.dead-letters", "Describe on group paylink", ""} {
		var acls []kfake.ACL
		for i, acl := range all {
			if i != without {
				acls = append(acls, acl)
			}
		}
		var seeds []kfake.Opt
		for _, name := range []string{devstack.Intents, devstack.Outcomes, devstack.DeadLetters} {
			seeds = append(seeds, kfake.SeedTopics(1, name))
		}
		c, err := kfake.NewCluster(append(seeds, kfake.NumBrokers(1), kfake.EnableSASL(), kfake.EnableACLs(),
			kfake.Superuser("PLAIN", "admin", "admin"), kfake.User("PLAIN", "auditor", "auditor", acls...))...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		password := writeFile(t, "password", "auditor")
		out, errs, code := ran(t, []string{"verify", "--kafka-brokers", c.ListenAddrs()[0], "--kafka-sasl-mechanism", "plain",
			"--kafka-sasl-username", "auditor", "--kafka-sasl-password-file", password, "--from", "earliest", "-o", "json"})
		switch {
		case says == "":
			if code != exitOK || !strings.Contains(errs, "has committed nothing") || !strings.Contains(out, `"lost":0`) {
				t.Errorf("with all rights: exit %d, %s, %s", code, errs, out)
			}
		case without == 3:
			if code != exitFailure || !strings.Contains(errs, "what is lost is not judged: a right is missing: "+says) || strings.Contains(out, `"lost"`) || !strings.Contains(out, `"second_outcome":0`) {
				t.Errorf("without %s: exit %d, %s, %s", says, code, errs, out)
			}
		default:
			oneLine(t, says, errs, code, exitFailure, "a right is missing: ", says, "deploy/rights.md")
		}
	}
}

// TestReconcileWithTheWrongSecretAsksLittle: a merchant whose look-ups are refused is
// left alone, and goes on later.
func TestReconcileWithTheWrongSecretAsksLittle(t *testing.T) {
	l := newLab(t, 400, 1, 16)
	args := l.args("reconcile", slices.Concat(l.merchants("1000000/s"), []string{"-o", "json", "--work-dir", filepath.Join(t.TempDir(), "work")})...)
	var hook onStatus
	l.stack.Gateway.Sim.SetLatency(hook.latency)
	hook.after(100, func() {
		rules, err := gatewaysim.ParseRules("status/credentials")
		if err != nil {
			t.Error(err)
		}
		if err := l.stack.Gateway.Sim.Misbehave(rules...); err != nil {
			t.Error(err)
		}
	})
	before := l.stack.Gateway.Sim.Counts().Status
	out, errs, code := ran(t, args)
	asked := l.stack.Gateway.Sim.Counts().Status - before
	_, sum := said(t, out, "class")
	if code != exitFailure || sum["unanswered"].(float64) < 200 || !strings.Contains(errs, "look-ups are left") || asked > 100+2*40 {
		t.Errorf("exit %d after %d look-ups, %v: %s", code, asked, sum, errs)
	}
	l.stack.Gateway.Sim.Behave()
	out, _, _ = ran(t, args)
	got, _ := said(t, out, "class")
	if want := l.want(func(f fate) string { return f.class }); !slices.Equal(got, want) {
		t.Errorf("after all: %v, want %v", got, want)
	}
}
