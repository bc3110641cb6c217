// Command paylink reads payment intents from Kafka, asks Freedom Pay for a
// payment page for each, and publishes payment-created or payment-failed: one
// outcome per intent, ever.
//
// `paylink run` is the service. The other commands are the operator's tools;
// none of them changes a running service. Exit codes: 0 well, 1 failure,
// 2 bad usage or a bad setting.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"paylink/internal/config"
	"paylink/internal/kafkaio"
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
		Create   config.TopicsCreate   `cmd:"" help:"Create the three topics, and the one by which turns are lent, with settings the promise can rest on. Topics that exist are left as they are, and compared."`
		Describe config.TopicsDescribe `cmd:"" help:"Show the topics: partitions, replicas, settings that matter."`
	} `cmd:"" help:"Create or show the topics."`

	Explain config.Explain `cmd:"" help:"Tell the story of one intent, by its id, its order's or its payment's: what was emitted, what came of it, or why nothing has."`

	Verify    config.Verify    `cmd:"" help:"Judge, from the topics alone, whether every intent of a range has exactly one outcome; exit 1 if not. It needs no right but to read."`
	Reconcile config.Reconcile `cmd:"" help:"Compare intents, outcomes and dead letters of a range with what the gateway has; exit 1 if something differs, or could not be asked."`

	Replay  replayCmds     `cmd:"" help:"Put records on a topic again, or set the service's offsets; a dry run unless --execute is given."`
	Redrive config.Redrive `cmd:"" help:"Put dead letters back on the intent topic; a dry run unless --execute is given. Each is driven once, however the run ends."`

	Schemas schemasCmds  `cmd:"" help:"The contract as files, and what a schema registry has of it."`
	Sign    config.Sign  `cmd:"" help:"Sign, or verify, a flat JSON object of fields from standard input."`
	Ready   config.Ready `cmd:"" help:"Ask the service on this machine whether it is ready; exit 1 if not. A health check for containers, which have no curl."`
	Version struct{}     `cmd:"" help:"Print the version, as --version does."`

	Completion config.Completion `cmd:"" help:"Print what makes a shell complete verbs, flags and their values: source <(paylink completion bash)."`
	Help       config.Help       `cmd:"" help:"Print the help of a command, as --help after it does."`
}

// A world is what a command may touch beside the network.
type world struct {
	environ []string
	reload  <-chan struct{} // asks a running service to read its settings anew
	in      io.Reader
	out     io.Writer
	err     io.Writer
}

// getenv returns a variable of the world's environment, or "". The last one counts.
func (w world) getenv(name string) string {
	for _, pair := range slices.Backward(w.environ) {
		if key, value, _ := strings.Cut(pair, "="); key == name {
			return value
		}
	}
	return ""
}

func main() {
	if config.Completing() {
		os.Exit(exitCode(world{err: os.Stderr}, config.Complete(&cli{}, "paylink", os.Stdout)))
	}
	ctx, stop := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2) // so that none is lost, however close they come
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // it ends nothing: who reads our log may end before us, and a verb tidies up
	go func() {
		<-signals
		stop() // finish what is in flight
		<-signals
		os.Exit(exitFailure) // at once
	}()
	code := run(ctx, os.Args[1:], world{environ: os.Environ(), reload: hangups(), in: os.Stdin, out: os.Stdout, err: os.Stderr})
	stop()
	os.Exit(code)
}

// hangups tells of SIGHUP, once for as many as come before it is heard.
func hangups() <-chan struct{} {
	signals, told := make(chan os.Signal, 1), make(chan struct{}, 1)
	signal.Notify(signals, syscall.SIGHUP)
	go func() {
		for range signals {
			select {
			case told <- struct{}{}:
			default:
			}
		}
	}()
	return told
}

const description = "Reads payment intents from Kafka, asks Freedom Pay for a payment page for each, and publishes payment-created or payment-failed: one outcome per intent, ever."

// parse reads a command line.
func (c *cli) parse(args []string, w world) (*config.Parsed, error) {
	return config.Parse(c, config.Invocation{
		Name:        "paylink",
		Description: description,
		Args:        args, Environ: w.environ, Stdout: w.out, Stderr: w.err,
	})
}

// run runs one command line and returns its exit code.
func run(ctx context.Context, args []string, w world) int {
	log.SetOutput(io.Discard) // net/http prints there what comes unasked, whole: links, and what is said of payers
	var c cli
	code := exitOK
	if len(args) == 0 { // help, but not what a script meant
		args, w.out, code = []string{"--help"}, w.err, exitUsage
	}
	args = config.Usual(args)
	parsed, err := c.parse(args, w)
	if errors.Is(err, config.ErrHelp) {
		return code
	}
	if err != nil {
		warn(w, parsed.Warnings)
		complain(w, err)
		return exitUsage
	}
	out := &faithful{Writer: w.out}
	w.out = out
	err = c.do(ctx, parsed, args, w)
	switch {
	case errors.Is(out.err, syscall.EPIPE): // who reads has had enough
		err = errTold
	case err == nil || errors.Is(err, errTold):
		err = cmp.Or(out.err, err)
	}
	return exitCode(w, err)
}

// A faithful writer remembers why it could not write: a report that nobody got is none.
type faithful struct {
	io.Writer
	err error
}

func (f *faithful) Write(b []byte) (int, error) {
	n, err := f.Writer.Write(b)
	f.err = cmp.Or(f.err, err)
	return n, err
}

// do runs the command that was chosen.
func (c *cli) do(ctx context.Context, parsed *config.Parsed, args []string, w world) error {
	if parsed.Command != "run" {
		warn(w, parsed.Warnings)
	}
	if verb, ok := strings.CutPrefix(parsed.Command, "schemas "); ok {
		return c.Schemas.do(ctx, verb, w)
	}
	if verb, ok := strings.CutPrefix(parsed.Command, "replay "); ok {
		return c.Replay.do(ctx, verb, w)
	}
	switch parsed.Command {
	case "redrive":
		return redrive(ctx, c.Redrive, w)
	case "run":
		return serve(ctx, c.Run, parsed.Warnings, w, func() (config.Run, error) {
			var again cli
			_, err := again.parse(args, w)
			return again.Run, err
		})
	case "check":
		return check(ctx, c.Check, w)
	case "topics create":
		return topicsCreate(ctx, c.Topics.Create, w)
	case "topics describe":
		return topicsDescribe(ctx, c.Topics.Describe, w)
	case "explain":
		return explainID(ctx, c.Explain, w)
	case "verify":
		return verifyTopics(ctx, c.Verify, w)
	case "reconcile":
		return reconcileAll(ctx, c.Reconcile, w)
	case "sign":
		return sign(c.Sign, w)
	case "ready":
		return ready(ctx, c.Ready)
	case "completion":
		script, err := c.Completion.Script("paylink")
		fmt.Fprint(w.out, script)
		return err
	case "version":
		return version(w)
	}
	return fmt.Errorf("command %s is not built in", parsed.Command)
}

// complain prints an error; of bad settings, each has a line.
func complain(w world, err error) {
	lines := config.Lines(err)
	if len(lines) == 1 {
		lines[0] = withCommands(err)
	}
	for _, line := range lines {
		fmt.Fprintln(w.err, "paylink:", line)
	}
}

func warn(w world, warnings []string) {
	for _, s := range warnings {
		fmt.Fprintln(w.err, "paylink: warning:", s)
	}
}

// errTold is a failure whose lines have been printed already.
var errTold = errors.New("told")

// withCommands is what an error says, and where the commands are that mend it if it is
// about a right.
func withCommands(err error) string {
	if _, ok := errors.AsType[*kafkaio.RightError](err); ok {
		return err.Error() + "; deploy/rights.md has the commands"
	}
	return err.Error()
}

func exitCode(w world, err error) int {
	if err == nil {
		return exitOK
	}
	if !errors.Is(err, errTold) {
		complain(w, err)
	}
	if _, ok := errors.AsType[*config.Error](err); ok {
		return exitUsage
	}
	return exitFailure
}
