package kafkaio

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/segmentio/kafka-go"
)

// wire is a connection over which something comes.
type wire struct {
	net.Conn
	io.Reader
}

func (w wire) Read(b []byte) (int, error) { return w.Reader.Read(b) }
func (wire) RemoteAddr() net.Addr         { return &net.TCPAddr{Port: 80} }

// What is no broker's answer is not read on, however it comes; answers are.
func TestAnotherPortIsNotTakenForABrokers(t *testing.T) {
	for says, want := range map[string]string{
		"HTTP/1.1 400 Bad Request\r\n\r\n":                     ":80: what answers there is no Kafka broker",
		"\x15\x03\x03\x00\x02\x02\x46":                         "wants TLS",
		"\xff\xff\xff\xff":                                     "no Kafka broker",
		"\x00\x00\x00\x02ab\x00\x00\x00\x00\x00\x00\x00\x01c":  "",
		"\x00\x00\x00\x02ab\x00\x00\x00\x01cSSH-2.0-OpenSSH\n": "no Kafka broker",
	} {
		for how, from := range map[string]io.Reader{
			"at once": strings.NewReader(says), "byte by byte": iotest.OneByteReader(strings.NewReader(says)),
		} {
			got, err := io.ReadAll(&framed{Conn: wire{Reader: from}})
			if want == "" && (err != nil || !bytes.Equal(got, []byte(says))) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("%q %s: read %q, %v; want %s", says, how, got, err, want)
			}
		}
	}
}

// TestWhatIsNoBrokerIsNotBelieved: on the port of something else nothing is waited
// for, nothing is made of what it says, and nothing of that is told.
func TestWhatIsNoBrokerIsNotBelieved(t *testing.T) {
	login := &SASL{Mechanism: SASLPlain, Username: "u", Password: "p"}
	for _, c := range []struct {
		says string
		sasl *SASL
		want string
	}{
		{"HTTP/1.1 400 Bad Request\r\nServer: canary\r\n\r\n", nil, errNoBroker.Error()},
		{"HTTP/1.1 400 Bad Request\r\nServer: canary\r\n\r\n", login, `login at one:9092 as "u": pipe: ` + errNoBroker.Error()},
		{"SSH-2.0-canary\r\n", nil, errNoBroker.Error()},
		{"\x15\x03\x01\x00\x02\x02\x46", nil, errWantsTLS.Error()},
	} {
		synctest.Test(t, func(t *testing.T) {
			dial := func(context.Context, string, string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				go func() {
					defer theirs.Close()
					if _, err := theirs.Read(make([]byte, 4<<10)); err == nil {
						for i := range len(c.says) { // in as many pieces as there can be
							if _, err := theirs.Write([]byte(c.says[i : i+1])); err != nil {
								return
							}
						}
					}
				}()
				return ours, nil
			}
			conn := Connection{Brokers: []string{"one:9092"}, SASL: c.sasl, Dial: dial}
			tr, err := conn.Transport("t")
			if err != nil {
				t.Fatal(err)
			}
			defer tr.CloseIdleConnections()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err = conn.Client(tr).Metadata(ctx, &kafka.MetadataRequest{Topics: []string{"t"}})
			if err == nil || !strings.HasSuffix(err.Error(), c.want) || strings.Contains(err.Error(), "canary") {
				t.Errorf("it says %q: %v, want … %s", c.says, err, c.want)
			}
		})
	}
}
