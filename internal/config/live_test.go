package config

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWhatIsNotLiveNeedsARestart(t *testing.T) {
	base := []string{"PAYLINK_KAFKA_BROKERS=one:1", "PAYLINK_MERCHANT_ID=1", "PAYLINK_MERCHANT_SECRET=" + canary}
	old, _, err := parse(base)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		change []string
		want   []string
	}{
		{nil, nil},
		{[]string{"PAYLINK_GATEWAY_URL=https://other", "PAYLINK_MERCHANT_SECRET=new-" + canary, "PAYLINK_RATE=7/s", "PAYLINK_CONCURRENCY=7", "PAYLINK_LOG_LEVEL=warn", "PAYLINK_LOCK_FIELDS=lifetime", "PAYLINK_ALLOW_HOSTS=a.b", "PAYLINK_GATEWAY_LINK_HOSTS=a.b"}, nil},
		{[]string{"PAYLINK_SCHEMA_REGISTRY_USERNAME=u", "PAYLINK_SCHEMA_REGISTRY_PASSWORD=" + canary}, nil},
		{[]string{"PAYLINK_SCHEMA_REGISTRY_URL=http://registry", "PAYLINK_SUBJECT_NAMING=record"}, []string{"PAYLINK_SCHEMA_REGISTRY_URL", "PAYLINK_SUBJECT_NAMING"}},
		{[]string{"PAYLINK_GIVE_UP_AFTER=2h"}, []string{"PAYLINK_GIVE_UP_AFTER"}},
		{[]string{"PAYLINK_KAFKA_BROKERS=one:1,two:1", "PAYLINK_MERCHANT_ID=2", "PAYLINK_GATEWAY_TIMEOUT=1s", "PAYLINK_KAFKA_TLS_ENABLED=true", "PAYLINK_TOPIC_INTENTS=x", "PAYLINK_LOG_FORMAT=text"},
			[]string{"PAYLINK_KAFKA_BROKERS", "PAYLINK_KAFKA_TLS_ENABLED", "PAYLINK_TOPIC_INTENTS", "PAYLINK_GATEWAY_TIMEOUT", "PAYLINK_MERCHANT_ID", "PAYLINK_LOG_FORMAT"}},
	} {
		next, _, err := parse(append(base, c.change...))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, old.Run.NeedRestart(next.Run)); diff != "" {
			t.Errorf("%q: %s", c.change, diff)
		}
	}
}

func TestLoginChangesAtTheRegistryAreNamed(t *testing.T) {
	const p = "PAYLINK_SCHEMA_REGISTRY_"
	base := good(p + "URL=http://registry")
	secret := write(t, "secret", canary+"\n")
	for _, c := range []struct {
		old, next, want []string
	}{
		{nil, nil, nil},
		{nil, []string{p + "USERNAME=u", p + "PASSWORD_FILE=" + secret}, []string{"user", "password"}},
		{[]string{p + "USERNAME=u", p + "PASSWORD=" + canary}, []string{p + "USERNAME=u", p + "PASSWORD_FILE=" + secret}, nil},
		{[]string{p + "USERNAME=u", p + "PASSWORD=" + canary}, []string{p + "TOKEN_FILE=" + secret}, []string{"user", "password", "token"}},
		{nil, []string{p + "URL=http://other", p + "TOKEN=" + canary}, nil}, // not for the registry that is in use
	} {
		old, _, err := parse(append(slices.Clone(base), c.old...))
		next, _, err2 := parse(append(slices.Clone(base), c.next...))
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, old.Run.Events.LoginChanges(next.Run.Events.Registry)); diff != "" {
			t.Errorf("%q → %q: %s", c.old, c.next, diff)
		}
	}
}

func TestTheGatewaysTLSIsTakenUp(t *testing.T) {
	ca := write(t, "ca.pem", "")
	if _, _, err := parse(good("PAYLINK_GATEWAY_TLS_CA_FILE="+ca, "PAYLINK_GATEWAY_TLS_CERT_FILE="+ca)); err == nil {
		t.Fatal("files that hold nothing are taken")
	} else if diff := cmp.Diff([]string{"PAYLINK_GATEWAY_TLS_CA_FILE", "PAYLINK_GATEWAY_TLS_CERT_FILE"}, settingsOf(err)); diff != "" {
		t.Errorf("%s\n%v", diff, err)
	}
	old, next := GatewayTLS{}, GatewayTLS{}
	if c := old.Config(); c != nil || old.prepare() != nil {
		t.Errorf("without settings: %v, want nothing of our own", c)
	}
	cert, key := certificate(t)
	next = GatewayTLS{CAFile: cert, CertFile: cert, KeyFile: key}
	if err := next.prepare(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"authorities", "client certificate"}, old.Changes(next)); diff != "" {
		t.Error(diff)
	}
	r, _, err := parse(good("PAYLINK_GATEWAY_TLS_CA_FILE="+cert, "PAYLINK_GATEWAY_TLS_CERT_FILE="+cert, "PAYLINK_GATEWAY_TLS_KEY_FILE="+key))
	if err != nil || !slices.Contains(r.Run.Files(), cert) || !slices.Contains(r.Run.Files(), key) {
		t.Errorf("%v, files to watch: %v; want certificate and key among them", err, r.Run.Files())
	}
}
