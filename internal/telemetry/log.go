// Package telemetry is how the service is observed: its logger, its metrics
// registry, and the HTTP server with metrics, health and whatever page is hung
// into it.
//
// Loggers made here cannot print a known secret, wherever it comes from; that is
// the second line of defence, since nobody is supposed to log one. Nothing here
// is global, and nothing here knows what the service does.
package telemetry

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/term"
)

// The formats of a log. Auto is Text on a terminal, else JSON.
const (
	Auto = ""
	JSON = "json"
	Text = "text"
)

// minSecret is the shortest text that is masked. Shorter ones are parts of too
// many other words, and no secret.
const minSecret = 4

// NewLogger returns a logger that writes to w in a format (Auto, JSON, Text)
// from a level on ("debug", "info", "warn", "error"). Each of the secrets is
// written as ***, also in the ways that JSON and URLs write it.
func NewLogger(w io.Writer, format, level string, secrets ...string) (*logrus.Logger, error) {
	lvl, err := logrus.ParseLevel(level)
	if err != nil {
		return nil, fmt.Errorf("log level %q: want debug, info, warn or error", level)
	}
	l := logrus.New()
	l.SetOutput(w)
	l.SetLevel(lvl)
	m := &masking{inner: formatter(w, format), hidden: map[string]bool{}}
	m.hide(secrets)
	l.SetFormatter(m)
	return l, nil
}

// Hide has a logger that NewLogger made, or an entry of one, mask more secrets.
// Those of before stay masked: who uses them may not be done yet. It may be
// called while others log.
func Hide(log logrus.FieldLogger, secrets ...string) {
	if e, ok := log.(*logrus.Entry); ok {
		log = e.Logger
	}
	if l, ok := log.(*logrus.Logger); ok {
		if m, ok := l.Formatter.(*masking); ok {
			m.hide(secrets)
		}
	}
}

func formatter(w io.Writer, format string) logrus.Formatter {
	tty := terminal(w)
	if format == Text || format == Auto && tty {
		return &logrus.TextFormatter{FullTimestamp: true, TimestampFormat: "15:04:05.000", ForceColors: tty, DisableColors: !tty}
	}
	return &logrus.JSONFormatter{TimestampFormat: time.RFC3339Nano, DisableHTMLEscape: true,
		FieldMap: logrus.FieldMap{logrus.FieldKeyMsg: "message"}}
}

func terminal(w io.Writer) bool {
	if q, ok := w.(*Queue); ok {
		w = q.w
	}
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// masking is a formatter after which no secret is left. One pass over a line looks
// for all of them at once, whatever their number.
type masking struct {
	inner logrus.Formatter

	mu     sync.Mutex // held while secrets are added
	hidden map[string]bool
	mask   atomic.Pointer[strings.Replacer] // is not changed, but replaced
}

// hide adds secrets.
func (m *masking) hide(secrets []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := len(m.hidden)
	for _, s := range secrets {
		for _, spelled := range spellings(s) {
			m.hidden[spelled] = true
		}
	}
	if m.mask.Load() != nil && len(m.hidden) == before {
		return
	}
	pairs := make([]string, 0, 2*len(m.hidden))
	for _, s := range slices.SortedFunc(maps.Keys(m.hidden), longestFirst) {
		pairs = append(pairs, s, "***")
	}
	m.mask.Store(strings.NewReplacer(pairs...))
}

func longestFirst(a, b string) int {
	return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b))
}

// Format implements logrus.Formatter.
func (m *masking) Format(e *logrus.Entry) ([]byte, error) {
	line, err := m.inner.Format(e)
	if err != nil {
		return nil, fmt.Errorf("format a log line: %w", err)
	}
	return []byte(m.mask.Load().Replace(string(line))), nil
}

// spellings returns a secret in every way it may appear in a line.
func spellings(s string) []string {
	if len(s) < minSecret {
		return nil
	}
	quoted, err := json.Marshal(s)
	if err != nil {
		quoted = []byte(`"` + s + `"`)
	}
	goQuoted := fmt.Sprintf("%q", s)
	return []string{s, string(quoted[1 : len(quoted)-1]), goQuoted[1 : len(goQuoted)-1], url.QueryEscape(s), url.PathEscape(s)}
}
