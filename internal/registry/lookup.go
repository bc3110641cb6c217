package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/sr"
	"golang.org/x/sync/singleflight"

	"paylink/internal/event"
	"paylink/schemas"
)

// Bounds of what is remembered, and of what one schema may refer to.
const (
	maxKnown      = 512
	maxText       = 16 * event.MaxSchema // bytes of all schemas that are remembered
	forgetDenied  = 10 * time.Second
	maxReferences = 32
)

// believeWithheld is for how long a schema is asked for that alone is not to be had, while
// others are: what else it may be passes sooner, and what is behind its records waits.
const believeWithheld = 30 * time.Second

// A memory holds answers: schemas for ever, that there is none for a short time.
type memory struct {
	flight singleflight.Group
	mu     sync.Mutex
	known  map[string]event.WriterSchema
	size   int // bytes of all that are known
	denied map[string]denial
	proof  func(context.Context) (sr.Schema, error) // asks for what was handed out last; nil: nothing was
	alone  map[string]withheld
}

// A withheld schema is not to be had while others are.
type withheld struct {
	since, last time.Time
}

// A denial says that a schema is not to be had.
type denial struct {
	err error
	at  time.Time // when it was said
}

// ByID returns the schema with an id, as event.Schemas asks for.
func (r *Registry) ByID(ctx context.Context, id int) (event.WriterSchema, error) {
	return r.remembered(ctx, "id "+strconv.Itoa(id), func(ctx context.Context) (sr.Schema, error) {
		return r.cl.SchemaByID(ctx, id)
	})
}

// ByGUID returns the schema with a GUID, as event.Schemas asks for.
func (r *Registry) ByGUID(ctx context.Context, guid string) (event.WriterSchema, error) {
	return r.remembered(ctx, "GUID "+guid, func(ctx context.Context) (sr.Schema, error) {
		s, err := r.cl.SchemaByGUID(ctx, guid)
		return s.Schema, err
	})
}

// remembered answers from memory, or asks; who asks for the same at once, waits
// for one answer.
func (r *Registry) remembered(ctx context.Context, key string, ask func(context.Context) (sr.Schema, error)) (event.WriterSchema, error) {
	if w, ok, err := r.memo.look(key, time.Now()); ok {
		return w, err
	}
	answer := r.memo.flight.DoChan(key, func() (any, error) {
		// Others wait for this answer, too: it must not end with who came first.
		ctx := context.WithoutCancel(ctx)
		w, err := r.fetchInTime(ctx, ask)
		if err == nil {
			r.memo.proves(ask)
		}
		if err == nil || errors.Is(err, event.ErrUnknownSchema) {
			r.memo.isAnswered(key)
			r.memo.keep(key, w, err, time.Now())
			return w, r.failed(key, err)
		}
		is := r.isWithheld(ctx, key)
		err = r.failed(key, err)
		if is {
			err = &withheldError{err}
			r.memo.keep(key, w, err, time.Now())
		}
		return w, err
	})
	select {
	case a := <-answer:
		return a.Val.(event.WriterSchema), a.Err
	case <-ctx.Done():
		return event.WriterSchema{}, r.failed(key, ctx.Err())
	}
}

// isWithheld reports whether a schema that is not to be had now was so for some time, in
// which the registry handed out another one whenever it was asked for both. One that is
// away, or refuses us, hands out none; and then nothing is made of it.
func (r *Registry) isWithheld(ctx context.Context, key string) bool {
	proof := r.memo.proven()
	if proof != nil {
		if _, err := r.fetchInTime(ctx, proof); err == nil {
			return r.memo.isAlone(key, time.Now())
		}
	}
	r.memo.noneIsAlone()
	return false
}

// A withheldError says why one schema is not to be had.
type withheldError struct{ error }

func (*withheldError) Is(target error) bool { return target == event.ErrWithheldSchema }
func (e *withheldError) Unwrap() error      { return e.error }

func (r *Registry) fetchInTime(ctx context.Context, ask func(context.Context) (sr.Schema, error)) (event.WriterSchema, error) {
	ctx, stop := context.WithTimeout(ctx, r.cfg.Timeout)
	defer stop()
	return r.fetch(ctx, ask)
}

func (r *Registry) fetch(ctx context.Context, ask func(context.Context) (sr.Schema, error)) (event.WriterSchema, error) {
	s, err := ask(ctx)
	if why := unusable(err); why != "" {
		return event.WriterSchema{Unusable: why}, nil
	}
	if err != nil {
		return event.WriterSchema{}, r.lacksOr(ctx, unknownOr(err))
	}
	f, err := formatOf(s.Type)
	if err != nil {
		return event.WriterSchema{}, err
	}
	w := event.WriterSchema{Format: f, Text: s.Schema}
	err = tooLarge(&w)
	switch {
	case f == schemas.JSONSchema && err != nil: // JSON is read without it
		return event.WriterSchema{Format: f}, nil
	case f == schemas.JSONSchema:
		return w, nil
	case err == nil:
		err = r.addReferences(ctx, &w, s.References, map[string]bool{})
	}
	if why := unusable(err); why != "" {
		return event.WriterSchema{Unusable: why}, nil
	}
	return w, err
}

var (
	errManyReferences = fmt.Errorf("refers to more than %d other schemas", maxReferences)
	errLarge          = fmt.Errorf("is larger than %d bytes, with what it refers to", event.MaxSchema)
)

func tooLarge(w *event.WriterSchema) error {
	if w.Size() > event.MaxSchema {
		return errLarge
	}
	return nil
}

// unusable says why this version will never read a schema, although the registry
// has it: asking again would hold its records, and all behind them, for ever. As
// dead letters they can be redriven. Empty: err says no such thing.
func unusable(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, errManyReferences):
		return errManyReferences.Error()
	case errors.Is(err, errLarge) || isEndless(err):
		return errLarge.Error()
	case strings.Contains(err.Error(), "unknown schema type"): // sr has no other word for it; without this one we only ask again
		return "is of a type that this service cannot read: neither Avro, Protobuf nor JSON Schema"
	}
	return ""
}

func isEndless(err error) bool {
	_, ok := errors.AsType[*http.MaxBytesError](err)
	return ok
}

// addReferences adds what a schema refers to, each after its own references.
func (r *Registry) addReferences(ctx context.Context, w *event.WriterSchema, refs []sr.SchemaReference, seen map[string]bool) error {
	for _, ref := range refs {
		if seen[ref.Name] {
			continue
		}
		if seen[ref.Name] = true; len(seen) > maxReferences {
			return errManyReferences
		}
		s, err := r.cl.SchemaByVersion(ctx, ref.Subject, ref.Version)
		if err != nil {
			return fmt.Errorf("reference %s: %w", ref.Name, unknownOr(err))
		}
		if err := r.addReferences(ctx, w, s.References, seen); err != nil {
			return err
		}
		w.References = append(w.References, event.SchemaReference{Name: ref.Name, Text: s.Schema.Schema})
		if err := tooLarge(w); err != nil {
			return err
		}
	}
	return nil
}

// unknownOr tells "there is no such schema" from every other error. Only the
// registry's own codes count: a 404 without one may be a proxy's, or that of a
// wrong path.
func unknownOr(err error) error {
	re, ok := errors.AsType[*sr.ResponseError](err)
	if ok && re.StatusCode == http.StatusNotFound && re.ErrorCode >= 40401 && re.ErrorCode <= 40406 {
		return event.ErrUnknownSchema
	}
	return err
}

// lacksOr tells a registry that has nothing under the path of an id, or of a GUID, from
// one that is not there: many do not look up GUIDs, and no registry has an id that is no
// number of Java's. Both say 404 without a code of their own, as a wrong address does;
// but there nobody says which types of schemas there are.
func (r *Registry) lacksOr(ctx context.Context, err error) error {
	re, ok := errors.AsType[*sr.ResponseError](err)
	if !ok || re.StatusCode != http.StatusNotFound {
		return err
	}
	if types, not := r.cl.SupportedTypes(ctx); not != nil || len(types) == 0 {
		return err
	}
	return event.ErrUnknownSchema
}

func formatOf(t sr.SchemaType) (schemas.Format, error) {
	switch t {
	case sr.TypeAvro:
		return schemas.Avro, nil
	case sr.TypeJSON:
		return schemas.JSONSchema, nil
	case sr.TypeProtobuf:
		return schemas.Protobuf, nil
	}
	return 0, fmt.Errorf("schema type %s is not known to this version", t)
}

func typeOf(f schemas.Format) sr.SchemaType {
	switch f {
	case schemas.Avro:
		return sr.TypeAvro
	case schemas.Protobuf:
		return sr.TypeProtobuf
	}
	return sr.TypeJSON
}

// look returns what is remembered, if anything is.
func (m *memory) look(key string, now time.Time) (event.WriterSchema, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if w, ok := m.known[key]; ok {
		return w, true, nil
	}
	if d, ok := m.denied[key]; ok && now.Sub(d.at) < forgetDenied {
		return event.WriterSchema{}, true, d.err
	}
	return event.WriterSchema{}, false, nil
}

func (m *memory) keep(key string, w event.WriterSchema, err error, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known == nil {
		m.known, m.denied = map[string]event.WriterSchema{}, map[string]denial{}
	}
	if err != nil {
		makeRoom(m.denied)
		m.denied[key] = denial{err, now}
		return
	}
	delete(m.denied, key)
	before := m.known[key] // who asked at the same time has put it there
	m.size -= before.Size()
	delete(m.known, key)
	for old, was := range m.known { // any one goes
		if len(m.known) < maxKnown && m.size+w.Size() <= maxText {
			break
		}
		m.size -= was.Size()
		delete(m.known, old)
	}
	m.size += w.Size()
	m.known[key] = w
}

// makeRoom forgets any one where there are too many.
func makeRoom[T any](of map[string]T) {
	for old := range of {
		if len(of) < maxKnown {
			return
		}
		delete(of, old)
	}
}

func (m *memory) proves(ask func(context.Context) (sr.Schema, error)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.proof = ask
}

func (m *memory) proven() func(context.Context) (sr.Schema, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.proof
}

// isAlone takes in that a schema is not to be had, and another one is; it reports
// whether that is so for long enough to be believed: who asks does so again within
// seconds, and two failures that lie far apart say nothing of the time between.
func (m *memory) isAlone(key string, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.alone == nil {
		m.alone = map[string]withheld{}
	}
	w, ok := m.alone[key]
	if believed := w.last.Sub(w.since) >= believeWithheld; !ok || !believed && now.Sub(w.last) >= believeWithheld {
		makeRoom(m.alone)
		w.since = now
	}
	w.last = now
	m.alone[key] = w
	return w.last.Sub(w.since) >= believeWithheld
}

// isAnswered takes in what the registry says of a schema: that it is, or that there is none.
func (m *memory) isAnswered(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.alone, key)
}

// noneIsAlone takes in that no schema is to be had.
func (m *memory) noneIsAlone() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.alone)
}
