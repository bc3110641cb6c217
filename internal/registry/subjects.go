package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/sr"

	"paylink/internal/event"
	"paylink/schemas"
)

// A Subject is a subject with the schema of ours that belongs there.
type Subject struct {
	Name   string
	Format schemas.Format
	Record schemas.Record
	Level  sr.CompatibilityLevel // that it should have
}

// Text returns our schema of the subject.
func (s Subject) Text() string { return schemas.Text(s.Format, s.Record) }

func (s Subject) schema() sr.Schema { return sr.Schema{Schema: s.Text(), Type: typeOf(s.Format)} }

// Subjects returns the subjects of intents and outcomes. Outcomes are
// FULL_TRANSITIVE: new consumers read what is old, old consumers what is new.
// Intents are BACKWARD_TRANSITIVE: we read whatever was ever emitted.
func Subjects(f schemas.Format, n schemas.Naming, intents, outcomes string) []Subject {
	out := []Subject{{n.Subject(intents, schemas.Intent), f, schemas.Intent, sr.CompatBackwardTransitive}}
	for _, r := range n.Outcomes() {
		out = append(out, Subject{n.Subject(outcomes, r), f, r, sr.CompatFullTransitive})
	}
	return out
}

// A State is what a registry has of a subject.
type State struct {
	Versions int
	Latest   string // its text
	ID       int    // of our schema; 0: it is not there
	Version  int    // of our schema
	Level    string // the subject's compatibility, or the registry's where it has none
}

// State asks what the registry has of a subject. A subject that is not there
// has no versions.
func (r *Registry) State(ctx context.Context, s Subject) (State, error) {
	var st State
	all, err := r.cl.SubjectVersions(ctx, s.Name)
	if unknown(err) {
		return st, nil
	}
	if err != nil {
		return st, r.failed("versions of "+s.Name, err)
	}
	st.Versions = len(all)
	latest, err := r.cl.SchemaByVersion(ctx, s.Name, -1)
	if err != nil {
		return st, r.failed("latest version of "+s.Name, err)
	}
	st.Latest = latest.Schema.Schema
	ours, err := r.cl.LookupSchema(ctx, s.Name, s.schema())
	if err != nil && !unknown(err) {
		return st, r.failed("our schema under "+s.Name, err)
	}
	st.ID, st.Version = ours.ID, ours.Version
	st.Level, err = r.level(ctx, s.Name)
	return st, err
}

func (r *Registry) level(ctx context.Context, subject string) (string, error) {
	res := r.cl.Compatibility(sr.WithParams(ctx, sr.DefaultToGlobal), subject)
	if len(res) == 1 && unknown(res[0].Err) { // a registry that does not know the parameter
		res = r.cl.Compatibility(ctx)
	}
	if len(res) != 1 {
		return "", nil
	}
	if res[0].Err != nil {
		return "", r.failed("compatibility of "+subject, res[0].Err)
	}
	return res[0].Level.String(), nil
}

// Put registers our schema of a subject and sets the subject's compatibility.
// What is there already stays as it is. It returns the schema's number, and
// whether it is new.
func (r *Registry) Put(ctx context.Context, s Subject) (id int, added bool, err error) {
	before, err := r.State(ctx, s)
	if err != nil {
		return 0, false, err
	}
	if before.ID == 0 {
		made, err := r.cl.CreateSchema(ctx, s.Name, s.schema())
		if err != nil {
			return 0, false, r.failed("register "+s.Name, err)
		}
		before.ID, added = made.ID, true
	}
	if before.Level != s.Level.String() {
		for _, res := range r.cl.SetCompatibility(ctx, sr.SetCompatibility{Level: s.Level}, s.Name) {
			if res.Err != nil {
				return before.ID, added, r.failed("set compatibility of "+s.Name, res.Err)
			}
		}
	}
	return before.ID, added, nil
}

// Compatible asks the registry whether our schema may follow all that it has
// under a subject, by the subject's own level. Reasons are the registry's words,
// if it gives any.
func (r *Registry) Compatible(ctx context.Context, s Subject) (ok bool, reasons []string, err error) {
	res, err := r.cl.CheckCompatibility(sr.WithParams(ctx, sr.Verbose), s.Name, -2, s.schema())
	if unknown(err) {
		return true, nil, nil // nothing to be compatible with
	}
	if err != nil {
		return false, nil, r.failed("compare "+s.Name, err)
	}
	return res.Is, res.Messages, nil
}

// Released returns every version that the registry has under a subject, the
// oldest first.
func (r *Registry) Released(ctx context.Context, s Subject) ([]event.WriterSchema, error) {
	all, err := r.cl.Schemas(ctx, s.Name)
	if unknown(err) {
		return nil, nil
	}
	if err != nil {
		return nil, r.failed("versions of "+s.Name, err)
	}
	var out []event.WriterSchema
	for _, v := range all {
		f, err := formatOf(v.Type)
		if err != nil {
			return nil, r.failed(s.Name, err)
		}
		out = append(out, event.WriterSchema{Format: f, Text: v.Schema.Schema})
	}
	return out, nil
}

// SchemaID returns the number of one of our schemas under a subject, as
// event.SchemaIDs asks for. What is not there is registered if that is allowed.
func (r *Registry) SchemaID(ctx context.Context, subject string, f schemas.Format, text string) (int, error) {
	s := sr.Schema{Schema: text, Type: typeOf(f)}
	found, err := r.cl.LookupSchema(ctx, subject, s)
	switch {
	case err == nil:
		return found.ID, nil
	case !unknown(err):
		return 0, r.failed("our schema under "+subject, err)
	case !r.cfg.Register:
		return 0, fmt.Errorf("schema registry %s: nothing under %s: run \"paylink schemas register\": %w", r.name, subject, event.ErrUnknownSchema)
	}
	id, err := r.cl.RegisterSchema(ctx, subject, s, -1, -1)
	return id, r.failed("register "+subject, err)
}

func unknown(err error) bool {
	return err != nil && errors.Is(unknownOr(err), event.ErrUnknownSchema)
}
