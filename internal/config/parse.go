package config

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

// An Invocation is one start of a program.
type Invocation struct {
	Name        string // of the program
	Description string // what it is for, above its help
	Args        []string
	Environ     []string // as os.Environ gives it
	Stdout      io.Writer
	Stderr      io.Writer
}

// ErrHelp says that help was asked for, and has been printed on Stdout.
var ErrHelp = errors.New("help was printed")

// A Parsed is a command line that was understood and whose settings are sound.
type Parsed struct {
	Command  string   // the verb, such as "topics create"
	Warnings []string // sentences for the log; nothing stops for them
}

// A preparer is a command's settings that check themselves once all values are in.
type preparer interface{ Prepare() error }

// A warner has something to say about settings that are allowed but doubtful.
type warner interface{ Warnings() []string }

// Parse fills grammar, a pointer to a struct of commands as kong knows them,
// from arguments, environment and settings file, and prepares the command that
// was chosen. It returns ErrHelp if help was asked for; any other error is bad
// usage, or all the bad settings there are: an *Error, or Errors.
func Parse(grammar any, inv Invocation) (*Parsed, error) {
	src := newSources(inv.Environ)
	helped := false
	k, err := kong.New(grammar, append(mappers(src.unread.note),
		kong.Name(inv.Name), kong.Description(inv.Description),
		kong.Writers(inv.Stdout, inv.Stderr),
		kong.Exit(func(int) { helped = true }),
		kong.Help(src.help), kong.Resolvers(src))...)
	if err != nil {
		return &Parsed{}, fmt.Errorf("build the command line: %w", err)
	}
	src.adopt(k.Model.Node)
	ctx, err := k.Parse(inv.Args)
	p := &Parsed{Warnings: append(src.unknownVariables(), badProxies(inv.Environ)...)}
	if helped {
		return p, ErrHelp
	}
	if err != nil {
		return p, src.unread.and(oneLine(inv.Name, err))
	}
	if err := nothingEmpty(ctx); err != nil {
		return p, src.unread.and(err)
	}
	return p, src.unread.and(p.prepare(ctx))
}

// nothingEmpty refuses the empty text of a variable that is not set, where it would
// mean all intents: --intent "$ID".
func nothingEmpty(ctx *kong.Context) error {
	for _, p := range ctx.Path {
		if p.Flag == nil || p.Resolved || p.Flag.Group == nil {
			continue
		}
		switch p.Flag.Group.Key {
		case "Range", "Replay", "Target, one of them":
			if v := ctx.FlagValue(p.Flag); fmt.Sprint(v) == "" || fmt.Sprint(v) == "[]" {
				return problem("--"+p.Flag.Name, "is empty; leave the flag out, or give a value")
			}
		}
	}
	return nil
}

// prepare lets the chosen command check its settings.
func (p *Parsed) prepare(ctx *kong.Context) error {
	p.Command = commandOf(ctx)
	target := ctx.Selected().Target.Addr().Interface()
	if t, ok := target.(preparer); ok {
		if err := t.Prepare(); err != nil {
			return err
		}
	}
	if t, ok := target.(warner); ok {
		p.Warnings = append(p.Warnings, t.Warnings()...)
	}
	return nil
}

// commandOf joins the names of the commands that were chosen.
func commandOf(ctx *kong.Context) string {
	var names []string
	for _, p := range ctx.Path {
		if p.Command != nil {
			names = append(names, p.Command.Name)
		}
	}
	return strings.Join(names, " ")
}

// oneLine takes kong's wrapping off our own errors, and says where to read on
// after one of kong's.
func oneLine(name string, err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return problem("", "%s; see %s --help", strings.ReplaceAll(err.Error(), "\n", " "), name)
}

// Default returns the settings of the service with every default in place and
// nothing that is required.
func Default() (Run, error) {
	var r Run
	p, err := kong.New(&r, mappers(nil)...)
	if err != nil {
		return Run{}, fmt.Errorf("defaults: %w", err)
	}
	newSources(nil).adopt(p.Model.Node)
	if _, err = p.Parse(nil); err != nil {
		return Run{}, fmt.Errorf("defaults: %w", err)
	}
	return r, nil
}
