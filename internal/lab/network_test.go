package lab

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A gate is a place that traffic has to pass: a process's way out, a broker's
// way in. Shut, it refuses connections and cuts those that are open. Frozen, it
// holds everything back until it thaws, and nobody is told.
type gate struct {
	mu    sync.Mutex
	cuts  int           // how many faults shut it; zero: it is open
	colds int           // how many faults freeze it
	thaw  chan struct{} // closed when it thaws; nil: it is not frozen
	links map[*link]bool
}

func newGate() *gate { return &gate{links: map[*link]bool{}} }

func (g *gate) cut() {
	g.mu.Lock()
	g.cuts++
	open := g.links
	g.links = map[*link]bool{}
	g.mu.Unlock()
	for l := range open {
		l.sever()
	}
}

func (g *gate) mend() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.cuts = max(0, g.cuts-1)
}

func (g *gate) freeze() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.colds++; g.colds == 1 {
		g.thaw = make(chan struct{})
	}
}

func (g *gate) unfreeze() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.colds = max(0, g.colds-1); g.colds == 0 && g.thaw != nil {
		close(g.thaw)
		g.thaw = nil
	}
}

// heal ends all that is wrong with it.
func (g *gate) heal() {
	g.mu.Lock()
	g.cuts, g.colds = 0, min(g.colds, 1)
	g.mu.Unlock()
	g.unfreeze()
}

// frozen is what to wait for; nil: nothing.
func (g *gate) frozen() chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.thaw
}

// enter lets a connection in, unless the gate is shut.
func (g *gate) enter(l *link) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cuts > 0 {
		return errRefused
	}
	g.links[l] = true
	return nil
}

func (g *gate) leave(l *link) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.links, l)
}

var errRefused = &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}

// A treatment is what happens to a Kafka request on the wire.
type treatment struct {
	lose bool          // the connection breaks, and it never arrives
	mute bool          // it arrives; the connection breaks before the answer
	late time.Duration // it arrives so much later, also if its sender has hung up
	more time.Duration // it arrives, and once more so much later; zero: once
	then func()        // with mute: called when its answer would have come; nil: nothing is
}

// A network is one process's way to brokers or gateway.
type network struct {
	out     *gate
	latency time.Duration
	dial    func(ctx context.Context, network, addr string) (net.Conn, error)
	far     func(addr string) *gate // of the other end; nil: none
	kafka   bool                    // requests are told apart; otherwise bytes
	rewrite func([]byte) []byte     // of a request, when it arrives; it may keep it back
	hears   func([]byte)            // is told of each request that is sent; nil: nobody
	jitter  time.Duration           // by how much more a frame may take
	echoes  func() bool             // answers come twice; nil: never

	mu     sync.Mutex
	rules  []rule
	chance *rand.Rand // of the plan's seed
}

// waver lets others run first, as the plan's seed has it, and returns by how much more
// the next frame takes. Without it, what an idle machine runs first is almost always
// the same.
func (n *network) waver() (more time.Duration) {
	n.mu.Lock()
	yields := max(0, n.chance.IntN(8)-3)
	if n.kafka && n.jitter > 0 {
		more = time.Duration(n.chance.Int64N(int64(n.jitter)))
	}
	n.mu.Unlock()
	for range yields {
		runtime.Gosched()
	}
	return more
}

// A rule treats the next requests of a kind.
type rule struct {
	key   kmsg.Key
	topic string // that the request names; empty: any
	left  int
	treatment
}

// treat has the next n requests of a kind treated.
func (n *network) treat(key kmsg.Key, count int, t treatment) { n.treatOf("", key, count, t) }

// treatOf has the next n requests of a kind treated that name a topic.
func (n *network) treatOf(topic string, key kmsg.Key, count int, t treatment) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.rules = append(n.rules, rule{key, topic, count, t})
}

func (n *network) heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.rules = nil
}

// initCall stands for an Init among the kinds of requests.
const initCall = kmsg.Key(-1)

func (n *network) treatment(frame []byte) treatment {
	key := initCall
	switch {
	case n.kafka && len(frame) >= 6:
		key = kmsg.Key(binary.BigEndian.Uint16(frame[4:]))
	case n.kafka, !bytes.HasPrefix(frame, []byte("POST /init_payment")):
		return treatment{}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for i := range n.rules {
		if r := &n.rules[i]; r.key == key && r.left > 0 && bytes.Contains(frame, []byte(r.topic)) {
			r.left--
			return r.treatment
		}
	}
	return treatment{}
}

// connect opens a connection through the gates.
func (n *network) connect(ctx context.Context, network, addr string) (net.Conn, error) {
	gates := []*gate{n.out}
	if n.far != nil {
		gates = append(gates, n.far(addr))
	}
	for _, g := range gates {
		if thaw := g.frozen(); thaw != nil {
			select {
			case <-thaw:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			if !n.kafka {
				return nil, errRefused // as what is written meanwhile, see held
			}
		}
	}
	far, err := n.dial(ctx, network, addr)
	if err != nil {
		return nil, errRefused
	}
	near, inner := net.Pipe()
	l := &link{net: n, gates: gates, addr: addr, near: inner, far: far, broken: make(chan struct{}), asks: -1}
	for _, g := range gates {
		if err := g.enter(l); err != nil {
			l.sever()
			return nil, err
		}
	}
	go l.up()
	go l.down()
	return near, nil
}

// A link carries one connection. What was taken from the process still travels
// after the process has hung up.
type link struct {
	net       *network
	gates     []*gate
	addr      string
	near, far net.Conn
	once      sync.Once
	broken    chan struct{}

	mu   sync.Mutex
	mute bool
	then func()   // with mute: see treatment
	asks kmsg.Key // the request whose answer is awaited; -1: none
}

// sever breaks the connection. Where the broker waits with the answer to a join
// or a sync, its end stays open: kfake (as of 2026-09) starts no session timer
// for a member that it cannot answer, and so would never miss one that died
// within a rebalance. A real coordinator does.
func (l *link) sever() {
	l.once.Do(func() {
		close(l.broken)
		l.near.Close()
		l.mu.Lock()
		asks := l.asks
		l.mu.Unlock()
		if asks == kmsg.JoinGroup || asks == kmsg.SyncGroup {
			l.far.SetDeadline(time.Now().Add(time.Minute))
		} else {
			l.far.Close()
		}
		for _, g := range l.gates {
			g.leave(l)
		}
	})
}

// travel waits as long as a frame is on its way. It reports false when the
// connection breaks meanwhile, and whether it was held up.
func (l *link) travel(d time.Duration) (held, arrived bool) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-l.broken:
		return false, false
	}
	for _, g := range l.gates {
		if thaw := g.frozen(); thaw != nil {
			select {
			case <-thaw:
				held = true
			case <-l.broken:
				return true, false
			}
		}
	}
	return held, true
}

// up carries what the process writes. When the process hangs up, what it wrote
// before has arrived.
func (l *link) up() {
	defer l.sever()
	for {
		frame, err := l.read(l.near)
		if err != nil {
			return
		}
		if !l.net.kafka {
			if !l.call(frame) {
				return
			}
			continue
		}
		if l.net.hears != nil {
			l.net.hears(frame)
		}
		t := l.net.treatment(frame)
		if t.lose {
			return
		}
		if t.mute {
			l.mu.Lock()
			l.mute, l.then = true, t.then
			l.mu.Unlock()
		}
		takes := l.net.latency + t.late + l.net.waver()
		due := time.Now().Add(takes)
		if _, arrived := l.travel(takes); !arrived {
			if t.late > 0 {
				l.deliver(frame, due)
			}
			return
		}
		if t.more > 0 {
			go l.deliver(bytes.Clone(frame), due.Add(t.more))
		}
		if l.net.rewrite != nil {
			frame = l.net.rewrite(frame)
		}
		l.awaits(frame)
		if _, err := l.far.Write(frame); err != nil {
			return
		}
	}
}

func (l *link) awaits(frame []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asks = -1
	if l.net.kafka && len(frame) >= 6 {
		l.asks = kmsg.Key(binary.BigEndian.Uint16(frame[4:]))
	}
}

// call carries what is said to the gateway. What is on its way when the way
// freezes never arrives: see doc.go. What is late arrives also if its sender is dead.
func (l *link) call(frame []byte) (arrived bool) {
	late := l.net.treatment(frame).late
	l.net.waver()
	time.Sleep(l.net.latency)
	if due := time.Now().Add(late); late > 0 && !l.stays(late) {
		l.deliver(frame, due)
		return false
	}
	if thaw := l.gates[0].frozen(); thaw != nil {
		select {
		case <-thaw:
		case <-l.broken:
		}
		return false
	}
	_, err := l.far.Write(frame)
	return err == nil
}

// stays waits, and reports whether the connection still stands then.
func (l *link) stays(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-l.broken:
		return false
	}
}

// deliver brings a late frame by a connection of its own: its sender is dead by
// now, and the frame arrives all the same.
func (l *link) deliver(frame []byte, due time.Time) {
	time.Sleep(time.Until(due))
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	c, err := l.net.dial(ctx, "tcp", l.addr)
	if err != nil {
		return
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Second))
	if _, err := c.Write(frame); err == nil {
		l.read(c)
	}
}

// down carries answers.
func (l *link) down() {
	defer l.far.Close()
	defer l.sever()
	for {
		frame, err := l.read(l.far)
		if err != nil {
			return
		}
		l.mu.Lock()
		mute, then := l.mute, l.then
		l.asks = -1
		l.mu.Unlock()
		if mute && then != nil {
			then()
		}
		if mute {
			return
		}
		held, arrived := l.travel(l.net.latency + l.net.waver())
		if !arrived {
			return
		}
		if l.net.echoes != nil && l.addr != registryName && l.net.echoes() {
			frame = slices.Concat(frame, frame)
		}
		if _, err := l.near.Write(frame); err != nil {
			return
		}
		if held && !l.net.kafka {
			return // calls that waited for this connection meanwhile must not arrive, see doc.go
		}
	}
}

// read reads what travels as one: a Kafka frame, or whatever bytes there are.
func (l *link) read(c net.Conn) ([]byte, error) {
	if !l.net.kafka {
		buf := make([]byte, 16<<10)
		n, err := c.Read(buf)
		return buf[:n], err
	}
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return nil, err
	}
	frame := make([]byte, 4+binary.BigEndian.Uint32(size[:]))
	copy(frame, size[:])
	_, err := io.ReadFull(c, frame[4:])
	return frame, err
}
