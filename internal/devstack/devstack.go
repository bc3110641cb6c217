// Package devstack is the outside world of the service in one process: an
// embedded Kafka broker and schema registry, and the gateway simulator, each on
// a port of its own. paylink-dev shows it to people, tests run against it.
//
// It also holds a small Kafka client for tests and tools (Kafka). That client
// is franz-go's on purpose: the service speaks through another one, so what the
// two agree on is the protocol and not a shared mistake. Nothing here promises
// durability, and cmd/paylink never imports it.
package devstack

import (
	"context"
	"fmt"
)

// Options say what to start. The zero value starts everything on free ports.
type Options struct {
	Broker   BrokerOptions
	Gateway  GatewayOptions
	Registry RegistryOptions
}

// A Stack is a running broker, registry and gateway.
type Stack struct {
	Broker   *Broker
	Registry *Registry
	Gateway  *Gateway
}

// Start starts all parts, or none. They run until Close; ctx bounds the start only.
func Start(ctx context.Context, o Options) (*Stack, error) {
	s := new(Stack)
	var err error
	if s.Broker, err = StartBroker(o.Broker); err != nil {
		return nil, fmt.Errorf("start broker: %w", err)
	}
	if s.Registry, err = StartRegistry(ctx, o.Registry); err != nil {
		s.Close()
		return nil, fmt.Errorf("start registry: %w", err)
	}
	if s.Gateway, err = StartGateway(ctx, o.Gateway); err != nil {
		s.Close()
		return nil, fmt.Errorf("start gateway: %w", err)
	}
	return s, nil
}

// Close stops all parts and cuts their connections. What they held is gone.
func (s *Stack) Close() {
	if s.Gateway != nil {
		s.Gateway.Close()
	}
	if s.Registry != nil {
		s.Registry.Close()
	}
	if s.Broker != nil {
		s.Broker.Close()
	}
}
