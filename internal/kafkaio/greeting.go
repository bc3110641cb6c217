package kafkaio

import (
	"encoding/binary"
	"errors"
	"net"
)

// A greeting is a connection whose first answer is not believed to be a broker's
// before its size was looked at. Whatever else listens on an address that was meant
// to be a broker's, such as a web server, says text; kafka-go takes that for numbers,
// and then for lists of a billion entries.
//
// It is read by one goroutine at a time.
type greeting struct {
	net.Conn
	size []byte // of the first answer, as far as it was read
}

// maxGreeting is more than the first answer needs, which lists what a broker can.
const maxGreeting = 1 << 20

var (
	errNoBroker = errors.New("what answers there is no Kafka broker: correct PAYLINK_KAFKA_BROKERS")
	errWantsTLS = errors.New("what answers there wants TLS: set PAYLINK_KAFKA_TLS_ENABLED=true")
)

// Read fails where the first answer is none of a broker's.
func (g *greeting) Read(b []byte) (int, error) {
	n, err := g.Conn.Read(b)
	if missing := 4 - len(g.size); missing > 0 {
		g.size = append(g.size, b[:min(n, missing)]...)
		if len(g.size) == 4 && binary.BigEndian.Uint32(g.size) > maxGreeting {
			return 0, strange(g.size)
		}
	}
	return n, err
}

// strange says what an answer is that begins like this.
func strange(answer []byte) error {
	const alert, version3 = 0x15, 3 // of TLS
	if answer[0] == alert && answer[1] == version3 {
		return errWantsTLS
	}
	return errNoBroker
}
