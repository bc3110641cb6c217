package kafkaio

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
)

// maxAnswer bounds what an answer may say that it takes. Brokers take no request of more
// than 100 MiB unless told otherwise, so no batch is larger, and all else is small.
const maxAnswer = 256 << 20

var (
	errNoBroker = errors.New("what answers there is no Kafka broker: correct PAYLINK_KAFKA_BROKERS")
	errWantsTLS = errors.New("what answers there wants TLS: set PAYLINK_KAFKA_TLS_ENABLED=true")
)

// framed is a connection over which answers come, each after its size. kafka-go believes
// what it reads: a port of HTTP that is taken for a broker's would cost it gigabytes.
type framed struct {
	net.Conn
	left int64 // of the answer that is being read
	head []byte
	err  error
}

// Read implements [net.Conn]. It ends with an error where no broker can have answered.
func (f *framed) Read(b []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	n, err := f.Conn.Read(b)
	if f.err = f.see(b[:n]); f.err != nil {
		return 0, f.err
	}
	return n, err
}

func (f *framed) see(b []byte) error {
	for len(b) > 0 {
		if f.left > 0 {
			n := min(f.left, int64(len(b)))
			f.left -= n
			b = b[n:]
			continue
		}
		n := min(4-len(f.head), len(b))
		f.head, b = append(f.head, b[:n]...), b[n:]
		if len(f.head) < 4 {
			return nil
		}
		size := int32(binary.BigEndian.Uint32(f.head))
		if size < 0 || size > maxAnswer {
			return fmt.Errorf("%s: %w", f.RemoteAddr(), strange(f.head))
		}
		f.left, f.head = int64(size), f.head[:0]
	}
	return nil
}

// strange says what an answer is that begins like this.
func strange(answer []byte) error {
	const alert, version3 = 0x15, 3 // of TLS
	if answer[0] == alert && answer[1] == version3 {
		return errWantsTLS
	}
	return errNoBroker
}
