package config

import (
	"crypto/tls"
	"crypto/x509"
	"reflect"
)

// NeedRestart names, by their variables, the settings of next that differ and
// that a running service does not take up.
func (r Run) NeedRestart(next Run) []string {
	return needRestart(reflect.ValueOf(r), reflect.ValueOf(next))
}

func needRestart(old, next reflect.Value) (names []string) {
	for i := range old.NumField() {
		f := old.Type().Field(i)
		env := f.Tag.Get(envTag)
		_, live := f.Tag.Lookup("live")
		switch {
		case env == "" && f.Type.Kind() == reflect.Struct:
			names = append(names, needRestart(old.Field(i), next.Field(i))...)
		case env != "" && !live && !reflect.DeepEqual(old.Field(i).Interface(), next.Field(i).Interface()):
			names = append(names, env)
		}
	}
	return names
}

// LoginChanges says, in words for a log, what next shows to the brokers, or
// trusts of them, that b does not; nothing of it is secret. Both are prepared.
// TLS that is switched on or off is none of it: that needs a restart.
func (b Broker) LoginChanges(next Broker) (changes []string) {
	note := func(what string, same bool) {
		if !same {
			changes = append(changes, what)
		}
	}
	if b.TLS.Enabled != next.TLS.Enabled {
		return nil
	}
	note("mechanism", b.SASL.Mechanism == next.SASL.Mechanism)
	note("user", b.SASL.Username == next.SASL.Username)
	note("password", b.SASL.Password == next.SASL.Password)
	if old, now := b.TLS.config, next.TLS.config; old != nil && now != nil {
		note("authorities", samePool(old.RootCAs, now.RootCAs))
		note("client certificate", sameCertificates(old.Certificates, now.Certificates))
		note("server name", old.ServerName == now.ServerName)
	}
	return changes
}

func samePool(a, b *x509.CertPool) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Equal(b)
}

// sameCertificates compares what is shown; a certificate has one key.
func sameCertificates(a, b []tls.Certificate) bool {
	chains := func(all []tls.Certificate) (out [][][]byte) {
		for _, c := range all {
			out = append(out, c.Certificate)
		}
		return out
	}
	return reflect.DeepEqual(chains(a), chains(b))
}
