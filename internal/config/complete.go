package config

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/willabides/kongplete"

	"paylink/internal/payment"
)

// Completion is the settings of `completion`, of both commands.
type Completion struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// scripts make a shell ask the program itself how a line can go on.
var scripts = map[string]string{
	"bash": `complete -o default -C "%[2]s" %[1]s` + "\n",
	"zsh":  "autoload -U +X bashcompinit && bashcompinit\n" + `complete -o default -C "%[2]s" %[1]s` + "\n",
	"fish": `function __complete_%[3]s
    set -lx COMP_LINE (commandline -cp)
    test -z (commandline -ct)
    and set COMP_LINE "$COMP_LINE "
    %[2]s
end
complete -c %[1]s -a "(__complete_%[3]s)"
`,
}

// Script returns what the shell is to read at its start, for the program of that
// name that runs now.
func (c Completion) Script(name string) (string, error) {
	exe, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find the program's own file: %w", err)
	}
	return fmt.Sprintf(scripts[c.Shell], name, "'"+exe+"'", strings.ReplaceAll(name, "-", "_")), nil
}

// Completing reports whether a shell has started the program to ask it how a line
// goes on. The library looks into the process's environment for the line.
func Completing() bool { return os.Getenv("COMP_LINE") != "" }

// Complete answers a shell: verbs, flags and the values of enums, one per line.
// Where it has no answer the shell completes file names.
func Complete(grammar any, name string, out io.Writer) error {
	k, err := kong.New(grammar, append(mappers(nil), kong.Name(name), kong.Writers(out, io.Discard))...)
	if err != nil {
		return fmt.Errorf("build the command line: %w", err)
	}
	hideSecrets(k.Model.Node)
	kongplete.Complete(k, kongplete.WithExitFunc(func(int) {}), kongplete.WithErrorHandler(func(e error) { err = cmp.Or(err, e) }))
	return err
}

// hideSecrets takes out what is never a flag.
func hideSecrets(n *kong.Node) {
	for _, f := range n.Flags {
		f.Hidden = f.Hidden || f.Target.Type() == reflect.TypeFor[payment.Secret]()
	}
	for _, child := range n.Children {
		hideSecrets(child)
	}
}
