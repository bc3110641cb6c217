//go:build integration

package torture

import (
	"cmp"
	"fmt"
	"net/http/httptest"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"paylink/internal/gatewaysim"
	"paylink/internal/history"
)

// Times of the service in these tests. A session is as short as brokers for
// tests allow comfortably, so that the dead are noticed soon.
const (
	session        = 3 * time.Second
	gatewayTimeout = 5 * time.Second
	drainTimeout   = 8 * time.Second
	merchant       = "540001"
	secret         = "torture-secret"
)

// A fleet is the replicas of one service. Its methods belong to the test's
// goroutine, unless they say otherwise.
type fleet struct {
	t        testing.TB
	file     string
	env      []string
	replicas []*replica

	mu       sync.Mutex
	faults   []history.Fault
	silences []history.Silence
}

// A replica is one place in the fleet: a process that is started again and
// again, with a gateway address of its own, by which its calls are known.
type replica struct {
	name    string
	file    string // another build of the service; empty: the fleet's
	gateway *httptest.Server
	network *network // nil: it dials gateway and brokers directly
	book    *logbook
	static  bool
	proc    *process // nil before the first start
	began   time.Time
}

// newFleet makes a fleet of n replicas; none is started. The static ones have a
// group instance id.
func newFleet(t testing.TB, sim *gatewaysim.Gateway, n, static int, env ...string) *fleet {
	t.Helper()
	file, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet{t: t, file: file, env: env}
	for i := range n {
		r := &replica{name: fmt.Sprintf("r%d", i), gateway: httptest.NewServer(sim), book: newLogbook(), static: i < static}
		f.replicas = append(f.replicas, r)
		t.Cleanup(r.gateway.Close)
	}
	t.Cleanup(func() {
		for _, r := range f.replicas {
			if r.proc != nil {
				r.proc.kill()
			}
			if t.Failed() {
				r.book.show(t, r.name)
			}
		}
		if t.Failed() {
			f.keepLogs()
		}
	})
	return f
}

// wire puts proxies between each replica and whatever it talks to.
func (f *fleet) wire(brokers []string) {
	f.t.Helper()
	for _, r := range f.replicas {
		r.network = newNetwork(f.t, r.gateway, brokers)
	}
}

// gatewayAddr is the address at which a replica calls the gateway.
func (r *replica) gatewayAddr() string {
	if r.network != nil {
		return r.network.gateway.addr()
	}
	return r.gateway.Listener.Addr().String()
}

// environ is the environment of a replica: nothing of ours but what a process needs.
func (f *fleet) environ(r *replica) []string {
	env := append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"),
		"PAYLINK_MERCHANT_ID=" + merchant, "PAYLINK_MERCHANT_SECRET=" + secret,
		"PAYLINK_RATE=100000/s", "PAYLINK_ADMIN_ADDR=127.0.0.1:0", "PAYLINK_LOG_FORMAT=json",
		"PAYLINK_KAFKA_SESSION_TIMEOUT=" + session.String(), "PAYLINK_KAFKA_REBALANCE_TIMEOUT=20s",
		"PAYLINK_GATEWAY_TIMEOUT=" + gatewayTimeout.String(), "PAYLINK_DRAIN_TIMEOUT=" + drainTimeout.String(),
		"PAYLINK_GATEWAY_URL=http://" + r.gatewayAddr(),
	}, f.env...)
	if r.network != nil {
		env = append(env, "PAYLINK_KAFKA_BROKERS="+r.network.bootstrap()) // the last one counts
	}
	if r.static {
		env = append(env, "PAYLINK_KAFKA_GROUP_INSTANCE_ID="+r.name)
	}
	return env
}

// start starts replicas; all of them if none is named.
func (f *fleet) start(which ...int) {
	f.t.Helper()
	if len(which) == 0 {
		for i := range f.replicas {
			which = append(which, i)
		}
	}
	for _, i := range which {
		r := f.replicas[i]
		r.began = time.Now()
		p, err := launch(cmp.Or(r.file, f.file), f.environ(r), r.book)
		if err != nil {
			f.t.Fatalf("start %s: %v", r.name, err)
		}
		r.proc = p
		r.book.note("started")
	}
}

// kill is kill -9.
func (f *fleet) kill(i int) {
	r := f.replicas[i]
	f.fault(r, "killed")
	r.book.note("killed")
	r.proc.kill()
}

// suspend is SIGSTOP.
func (f *fleet) suspend(i int) {
	f.t.Helper()
	r := f.replicas[i]
	f.fault(r, "suspended")
	r.book.note("suspended")
	if err := r.proc.signal(syscall.SIGSTOP); err != nil {
		f.t.Fatalf("suspend %s: %v", r.name, err)
	}
}

// resume is SIGCONT.
func (f *fleet) resume(i int) {
	f.t.Helper()
	r := f.replicas[i]
	r.book.note("resumed")
	if err := r.proc.signal(syscall.SIGCONT); err != nil {
		f.t.Fatalf("resume %s: %v", r.name, err)
	}
}

// stop is SIGTERM, and expects exit code 0; but a process that has not begun yet
// may not listen to signals either, and is simply gone. It says how long that took.
func (f *fleet) stop(i int) time.Duration {
	f.t.Helper()
	r := f.replicas[i]
	unborn := len(r.book.find("paylink starts", r.began)) == 0
	r.book.note("asked to stop")
	began := time.Now()
	code, err := r.proc.term(drainTimeout + 15*time.Second)
	if bySignal := code == -1 && err == nil; err != nil || code != 0 && !(bySignal && unborn) {
		f.t.Errorf("SIGTERM of %s: exit code %d, %v; want 0", r.name, code, err)
	}
	return time.Since(began)
}

// stopAll stops what runs, all at once.
func (f *fleet) stopAll() {
	f.t.Helper()
	var wg sync.WaitGroup
	for i, r := range f.replicas {
		if r.proc != nil && r.proc.alive() {
			wg.Go(func() { f.stop(i) })
		}
	}
	wg.Wait()
}

// awaitAssignment waits until a replica holds partitions in the life that runs.
func (f *fleet) awaitAssignment(i int, limit time.Duration) {
	f.t.Helper()
	r := f.replicas[i]
	if _, err := r.book.await("partition taken over", r.began, limit); err != nil {
		f.t.Fatalf("%s: %v", r.name, err)
	}
}

func (f *fleet) fault(r *replica, what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = append(f.faults, history.Fault{At: time.Now(), Member: r.name, What: what})
}

// silence says that a replica must not call between two times.
func (f *fleet) silence(i int, from, to time.Time, why string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.silences = append(f.silences, history.Silence{Member: f.replicas[i].name, From: from, To: to, Why: why})
}

// lostText is how a member says that the group took its partitions away.
const lostText = "lost all partitions"

// allFaults returns what was done to the replicas, and what befell them: a
// member that lost its partitions drops the calls that are in flight.
func (f *fleet) allFaults() []history.Fault {
	f.mu.Lock()
	faults := slices.Clone(f.faults)
	f.mu.Unlock()
	for _, r := range f.replicas {
		for _, l := range r.book.find(lostText, time.Time{}) {
			faults = append(faults, history.Fault{At: l.At, Member: r.name, What: lostText})
		}
	}
	slices.SortFunc(faults, func(a, b history.Fault) int { return a.At.Compare(b.At) })
	return faults
}

// lost returns how often members lost their partitions without a hand-over.
func (f *fleet) lost() (n int) {
	for _, r := range f.replicas {
		n += len(r.book.find(lostText, time.Time{}))
	}
	return n
}

// member returns the replica that calls came from, by the address they went to.
func (f *fleet) member(host string) string {
	for _, r := range f.replicas {
		if r.gatewayAddr() == host {
			return r.name
		}
	}
	return ""
}

// panics returns lines that no logger wrote.
func (f *fleet) panics() []string {
	var out []string
	for _, r := range f.replicas {
		for _, l := range r.book.logged() {
			if l.Level == "raw" || l.Level == "fatal" || l.Level == "panic" {
				out = append(out, r.name+": "+l.raw)
			}
		}
	}
	return out
}
