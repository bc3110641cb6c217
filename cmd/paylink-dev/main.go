// Command paylink-dev is everything around paylink for a laptop, without
// Docker: an embedded Kafka broker and schema registry, the gateway simulator,
// sample intents, and the service itself.
//
// Without arguments it runs all of it in one process and prints the first
// payment link within seconds. The parts are there one by one as well, each
// against any broker; bench measures the service beside the plainest loop that
// could do its work. Nothing here is meant for production.
package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/alecthomas/kong"

	"paylink/internal/config"
)

// The exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// A cli is all commands; its tags are the manual.
type cli struct {
	Run      runCmd      `cmd:"" default:"withargs" help:"Run the whole system in this process (the default)."`
	Broker   brokerCmd   `cmd:"" help:"Run an embedded Kafka broker."`
	Gateway  gatewayCmd  `cmd:"" help:"Run the gateway simulator."`
	Registry registryCmd `cmd:"" help:"Run an embedded schema registry."`
	Emit     emitCmd     `cmd:"" help:"Publish intents: from a file, from standard input, or samples at a rate."`
	Watch    watchCmd    `cmd:"" help:"Show outcomes and dead letters as they come."`
	Bench    benchCmd    `cmd:"" help:"Measure the service: throughput, latency, CPU and allocations per intent."`

	Completion completionCmd `cmd:"" help:"Print what makes a shell complete verbs, flags and their values: source <(paylink-dev completion bash)."`

	Ready readyCmd `cmd:"" help:"Exit 0 if a page answers well: a health check for containers."`

	Version versionCmd  `cmd:"" help:"Print the version, as --version does."`
	Help    config.Help `cmd:"" help:"Print the help of a command, as --help after it does."`

	BenchChild benchChildCmd `cmd:"" hidden:""`
}

// A world is what a command may touch: results go to out, everything else to err.
type world struct {
	in       io.Reader
	out, err io.Writer
}

// A completionCmd prints a shell's script.
type completionCmd struct {
	config.Completion `embed:""`
}

// Run prints it.
func (c completionCmd) Run(w world) error {
	script, err := c.Script("paylink-dev")
	fmt.Fprint(w.out, script)
	return err
}

func main() {
	if config.Completing() {
		if err := config.Complete(&cli{}, "paylink-dev", os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "paylink-dev:", err)
			os.Exit(exitFailure)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	code := run(ctx, os.Args[1:], world{os.Stdin, os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}

const description = "Everything around paylink for a laptop: broker, schema registry, gateway simulator, sample intents and the service, in one process."

// release is the version that the build was given (-ldflags "-X main.release=…").
var release string

// A versionCmd prints which build this is.
type versionCmd struct{}

// Run prints it.
func (versionCmd) Run(w world) error {
	v := release
	if info, ok := debug.ReadBuildInfo(); ok && v == "" {
		v = info.Main.Version
	}
	_, err := fmt.Fprintf(w.out, "paylink-dev %s %s %s/%s\n", cmp.Or(v, "(devel)"), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// run runs one command line and returns its exit code.
func run(ctx context.Context, args []string, w world) int {
	var c cli
	exited := -1 // kong has answered by itself, as for --help
	parser, err := kong.New(&c,
		kong.Name("paylink-dev"),
		kong.Description(description),
		kong.Writers(w.out, w.err),
		kong.Exit(func(code int) { exited = code }),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(w),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 120}),
	)
	if err != nil {
		fmt.Fprintln(w.err, "paylink-dev:", err)
		return exitFailure
	}
	parsed, err := parser.Parse(config.Usual(args))
	if exited >= 0 {
		return exited
	}
	if err != nil {
		fmt.Fprintf(w.err, "paylink-dev: %v\nTry paylink-dev --help.\n", err)
		return exitUsage
	}
	if err := parsed.Run(); err != nil {
		fmt.Fprintln(w.err, "paylink-dev:", err)
		return exitFailure
	}
	return exitOK
}
