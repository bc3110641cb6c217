package freedompay

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// We ask for answers as they are (Accept-Encoding: identity). Some servers, and
// what stands before them, compress all the same.

// errEncoding says that a body is compressed in a way that we do not know, or
// that it is broken.
var errEncoding = errors.New("the answer is compressed in a way that is not known, or broken")

// maxLayers bounds how often a body may be compressed.
const maxLayers = 3

// unpack takes the compressions off a body, the last one first. No more than
// most bytes are made of it: errTooLarge then.
func unpack(h http.Header, body []byte, most int64) ([]byte, error) {
	layers := strings.FieldsFunc(strings.ToLower(strings.Join(h.Values("Content-Encoding"), ",")), func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
	if len(layers) == 0 && bytes.HasPrefix(body, []byte("\x1f\x8b")) {
		layers = []string{"gzip"} // said by the body itself
	}
	if len(layers) > maxLayers {
		return nil, errEncoding
	}
	if looksPlain(body) { // said by the header, and not done
		return body, nil
	}
	for i := len(layers) - 1; i >= 0 && len(body) > 0; i-- {
		var err error
		if body, err = unpackOne(layers[i], body, most); err != nil {
			return nil, err
		}
	}
	return body, nil
}

// looksPlain reports whether a body begins as XML and JSON do, and nothing that
// is compressed does.
func looksPlain(body []byte) bool {
	start := bytes.TrimLeft(bytes.TrimPrefix(body, []byte(markUTF8)), " \t\r\n")
	return len(start) > 0 && (start[0] == '<' || start[0] == '{')
}

func unpackOne(layer string, body []byte, most int64) ([]byte, error) {
	r, err := unpacker(layer, body)
	if err != nil {
		return nil, errEncoding
	}
	defer r.Close()
	plain, err := io.ReadAll(io.LimitReader(r, most+1))
	switch {
	case int64(len(plain)) > most:
		return nil, errTooLarge
	case err != nil:
		return nil, errEncoding
	}
	return plain, nil
}

func unpacker(layer string, body []byte) (io.ReadCloser, error) {
	in := bytes.NewReader(body)
	switch layer {
	case "identity":
		return io.NopCloser(in), nil
	case "gzip", "x-gzip":
		return gzip.NewReader(in)
	case "deflate": // zlib by the standard; some send the bare stream
		if r, err := zlib.NewReader(in); err == nil {
			return r, nil
		}
		return flate.NewReader(bytes.NewReader(body)), nil
	case "zstd":
		d, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(8<<20))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	}
	return nil, errEncoding
}
