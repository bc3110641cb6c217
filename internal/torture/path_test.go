//go:build integration

package torture

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// A path is what lies between a replica and one place that it talks to: a
// toxiproxy. Its methods but addr must not be called concurrently.
type path struct {
	name     string // of the place
	upstream string
	sever    func() // closes the connections behind the proxy
	t        testing.TB

	listen string // host:port, the same for ever
	server *toxiproxy.ApiServer
	proxy  *toxiproxy.Proxy
}

// A toxic is what toxiproxy does to the data of one direction.
type toxic struct {
	Type       string     `json:"type"`
	Stream     string     `json:"stream"`
	Attributes attributes `json:"attributes"`
}

// open starts the proxy on a free port, one that the system does not give to
// outgoing connections: it is left free while the path is cut.
func (p *path) open() error {
	p.server = toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	var err error
	for range 50 {
		p.listen = fmt.Sprintf("127.0.0.1:%d", 15000+rand.IntN(15000))
		p.proxy = toxiproxy.NewProxy(p.server, p.name, p.listen, p.upstream)
		if err = p.proxy.Start(); err == nil {
			return nil
		}
	}
	return fmt.Errorf("path to %s: %w", p.name, err)
}

// addr is what the replica dials.
func (p *path) addr() string { return p.listen }

// close ends the path.
func (p *path) close() { within(patience, p.proxy.Stop) }

// cut closes all connections and refuses new ones.
func (p *path) cut() { p.patiently((*toxiproxy.Proxy).Stop) }

// poison adds toxics, which live connections feel too.
func (p *path) poison(toxics ...toxic) {
	for _, t := range toxics {
		text, err := json.Marshal(t)
		if err != nil {
			p.t.Errorf("poison the path to %s: %v", p.name, err)
			return
		}
		p.patiently(func(proxy *toxiproxy.Proxy) {
			if _, err := proxy.Toxics.AddToxicJson(bytes.NewReader(text)); err != nil {
				p.t.Errorf("poison the path to %s by %s: %v", p.name, text, err)
			}
		})
	}
}

// heal ends a cut and removes all toxics. Connections stay, but for those of
// which data was swallowed.
func (p *path) heal() {
	p.patiently(func(proxy *toxiproxy.Proxy) { proxy.Toxics.ResetToxics(context.Background()) })
	p.start()
}

// start lets the proxy accept again. Someone may sit on its port for a moment.
func (p *path) start() {
	var err error
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if err = p.proxy.Start(); err == nil || errors.Is(err, toxiproxy.ErrProxyAlreadyStarted) {
			return
		}
	}
	p.t.Errorf("open the path to %s again: %v", p.name, err)
}

// patience is how long a change of a proxy may take: toxiproxy gives up a
// reader that is mute after 5 s, and a suspended replica is one.
const patience = 15 * time.Second

// patiently changes the proxy. When a connection dies at the wrong moment of a
// change, toxiproxy waits for it for ever, holding its locks (toxiproxy's issues
// 210, 412 and 558). The proxy is then left to itself and another takes its
// place and its port, without toxics; the connections end.
func (p *path) patiently(change func(*toxiproxy.Proxy)) {
	stuck := p.proxy
	if within(patience, func() { change(stuck) }) {
		return
	}
	p.t.Logf("the proxy on the path to %s is stuck, another takes its place", p.name)
	go stuck.Stop() // it closes the port, and may never return
	p.proxy = toxiproxy.NewProxy(p.server, p.name, p.listen, p.upstream)
	p.start()
	p.sever()
}

// within reports whether a deed was done in time.
func within(limit time.Duration, deed func()) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		deed()
	}()
	select {
	case <-done:
		return true
	case <-time.After(limit):
		return false
	}
}
