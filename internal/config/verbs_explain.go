package config

import (
	"crypto/tls"
	"net/url"

	"paylink/internal/payment"
)

// Explain is the settings of `paylink explain`.
type Explain struct {
	Reading    `embed:""`
	Asking     `embed:""`
	ID         string `arg:"" name:"id" help:"An intent id, an order id or a payment id."`
	Key        string `name:"key" placeholder:"KEY" group:"Search" help:"Key of the intent's records, if it is known and not the ID: then one partition is searched instead of all."`
	Everywhere bool   `name:"everywhere" group:"Search" help:"Search all partitions, also if something is found in the key's: an emitter may have used another key."`
	Replica    `embed:"" group:"Running replica"`
	Offline    bool `name:"offline" group:"Search" help:"Do not ask the gateway what it knows of the order now."`
}

// Prepare is as that of Run.
func (e *Explain) Prepare() error {
	var id error
	if e.ID == "" {
		id = problem("ID", "is empty; give an intent id, an order id or a payment id")
	}
	return join(e.Reading.prepare(), id, e.Replica.prepare(), e.Asking.prepare())
}

// Replica is how a verb reaches the admin address of a running service.
type Replica struct {
	AdminURL  string         `name:"admin" placeholder:"URL" help:"Admin address of a running replica, such as http://127.0.0.1:8080: it is asked what it knows of the intent. Default: none is asked."`
	Token     payment.Secret `name:"admin-token" env:"PAYLINK_ADMIN_TOKEN" help:"Bearer token of the admin address."`
	TokenFile string         `name:"admin-token-file" env:"PAYLINK_ADMIN_TOKEN_FILE" placeholder:"FILE" help:"File that holds the token; one newline at its end is dropped."`
	CAFile    string         `name:"admin-ca-file" placeholder:"FILE" help:"PEM certificates that the replica's is checked against. Default: the system's."`
	CertFile  string         `name:"admin-cert-file" placeholder:"FILE" help:"PEM certificate that is shown to the replica; goes with the key file. Default: none."`
	KeyFile   string         `name:"admin-key-file" placeholder:"FILE" help:"PEM private key of that certificate."`

	TLS *tls.Config `kong:"-"` // Prepare fills it; nil: the system's
}

func (r *Replica) prepare() (err error) {
	if r.AdminURL == "" {
		return nil
	}
	if u, err := url.Parse(r.AdminURL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return problem("--admin", "%q is no URL like http://127.0.0.1:8080", r.AdminURL)
	}
	if r.Token != "" || r.TokenFile != "" {
		if r.Token, err = readSecret("PAYLINK_ADMIN_TOKEN", r.Token, r.TokenFile); err != nil {
			return err
		}
	}
	r.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	if r.CAFile != "" {
		if r.TLS.RootCAs, err = readAuthorities("--admin-ca-file", r.CAFile); err != nil {
			return err
		}
	}
	if r.CertFile != "" || r.KeyFile != "" {
		pair, err := readPair("--admin-cert-file", r.CertFile, r.KeyFile)
		if err != nil {
			return err
		}
		r.TLS.Certificates = []tls.Certificate{pair}
	}
	return nil
}
