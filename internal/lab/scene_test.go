package lab

import (
	"context"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"paylink/internal/devstack"
	"paylink/internal/gatewaysim"
	"paylink/internal/history"
	"paylink/schemas"
)

const group = "paylink"

// A scene is a plan that is being performed: brokers, gateway and members on a
// virtual network, in one bubble of virtual time.
type scene struct {
	plan    plan
	began   time.Time
	vn      *kfake.VirtualNetwork // of the brokers
	brokers *devstack.Broker
	gates   map[string]*gate      // of all that members call, by address; mu's
	client  *kgo.Client           // the emitter's and the operator's, on a good network
	away    *kfake.VirtualNetwork // of gateway and registry
	sim     *gatewaysim.Gateway
	secrets *secretsFile
	denies  atomic.Bool  // the registry denies every schema
	echoes  atomic.Int32 // the gateway answers twice; zero: once
	sick    atomic.Int32 // the status that the registry answers with; zero: it is well
	log     io.Writer    // of the members; nil: they are not heard
	disk    string       // a folder for those of the members; empty: they have none

	mu       sync.Mutex
	seats    []*seat
	halted   bool // no member may start
	moods    []string
	joins    map[string][]kmsg.JoinGroupRequestProtocol // of static members, as the coordinator has them
	gathers  gathering                                  // the newest that a join came to
	refusals []*kfake.FaultHandle                       // of the brokers, some of which are still to come
	faults   []history.Fault
	silences []history.Silence
	loans    []history.Loan
	names    map[string]string // of members, by those that they have in notes about turns
	commits  []history.Commit
	tight    []history.Span
	closing  sync.RWMutex
	closed   bool                        // the brokers are
	times    map[history.Place]time.Time // that records of the intents have
	forged   map[history.Place]string    // the merchants that a stranger's outcomes name
	gone     map[string][]deleted        // by topic
	passed   map[int32][]offsetSpan      // of the intents, by the operator
	misled   []history.Span
	leaps    []history.Fault
	trimmed  map[int32]int64 // up to where each outcome partition was deleted
	notes    []string
	stuck    []string

	trimming chan struct{} // has a token in it while records are deleted
}

// A performance is what came of a plan.
type performance struct {
	history history.Run
	verdict history.Verdict // of the judge, and how the operator's verbs differ from it
	notes   []string        // what befell members without being planned
}

// latest is when all has arrived that is on its way when the members stop: what is
// late outlives its sender, and the judge and the verbs have to see the same.
const latest = 5 * time.Minute

// perform performs a plan.
func perform(t *testing.T, p plan, log io.Writer) (out performance) {
	synctest.Test(t, func(t *testing.T) {
		s := &scene{plan: p, began: time.Now(), vn: &kfake.VirtualNetwork{}, away: &kfake.VirtualNetwork{}, gates: map[string]*gate{}, log: log, names: map[string]string{}, joins: map[string][]kmsg.JoinGroupRequestProtocol{},
			secrets: newSecrets(p.world), gone: map[string][]deleted{}, passed: map[int32][]offsetSpan{}, trimmed: map[int32]int64{}, trimming: make(chan struct{}, 1)}
		if p.seed%2 == 0 {
			s.disk = t.TempDir()
		}
		end, err := s.set()
		if err != nil {
			t.Fatalf("seed %d: %v", p.seed, err)
		}
		s.play()
		s.mend()
		s.awaitSettled()
		unhealed := s.heal()
		s.stopAll()
		time.Sleep(latest)
		if out.history, err = s.history(); err != nil {
			t.Errorf("seed %d: collect the history: %v", p.seed, err)
		}
		out.verdict = history.Judge(out.history)
		for _, who := range s.stuck {
			out.verdict.Violations = append(out.verdict.Violations, history.Violation{Rule: history.L1, Story: who})
		}
		out.verdict.Violations = append(out.verdict.Violations, unhealed...)
		if err == nil {
			out.verdict.Violations = append(out.verdict.Violations, s.differences(out.history, out.verdict)...)
			out.verdict.Violations = append(out.verdict.Violations, s.forget(out.history)...)
		}
		out.notes = s.notes
		end()
		time.Sleep(2 * time.Minute) // what was killed and what is idle notices
	})
	return out
}

// set starts all that the plan begins with, and returns how to end it.
func (s *scene) set() (end func(), err error) {
	log.SetOutput(io.Discard) // as cmd/paylink does: net/http prints there what comes unasked
	w := s.plan.world
	topics := devstack.DefaultTopics(w.outcomes)
	topics[0].Partitions = w.partitions
	s.brokers, err = devstack.StartBroker(devstack.BrokerOptions{
		Brokers: w.brokers, Topics: topics, Listen: s.vn.Listen, Dial: s.vn.DialContext, MinSession: time.Second, Logins: s.logins(),
	})
	if err != nil {
		return nil, err
	}
	for _, addr := range s.brokers.Addrs() {
		s.gates[addr] = newGate()
	}
	s.client, err = s.brokers.Kafka().Client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MetadataMinAge(50*time.Millisecond))
	if err != nil {
		return nil, err
	}
	s.sim = gatewaysim.New(gatewaysim.Config{
		Merchants: s.secrets.all(), PublicURL: "https://pay.example", Seed: s.plan.seed,
		Repeat: w.repeat, SignErrors: w.signed, Latency: gatewaysim.Between(time.Millisecond, w.slowest),
	})
	// kgo asks for the id while it holds a mutex. Were it to wait meanwhile, and another
	// goroutine for the mutex, virtual time would stand still.
	if _, _, err := s.client.ProducerID(context.Background()); err != nil {
		return nil, err
	}
	s.settleMood()
	stopGateway, err := s.serve(gatewayAt, s.sim)
	if err != nil {
		return nil, err
	}
	stopRegistry, err := s.serve(registryAt, s.newRegistry())
	if err != nil {
		return nil, err
	}
	unwatch := s.watchCommits()
	for range w.seats {
		s.seat().start()
	}
	return func() {
		unwatch()
		stopGateway()
		stopRegistry()
		s.client.Close()
		s.closing.Lock()
		defer s.closing.Unlock()
		s.closed = true
		s.brokers.Close()
	}, nil
}

// merchantID is the id of the plan's nth merchant.
func merchantID(n int) string { return fmt.Sprintf("54000%d", n+1) }

// play does all of the plan, each thing at its time.
func (s *scene) play() {
	var wg sync.WaitGroup
	for _, e := range s.plan.emissions {
		wg.Go(func() {
			s.sleepUntil(e.at)
			s.emit(e)
		})
	}
	for _, f := range s.plan.faults {
		wg.Go(func() {
			s.sleepUntil(f.at)
			s.do(f)
		})
	}
	wg.Wait()
}

func (s *scene) sleepUntil(at time.Duration) { time.Sleep(time.Until(s.began.Add(at))) }

// mend ends whatever is still wrong, and sees to it that the members of the
// beginning are there.
func (s *scene) mend() {
	for _, g := range s.allGates() {
		g.heal()
	}
	for _, h := range s.refusals {
		h.Remove()
	}
	s.settleMood()
	s.settleTopics()
	s.settleSecrets()
	s.sim.Up()
	s.sick.Store(0)
	s.denies.Store(false)
	s.echoes.Store(0)
	for _, x := range s.all() {
		x.mend()
		if x.n < s.plan.world.seats {
			x.start()
		}
	}
}

// awaitSettled waits until every record is settled and committed, which takes
// virtual time only. If it does not come to that, the judge will say so.
func (s *scene) awaitSettled() {
	const patience = 10 * time.Minute
	for began := time.Now(); time.Since(began) < patience && !s.isSettled(); {
		time.Sleep(250 * time.Millisecond)
	}
}

func (s *scene) isSettled() bool {
	done := s.brokers.GroupInfo(group)
	if done == nil {
		return false
	}
	for _, p := range s.brokers.PartitionInfos(devstack.Intents) {
		if done.Commits[devstack.Intents][p.Partition].Offset < p.HighWatermark {
			return false
		}
	}
	return true
}

// stopAll stops all members, and no more start.
func (s *scene) stopAll() {
	s.halt(true)
	var wg sync.WaitGroup
	for _, x := range s.all() {
		wg.Go(x.leave)
	}
	wg.Wait()
}

// halt says whether members may start.
func (s *scene) halt(yes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.halted = yes
}

// all lists the seats.
func (s *scene) all() []*seat {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seats)
}

// note writes down what happened without being planned.
func (s *scene) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notes = append(s.notes, fmt.Sprintf("%7.3f  ", time.Since(s.began).Seconds())+fmt.Sprintf(format, args...))
}

func (s *scene) allGates() []*gate {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.gates))
}

// farGate is the gate of a broker, the registry, or the gateway.
func (s *scene) farGate(addr string) *gate {
	s.mu.Lock()
	defer s.mu.Unlock()
	addr = strings.Replace(addr, "127.0.0.1", "localhost", 1)
	g := s.gates[addr]
	if g == nil {
		g = newGate()
		s.gates[addr] = g
	}
	return g
}

// Where gateway and registry are. The registry's name is one; the gateway has
// another one for each process.
const (
	gatewayAt    = "localhost:80"
	registryAt   = "localhost:81"
	registryName = "registry.lab:80"
)

// serve has a handler listen, and returns how to end it.
func (s *scene) serve(addr string, h http.Handler) (stop func() error, err error) {
	ln, err := s.away.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
	go server.Serve(ln)
	return server.Close, nil
}

func (s *scene) dialAway(ctx context.Context, network, addr string) (net.Conn, error) {
	if addr == registryName {
		return s.away.DialContext(ctx, network, registryAt)
	}
	return s.away.DialContext(ctx, network, gatewayAt)
}

// newRegistry makes a registry that has our schemas: that of outcomes, and that
// of intents under several ids, so that what is remembered does not hide that it
// is down.
func (s *scene) newRegistry() http.Handler {
	r := srfake.NewRegistry()
	schema := func(of schemas.Record) sr.Schema {
		return sr.Schema{Type: sr.TypeJSON, Schema: schemas.Text(schemas.JSONSchema, of)}
	}
	for id := 1; id <= knownSchemas; id++ {
		r.SeedSchema(fmt.Sprintf("emitter-%d", id), 1, id, schema(schemas.Intent))
	}
	r.SeedSchema(schemas.ByTopic.Subject(devstack.Outcomes, schemas.Outcome), 1, knownSchemas+1, schema(schemas.Outcome))
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if s.denies.Load() && strings.HasPrefix(req.URL.Path, "/schemas/ids/") {
			w.Header().Set("Content-Type", "application/vnd.schemaregistry.v1+json")
			w.WriteHeader(http.StatusNotFound)
			io.WriteString(w, `{"error_code":40403,"message":"Schema not found"}`)
			return
		}
		if status := s.sick.Load(); status != 0 {
			http.Error(w, "no registry here", int(status)) // a proxy's words
			return
		}
		r.Handler().ServeHTTP(w, req)
	})
}
