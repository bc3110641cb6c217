package devstack

import (
	"context"

	"github.com/twmb/franz-go/pkg/sr/srfake"
)

// RegistryOptions say where the schema registry listens.
type RegistryOptions struct {
	Addr Addr
}

// A Registry is an embedded schema registry. It keeps schemas in memory and
// calls every change compatible: a real registry must have the last word.
type Registry struct {
	*Server
	Schemas *srfake.Registry
}

// StartRegistry starts an empty registry.
func StartRegistry(ctx context.Context, o RegistryOptions) (*Registry, error) {
	fake := srfake.NewRegistry()
	s, err := Serve(ctx, o.Addr, fake.Handler())
	if err != nil {
		return nil, err
	}
	return &Registry{Server: s, Schemas: fake}, nil
}
