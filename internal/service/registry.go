package service

import (
	"context"
	"fmt"
	"time"

	"paylink/internal/config"
	"paylink/internal/console"
	"paylink/internal/event"
	schemaregistry "paylink/internal/registry"
	"paylink/schemas"
)

// connectRegistry lets intents be read, and outcomes be written, with the
// schemas of the registry that the settings name, if they name one.
func (s *service) connectRegistry(in *event.DecoderConfig, out *event.EncoderConfig) error {
	if s.cfg.Events.RegistryURL == "" {
		return nil
	}
	c := registryConfig(s.cfg.Events.Registry, s.cfg.Events.Register, s.deps.RegistryDial)
	c.OldLogin = s.oldRegistryLogin
	reg, err := schemaregistry.New(c)
	if err != nil {
		return err
	}
	s.schemas, in.Schemas = reg, reg
	out.Format, out.Naming = FormatNamed(s.cfg.Events.Format), schemas.Naming(s.cfg.Events.Naming)
	out.Topic, out.IDs = s.cfg.Topics.Outcomes, reg
	return nil
}

// awaitSchemas returns once it is known under which numbers outcomes are written,
// or ctx ends: without them no call may be made. A registry that does not answer
// is waited for; one that refuses, or lacks a schema, is an error.
func (s *service) awaitSchemas(ctx context.Context) error {
	began := time.Now()
	defer s.noSchemas.Store(nil)
	for wait := time.Second; ; wait = min(2*wait, 10*time.Second) {
		err := s.encoder.Prepare(ctx)
		if err == nil || ctx.Err() != nil {
			return nil
		}
		if !schemaregistry.IsAway(err) {
			return err
		}
		s.noSchemas.Store(&console.Alarm{
			What: fmt.Sprintf("The schema registry does not answer, and no partition is taken before it does: %v", err),
			Mend: "Mend the registry, its address or its login (PAYLINK_SCHEMA_REGISTRY_…).", Since: began,
		})
		s.deps.Log.WithError(err).WithField("wait", wait.String()).Warn("the schema registry does not answer: no partition is taken before it does")
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// oldRegistryLogin tells that the registry is not told of a new login yet.
func (s *service) oldRegistryLogin() {
	s.bursts.Say("registry login", func() {
		s.deps.Log.Warn("the schema registry refuses the new login and accepts the one before: change it at the registry too")
	}, func(int) {})
}

// Registry makes the client of the settings. With register it may register what
// the registry lacks. Without dial it uses the usual network.
func Registry(r config.Registry, register bool, dial Dialer) (*schemaregistry.Registry, error) {
	return schemaregistry.New(registryConfig(r, register, dial))
}

func registryConfig(r config.Registry, register bool, dial Dialer) schemaregistry.Config {
	return schemaregistry.Config{URL: r.RegistryURL, Login: registryLogin(r), Register: register, Dial: dial}
}

func registryLogin(r config.Registry) schemaregistry.Login {
	return schemaregistry.Login{TLS: r.TLS(), Username: r.Username, Password: r.Password, Token: r.Token}
}

// FormatNamed returns the format of a setting; zero for json, which is none of
// a registry.
func FormatNamed(name string) schemas.Format {
	for _, f := range schemas.Formats() {
		if f.String() == name {
			return f
		}
	}
	return 0
}
