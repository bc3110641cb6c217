// Command paylink reads payment intents from Kafka, asks Freedom Pay for a
// payment page for each, and publishes payment-created or payment-failed: one
// outcome per intent, ever.
//
// `paylink run` is the service. The other commands are the operator's tools;
// none of them changes a running service. Exit codes: 0 well, 1 failure,
// 2 bad usage or a bad setting.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"paylink/internal/config"
)

// The exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// A cli is all commands; config has the manual of each.
type cli struct {
	Run    config.Run   `cmd:"" help:"Run the service: intents in, payment links out."`
	Check  config.Check `cmd:"" help:"Look at everything the service needs, before it starts; exit 1 if something is wrong. It publishes no record: the fence is tried with an empty, aborted transaction, which leaves nothing but a marker that no consumer sees."`
	Topics struct {
		Create   config.TopicsCreate   `cmd:"" help:"Create the three topics with settings the promise can rest on. Topics that exist are left as they are, and compared."`
		Describe config.TopicsDescribe `cmd:"" help:"Show the three topics: partitions, replicas, settings that matter."`
	} `cmd:"" help:"Create or show the topics."`
	Sign    config.Sign `cmd:"" help:"Sign, or verify, a flat JSON object of fields from standard input."`
	Version struct{}    `cmd:"" help:"Print the version."`
}

// A world is what a command may touch beside the network.
type world struct {
	environ []string
	in      io.Reader
	out     io.Writer
	err     io.Writer
}

func main() {
	ctx, stop := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2) // so that none is lost, however close they come
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		stop() // finish what is in flight
		<-signals
		os.Exit(exitFailure) // at once
	}()
	code := run(ctx, os.Args[1:], world{os.Environ(), os.Stdin, os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}

// run runs one command line and returns its exit code.
func run(ctx context.Context, args []string, w world) int {
	var c cli
	out, code := w.out, exitOK
	if len(args) == 0 { // help, but not what a script meant
		args, out, code = []string{"--help"}, w.err, exitUsage
	}
	parsed, err := config.Parse(&c, config.Invocation{
		Name:        "paylink",
		Description: "Reads payment intents from Kafka, asks Freedom Pay for a payment page for each, and publishes payment-created or payment-failed: one outcome per intent, ever.",
		Args:        args, Environ: w.environ, Stdout: out, Stderr: w.err,
	})
	if errors.Is(err, config.ErrHelp) {
		return code
	}
	if err != nil {
		warn(w, parsed.Warnings)
		fmt.Fprintln(w.err, "paylink:", err)
		return exitUsage
	}
	return exitCode(w, c.do(ctx, parsed, w))
}

// do runs the command that was chosen.
func (c *cli) do(ctx context.Context, parsed *config.Parsed, w world) error {
	if parsed.Command != "run" {
		warn(w, parsed.Warnings)
	}
	switch parsed.Command {
	case "run":
		return serve(ctx, c.Run, parsed.Warnings, w)
	case "check":
		return check(ctx, c.Check, w)
	case "topics create":
		return topicsCreate(ctx, c.Topics.Create, w)
	case "topics describe":
		return topicsDescribe(ctx, c.Topics.Describe, w)
	case "sign":
		return sign(c.Sign, w)
	case "version":
		return version(w)
	}
	return fmt.Errorf("command %s is not built in", parsed.Command)
}

func warn(w world, warnings []string) {
	for _, s := range warnings {
		fmt.Fprintln(w.err, "paylink: warning:", s)
	}
}

// errTold is a failure whose lines have been printed already.
var errTold = errors.New("told")

func exitCode(w world, err error) int {
	if err == nil {
		return exitOK
	}
	if !errors.Is(err, errTold) {
		fmt.Fprintln(w.err, "paylink:", err)
	}
	if _, ok := errors.AsType[*config.Error](err); ok {
		return exitUsage
	}
	return exitFailure
}
