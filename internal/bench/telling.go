package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"paylink/internal/devstack"
)

// telemetryPart measures what it costs that a loop is observed. It is compared with
// the service as every other part has it: warnings only, nobody scrapes, no traces.
// The service writes at most a thousand lines of the same outcome in ten seconds, here
// as everywhere.
func (o *Options) telemetryPart(s Streams) part {
	quiet, usual, some, all := o.trial(paylinkLoop), o.trial(paylinkLoop), o.trial(paylinkLoop), o.trial(paylinkLoop)
	quiet.name, usual.name, some.name, all.name = "quiet", "logs and metrics", "traces as well", "every trace"
	usual.observed, some.observed, all.observed = true, true, true
	some.traced, all.traced, all.sampler = true, true, "always_on"
	return part{"telemetry", fmt.Sprintf("%d intents worked off at once; each of the columns adds to the one before", o.Intents),
		[]trial{quiet, usual, some, all}, func(ctx context.Context, t trial) (measurement, error) { return o.backlog(ctx, s, t) }}
}

// scrapeEvery is how often an observer asks for the metrics: more often than most do.
const scrapeEvery = time.Second

// An observer reads the log of a loop, and scrapes its metrics.
type observer struct {
	others io.Writer // gets what is said from warnings on

	mu      sync.Mutex // guards what follows
	rest    []byte     // of a line that is not whole yet
	lines   int        // of intents
	scrapes int        // that were answered

	stop   context.CancelFunc
	ceased chan struct{} // closed when nobody scrapes any more
}

// Write reads a piece of the log.
func (w *observer) Write(piece []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rest = append(w.rest, piece...)
	for {
		line, rest, whole := bytes.Cut(w.rest, []byte("\n"))
		if !whole {
			return len(piece), nil
		}
		w.rest = rest
		if bytes.Contains(line, []byte(`"message":"settled"`)) {
			w.lines++
		} else if !bytes.Contains(line, []byte(`"level":"info"`)) {
			fmt.Fprintf(w.others, "%s\n", line)
		}
	}
}

// scrape scrapes an admin address from now on, until the observer is to stop.
func (w *observer) scrape(ctx context.Context, admin string) {
	ctx, w.stop = context.WithCancel(ctx)
	w.ceased = make(chan struct{})
	go func() {
		defer close(w.ceased)
		every := time.NewTicker(scrapeEvery)
		defer every.Stop()
		for {
			if ask(ctx, "http://"+admin+"/metrics") == nil {
				w.mu.Lock()
				w.scrapes++
				w.mu.Unlock()
			}
			select {
			case <-every.C:
			case <-ctx.Done():
				return
			}
		}
	}()
}

// ask scrapes once, as Prometheus does, which is shown exemplars.
func ask(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/openmetrics-text;version=1.0.0")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("scrape: %s", resp.Status)
	}
	return nil
}

// observed ends an observed loop and fills in what it has told: only then it has
// exported its last spans.
func (m *measurement) observed(b *bed, c *crew) error {
	if c.observer == nil {
		return nil
	}
	if err := c.end(); err != nil {
		return err
	}
	var seen backendCount
	if err := b.backend.ask("", &seen); err != nil {
		return fmt.Errorf("ask collector: %w", err)
	}
	w := c.observer
	w.mu.Lock()
	defer w.mu.Unlock()
	n := float64(m.Intents)
	m.Lines, m.Scrapes, m.Spans = float64(w.lines)/n, w.scrapes, float64(seen.Spans)/n
	return nil
}

// A collector takes OTLP traces over HTTP, counts their spans and throws them away.
type collector struct {
	server *devstack.Server

	mu    sync.Mutex
	spans int // guarded by mu
}

func startCollector(ctx context.Context) (*collector, error) {
	c := &collector{}
	var err error
	c.server, err = devstack.Serve(ctx, devstack.Addr{HostPort: "127.0.0.1:0"}, c)
	return c, err
}

// ServeHTTP implements http.Handler.
func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, "body", http.StatusBadRequest)
		return
	}
	n := messagesAt(body, 1, 2, 2) // ResourceSpans, ScopeSpans, Span
	c.mu.Lock()
	c.spans += n
	c.mu.Unlock()
	w.Header().Set("Content-Type", "application/x-protobuf") // nothing more: an empty answer says that all were taken
}

// count is how many spans have come; of no collector none.
func (c *collector) count() int {
	if c == nil {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.spans
}

// messagesAt counts the messages within a Protobuf message that stand where a path of
// field numbers leads.
func messagesAt(message []byte, path ...protowire.Number) (n int) {
	if len(path) == 0 {
		return 1
	}
	for len(message) > 0 {
		number, kind, size := protowire.ConsumeField(message)
		if size < 0 {
			return n // it is broken from here on
		}
		if number == path[0] && kind == protowire.BytesType {
			_, _, tag := protowire.ConsumeTag(message)
			inner, _ := protowire.ConsumeBytes(message[tag:])
			n += messagesAt(inner, path[1:]...)
		}
		message = message[size:]
	}
	return n
}
