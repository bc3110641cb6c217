package config

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// maxFile is more than any file of settings or certificates holds.
const maxFile = 16 << 20

// readText reads a text file as people save them: a byte order mark of UTF-8 is
// dropped, lines end in a newline whatever they ended in. What is no such text
// is refused, in a sentence that quotes nothing of it.
func readText(path string, most int64) ([]byte, error) {
	data, err := readMarked(path, most)
	return newlines(data), err
}

// readMarked is readText that leaves the ends of lines as they are.
func readMarked(path string, most int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe that nobody writes to is empty, and not waited for
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > most {
		return nil, fmt.Errorf("%s holds more than %d bytes; name the right file", path, most)
	}
	return withoutMark(path, data)
}

// SkipMark skips a byte order mark of UTF-8 at the beginning of an input.
func SkipMark(r *bufio.Reader) {
	if first, _ := r.Peek(len(markUTF8)); string(first) == markUTF8 {
		r.Discard(len(markUTF8))
	}
}

// markUTF8 is what some editors put at the beginning of a file in UTF-8.
const markUTF8 = "\xef\xbb\xbf"

// withoutMark drops a byte order mark, and refuses what is no UTF-8 for certain.
func withoutMark(path string, data []byte) ([]byte, error) {
	data = bytes.TrimPrefix(data, []byte(markUTF8))
	for _, mark := range []string{"\xff\xfe", "\xfe\xff"} {
		if bytes.HasPrefix(data, []byte(mark)) {
			return nil, fmt.Errorf("%s is UTF-16; save it as UTF-8", path)
		}
	}
	if bytes.IndexByte(data, 0) >= 0 {
		return nil, fmt.Errorf("%s holds zero bytes, as UTF-16 and binary files do; save it as text in UTF-8, and certificates and keys as PEM", path)
	}
	return data, nil
}

// newlines makes every end of a line a newline.
func newlines(data []byte) []byte {
	data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
	return bytes.ReplaceAll(data, []byte("\r"), []byte("\n"))
}

// readAuthorities reads certificates that others' are checked against.
func readAuthorities(from, path string) (*x509.CertPool, error) {
	data, err := readText(path, maxFile)
	if err != nil {
		return nil, problem(from, "%v", err)
	}
	return authorities(from, path, data)
}

func authorities(from, path string, data []byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, problem(from, "%s holds no PEM certificate", path)
	}
	return pool, nil
}

// readPair reads a certificate and its private key. from names the setting of
// the certificate.
func readPair(from, certPath, keyPath string) (pair tls.Certificate, err error) {
	keyFrom := strings.Replace(from, "CERT_FILE", "KEY_FILE", 1)
	if certPath == "" || keyPath == "" {
		return pair, problem(from, "and %s go together; give both or none", keyFrom)
	}
	cert, err := readText(certPath, maxFile)
	if err != nil {
		return pair, problem(from, "%v", err)
	}
	key, err := readText(keyPath, maxFile)
	if err != nil {
		return pair, problem(keyFrom, "%v", err)
	}
	if encrypted(key) {
		return pair, problem(keyFrom, "the private key in %s is encrypted; give it without a passphrase, as openssl pkey -in FILE -out NEWFILE writes it", keyPath)
	}
	if _, err := authorities(from, certPath, cert); err != nil {
		return pair, err
	}
	if pair, err = tls.X509KeyPair(cert, key); err != nil {
		return pair, problem(keyFrom, "%s is no private key for the certificate in %s: %v", keyPath, certPath, err)
	}
	return pair, nil
}

// clientTLS is what a client trusts and shows. Its settings are called prefix and
// CA_FILE, CERT_FILE and KEY_FILE; those left out are the system's, and none.
func clientTLS(prefix, ca, cert, key string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	var all []error
	if ca != "" {
		pool, err := readAuthorities(prefix+"CA_FILE", ca)
		c.RootCAs, all = pool, append(all, err)
	}
	if cert != "" || key != "" {
		pair, err := readPair(prefix+"CERT_FILE", cert, key)
		c.Certificates, all = []tls.Certificate{pair}, append(all, err)
	}
	return c, join(all...)
}

// encrypted reports whether a private key needs a passphrase, in either form.
func encrypted(data []byte) bool {
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return false
		}
		if block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
			return true
		}
	}
}
