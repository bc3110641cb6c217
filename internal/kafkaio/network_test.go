package kafkaio_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// network is a member's way to the brokers; cut makes the member dead to them,
// without a word, and mend brings it back as a zombie.
type network struct {
	dialer func(ctx context.Context, network, addr string) (net.Conn, error)
	mu     sync.Mutex
	down   bool
	conns  map[net.Conn]bool
	treat  func(kmsg.Key) treatment // of each request that is sent; nil: all pass
}

// A treatment is what happens to a request on the wire.
type treatment struct {
	refuse bool          // the connection breaks instead
	mute   bool          // it arrives; the connection breaks before the answer
	late   time.Duration // it arrives so much later, also if its sender has hung up
	slow   time.Duration // so long it takes on its way, and what comes behind it waits
}

func (n *network) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.down {
		return nil, errors.New("network is down")
	}
	c, err := n.dialer(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	n.conns[c] = true
	return &tap{Conn: c, net: n}, nil
}

func (n *network) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down = true
	for c := range n.conns {
		c.Close()
	}
	clear(n.conns)
}

func (n *network) mend() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down = false
}

// set says how requests are treated from now on.
func (n *network) set(treat func(kmsg.Key) treatment) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.treat = treat
}

// refuse breaks the connections that carry such requests.
func (n *network) refuse(keys ...kmsg.Key) {
	n.set(func(k kmsg.Key) treatment {
		for _, key := range keys {
			if k == key {
				return treatment{refuse: true}
			}
		}
		return treatment{}
	})
}

// A tap is a connection that knows where requests begin.
type tap struct {
	net.Conn
	net  *network
	mu   sync.Mutex
	left int // bytes of the request that is being written
	now  treatment
	held []byte
}

func (c *tap) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left <= 0 && len(p) >= 6 {
		c.left = int(binary.BigEndian.Uint32(p)) + 4
		c.net.mu.Lock()
		if c.now = (treatment{}); c.net.treat != nil {
			c.now = c.net.treat(kmsg.Key(binary.BigEndian.Uint16(p[4:])))
		}
		c.net.mu.Unlock()
		time.Sleep(c.now.slow)
	}
	c.left -= len(p)
	switch {
	case c.now.refuse:
		c.Conn.Close()
		return 0, net.ErrClosed
	case c.now.late > 0:
		c.held = append(c.held, p...)
		if c.left <= 0 {
			go c.deliver(c.held, c.now.late)
			c.held = nil
		}
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func (c *tap) deliver(p []byte, after time.Duration) {
	time.Sleep(after)
	c.Conn.Write(p)
	time.Sleep(time.Second)
	c.Conn.Close()
}

func (c *tap) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now.mute {
		c.Conn.Close()
		return 0, net.ErrClosed
	}
	return n, err
}

// Close hangs up, but does not call back what is still on its way.
func (c *tap) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now.late > 0 {
		return nil
	}
	return c.Conn.Close()
}
