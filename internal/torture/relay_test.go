//go:build integration

package torture

import (
	bits "encoding/binary" // binary is the service
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A relay stands between one replica and one broker. It passes requests and
// answers on as they are, whole ones only, but for the addresses of brokers in
// the answers that tell them: there it writes those of the replica's own
// proxies. Without it a replica would dial what the brokers advertise, around
// every proxy but the first.
type relay struct {
	ln      net.Listener
	broker  string
	instead map[string]string     // a broker's address → what the replica is told
	joined  func(memberID string) // told who the replica is in its group
	fail    func(error)           // told of what would lead around the proxies

	mu    sync.Mutex
	open  map[net.Conn]bool
	ended bool
	wg    sync.WaitGroup
}

// Requests whose answers are looked at.
const (
	metadataKey    = 3
	coordinatorKey = 10
	joinKey        = 11
)

// tellers are further requests whose answers tell addresses, and the version
// from which they do. The service uses none of them; if it ever does, the relay
// must learn to rewrite them.
var tellers = map[int16]int16{0: 10, 1: 16, 60: 0} // Produce, Fetch, DescribeCluster

// listen opens the relay's port; serve begins to accept.
func (r *relay) listen() (err error) {
	r.open = map[net.Conn]bool{}
	r.ln, err = net.Listen("tcp", "127.0.0.1:0")
	return err
}

func (r *relay) addr() string { return r.ln.Addr().String() }

func (r *relay) serve() {
	r.wg.Go(func() {
		for {
			c, err := r.ln.Accept()
			if err != nil {
				return
			}
			r.wg.Go(func() { r.carry(c.(*net.TCPConn)) })
		}
	})
}

// close ends the relay and all its connections.
func (r *relay) close() {
	r.mu.Lock()
	r.ended = true
	r.mu.Unlock()
	_ = r.ln.Close()
	r.sever()
	r.wg.Wait()
}

// sever closes all connections, as a broker does that shuts down.
func (r *relay) sever() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.open {
		_ = c.Close()
	}
}

// holds keeps a connection among those that sever closes.
func (r *relay) holds(c net.Conn) (release func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		_ = c.Close()
	}
	r.open[c] = true
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		_ = c.Close()
		delete(r.open, c)
	}
}

// carry serves one connection. The first side that ends ends both.
func (r *relay) carry(client *net.TCPConn) {
	defer r.holds(client)()
	broker, err := net.DialTimeout("tcp", r.broker, 3*time.Second)
	if err != nil {
		_ = client.SetLinger(0) // a reset is the closest to a refusal that is left
		return
	}
	defer r.holds(broker)()
	var asked sync.Map // correlation id → what was asked
	r.wg.Go(func() {
		_ = frames(client, broker, func(f []byte) ([]byte, error) { return f, r.note(&asked, f) })
		_ = broker.Close()
	})
	_ = frames(broker, client, func(f []byte) ([]byte, error) { return r.answer(&asked, f) })
}

// frames passes frames from one side to the other until either ends.
func frames(from io.Reader, to io.Writer, look func([]byte) ([]byte, error)) error {
	const most = 128 << 20
	for {
		var size [4]byte
		if _, err := io.ReadFull(from, size[:]); err != nil {
			return err
		}
		n := bits.BigEndian.Uint32(size[:])
		if n < 4 || n > most {
			return fmt.Errorf("a frame of %d bytes", n)
		}
		frame := make([]byte, n)
		if _, err := io.ReadFull(from, frame); err != nil {
			return err
		}
		frame, err := look(frame)
		if err != nil {
			return err
		}
		if _, err := to.Write(append(bits.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...)); err != nil {
			return err
		}
	}
}

// A question is a request whose answer is looked at.
type question struct{ key, version int16 }

// note remembers a request, by its header, if its answer is of interest.
func (r *relay) note(asked *sync.Map, frame []byte) error {
	if len(frame) < 8 {
		return errors.New("a request without a header")
	}
	q := question{int16(bits.BigEndian.Uint16(frame)), int16(bits.BigEndian.Uint16(frame[2:]))}
	if from, tells := tellers[q.key]; tells && q.version >= from {
		r.fail(fmt.Errorf("request %s version %d: its answer tells addresses, which the relay does not rewrite", kmsg.NameForKey(q.key), q.version))
	}
	switch q.key {
	case metadataKey, coordinatorKey, joinKey:
		asked.Store(bits.BigEndian.Uint32(frame[4:]), q)
	}
	return nil
}

// answer rewrites an answer if it tells addresses.
func (r *relay) answer(asked *sync.Map, frame []byte) ([]byte, error) {
	v, ok := asked.LoadAndDelete(bits.BigEndian.Uint32(frame))
	if !ok {
		return frame, nil
	}
	q := v.(question)
	resp := kmsg.ResponseForKey(q.key)
	resp.SetVersion(q.version)
	header := 4
	if resp.IsFlexible() {
		header = 5 // and no tags: brokers send none
	}
	if err := resp.ReadFrom(frame[header:]); err != nil {
		r.fail(fmt.Errorf("answer to %s version %d: %w", kmsg.NameForKey(q.key), q.version, err))
		return nil, err
	}
	switch a := resp.(type) {
	case *kmsg.JoinGroupResponse:
		r.joined(a.MemberID)
		return frame, nil
	case *kmsg.MetadataResponse:
		for i := range a.Brokers {
			r.rewrite(&a.Brokers[i].Host, &a.Brokers[i].Port)
		}
	case *kmsg.FindCoordinatorResponse:
		r.rewrite(&a.Host, &a.Port)
		for i := range a.Coordinators {
			r.rewrite(&a.Coordinators[i].Host, &a.Coordinators[i].Port)
		}
	}
	return resp.AppendTo(frame[:header:header]), nil
}

// rewrite puts a proxy's address in the place of its broker's.
func (r *relay) rewrite(host *string, port *int32) {
	if *host == "" {
		return // no coordinator is known
	}
	addr := net.JoinHostPort(*host, strconv.Itoa(int(*port)))
	told, known := r.instead[addr]
	if !known {
		r.fail(fmt.Errorf("a broker says that there is one at %s, which has no proxy", addr))
		return
	}
	h, p, _ := net.SplitHostPort(told)
	n, _ := strconv.Atoi(p)
	*host, *port = h, int32(n)
}
