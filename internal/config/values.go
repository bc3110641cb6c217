package config

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"paylink/internal/payment"
)

// mappers are how values of our settings are read. A value that note takes over
// gives way to the default; what it does not, and all if it is nil, is an error.
func mappers(note func(*kong.Value, error) bool) []kong.Option {
	read := func(decode kong.MapperFunc) kong.Mapper { return kong.MapperFunc(orDefault(decode, note)) }
	return []kong.Option{
		kong.KindMapper(reflect.String, read(decodeText)),
		kong.KindMapper(reflect.Int, read(decodeInt)),
		kong.TypeMapper(reflect.TypeFor[[]string](), read(decodeList)),
		kong.TypeMapper(reflect.TypeFor[time.Duration](), read(decodeDuration)),
		kong.TypeMapper(reflect.TypeFor[Rate](), read(decodeRate)),
	}
}

func orDefault(decode kong.MapperFunc, note func(*kong.Value, error) bool) kong.MapperFunc {
	return func(ctx *kong.DecodeContext, target reflect.Value) error {
		err := decode(ctx, target)
		if err == nil || note == nil || !note(ctx.Value, err) {
			return err
		}
		target.SetZero()
		if ctx.Value.Default == "" {
			return nil
		}
		usual := kong.ScanFromTokens(kong.Token{Type: kong.FlagValueToken, Value: ctx.Value.Default})
		return decode(&kong.DecodeContext{Value: ctx.Value, Scan: usual}, target)
	}
}

// A given is a value from the environment or the settings file: what it says,
// and where it was found.
type given struct {
	from string
	text string
	list []string // of a YAML list; nil: text
}

// pop takes the next value and the name of the place it comes from.
func pop(ctx *kong.DecodeContext) (given, error) {
	tok, err := ctx.Scan.PopValue(ctx.Value.Name)
	if err != nil {
		return given{}, err
	}
	if g, ok := tok.Value.(given); ok {
		return g, nil
	}
	return given{from: flagName(ctx.Value), text: fmt.Sprint(tok.Value)}, nil
}

// one pops a value that must not be a list.
func one(ctx *kong.DecodeContext) (given, error) {
	g, err := pop(ctx)
	if err == nil && g.list != nil {
		return g, problem(g.from, "is a list; write one value")
	}
	return g, err
}

// flagName says which flag a value was given by, and its variable if it has one.
func flagName(v *kong.Value) string {
	name := v.ShortSummary()
	if env := v.Tag.Get(envTag); env != "" {
		name += " (" + env + ")"
	}
	return name
}

func decodeText(ctx *kong.DecodeContext, target reflect.Value) error {
	g, err := one(ctx)
	if err != nil {
		return err
	}
	if target.Type() == reflect.TypeFor[payment.Secret]() && strings.HasPrefix(g.from, "--") {
		return problem(g.from, "secrets are not taken from the command line, where others can read them; set the variable %s or %[1]s_FILE", ctx.Value.Tag.Get(envTag))
	}
	if ctx.Value.Enum != "" {
		allowed := ctx.Value.EnumSlice()
		i := slices.IndexFunc(allowed, func(word string) bool { return strings.EqualFold(word, g.text) })
		if i < 0 {
			return problem(g.from, "%q is not known; use %s", g.text, choices(allowed))
		}
		g.text = allowed[i]
	}
	target.SetString(g.text)
	return nil
}

// choices lists what may be written; the empty word stands for the default.
func choices(words []string) string {
	words = slices.DeleteFunc(slices.Clone(words), func(s string) bool { return s == "" })
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

func decodeInt(ctx *kong.DecodeContext, target reflect.Value) error {
	g, err := one(ctx)
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(g.text)
	if err != nil {
		return problem(g.from, "%q is no whole number", g.text)
	}
	target.SetInt(int64(n))
	return nil
}

func decodeList(ctx *kong.DecodeContext, target reflect.Value) error {
	g, err := pop(ctx)
	if err != nil {
		return err
	}
	items := g.list
	if items == nil {
		items = strings.Split(g.text, ",")
	}
	for _, item := range items {
		if item = strings.TrimSpace(item); item != "" { // a comma too many names nothing
			target.Set(reflect.Append(target, reflect.ValueOf(item)))
		}
	}
	return nil
}

func decodeDuration(ctx *kong.DecodeContext, target reflect.Value) error {
	g, err := one(ctx)
	if err != nil {
		return err
	}
	d, err := time.ParseDuration(strings.ToLower(g.text))
	if err != nil {
		return problem(g.from, "%q is no duration; write a number with its unit, such as 1500ms, 30s, 5m or 168h", g.text)
	}
	if d <= 0 {
		return problem(g.from, "%s is no time to wait; write more than 0", g.text)
	}
	target.SetInt(int64(d))
	return nil
}

func decodeRate(ctx *kong.DecodeContext, target reflect.Value) error {
	g, err := one(ctx)
	if err != nil {
		return err
	}
	if err := target.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(g.text)); err != nil {
		return problem(g.from, "%q %v", g.text, err)
	}
	return nil
}

// boolean reads a switch from the environment or the settings file. Flags are
// read by kong.
func boolean(g given) (bool, error) {
	switch strings.ToLower(g.text) {
	case "true", "1", "yes", "on":
		return true, nil
	case "false", "0", "no", "off":
		return false, nil
	}
	return false, problem(g.from, "%q is neither true nor false", g.text)
}
