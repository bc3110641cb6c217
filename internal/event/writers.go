package event

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"paylink/schemas"
)

// Schemas looks up the schemas that records were written with. It may be asked
// concurrently, and should remember what it was told.
type Schemas interface {
	// ByID returns the schema that a registry knows by a number. An error that
	// wraps ErrUnknownSchema: the registry has no such schema. Any other error:
	// the registry could not be asked, which says nothing about the record.
	ByID(ctx context.Context, id int) (WriterSchema, error)

	// ByGUID is ByID for schemas that are named by a GUID, in its usual text form.
	ByGUID(ctx context.Context, guid string) (WriterSchema, error)
}

// ErrUnknownSchema says that a registry answered that it has no such schema.
var ErrUnknownSchema = errors.New("the registry has no such schema")

// A WriterSchema is a schema as a registry keeps it.
type WriterSchema struct {
	Format     schemas.Format
	Text       string
	References []SchemaReference // what the text refers to, each after what it refers to itself

	// Unusable says why there is no text that could be read, as a predicate of
	// the schema: "is larger than …". Empty: there is.
	Unusable string
}

// A SchemaReference is a schema that another one refers to, by name.
type SchemaReference struct{ Name, Text string }

// maxWriters bounds how many writers' schemas a reader remembers. Emitters have
// a handful; what names more is broken or hostile, and only costs time.
const maxWriters = 256

// writers remembers what was made of writers' schemas, also that nothing can be
// made of one. A schema never changes under its id.
type writers[T any] struct {
	schemas Schemas                             // nil: there is no registry
	compile func(WriterSchema) (T, *Unreadable) // a pure function
	mu      sync.RWMutex
	known   map[schemaName]writer[T]
}

type writer[T any] struct {
	reader T
	bad    *Unreadable
}

// reader returns what reads the bodies that were written with a schema.
func (w *writers[T]) reader(ctx context.Context, name schemaName) (T, error) {
	w.mu.RLock()
	known, ok := w.known[name]
	w.mu.RUnlock()
	if !ok {
		text, err := w.fetch(ctx, name)
		if err != nil {
			return known.reader, err
		}
		known = w.make(text, name)
		w.remember(name, known)
	}
	if known.bad != nil {
		return known.reader, known.bad
	}
	return known.reader, nil
}

func (w *writers[T]) fetch(ctx context.Context, name schemaName) (text WriterSchema, err error) {
	if w.schemas == nil {
		return text, &Unreadable{UnknownSchema, "the record names a schema, and this service has no schema registry: set PAYLINK_SCHEMA_REGISTRY_URL, then redrive, or emit plain JSON"}
	}
	if name.guid != "" {
		text, err = w.schemas.ByGUID(ctx, name.guid)
	} else {
		text, err = w.schemas.ByID(ctx, name.id)
	}
	if errors.Is(err, ErrUnknownSchema) {
		return text, &Unreadable{UnknownSchema, "the schema registry does not know " + name.String() + ": register the schema there, then redrive"}
	}
	if err != nil {
		return text, fmt.Errorf("look up %s: %w", name, err)
	}
	return text, nil
}

func (w *writers[T]) make(text WriterSchema, name schemaName) (made writer[T]) {
	if text.Unusable != "" {
		made.bad = &Unreadable{UnknownSchema, text.Unusable}
	} else {
		made.reader, made.bad = w.compile(text)
	}
	if made.bad != nil {
		made.bad = &Unreadable{made.bad.Reason, name.String() + " " + made.bad.Text}
	}
	return made
}

func (w *writers[T]) remember(key schemaName, made writer[T]) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.known == nil {
		w.known = map[schemaName]writer[T]{}
	}
	for old := range w.known { // any one goes: a full cache is nobody's normal day
		if len(w.known) < maxWriters {
			break
		}
		delete(w.known, old)
	}
	w.known[key] = made
}
