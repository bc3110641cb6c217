package config

import (
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/alecthomas/kong"

	"paylink/internal/payment"
)

// helpWidth fits a terminal of 80 columns and a page of the README.
const helpWidth = 80

// help prints all there is to know of a command: each setting with its flag,
// its variable, its default and what it is for. It is kong's HelpPrinter.
func (s *sources) help(_ kong.HelpOptions, ctx *kong.Context) error {
	node := ctx.Selected()
	if node == nil {
		node = ctx.Model.Node
	}
	var b strings.Builder
	path := strings.TrimSpace(ctx.Model.Name + " " + commandOf(ctx))
	fmt.Fprintf(&b, "Usage: %s%s [flags]\n\n", path, map[bool]string{true: " <command>"}[len(node.Children) > 0])
	wrap(&b, "", strings.TrimSpace(node.Help))
	if node.Detail != "" {
		b.WriteString("\n")
		wrap(&b, "", node.Detail)
	}
	writeCommands(&b, ctx.Model.Name, node)
	writeSettings(&b, node)
	_, err := io.WriteString(ctx.Stdout, b.String())
	return err
}

func writeCommands(b *strings.Builder, app string, node *kong.Node) {
	if len(node.Children) == 0 {
		return
	}
	b.WriteString("\nCommands:\n")
	for _, leaf := range node.Leaves(true) {
		fmt.Fprintf(b, "  %s\n", strings.TrimPrefix(leaf.FullPath(), app+" "))
		wrap(b, "      ", leaf.Help)
	}
	fmt.Fprintf(b, "\nRun \"%s <command> --help\" for the settings of a command.\n", app)
}

// writeSettings prints the settings of a command, group by group.
func writeSettings(b *strings.Builder, node *kong.Node) {
	var titles []string
	groups := map[string][]*kong.Flag{}
	variables := false
	for _, f := range node.Flags {
		title := "Flags"
		if f.Group != nil {
			title = f.Group.Title
		}
		if _, ok := groups[title]; !ok {
			titles = append(titles, title)
		}
		groups[title] = append(groups[title], f)
		variables = variables || f.Tag.Has(envTag)
	}
	if variables {
		b.WriteString("\n")
		wrap(b, "", "A setting is taken from its flag, else from its environment variable, else from the settings file (--config), else it has its default. Secrets are never flags. Durations have units: 1500ms, 30s, 5m, 168h.")
	}
	for _, title := range titles {
		fmt.Fprintf(b, "\n%s:\n", title)
		for _, f := range groups[title] {
			writeSetting(b, f)
		}
	}
}

func writeSetting(b *strings.Builder, f *kong.Flag) {
	env := f.Tag.Get(envTag)
	name := "--" + f.Name
	if f.Short != 0 {
		name = "-" + string(f.Short) + ", " + name
	}
	switch {
	case f.Target.Type() == reflect.TypeFor[payment.Secret]():
		name, env = env, "(not a flag)"
	case !f.IsBool():
		name += "=" + placeholder(f)
	}
	line := strings.TrimRight(fmt.Sprintf("  %-40s %s", name, env), " ")
	switch {
	case f.Tag.Has("must"):
		line += "  required"
	case f.HasDefault && f.Default != "":
		line += "  default: " + f.Default
	}
	b.WriteString(line + "\n")
	wrap(b, "      ", f.Help)
}

func placeholder(f *kong.Flag) string {
	if f.PlaceHolder != "" {
		return f.PlaceHolder
	}
	if f.Enum != "" {
		return strings.ReplaceAll(strings.Trim(f.Enum, ","), ",", "|")
	}
	switch f.Target.Type().String() {
	case "time.Duration":
		return "DURATION"
	case "int":
		return "NUMBER"
	case "pace.Rate":
		return "RATE"
	}
	last := f.Name[strings.LastIndexByte(f.Name, '-')+1:]
	return strings.ToUpper(last)
}

// wrap writes a text in lines of helpWidth.
func wrap(b *strings.Builder, indent, text string) {
	for paragraph := range strings.SplitSeq(text, "\n\n") {
		column := 0
		for _, word := range strings.Fields(paragraph) {
			switch {
			case column == 0:
				b.WriteString(indent + word)
				column = len(indent)
			case column+1+len(word) > helpWidth:
				b.WriteString("\n" + indent + word)
				column = len(indent)
			default:
				b.WriteString(" " + word)
				column++
			}
			column += len(word)
		}
		b.WriteString("\n")
	}
}
