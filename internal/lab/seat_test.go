package lab

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"paylink/internal/config"
	"paylink/internal/history"
	"paylink/internal/payment"
	"paylink/internal/service"
	"paylink/schemas"
)

// A seat is a place in the group, where one process after the other lives.
type seat struct {
	s *scene
	n int

	mu      sync.Mutex
	folders []string // that its lives have had, the last one last
	lives   int
	life    *life // nil: nobody
}

// A life is one process: the whole service.
type life struct {
	name  string
	kafka *network
	pay   *network      // and registry
	clock atomic.Int64  // by how much its wall clock is wrong, in nanoseconds
	leapt atomic.Int64  // when it was last set far forward, in nanoseconds from the beginning; zero: it was not
	again chan struct{} // asks it to read its settings anew

	folder string // of its ledgers; empty: none
	stop   context.CancelFunc
	ended  chan struct{}
}

// seat adds a seat.
func (s *scene) seat() *seat {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := &seat{s: s, n: len(s.seats)}
	s.seats = append(s.seats, x)
	return x
}

// start starts a process, if none lives.
func (x *seat) start() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.s.mu.Lock()
	halted := x.s.halted
	x.s.mu.Unlock()
	if x.life != nil || halted {
		return
	}
	x.lives++
	x.life = x.newLife(fmt.Sprintf("m%d-%d", x.n, x.lives))
	x.life.folder = x.newFolder()
	ctx, stop := context.WithCancel(context.Background())
	x.life.stop = stop
	go x.live(ctx, x.life)
}

func (x *seat) newLife(name string) *life {
	s := x.s
	chance := func(n uint64) *rand.Rand {
		return rand.New(rand.NewPCG(s.plan.seed+n<<48, uint64(x.n)<<32+uint64(x.lives)))
	}
	return &life{
		name:  name,
		kafka: &network{out: newGate(), latency: s.plan.world.latency, dial: s.vn.DialContext, far: s.farGate, kafka: true, rewrite: s.asRealCoordinator, hears: func(frame []byte) { s.overhear(name, frame) }, jitter: s.plan.world.jitter, chance: chance(0)},
		pay:   &network{out: newGate(), latency: time.Millisecond, dial: s.dialAway, far: s.farGate, chance: chance(1), echoes: func() bool { return s.echoes.Load() > 0 }},
		again: make(chan struct{}, 1), ended: make(chan struct{}),
	}
}

// live runs the service. One that ends without being asked to is started anew
// after a second, as an orchestrator would.
func (x *seat) live(ctx context.Context, l *life) {
	err := l.run(ctx, x.settings(l), service.Deps{
		Log: x.s.logger(l.name), Version: "lab", KafkaDial: l.kafka.connect, GatewayDial: l.pay.connect, RegistryDial: l.pay.connect, AdminListen: listenForNobody,
		Reload: l.again, Settings: func() (config.Run, error) { return x.settings(l), nil },
	})
	close(l.ended)
	asked := ctx.Err() != nil
	l.stop()
	if err != nil {
		x.s.note("%s ended: %v", l.name, err)
	}
	if asked {
		return
	}
	x.clear(l)
	time.Sleep(time.Second)
	x.start()
}

// clear empties the seat, if it is still this process's.
func (x *seat) clear(l *life) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.life == l {
		x.life = nil
	}
}

// now returns the process that lives here; nil: none.
func (x *seat) now() *life {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.life
}

// kill ends the process without a word: it reaches nobody any more.
func (x *seat) kill() {
	l := x.now()
	if l == nil {
		return
	}
	x.clear(l)
	l.kafka.out.cut()
	l.pay.out.cut()
	l.stop()
}

// leave ends the process as SIGTERM does, and waits for it.
func (x *seat) leave() {
	l := x.now()
	if l == nil {
		return
	}
	x.clear(l)
	if at := x.s.began.Add(time.Duration(l.leapt.Load())); at.After(x.s.began) && time.Since(at) < rebalanceTimeout {
		x.s.mu.Lock()
		x.s.leaps = append(x.s.leaps, history.Fault{At: at, Member: l.name, What: string(jump)})
		x.s.mu.Unlock()
	}
	l.stop()
	const patience = 2 * time.Minute
	select {
	case <-l.ended:
	case <-time.After(patience):
		x.s.mu.Lock()
		defer x.s.mu.Unlock()
		x.s.stuck = append(x.s.stuck, fmt.Sprintf("%s has not stopped for %s", l.name, patience))
	}
}

// mend makes the process's network good.
func (x *seat) mend() {
	l := x.now()
	if l == nil {
		return
	}
	for _, n := range []*network{l.kafka, l.pay} {
		n.heal()
		n.out.heal()
	}
}

// defaults are the service's own; making them takes a while.
var defaults = sync.OnceValue(func() config.Run {
	cfg, err := config.Default()
	if err != nil {
		panic(err)
	}
	return cfg
})

// settings are those of a process. The gateway's address is its own, so that
// calls tell who made them.
func (x *seat) settings(l *life) config.Run {
	w, cfg, name := x.s.plan.world, defaults(), l.name
	cfg.Flow.LedgerDir = l.folder
	cfg.Kafka.Brokers, cfg.Kafka.Group = x.s.brokers.Addrs(), group
	if w.static {
		cfg.Kafka.InstanceID = fmt.Sprintf("seat-%d", x.n)
	}
	cfg.Kafka.SessionTimeout, cfg.Kafka.RebalanceTimeout = w.session, rebalanceTimeout
	cfg.Gateway.Timeout, cfg.Flow.DrainTimeout = gatewayTimeout, drainTimeout
	cfg.Flow.Concurrency, cfg.Flow.GiveUpAfter = w.concurrency, w.giveUp
	cfg.Gateway.URL, cfg.Gateway.MerchantID, cfg.Gateway.Secret = "http://"+name+".lab", merchantID(0), "unused"
	if w.login {
		cfg.Kafka.SASL = config.SASL{Mechanism: "scram-sha-256", Username: member, Password: x.s.secrets.inFile(member)}
	}
	if w.registry {
		cfg.Events.RegistryURL, cfg.Events.Format = "http://"+registryName, schemas.JSONSchema.String()
	}
	if err := cfg.Prepare(); err != nil {
		panic(err)
	}
	cfg.Merchants = nil
	for i, rate := range w.merchants {
		m := payment.Merchant{ID: payment.MerchantID(merchantID(i)), Secret: x.s.secrets.inFile(merchantID(i)), GatewayURL: cfg.Gateway.URL}
		cfg.Merchants = append(cfg.Merchants, config.Merchant{Merchant: m, Rate: rate})
	}
	return cfg
}

// Times of the members.
const (
	gatewayTimeout   = 2 * time.Second
	drainTimeout     = 3 * time.Second
	rebalanceTimeout = 15 * time.Second
)

// logger is a process's. Unheard, it costs nothing.
func (s *scene) logger(name string) logrus.FieldLogger {
	l := logrus.New()
	l.SetOutput(io.Discard)
	l.SetLevel(logrus.PanicLevel)
	if s.log != nil {
		l.SetOutput(s.log)
		l.SetLevel(logrus.DebugLevel)
		l.SetFormatter(&logrus.TextFormatter{DisableColors: true, TimestampFormat: "04:05.000", FullTimestamp: true})
	}
	return l.WithField("member", name)
}

// listenForNobody is the admin server's network, on which nobody calls.
func listenForNobody(context.Context, string, string) (net.Listener, error) {
	return &silence{closed: make(chan struct{})}, nil
}

type silence struct {
	once   sync.Once
	closed chan struct{}
}

func (n *silence) Accept() (net.Conn, error) {
	<-n.closed
	return nil, net.ErrClosed
}

func (n *silence) Close() error {
	n.once.Do(func() { close(n.closed) })
	return nil
}

func (n *silence) Addr() net.Addr { return &net.TCPAddr{} }
