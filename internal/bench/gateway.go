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
)

// A quickGateway answers every Init with ok after the latency, and looks at
// nothing but the idempotency key. It speaks just enough HTTP/1.1 for that, to
// take less of the machine from the loop under measurement than a real server.
type quickGateway struct {
	latency gatewaysim.Latency

	mu       sync.Mutex // guards what follows
	keys     map[string]struct{}
	calls    int
	repeated int
}

func newQuickGateway(l gatewaysim.Latency) *quickGateway {
	return &quickGateway{latency: l, keys: map[string]struct{}{}}
}

func (q *quickGateway) count() backendCount {
	q.mu.Lock()
	defer q.mu.Unlock()
	return backendCount{Calls: q.calls, Repeated: q.repeated}
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
		id := q.note(body)
		if q.latency.Draw != nil {
			time.Sleep(q.latency.Draw(rng))
		}
		if _, err := conn.Write(okAnswer(id)); err != nil {
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

// note remembers the key of a call and returns the call's number.
func (q *quickGateway) note(body []byte) int {
	_, rest, _ := bytes.Cut(body, []byte("name=\"pg_idempotency_key\"\r\n\r\n"))
	key, _, _ := bytes.Cut(rest, []byte("\r\n"))
	q.mu.Lock()
	defer q.mu.Unlock()
	q.calls++
	if _, known := q.keys[string(key)]; known {
		q.repeated++
	}
	q.keys[string(key)] = struct{}{}
	return q.calls
}

// okAnswer is a whole, signed answer.
func okAnswer(n int) []byte {
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
