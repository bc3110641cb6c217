package kafkaio

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
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
		"HTTP/1.1 400 Bad Request\r\n\r\n":                     `no Kafka broker, or speaks TLS: it begins with "HTTP"`,
		"\x15\x03\x03\x00\x02\x02\x46":                         `it begins with "\x15\x03\x03\x00"`,
		"\xff\xff\xff\xff":                                     `it begins with "\xff\xff\xff\xff"`,
		"\x00\x00\x00\x02ab\x00\x00\x00\x00\x00\x00\x00\x01c":  "",
		"\x00\x00\x00\x02ab\x00\x00\x00\x01cSSH-2.0-OpenSSH\n": `it begins with "SSH-"`,
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
