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
func (b Broker) LoginChanges(next Broker) []string {
	if b.TLS.Enabled != next.TLS.Enabled {
		return nil
	}
	return append(different([]difference{
		{"mechanism", b.SASL.Mechanism != next.SASL.Mechanism},
		{"user", b.SASL.Username != next.SASL.Username},
		{"password", b.SASL.Password != next.SASL.Password},
		{"token's source", b.SASL.OAuth.differs(next.SASL.OAuth)},
		{"client's secret", b.SASL.OAuth.Secret != next.SASL.OAuth.Secret},
		{"token endpoint's authorities", !samePool(poolOf(b.SASL.OAuth.config), poolOf(next.SASL.OAuth.config))},
	}), tlsChanges(b.TLS.config, next.TLS.config)...)
}

// LoginChanges is the same of the schema registry. Another registry is none of it.
func (r Registry) LoginChanges(next Registry) []string {
	if r.RegistryURL != next.RegistryURL {
		return nil
	}
	return append(different([]difference{
		{"user", r.Username != next.Username},
		{"password", r.Password != next.Password},
		{"token", r.Token != next.Token},
	}), tlsChanges(r.config, next.config)...)
}

// Changes is the same of the gateways.
func (t GatewayTLS) Changes(next GatewayTLS) []string { return tlsChanges(t.config, next.config) }

func tlsChanges(old, next *tls.Config) []string {
	if old == nil && next == nil {
		return nil
	}
	if old == nil {
		old = new(tls.Config)
	}
	if next == nil {
		next = new(tls.Config)
	}
	return different([]difference{
		{"authorities", !samePool(old.RootCAs, next.RootCAs)},
		{"client certificate", !sameCertificates(old.Certificates, next.Certificates)},
		{"server name", old.ServerName != next.ServerName},
	})
}

// A difference is something that may have changed.
type difference struct {
	what string
	is   bool
}

func different(all []difference) (what []string) {
	for _, d := range all {
		if d.is {
			what = append(what, d.what)
		}
	}
	return what
}

// differs reports whether tokens come from elsewhere, or are others.
func (o OAuth) differs(next OAuth) bool {
	for _, c := range []*OAuth{&o, &next} {
		c.Secret, c.SecretFile, c.read, c.CAFile, c.config = "", "", "", "", nil // told apart, by what is in them
	}
	return !reflect.DeepEqual(o, next)
}

func poolOf(c *tls.Config) *x509.CertPool {
	if c == nil {
		return nil
	}
	return c.RootCAs
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
