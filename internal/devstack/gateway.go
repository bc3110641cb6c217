package devstack

import (
	"context"

	"paylink/internal/gatewaysim"
)

// GatewayOptions say where the simulator listens and how it behaves.
type GatewayOptions struct {
	Addr   Addr
	Config gatewaysim.Config
}

// A Gateway is the gateway simulator on a port. Sim tells what it was asked,
// and makes it misbehave.
type Gateway struct {
	*Server
	Sim *gatewaysim.Gateway
}

// StartGateway starts the simulator.
func StartGateway(ctx context.Context, o GatewayOptions) (*Gateway, error) {
	sim := gatewaysim.New(o.Config)
	s, err := Serve(ctx, o.Addr, sim)
	if err != nil {
		return nil, err
	}
	return &Gateway{Server: s, Sim: sim}, nil
}
