package bench

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"time"

	"paylink/internal/freedompay"
	"paylink/internal/gatewaysim"
	"paylink/internal/payment"
)

// A quickGateway answers every Init with ok after the latency, and looks at
// nothing but the idempotency key. It speaks just enough HTTP/1.1 for that, to
// take less of the machine from the loop under measurement than a real server.
type quickGateway struct {
	latency  gatewaysim.Latency
	interval time.Duration // between two calls of a merchant; 0: nobody looks

	mu       sync.Mutex // guards what follows
	keys     map[string]struct{}
	calls    int
	repeated int
	due      map[string]time.Time // a merchant's next call, at its rate
	ahead    float64
}

func newQuickGateway(l gatewaysim.Latency, interval time.Duration) *quickGateway {
	return &quickGateway{latency: l, interval: interval, keys: map[string]struct{}{}, due: map[string]time.Time{}}
}

func (q *quickGateway) count() backendCount {
	q.mu.Lock()
	defer q.mu.Unlock()
	return backendCount{Calls: q.calls, Repeated: q.repeated, Ahead: q.ahead}
}

// serve serves until the listener is closed. Connections end with their callers.
func (q *quickGateway) serve(ln net.Listener) error {
	for seed := uint64(0); ; seed++ {
		conn, err := ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		go q.converse(conn, rand.New(rand.NewPCG(seed, 1)))
	}
}

func (q *quickGateway) converse(conn net.Conn, rng *rand.Rand) {
	defer conn.Close()
	in := bufio.NewReaderSize(conn, 8<<10)
	var body []byte
	for {
		var err error
		if body, err = readRequest(in, body[:0]); err != nil {
			return // the caller has gone, or speaks something else
		}
		who := fieldOf(body, "pg_merchant_id")
		id := q.note(who, fieldOf(body, "pg_idempotency_key"))
		if q.latency.Draw != nil {
			time.Sleep(q.latency.Draw(rng))
		}
		if _, err := conn.Write(okAnswer(id, secretOf(who))); err != nil {
			return
		}
	}
}

// readRequest reads one request and returns its body in the given room.
func readRequest(in *bufio.Reader, room []byte) ([]byte, error) {
	length := 0
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		if bytes.EqualFold(name, []byte("content-length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return nil, err
			}
		}
	}
	if cap(room) < length {
		room = make([]byte, length)
	}
	room = room[:length]
	_, err := io.ReadFull(in, room)
	return room, err
}

// fieldOf returns a field of a form.
func fieldOf(body []byte, name string) string {
	_, rest, _ := bytes.Cut(body, []byte("name=\""+name+"\"\r\n\r\n"))
	value, _, _ := bytes.Cut(rest, []byte("\r\n"))
	return string(value)
}

// note remembers a call of a merchant by its key, and returns its number.
func (q *quickGateway) note(merchant, key string) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.calls++
	if _, known := q.keys[key]; known {
		q.repeated++
	}
	q.keys[key] = struct{}{}
	if q.interval > 0 {
		q.pace(merchant, time.Now())
	}
	return q.calls
}

// pace notes how far a merchant's calls are ahead of its rate: a bucket that
// empties at the rate holds so many of them.
func (q *quickGateway) pace(merchant string, now time.Time) {
	due := q.due[merchant]
	if due.Before(now) {
		due = now
	}
	due = due.Add(q.interval)
	q.due[merchant] = due
	q.ahead = max(q.ahead, due.Sub(now).Seconds()/q.interval.Seconds())
}

// okAnswer is a whole answer, signed with a secret.
func okAnswer(n int, secret payment.Secret) []byte {
	id := strconv.Itoa(2_000_000_000 + n)
	fields := []freedompay.Field{
		{Name: "pg_status", Value: "ok"},
		{Name: "pg_payment_id", Value: id},
		{Name: "pg_redirect_url", Value: "https://pay.example/pay.html?customer=" + id},
		{Name: "pg_redirect_url_type", Value: "need data"},
		{Name: "pg_salt", Value: "bench" + id},
	}
	fields = append(fields, freedompay.Field{Name: "pg_sig", Value: freedompay.Sign("init_payment.php", fields, secret)})
	var xml []byte
	xml = append(xml, `<?xml version="1.0" encoding="utf-8"?><response>`...)
	for _, f := range fields {
		xml = fmt.Appendf(xml, "<%s>%s</%[1]s>", f.Name, f.Value)
	}
	xml = append(xml, "</response>"...)
	head := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n", len(xml))
	return append(head, xml...)
}
