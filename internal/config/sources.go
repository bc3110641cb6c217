package config

import (
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"paylink/internal/payment"
)

// envTag is the struct tag that names a setting's variable; prefix is what all
// our variables begin with.
const (
	envTag = "env"
	prefix = "PAYLINK_"
)

// sources is where settings come from beside flags: the environment, then the
// settings file. It is kong's Resolver.
type sources struct {
	environ map[string]string
	known   map[string]bool // every variable of the program
	file    *settingsFile   // nil: not read yet
	unread  unread
}

func newSources(environ []string) *sources {
	s := &sources{environ: map[string]string{}, known: map[string]bool{}, unread: unread{settings: map[string]bool{}}}
	for _, e := range environ {
		if name, value, ok := strings.Cut(e, "="); ok && strings.HasPrefix(name, prefix) {
			s.environ[name] = value
		}
	}
	return s
}

// adopt learns the variables of all commands, and takes them out of the model so
// that kong does not ask the process's own environment.
func (s *sources) adopt(n *kong.Node) {
	for _, f := range n.Flags {
		for _, env := range f.Envs {
			s.known[env] = true
		}
		f.Envs, f.Tag.Envs = nil, nil
	}
	for _, child := range n.Children {
		s.adopt(child)
	}
}

// Validate has nothing to add: unknown keys are found when the file is read.
func (s *sources) Validate(*kong.Application) error { return nil }

// Resolve gives a setting that no flag has set; nil leaves the default.
func (s *sources) Resolve(ctx *kong.Context, _ *kong.Path, f *kong.Flag) (any, error) {
	name := f.Tag.Get(envTag)
	if name == "" {
		return nil, nil
	}
	if v := trimmed(f, s.environ[name]); v != "" {
		return s.typed(f, given{from: name, text: v})
	}
	if err := s.readFile(ctx); err != nil {
		return nil, err
	}
	if g, ok := s.file.values[keyOf(name)]; ok {
		g.text = trimmed(f, g.text)
		return s.typed(f, g)
	}
	return nil, nil
}

// trimmed takes off a value what files and shells leave around it, such as the end
// of a line. Blanks may be part of a secret.
func trimmed(f *kong.Flag, value string) string {
	if f.Target.Type() == reflect.TypeFor[payment.Secret]() {
		return value
	}
	return strings.TrimSpace(value)
}

func (s *sources) typed(f *kong.Flag, g given) (any, error) {
	if !f.IsBool() {
		return g, nil
	}
	on, err := boolean(g)
	if err != nil && s.unread.note(f.Value, err) {
		return nil, nil
	}
	return on, err
}

// keyOf returns the key of a variable in the settings file.
func keyOf(variable string) string { return strings.ToLower(strings.TrimPrefix(variable, prefix)) }

// readFile reads the settings file, once.
func (s *sources) readFile(ctx *kong.Context) error {
	if s.file != nil {
		return nil
	}
	s.file = &settingsFile{}
	path, from := strings.TrimSpace(s.environ[prefix+"CONFIG"]), prefix+"CONFIG"
	for _, p := range ctx.Path {
		for _, f := range p.Flags {
			if v, ok := ctx.FlagValue(f).(File); ok && v != "" {
				path, from = string(v), "--config"
			}
		}
	}
	if path == "" {
		return nil
	}
	data, err := readText(path, maxFile)
	if err != nil {
		return problem(from, "%v", err)
	}
	var unknown []error
	s.file, unknown, err = parseSettings(path, data, s.known)
	s.unread.problems = append(s.unread.problems, unknown...)
	return err
}

// unknownVariables warns of variables that look like ours and are not, each
// with the nearest that is.
func (s *sources) unknownVariables() []string {
	var warnings []string
	for _, name := range slices.Sorted(maps.Keys(s.environ)) {
		if !s.known[name] && !ofKubernetes(name, s.environ[name]) {
			warnings = append(warnings, fmt.Sprintf("unknown variable %s is ignored; the nearest known one is %s", name, nearest(name, s.known)))
		}
	}
	return warnings
}

// badProxies warns of proxies in the environment that cannot be read: Go goes past
// them, or to another host, and says nothing.
func badProxies(environ []string) (warnings []string) {
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		if n := strings.ToUpper(name); n != "HTTP_PROXY" && n != "HTTPS_PROXY" || value == "" {
			continue
		}
		if !strings.Contains(value, "://") {
			value = "http://" + value
		}
		if u, err := url.Parse(value); err != nil || u.Hostname() == "" {
			warnings = append(warnings, name+" is no address of a proxy and does not work; write http://host:port, and special characters of a password as %XX")
		}
	}
	return warnings
}

// serviceVariable is what Kubernetes calls variables that it makes of a service
// whose name begins with paylink.
var serviceVariable = regexp.MustCompile(`^PAYLINK_([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

// ofKubernetes reports whether a variable was made by Kubernetes. Those called
// PORT hold a URL; with anything else, somebody meant a setting.
func ofKubernetes(name, value string) bool {
	return serviceVariable.MatchString(name) && (!strings.HasSuffix(name, "_PORT") || strings.Contains(name, "_SERVICE_") || portPart.MatchString(name) || strings.Contains(value, "://"))
}

// portPart is the variable of a service's port that is a number indeed.
var portPart = regexp.MustCompile(`_PORT_[0-9]+_(TCP|UDP|SCTP)_PORT$`)

// nearest returns the known word with the least edits to it.
func nearest(word string, known map[string]bool) string {
	best, least := "", int(^uint(0)>>1)
	for _, k := range slices.Sorted(maps.Keys(known)) {
		if d := distance(word, k); d < least {
			best, least = k, d
		}
	}
	return best
}

// distance is the number of letters to insert, delete or change to make a into b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(row[j+1]+1, row[j]+1, change)
		}
	}
	return row[len(b)]
}
