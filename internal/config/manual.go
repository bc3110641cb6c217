package config

import (
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/alecthomas/kong"

	"paylink/internal/payment"
)

// Help is the settings of `help`, of both commands. Usual makes --help of it.
type Help struct {
	Command []string `arg:"" optional:"" help:"The command; none: all commands."`
}

// Usual turns what everybody tries into what the grammar has: --version is the
// verb, and help COMMAND is COMMAND --help.
func Usual(args []string) []string {
	switch {
	case len(args) == 1 && args[0] == "--version":
		return []string{"version"}
	case len(args) > 0 && args[0] == "help":
		return append(append([]string(nil), args[1:]...), "--help")
	}
	return args
}

// Manual returns a program's page for man(1), section 1: its commands with their
// flags, and once, for all of them, the settings that have variables.
func Manual(grammar any, name, description string) (string, error) {
	k, err := kong.New(grammar, append(mappers(nil), kong.Name(name), kong.Writers(io.Discard, io.Discard))...)
	if err != nil {
		return "", fmt.Errorf("build the command line: %w", err)
	}
	var b, settings strings.Builder
	short := description[:strings.IndexAny(description+",", ",:")] // for whatis(1)
	fmt.Fprintf(&b, ".TH %s 1\n.SH NAME\n%s \\- %s\n.SH SYNOPSIS\n.B %s\n.I command\n.RI [ flags ]\n.SH DESCRIPTION\n%s\n.SH COMMANDS\n",
		strings.ToUpper(roff(name)), roff(name), roff(short), roff(name), roff(description))
	told := map[string]bool{}
	for _, leaf := range k.Model.Leaves(true) {
		fmt.Fprintf(&b, ".SS %s\n%s\n", roff(synopsis(leaf)), roff(leaf.Help))
		for _, f := range leaf.Flags {
			env := f.Tag.Get(envTag)
			switch {
			case f.Name == "help" || f.Hidden:
			case env == "":
				writeItem(&b, f, "--"+f.Name)
			case !told[env]:
				told[env] = true
				writeItem(&settings, f, env)
			}
		}
	}
	if settings.Len() > 0 {
		b.WriteString(".SH SETTINGS\nA setting is taken from its flag, else from its variable, else from the settings file, where its key is the variable's name in lower case without PAYLINK_.\n" + settings.String())
	}
	b.WriteString(".SH EXIT STATUS\n0: well. 1: failure, or something is wrong. 2: bad usage, or a bad setting.\n")
	return b.String(), nil
}

// synopsis is a command with its arguments.
func synopsis(leaf *kong.Node) string {
	s := leaf.FullPath()
	for _, p := range leaf.Positional {
		s += " " + p.Summary()
	}
	return s
}

// writeItem writes a flag or setting, with what it means.
func writeItem(b *strings.Builder, f *kong.Flag, name string) {
	var also string
	switch secret := f.Target.Type() == reflect.TypeFor[payment.Secret](); {
	case secret:
		also = ", not a flag"
	case !strings.HasPrefix(name, "--"):
		also = ", --" + f.Name
	}
	switch {
	case f.Tag.Has("must"):
		also += "; required"
	case f.HasDefault && f.Default != "":
		also += "; default: " + f.Default
	}
	fmt.Fprintf(b, ".TP\n.BR %s \"%s\"\n%s\n", roff(name), strings.ReplaceAll(roff(also), `"`, `\(dq`), roff(f.Help))
}

// roff escapes a text: nothing of it is a request.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "\n", " ", "…", "...").Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		return `\&` + text
	}
	return text
}
