package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"paylink/internal/config"
	"paylink/internal/registry"
	"paylink/internal/service"
	"paylink/schemas"
)

// schemasCmds are the verbs of paylink schemas.
type schemasCmds struct {
	List     config.SchemasList     `cmd:"" help:"List the schemas, and what the registry has of them if one is given."`
	Show     config.SchemasShow     `cmd:"" help:"Print a schema, or the AsyncAPI document."`
	Register config.SchemasRegistry `cmd:"" help:"Register our schemas and set the compatibility of their subjects: FULL_TRANSITIVE for outcomes, BACKWARD_TRANSITIVE for intents. What is there stays as it is."`
	Check    config.SchemasRegistry `cmd:"" help:"Ask the registry whether our schemas may follow all that it has, and whether its subjects are as strict as they should be; exit 1 if not."`
	Diff     config.SchemasRegistry `cmd:"" help:"Show how the registry's newest schemas differ from ours; exit 1 if they do."`
	Validate config.SchemasValidate `cmd:"" help:"Judge intents or outcomes as the service does and print every violation with its line, or its offset; exit 1 if there is one."`
}

// do runs one verb.
func (c *schemasCmds) do(ctx context.Context, verb string, w world) error {
	switch verb {
	case "list":
		return schemasList(ctx, c.List, w)
	case "show":
		return schemasShow(c.Show, w)
	case "register":
		return eachSubject(ctx, c.Register, w, registerSubject)
	case "check":
		return eachSubject(ctx, c.Check, w, checkSubject)
	case "diff":
		return eachSubject(ctx, c.Diff, w, diffSubject)
	case "validate":
		return schemasValidate(ctx, c.Validate, w)
	}
	return fmt.Errorf("command schemas %s is not built in", verb)
}

// A schemaLine is one line of schemas list.
type schemaLine struct {
	Record   string `json:"record"`
	Format   string `json:"format"`
	File     string `json:"file"`
	Subject  string `json:"subject"`
	ID       int    `json:"id,omitempty"` // of our schema in the registry
	Versions int    `json:"versions,omitempty"`
	Level    string `json:"compatibility,omitempty"`
}

func schemasList(ctx context.Context, cfg config.SchemasList, w world) error {
	var reg *registry.Registry
	if cfg.RegistryURL != "" {
		var err error
		if reg, err = service.Registry(cfg.Registry, false, nil); err != nil {
			return err
		}
		defer reg.Close()
	}
	lines := []schemaLine{}
	for _, f := range schemas.Formats() {
		if cfg.Format != "all" && cfg.Format != f.String() {
			continue
		}
		for _, s := range registry.Subjects(f, schemas.Naming(cfg.Naming), cfg.Topics.Intents, cfg.Topics.Outcomes) {
			line, err := schemaLineOf(ctx, reg, s)
			if err != nil {
				return err
			}
			lines = append(lines, line)
		}
	}
	if cfg.JSON {
		return printJSON(w.out, lines)
	}
	for _, l := range lines {
		fmt.Fprintf(w.out, "%-16s %-12s %-40s %s%s\n", l.Record, l.Format, l.Subject, l.File, l.there(reg != nil))
	}
	return nil
}

func schemaLineOf(ctx context.Context, reg *registry.Registry, s registry.Subject) (schemaLine, error) {
	l := schemaLine{Record: s.Record.String(), Format: s.Format.String(), File: "schemas/" + schemas.Path(s.Format, s.Record), Subject: s.Name}
	if reg == nil {
		return l, nil
	}
	st, err := reg.State(ctx, s)
	l.ID, l.Versions, l.Level = st.ID, st.Versions, st.Level
	return l, err
}

// there says what the registry has.
func (l schemaLine) there(asked bool) string {
	switch {
	case !asked:
		return ""
	case l.Versions == 0:
		return "  not in the registry"
	case l.ID == 0:
		return fmt.Sprintf("  differs from the registry's %d versions, %s", l.Versions, l.Level)
	}
	return fmt.Sprintf("  id %d, %s", l.ID, l.Level)
}

func schemasShow(cfg config.SchemasShow, w world) error {
	text := ""
	if cfg.Name == "payment-intent-strict" { // there is but the one, whatever the format
		text = schemas.StrictIntent()
	}
	if cfg.Name == "asyncapi" {
		b, err := schemas.FS.ReadFile("asyncapi.yaml")
		if err != nil {
			return err
		}
		text = string(b)
	}
	for _, r := range schemas.Records() {
		if r.String() == cfg.Name {
			text = schemas.Text(service.FormatNamed(cfg.Format), r)
		}
	}
	_, err := io.WriteString(w.out, text)
	return err
}

// eachSubject does something for each subject of our contract. It fails after
// the last one if any was not as it should be.
func eachSubject(ctx context.Context, cfg config.SchemasRegistry, w world, do func(context.Context, *registry.Registry, registry.Subject, io.Writer) (bool, error)) error {
	reg, err := service.Registry(cfg.Registry, true, nil)
	if err != nil {
		return err
	}
	defer reg.Close()
	good := true
	for _, s := range registry.Subjects(service.FormatNamed(cfg.Format), schemas.Naming(cfg.Naming), cfg.Topics.Intents, cfg.Topics.Outcomes) {
		ok, err := do(ctx, reg, s, w.out)
		if err != nil {
			return err
		}
		good = good && ok
	}
	if !good {
		return errTold
	}
	return nil
}

func registerSubject(ctx context.Context, reg *registry.Registry, s registry.Subject, out io.Writer) (bool, error) {
	id, added, err := reg.Put(ctx, s)
	if registry.IsRefused(err) { // the others may be taken
		fmt.Fprintf(out, "%-10s %s: %v\n", "REFUSED", s.Name, err)
		return false, nil
	}
	if err != nil {
		return false, err
	}
	what := map[bool]string{true: "registered", false: "was there"}[added]
	fmt.Fprintf(out, "%-10s %s: %s as %s, id %d, %s\n", what, s.Name, s.Record, s.Format, id, s.Level)
	return true, nil
}

func checkSubject(ctx context.Context, reg *registry.Registry, s registry.Subject, out io.Writer) (bool, error) {
	st, err := reg.State(ctx, s)
	if err != nil {
		return false, err
	}
	if st.Versions == 0 {
		fmt.Fprintf(out, "ok     %s: not in the registry yet\n", s.Name)
		return true, nil
	}
	var wrong []string
	if st.Level != s.Level.String() {
		wrong = append(wrong, fmt.Sprintf("its compatibility is %s, want %s: run \"paylink schemas register\"", st.Level, s.Level))
	}
	ok, reasons, err := reg.Compatible(ctx, s)
	if err != nil {
		return false, err
	}
	if !ok {
		wrong = append(wrong, fmt.Sprintf("our schema may not follow the %d there, says the registry", st.Versions))
		wrong = append(wrong, reasons...)
	}
	if len(wrong) == 0 {
		fmt.Fprintf(out, "ok     %s: compatible with %d, %s\n", s.Name, st.Versions, st.Level)
		return true, nil
	}
	fmt.Fprintf(out, "BROKEN %s: %s\n", s.Name, strings.Join(wrong, "\n       "))
	return false, nil
}

func diffSubject(ctx context.Context, reg *registry.Registry, s registry.Subject, out io.Writer) (bool, error) {
	st, err := reg.State(ctx, s)
	if err != nil {
		return false, err
	}
	switch {
	case st.Versions == 0:
		fmt.Fprintf(out, "%s: not in the registry\n", s.Name)
		return false, nil
	case st.ID != 0 && st.Version == st.Versions:
		fmt.Fprintf(out, "%s: the same, version %d\n", s.Name, st.Version)
		return true, nil
	}
	lines := diffLines(pretty(st.Latest), pretty(s.Text()))
	if len(lines) == 0 {
		fmt.Fprintf(out, "%s: the same, but for white space\n", s.Name)
		return true, nil
	}
	fmt.Fprintf(out, "%s: - the registry's newest, + ours\n%s\n", s.Name, strings.Join(lines, "\n"))
	return false, nil
}
