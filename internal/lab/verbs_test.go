package lab

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"paylink/internal/config"
	"paylink/internal/event"
	"paylink/internal/event/outcomes"
	"paylink/internal/facts"
	"paylink/internal/history"
	"paylink/internal/kafkaio"
	"paylink/internal/kafkaops"
	"paylink/internal/payment"
	"paylink/internal/reconcile"
	"paylink/internal/service"
)

// The operator's verbs as rules: each must say of a history what the judge knows of it.
const (
	ruleVerify    = "verify"
	ruleReconcile = "reconcile"
)

// reconcileEvery says which seeds reconcile is run for: it takes a fifth of the time
// of a history, verify a sixteenth.
const reconcileEvery = 3

// differences runs verify and reconcile on what is left of a history, and returns
// where they do not say what they ought to.
func (s *scene) differences(h history.Run, v history.Verdict) (out []history.Violation) {
	differs := func(rule, format string, args ...any) {
		out = append(out, history.Violation{Rule: rule, Story: fmt.Sprintf(format, args...)})
	}
	a, err := s.openArchive(s.vn.DialContext)
	if err != nil {
		differs(ruleVerify, "it cannot begin: %v", err)
		return out
	}
	defer a.close()
	s.sim.Behave() // what the gateway says of its payments now is not what is tried
	s.sim.SetLatency(nil)
	if s.plan.world.tampered {
		if h, err = s.tamper(h, a); err != nil {
			differs(ruleVerify, "%v", err)
			return out
		}
		v = history.Judge(h)
	}
	due := s.leftOf(h).report(v)
	for _, verb := range []struct {
		rule string
		run  func(context.Context) ([]string, error)
		due  []string
	}{{ruleVerify, a.verify, due.verify}, {ruleReconcile, a.reconcile, due.reconcile}} {
		if verb.rule == ruleReconcile && s.plan.seed%reconcileEvery != 0 && !s.plan.mistaken() {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		said, err := verb.run(ctx)
		cancel()
		if err != nil {
			differs(verb.rule, "it ended: %v", err)
			continue
		}
		if unsaid := without(verb.due, said); len(unsaid) > 0 {
			differs(verb.rule, "it does not say:\n  %s", strings.Join(unsaid, "\n  "))
		}
		if undue := without(said, verb.due); len(undue) > 0 {
			differs(verb.rule, "it says, and ought not to:\n  %s", strings.Join(undue, "\n  "))
		}
	}
	return out
}

// without returns the lines of all that are not among others, as often as they are
// missing there.
func without(all, others []string) (rest []string) {
	left := map[string]int{}
	for _, line := range others {
		left[line]++
	}
	for _, line := range all {
		if left[line]--; left[line] < 0 {
			rest = append(rest, line)
		}
	}
	slices.Sort(rest)
	return rest
}

// An archive is what the verbs read, put together as cmd/paylink does it.
type archive struct {
	facts   *facts.Reader
	kafka   *kafkaops.Reader
	asking  config.Asking
	dial    service.Dialer // of the gateway
	broker  kafkaio.Connection
	dir     string
	closers []func()
}

// openArchive is for members' settings.
func (s *scene) openArchive(dial service.Dialer) (a *archive, err error) {
	cfg := s.all()[0].settings(&life{name: "verbs"})
	a = &archive{asking: config.Asking{Gateway: cfg.Gateway, Merchants: cfg.Merchants}, dial: s.dialAway, broker: service.Connection(cfg.Kafka.Broker, dial)}
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	if a.dir, err = os.MkdirTemp("", "paylink-lab-"); err != nil {
		return nil, err
	}
	a.closers = append(a.closers, func() { _ = os.RemoveAll(a.dir) })
	var known event.Schemas
	if cfg.Events.RegistryURL != "" {
		reg, err := service.Registry(cfg.Events.Registry, false, s.dialAway)
		if err != nil {
			return nil, err
		}
		known, a.closers = reg, append(a.closers, reg.Close)
	}
	t := facts.Topics(cfg.Topics)
	if a.kafka, err = kafkaops.NewReader(a.broker, t.Intents, t.Outcomes, t.DeadLetters); err != nil {
		return nil, err
	}
	a.closers = append(a.closers, a.kafka.Close)
	a.facts = &facts.Reader{Topics: t, Intents: service.IntentDecoder(a.asking, known), Outcomes: outcomes.NewDecoder(known)}
	return a, nil
}

func (a *archive) close() {
	for _, f := range slices.Backward(a.closers) {
		f()
	}
}

// join is all that is on the topics now.
func (a *archive) join(ctx context.Context) (*reconcile.Archive, error) {
	committed, err := a.kafka.Committed(ctx, group, a.facts.Topics.Intents)
	if err != nil {
		return nil, err
	}
	r, err := reconcile.Fix(ctx, a.kafka, reconcile.Want{Topics: a.facts.Topics, Moment: time.Now(), Committed: committed})
	return &reconcile.Archive{Kafka: a.kafka, Facts: a.facts, Range: r, Dir: a.dir}, err
}

// verify returns what verify says: its findings, and its counts.
func (a *archive) verify(ctx context.Context) (lines []string, err error) {
	j, err := a.join(ctx)
	if err != nil {
		return nil, err
	}
	sum, err := j.Verify(ctx, func(f reconcile.Finding) error {
		lines = append(lines, findingLine(f.Finding, f.Intent, history.Place{Partition: f.Partition, Offset: f.Offset}))
		return nil
	})
	if err != nil {
		return nil, err
	}
	return append(lines, countsLine(*sum)), nil
}

// reconcile returns what reconcile says of each intent.
func (a *archive) reconcile(ctx context.Context) (lines []string, err error) {
	j, err := a.join(ctx)
	if err != nil {
		return nil, err
	}
	work, err := reconcile.OpenWorkDir(a.dir)
	if err != nil {
		return nil, err
	}
	defer work.Close()
	client := service.Gateway(a.asking, a.dial, nil)
	defer client.Close()
	_, err = reconcile.Run(ctx, reconcile.Config{
		Archive: j, All: true, Work: work,
		Gateway: &reconcile.Gateway{
			Gateway: client,
			Of: func(payment.MerchantID) (reconcile.Terms, bool) {
				return reconcile.Terms{URL: a.asking.Gateway.URL}, true
			},
			Progress: func(string, int64) reconcile.Progress { return unseen{} },
		},
		Yield: func(d reconcile.Difference) error {
			lines = append(lines, differenceLine(d.Class, d.Intent, numberOf(d.Payment), numberOf(d.GatewayPayment)))
			return nil
		},
	})
	return lines, err
}

func numberOf(id *int64) int64 {
	if id == nil {
		return 0
	}
	return *id
}

// unseen is progress that nobody looks at.
type unseen struct{}

func (unseen) Add(int64) {}
func (unseen) Done()     {}

func findingLine(finding, intent string, at history.Place) string {
	return fmt.Sprintf("%s of %q at %s", finding, intent, at)
}

func differenceLine(class, intent string, link, gateway int64) string {
	return fmt.Sprintf("%s: %q, payment %d, at the gateway %d", class, intent, link, gateway)
}

func countsLine(v reconcile.Verified) string {
	return fmt.Sprintf("%d records, %d intents, %d unreadable, %d outcomes (%d created, %d failed), %d dead letters, %d waiting, %d beyond reach",
		v.Records, v.Intents, v.Unreadable, v.Outcomes, v.Created, v.Failed, v.DeadLetters, v.Waiting, v.BeyondReach)
}
