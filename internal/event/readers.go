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
	// wraps ErrUnknownSchema: the registry has no such schema; ErrWithheldSchema: it
	// does not hand this one out. Any other error: the registry could not be asked,
	// which says nothing about the record.
	ByID(ctx context.Context, id int) (WriterSchema, error)

	// ByGUID is ByID for schemas that are named by a GUID, in its usual text form.
	ByGUID(ctx context.Context, guid string) (WriterSchema, error)
}

// ErrUnknownSchema says that a registry answered that it has no such schema.
var ErrUnknownSchema = errors.New("the registry has no such schema")

// ErrWithheldSchema says that a registry has not handed out one schema for some time,
// in which it handed out others: waiting would only hold what is behind its records.
var ErrWithheldSchema = errors.New("the registry hands out other schemas")

// A WriterSchema is a schema as a registry keeps it.
type WriterSchema struct {
	Format     schemas.Format
	Text       string
	References []SchemaReference // what the text refers to, each after what it refers to itself

	// Unusable says why there is no text that could be read, as a predicate of
	// the schema: "is larger than …". Empty: there is.
	Unusable string
}

// MaxSchema is how many bytes a schema may have, with what it refers to: read, it takes
// fifty times as many for good, and five hundred while it is compiled.
const MaxSchema = 256 << 10

// Size is how many bytes a schema has, with what it refers to.
func (w *WriterSchema) Size() int {
	n := len(w.Text)
	for _, r := range w.References {
		n += len(r.Text)
	}
	return n
}

// A SchemaReference is a schema that another one refers to, by name.
type SchemaReference struct{ Name, Text string }

// maxReaders and maxRead bound how many writers' schemas are remembered, and of how
// many bytes. Emitters have a handful; what names more is broken or hostile, and only
// costs time.
const (
	maxReaders = 256
	maxRead    = 4 * MaxSchema
)

// readers remember what reads the bodies that were written with each schema, also
// that nothing can. A schema never changes under its id.
type readers[T any] struct {
	schemas Schemas                             // nil: there is no registry
	compile func(WriterSchema) (T, *Unreadable) // a pure function
	making  sync.Mutex                          // held while one is compiled, which takes memory: one at a time
	mu      sync.RWMutex
	known   map[schemaName]compiled[T]
	size    int // bytes of the schemas of all that are known
}

// compiled is what was made of a schema.
type compiled[T any] struct {
	reader T
	bad    *Unreadable // why nothing reads it; nil: reader does
	size   int         // bytes of the schema
}

// of returns what reads the bodies that were written with a schema.
func (rs *readers[T]) of(ctx context.Context, name schemaName) (T, error) {
	known, ok := rs.look(name)
	if !ok {
		text, err := rs.fetch(ctx, name)
		if err != nil {
			return known.reader, err
		}
		known = rs.learn(text, name)
	}
	if known.bad != nil {
		return known.reader, known.bad
	}
	return known.reader, nil
}

func (rs *readers[T]) look(name schemaName) (compiled[T], bool) {
	rs.mu.RLock()
	defer rs.mu.RUnlock()
	known, ok := rs.known[name]
	return known, ok
}

// learn compiles a schema, unless somebody else did meanwhile.
func (rs *readers[T]) learn(text WriterSchema, name schemaName) compiled[T] {
	rs.making.Lock()
	defer rs.making.Unlock()
	known, ok := rs.look(name)
	if !ok {
		known = rs.make(text, name)
		rs.remember(name, known)
	}
	return known
}

func (rs *readers[T]) fetch(ctx context.Context, name schemaName) (text WriterSchema, err error) {
	if rs.schemas == nil {
		return text, &Unreadable{UnknownSchema, "the record names a schema, and this service has no schema registry: set PAYLINK_SCHEMA_REGISTRY_URL, then redrive, or emit plain JSON"}
	}
	if name.guid != "" {
		text, err = rs.schemas.ByGUID(ctx, name.guid)
	} else {
		text, err = rs.schemas.ByID(ctx, name.id)
	}
	if errors.Is(err, ErrUnknownSchema) {
		mend := ": register the schema there, then redrive"
		if name.guid != "" {
			mend += "; if it is there, the registry does not look up GUIDs: let the serializer write its id before the value"
		}
		return text, &Unreadable{UnknownSchema, "the schema registry does not know " + name.String() + mend}
	}
	if errors.Is(err, ErrWithheldSchema) {
		return text, &Unreadable{UnknownSchema, fmt.Sprintf("%s is not handed out by the schema registry, though others are: %v; give this service the right to read it, or mend it there, then redrive", name, err)}
	}
	if err != nil {
		return text, fmt.Errorf("look up %s: %w", name, err)
	}
	return text, nil
}

func (rs *readers[T]) make(text WriterSchema, name schemaName) (made compiled[T]) {
	made.size = text.Size()
	if text.Unusable != "" {
		made.bad = &Unreadable{UnknownSchema, text.Unusable}
	} else {
		made.reader, made.bad = rs.compile(text)
	}
	if made.bad != nil {
		made.bad = &Unreadable{made.bad.Reason, name.String() + " " + made.bad.Text}
	}
	return made
}

func (rs *readers[T]) remember(key schemaName, made compiled[T]) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.known == nil {
		rs.known = map[schemaName]compiled[T]{}
	}
	for old, was := range rs.known { // any one goes: a full cache is nobody's normal day
		if len(rs.known) < maxReaders && rs.size+made.size <= maxRead {
			break
		}
		rs.size -= was.size
		delete(rs.known, old)
	}
	rs.known[key] = made
	rs.size += made.size
}
