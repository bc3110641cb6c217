package freedompay

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// errNoLease is why a guard refuses to write: MayWrite said no.
var errNoLease = errors.New("not allowed to write any more")

// errSealed is why a guard refuses to write: its call was given up before.
var errSealed = errors.New("call was given up before it was written")

// A guard is a dialled connection that takes a last look before bytes leave,
// and knows whether any bytes of the present call did. It sits below TLS.
//
// The last look is for a process that was suspended between its lease check
// and the write: after waking it must not send, since another member may have
// taken over and called already. Between the look and the system call lie
// microseconds that no program can close.
type guard struct {
	net.Conn
	mayWrite func() bool

	mu     sync.Mutex
	wrote  bool  // bytes of the present call may have left
	broken error // no byte leaves any more

	atRest bool          // the HTTP layer waits for bytes, and has none left; or the connection is closed
	rested chan struct{} // closed when it is at rest again; nil: nobody waits for that
}

// Write writes, unless a look says no. A guard that has refused once refuses
// for ever: what follows would be the rest of a call without its head.
func (g *guard) Write(p []byte) (int, error) {
	if err := g.look(); err != nil {
		return 0, err
	}
	return g.Conn.Write(p)
}

func (g *guard) look() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.broken == nil && !g.mayWrite() {
		g.broken = errNoLease
	}
	if g.broken == nil {
		g.wrote = true
	}
	return g.broken
}

// Read notes that the HTTP layer waits for bytes: it reads no further while it has some.
func (g *guard) Read(p []byte) (int, error) {
	g.rest(true)
	n, err := g.Conn.Read(p)
	g.rest(err != nil)
	return n, err
}

// Close closes the connection.
func (g *guard) Close() error {
	err := g.Conn.Close()
	g.rest(true)
	return err
}

func (g *guard) rest(is bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.atRest = is; is && g.rested != nil {
		close(g.rested)
		g.rested = nil
	}
}

// maxUnrest is how long a kept connection is waited for. The HTTP layer needs
// microseconds.
const maxUnrest = time.Second

// awaitRest waits until the HTTP layer has read all that came before the call which
// begins, and reports whether it has. An answer too many, behind that to the call before,
// would else be taken for the answer to this one. The HTTP layer closes the connection
// when it finds one, but hands connections out before it looks.
func (g *guard) awaitRest(ctx context.Context) bool {
	g.mu.Lock()
	if !g.atRest && g.rested == nil {
		g.rested = make(chan struct{})
	}
	rested := g.rested
	g.mu.Unlock()
	if rested == nil {
		return true
	}
	limit := time.NewTimer(maxUnrest)
	defer limit.Stop()
	select {
	case <-rested:
		return true
	case <-ctx.Done():
	case <-limit.C:
	}
	return false
}

// begin says that a call begins: nothing of it is written yet.
func (g *guard) begin() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.wrote = false
}

// hasWritten reports whether any of the present call may have left.
func (g *guard) hasWritten() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.wrote
}

// seal ends a call that failed: no byte of it leaves any more. It reports
// whether any may have left before, and whether MayWrite stopped it. Without
// the seal a write could still be under way to the guard while we say that
// nothing was sent.
func (g *guard) seal() (wrote, refused bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	refused = g.broken == errNoLease
	if g.broken == nil {
		g.broken = errSealed
	}
	return g.wrote, refused
}

// guardOf finds the guard below a connection, or nil.
func guardOf(c net.Conn) *guard {
	for c != nil {
		if g, ok := c.(*guard); ok {
			return g
		}
		inner, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return nil
		}
		c = inner.NetConn()
	}
	return nil
}
