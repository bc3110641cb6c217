package freedompay

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// TestLargeAnswersAreReadAFewAtATime: a gateway that sends a book to every call takes the
// memory of a few of them, and who gets a usual answer does not wait.
func TestLargeAnswersAreReadAFewAtATime(t *testing.T) {
	plain := signedInit(okFields()...)
	book := signedInit(append(okFields(), Field{Name: "pg_redirect_qr", Value: strings.Repeat("A", usual+32<<10)})...)
	packedBook := string(packed(t, "gzip", []byte(book)))
	for name, large := range map[string]string{"as it is": book, "compressed": packedBook} {
		synctest.Test(t, func(t *testing.T) {
			var begun, read atomic.Int64 // calls of large answers, and of those how many are held
			going := make(chan struct{})
			answer := func(c net.Conn, body string) {
				defer c.Close()
				r, err := http.ReadRequest(bufio.NewReader(c))
				if err == nil {
					_, err = io.Copy(io.Discard, r.Body)
				}
				if err == nil {
					fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n", len(body))
				}
				if body == book { // most of it, and the rest when the test says so
					begun.Add(1)
					io.WriteString(c, body[:usual+16<<10])
					read.Add(1)
					<-going
					body = body[usual+16<<10:]
				}
				io.WriteString(c, body)
			}
			client := func(body string) *Client {
				return newClient(t, "http://gateway.example", func(c *Config) {
					c.Dial = func(context.Context, string, string) (net.Conn, error) {
						ours, theirs := net.Pipe()
						go answer(theirs, body)
						return ours, nil
					}
				})
			}
			c := client(large)
			var calls sync.WaitGroup
			if large == packedBook { // as many as may be are held already
				for range maxLarge {
					c.large <- struct{}{}
				}
			}
			var links atomic.Int64
			for range 3 * maxLarge {
				calls.Go(func() {
					if link, err := c.Open(t.Context(), plainIntent()); err != nil || len(link.RedirectQR) != usual+32<<10 {
						t.Errorf("%s: %d bytes of QR code, %v", name, len(link.RedirectQR), err)
					}
					links.Add(1)
				})
			}
			synctest.Wait()
			if large == book && (begun.Load() != 3*maxLarge || read.Load() != maxLarge) || links.Load() > 0 {
				t.Errorf("%s: of %d large answers %d are read, want %d; %d have a link", name, begun.Load(), read.Load(), maxLarge, links.Load())
			}
			usualOne := client(plain)
			usualOne.large = c.large
			if _, err := usualOne.Open(t.Context(), plainIntent()); err != nil {
				t.Errorf("%s: a usual answer beside them: %v", name, err)
			}
			close(going)
			if large == packedBook {
				for range maxLarge {
					<-c.large
				}
			}
			calls.Wait()
			if len(c.large) > 0 {
				t.Errorf("%s: %d tokens are kept", name, len(c.large))
			}
		})
	}
}
