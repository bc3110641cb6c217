package config

import (
	"net/url"
)

// Explain is the settings of `paylink explain`.
type Explain struct {
	Reading    `embed:""`
	Asking     `embed:""`
	ID         string `arg:"" name:"id" help:"An intent id, an order id or a payment id."`
	Key        string `name:"key" placeholder:"KEY" group:"Search" help:"Key of the intent's records, if it is known and not the ID: then one partition is searched instead of all."`
	Everywhere bool   `name:"everywhere" group:"Search" help:"Search all partitions, also if something is found in the key's: an emitter may have used another key."`
	AdminURL   string `name:"admin" placeholder:"URL" group:"Search" help:"Admin address of a running replica, such as http://127.0.0.1:8080: it is asked why an intent waits. Default: none is asked."`
	Offline    bool   `name:"offline" group:"Search" help:"Do not ask the gateway what it knows of the order now."`
}

// Prepare is as that of Run.
func (e *Explain) Prepare() error {
	if err := e.Reading.prepare(); err != nil {
		return err
	}
	if e.ID == "" {
		return problem("ID", "is empty; give an intent id, an order id or a payment id")
	}
	if e.AdminURL != "" {
		if u, err := url.Parse(e.AdminURL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return problem("--admin", "%q is no URL like http://127.0.0.1:8080", e.AdminURL)
		}
	}
	return e.Asking.prepare()
}
