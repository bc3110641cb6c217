package service_test

import (
	"context"
	"crypto/pbkdf2"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"paylink/internal/burst"
	"paylink/internal/config"
	"paylink/internal/devstack"
	"paylink/internal/event"
	"paylink/internal/finding"
	"paylink/internal/gatewaysim"
	"paylink/internal/kafkaio"
	"paylink/internal/payment"
	"paylink/internal/service"
)

// An acl is a right of the service's user, in the words of kafka-acls.sh.
type acl struct {
	kind      string // topic, group, transactional-id or cluster
	name      string
	prefixed  bool
	operation string
}

// named is the right as the service's log and check name it.
func (a acl) named() string {
	if a.prefixed {
		return a.operation + " on " + a.kind + " prefix " + a.name
	}
	return a.operation + " on " + a.kind + " " + a.name
}

// instead is the same with another operation.
func (a acl) instead(operation string) acl {
	a.operation = operation
	return a
}

// pageRights are those of deploy/rights.md.
type pageRights struct {
	needed  []acl
	lending []acl // what only lending turns needs
	looking []acl // what only checks of settings need
}

// rightsOfThePage reads the page's commands.
func rightsOfThePage(t *testing.T) (of pageRights) {
	t.Helper()
	page := rightsPage(t)
	option := regexp.MustCompile(`--([a-z-]+)(?: ([^-\s]\S*))?`)
	for line := range strings.Lines(page) {
		if !strings.HasPrefix(line, "acls --") {
			continue
		}
		var resources []acl
		var operations []string
		prefixed := false
		for _, o := range option.FindAllStringSubmatch(line, -1) {
			switch o[1] {
			case "operation":
				operations = append(operations, o[2])
			case "resource-pattern-type":
				prefixed = o[2] == "prefixed"
			case "topic", "group", "transactional-id":
				resources = append(resources, acl{kind: o[1], name: o[2]})
			case "cluster":
				resources = append(resources, acl{kind: o[1], name: "kafka-cluster"})
			default:
				t.Fatalf("rights.md: %s: what is --%s?", line, o[1])
			}
		}
		for _, r := range resources {
			for _, op := range operations {
				r.operation, r.prefixed = op, prefixed
				switch {
				case op == "DescribeConfigs":
					of.looking = append(of.looking, r)
				case r.name == devstack.Turns:
					of.lending = append(of.lending, r)
				default:
					of.needed = append(of.needed, r)
				}
			}
		}
	}
	if len(of.needed) == 0 || len(of.lending) == 0 || len(of.looking) == 0 {
		t.Fatalf("rights.md has no commands: %+v", of)
	}
	return of
}

func rightsPage(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../../deploy/rights.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// TestTableAndCommandsOfRightsAgree: the page lists each right twice.
func TestTableAndCommandsOfRightsAgree(t *testing.T) {
	resources := map[acl]string{
		{kind: "topic", name: devstack.Intents}:     "topic of intents",
		{kind: "topic", name: devstack.Outcomes}:    "topic of outcomes",
		{kind: "topic", name: devstack.DeadLetters}: "topic of dead letters",
		{kind: "topic", name: devstack.Turns}:       "topic of turns",
		{kind: "group", name: "paylink"}:            "the group",
		{kind: "transactional-id", name: kafkaio.TransactionalIDs("paylink", devstack.Intents), prefixed: true}: "transactional ids " +
			"with the prefix `paylink/GROUP/INTENTS/`",
	}
	page := rightsOfThePage(t)
	var commands, table []string
	for _, a := range slices.Concat(page.needed, page.lending) {
		commands = append(commands, a.operation+" | "+resources[a.instead("")])
	}
	for line := range strings.Lines(rightsPage(t)) {
		if cells := strings.Split(line, " | "); strings.HasPrefix(line, "| Read ") || strings.HasPrefix(line, "| Write ") {
			table = append(table, strings.TrimPrefix(cells[0], "| ")+" | "+cells[1])
		}
	}
	slices.Sort(commands)
	slices.Sort(table)
	if diff := cmp.Diff(table, commands); diff != "" {
		t.Errorf("the table (-) and the commands (+) of rights.md: %s", diff)
	}
}

const aclPassword = "user-" + canary

// An estate is brokers that grant rights, and all that the service needs around
// them.
type estate struct {
	t     *testing.T
	admin devstack.Kafka // may do everything
	sim   *gatewaysim.Gateway
	cfg   config.Run // of the service, whose user has no right yet

	intents int     // emitted
	bad     int     // records emitted that are no intents
	out     *buffer // log of the service that runs
	started time.Time
	url     string // of its pages
	stop    func() // and waits for its end
}

// newEstate prepares brokers for a service whose user is "paylink".
func newEstate(t *testing.T, admin devstack.Kafka, brokers []string) *estate {
	t.Helper()
	gateway, err := devstack.StartGateway(t.Context(), devstack.GatewayOptions{Config: gatewaysim.Config{
		Merchants: map[string]payment.Secret{"540001": canary},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(gateway.Close)
	e := &estate{t: t, admin: admin, sim: gateway.Sim}
	for _, topic := range []string{devstack.Intents, devstack.Outcomes, devstack.DeadLetters, devstack.Turns} {
		if err := admin.CreateTopics(t.Context(), devstack.Topic{Name: topic, Partitions: 1}); err != nil {
			t.Fatal(err)
		}
	}
	setPassword(t, admin, aclPassword)
	e.awaitsUser(brokers)
	if e.cfg, err = config.Default(); err != nil {
		t.Fatal(err)
	}
	e.cfg.Kafka.Brokers, e.cfg.Kafka.SessionTimeout = brokers, 3*time.Second
	e.cfg.Kafka.SASL = config.SASL{Mechanism: "scram-sha-256", Username: "paylink", Password: aclPassword}
	e.cfg.Gateway.URL, e.cfg.Gateway.MerchantID, e.cfg.Gateway.Secret = gateway.URL, "540001", canary
	e.cfg.Gateway.Rate = config.Rate{Events: 1000, Per: time.Second, Burst: 100}
	e.cfg.Admin.Addr, e.cfg.Log.Level = "127.0.0.1:0", "debug"
	if err := e.cfg.Prepare(); err != nil {
		t.Fatal(err)
	}
	return e
}

// awaitsUser waits until the brokers know the user: they hear of it later than who
// made it.
func (e *estate) awaitsUser(brokers []string) {
	e.t.Helper()
	user := devstack.Kafka{Brokers: brokers, SASL: scram.Auth{User: "paylink", Pass: aclPassword}.AsSha256Mechanism()}
	cl, err := user.Client()
	if err != nil {
		e.t.Fatal(err)
	}
	defer cl.Close()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		err := cl.Ping(e.t.Context())
		if err == nil {
			return
		}
		if time.Now().After(end) {
			e.t.Fatalf("the brokers do not let paylink in: %v", err)
		}
	}
}

// setPassword sets that of the user "paylink" at the brokers.
func setPassword(t *testing.T, admin devstack.Kafka, password string) {
	t.Helper()
	cl, err := admin.Client()
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	salt := []byte("salt")
	salted, err := pbkdf2.Key(sha256.New, password, salt, 4096, 32)
	if err != nil {
		t.Fatal(err)
	}
	req := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
	req.Upsertions = []kmsg.AlterUserSCRAMCredentialsRequestUpsertion{
		{Name: "paylink", Mechanism: 1, Iterations: 4096, Salt: salt, SaltedPassword: salted},
	}
	res, err := req.RequestWith(t.Context(), cl)
	if err == nil {
		err = kerr.ErrorForCode(res.Results[0].ErrorCode)
	}
	if err != nil {
		t.Fatalf("set the password of paylink: %v", err)
	}
}

// grant grants rights to the service's user.
func (e *estate) grant(rights ...acl) {
	e.t.Helper()
	req := kmsg.NewPtrCreateACLsRequest()
	for _, a := range rights {
		c := kmsg.NewCreateACLsRequestCreation()
		c.Principal, c.Host, c.PermissionType = "User:paylink", "*", kmsg.ACLPermissionTypeAllow
		c.ResourceType, c.ResourceName, c.ResourcePatternType, c.Operation = a.forBrokers(e.t)
		req.Creations = append(req.Creations, c)
	}
	e.asked(req, func(res kmsg.Response) (codes []int16) {
		for _, r := range res.(*kmsg.CreateACLsResponse).Results {
			codes = append(codes, r.ErrorCode)
		}
		return codes
	})
	e.awaits(true, rights)
}

// revoke takes rights away from the service's user.
func (e *estate) revoke(rights ...acl) {
	e.t.Helper()
	req := kmsg.NewPtrDeleteACLsRequest()
	for _, a := range rights {
		f := kmsg.NewDeleteACLsRequestFilter()
		kind, name, pattern, op := a.forBrokers(e.t)
		f.Principal, f.PermissionType = kmsg.StringPtr("User:paylink"), kmsg.ACLPermissionTypeAllow
		f.ResourceType, f.ResourceName, f.ResourcePatternType, f.Operation = kind, &name, pattern, op
		req.Filters = append(req.Filters, f)
	}
	e.asked(req, func(res kmsg.Response) (codes []int16) {
		for _, r := range res.(*kmsg.DeleteACLsResponse).Results {
			codes = append(codes, r.ErrorCode)
		}
		return codes
	})
	e.awaits(false, rights)
}

// awaits waits until the brokers' rules have all of the rights, or none: what the
// controller has decided they hear of later.
func (e *estate) awaits(all bool, rights []acl) {
	e.t.Helper()
	for end := time.Now().Add(30 * time.Second); slices.ContainsFunc(rights, func(a acl) bool { return e.has(a) != all }); {
		if time.Now().After(end) {
			e.t.Fatalf("the brokers do not take up the rights %+v", rights)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (e *estate) has(a acl) (yes bool) {
	e.t.Helper()
	kind, name, pattern, op := a.forBrokers(e.t)
	req := kmsg.NewPtrDescribeACLsRequest()
	req.Principal, req.PermissionType = kmsg.StringPtr("User:paylink"), kmsg.ACLPermissionTypeAllow
	req.ResourceType, req.ResourceName, req.ResourcePatternType, req.Operation = kind, &name, pattern, op
	e.asked(req, func(res kmsg.Response) []int16 {
		yes = len(res.(*kmsg.DescribeACLsResponse).Resources) > 0
		return []int16{res.(*kmsg.DescribeACLsResponse).ErrorCode}
	})
	return yes
}

func (e *estate) asked(req kmsg.Request, codes func(kmsg.Response) []int16) {
	e.t.Helper()
	cl, err := e.admin.Client()
	if err != nil {
		e.t.Fatal(err)
	}
	defer cl.Close()
	res, err := cl.Request(e.t.Context(), req)
	if err != nil {
		e.t.Fatal(err)
	}
	for _, code := range codes(res) {
		if err := kerr.ErrorForCode(code); err != nil {
			e.t.Fatalf("%T: %v", req, err)
		}
	}
}

func (a acl) forBrokers(t *testing.T) (
	kind kmsg.ACLResourceType, name string, pattern kmsg.ACLResourcePatternType, op kmsg.ACLOperation,
) {
	t.Helper()
	kind, err := kmsg.ParseACLResourceType(a.kind)
	op, err2 := kmsg.ParseACLOperation(a.operation)
	if err := errors.Join(err, err2); err != nil {
		t.Fatalf("%+v: %v", a, err)
	}
	pattern = kmsg.ACLResourcePatternTypeLiteral
	if a.prefixed {
		pattern = kmsg.ACLResourcePatternTypePrefixed
	}
	return kind, a.name, pattern, op
}

// start starts the service.
func (e *estate) start() {
	e.t.Helper()
	e.out, e.started = new(buffer), time.Now()
	log, err := service.Logger(e.cfg, e.out)
	if err != nil {
		e.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(e.t.Context()))
	admin, ended := make(chan net.Addr, 1), make(chan error, 1)
	settings := func() (config.Run, error) {
		next := e.cfg
		return next, next.Prepare()
	}
	go func() {
		ended <- service.Run(ctx, e.cfg, service.Deps{Log: log, Settings: settings, OnAdmin: func(a net.Addr) { admin <- a }})
	}()
	e.url = "http://" + (<-admin).String()
	e.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			e.t.Errorf("Run = %v\n%s", err, e.out.String())
		}
	}
}

// emit emits a record that leads to an outcome, or to a dead letter.
func (e *estate) emit(bad bool) {
	e.t.Helper()
	value := fmt.Sprintf("no intent %d", e.bad)
	if bad {
		e.bad++
	} else {
		value = fmt.Sprintf(`{"intent_id":"i-%d","amount":"10.00","description":"x"}`, e.intents)
		e.intents++
	}
	if err := e.admin.Emit(e.t.Context(), devstack.Intents, event.Message{Key: []byte(value), Value: []byte(value)}); err != nil {
		e.t.Fatal(err)
	}
}

// settled waits until every record that was emitted has its outcome or its dead
// letter.
func (e *estate) settled() {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(e.t.Context(), 30*time.Second)
	defer cancel()
	for topic, n := range map[string]int{devstack.Outcomes: e.intents, devstack.DeadLetters: e.bad} {
		if _, err := e.admin.ReadN(ctx, topic, devstack.ReadUncommitted, n); err != nil {
			e.t.Fatalf("%v\n%s", err, e.out.String())
		}
	}
}

// names waits until the service is not ready for the want of a right.
func (e *estate) names(w want) {
	e.t.Helper()
	e.readyzSays("a right is missing: " + w.named)
}

func (e *estate) readyzSays(what string) {
	e.t.Helper()
	says := func() bool { // the topic of turns is noted beside, and its name begins as that of intents
		return strings.Contains(strings.ReplaceAll(get(e.t, e.url+"/readyz"), devstack.Turns, "turns"), what)
	}
	for end := time.Now().Add(30 * time.Second); !says(); {
		if time.Now().After(end) {
			e.t.Fatalf("/readyz does not say %q:\n%s\nlog:\n%s", what, get(e.t, e.url+"/readyz"), e.out.String())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// judge looks at everything that was published: one link and one payment for each
// intent, and a dead letter for each record that was none.
func (e *estate) judge() {
	e.t.Helper()
	seen := map[string]int{}
	outcomes, err := e.admin.Read(e.t.Context(), devstack.Outcomes, devstack.ReadUncommitted)
	if err != nil {
		e.t.Fatal(err)
	}
	for _, r := range outcomes {
		view := string(r.Value)
		if !strings.Contains(view, `"payment-created"`) {
			e.t.Errorf("outcome %s, want a link", view)
		}
		seen[string(r.Key)]++
	}
	for key, n := range seen {
		if n != 1 {
			e.t.Errorf("%d outcomes of %s, want one", n, key)
		}
	}
	dead, err := e.admin.Read(e.t.Context(), devstack.DeadLetters, devstack.ReadUncommitted)
	if err != nil {
		e.t.Fatal(err)
	}
	buried := map[string]bool{} // a dead letter may be repeated
	for _, r := range dead {
		buried[string(r.Value)] = true
	}
	if made := e.sim.Counts().Made; len(outcomes) != e.intents || len(buried) != e.bad || made != e.intents {
		e.t.Errorf("%d outcomes, %d payments, %d records buried; want %d, %d and %d",
			len(outcomes), made, len(buried), e.intents, e.intents, e.bad)
	}
}

// failures are what check finds to be wrong.
func (e *estate) failures() (out []finding.Finding) {
	e.t.Helper()
	for _, f := range service.Check(e.t.Context(), e.cfg, service.Deps{}) {
		if f.Level == finding.Fail {
			out = append(out, f)
		}
	}
	return out
}

// A want is a right that is taken away, and how it is named then.
type want struct {
	acl
	leave acl    // what is granted in its place; zero: nothing
	named string // by check, and by the service
}

// wants are all ways to lack one right. Where nothing else grants Describe, its
// want is seen first.
func wants(needed []acl) (all []want) {
	for _, a := range needed {
		others := func(b acl) bool { return b != a && b.kind == a.kind && b.name == a.name }
		if a.kind == "topic" && !slices.ContainsFunc(needed, others) {
			describe := a.instead("Describe")
			all = append(all, want{acl: a, named: describe.named()}, want{acl: a, leave: describe, named: a.named()})
			continue
		}
		all = append(all, want{acl: a, named: a.named()})
	}
	return all
}

// missing starts the service without one right.
func (e *estate) missing(w want) {
	e.t.Helper()
	e.spareNoEpochs()
	e.without(w)
	if got := e.failures(); len(got) != 1 || !strings.HasPrefix(got[0].What, "a right is missing: "+w.named+", ") {
		e.t.Errorf("check without %s: %+v", w.named, got)
	}
	calls := e.sim.Counts().Calls
	e.emit(w.bad())
	e.start()
	defer func() { e.stop() }()
	e.names(w)
	if got := e.sim.Counts().Calls; got != calls {
		e.t.Errorf("%d calls without %s, want none before there is a fence", got-calls, w.named)
	}
	e.with(w)
	e.settled()
	e.saidOnce(w)
}

// taken takes one right away while the service runs.
func (e *estate) taken(w want) {
	e.t.Helper()
	e.spareNoEpochs()
	e.start()
	defer func() { e.stop() }()
	e.emit(false)
	e.settled()
	e.without(w)
	e.emit(w.bad())
	if w.kind == "transactional-id" || w.acl == (acl{kind: "topic", name: devstack.Outcomes, operation: "Read"}) {
		e.settled() // only who takes a partition over needs it
		e.with(w)
		return
	}
	e.names(w)
	e.with(w)
	e.settled()
	e.saidOnce(w)
}

// bad reports whether only a record that is no intent needs the right.
func (w want) bad() bool { return w.name == devstack.DeadLetters }

// saidOnce looks at the log: a right that is waited for is named once in a burst,
// in one line.
func (e *estate) saidOnce(w want) {
	e.t.Helper()
	said := strings.Count(e.out.String(), w.named+":")
	if most := 1 + int(time.Since(e.started)/burst.Length); said == 0 || said > most {
		e.t.Errorf("%d lines name %s, want one in a burst:\n%s", said, w.named, e.out.String())
	}
}

// spareNoEpochs has the group forget when its partitions were fenced, as tools do
// that reset offsets: the service would take the many starts for a crash loop, and
// wait.
func (e *estate) spareNoEpochs() {
	e.t.Helper()
	cl, err := e.admin.Client()
	if err != nil {
		e.t.Fatal(err)
	}
	defer cl.Close()
	ops := kadm.NewClient(cl)
	has, err := ops.FetchOffsets(e.t.Context(), e.cfg.Kafka.Group)
	if err == nil {
		err = has.Error()
	}
	if err == nil {
		bare := kadm.Offsets{}
		has.Offsets().Each(func(o kadm.Offset) { bare.AddOffset(o.Topic, o.Partition, o.At, -1) })
		err = ops.CommitAllOffsets(e.t.Context(), e.cfg.Kafka.Group, bare)
	}
	if err != nil {
		e.t.Fatal(err)
	}
}

func (e *estate) without(w want) {
	e.t.Helper()
	if w.leave != (acl{}) {
		e.grant(w.leave)
	}
	e.revoke(w.acl)
}

func (e *estate) with(w want) {
	e.t.Helper()
	e.grant(w.acl)
	if w.leave != (acl{}) {
		e.revoke(w.leave)
	}
}

// theRightsSuffice grants what the page lists, has an intent and a bad record
// settled, and takes each right away in turn.
func (e *estate) theRightsSuffice() {
	page := rightsOfThePage(e.t)
	e.grant(page.needed...)
	if got := e.failures(); len(got) > 0 {
		e.t.Errorf("check with the rights of the page: %+v", got)
	}
	e.start()
	e.emit(false)
	e.emit(true)
	e.settled()
	if out := strings.ReplaceAll(e.out.String(), noTurns+": a right is missing: Describe on topic "+devstack.Turns, ""); strings.Contains(out, "a right is missing") {
		e.t.Errorf("a right is missing with those of the page:\n%s", out)
	}
	e.stop()
	e.optional(page.looking)
	e.lending(page.lending)
	for _, w := range wants(page.needed) {
		e.missing(w)
		e.taken(w)
	}
	e.judge()
}

// optional sees that check warns for the want of each right to look at settings,
// and only then.
func (e *estate) optional(rights []acl) {
	e.t.Helper()
	hidden := func() (out []string) {
		for _, f := range service.Check(e.t.Context(), e.cfg, service.Deps{}) {
			if f.Level != finding.OK && strings.Contains(f.What, "not visible to us") {
				out = append(out, f.About)
			}
		}
		return out
	}
	if got := hidden(); len(got) != len(rights) {
		e.t.Errorf("check without DescribeConfigs: %q, want a warning for each of %+v", got, rights)
	}
	e.grant(rights...)
	if got := hidden(); len(got) != 0 {
		e.t.Errorf("check with DescribeConfigs warns of %q", got)
	}
	e.revoke(rights...)
}

// noTurns is how the service's log says that none are lent.
const noTurns = "no turns are lent, so replicas wait for their own slots"

// lending sees that turns are lent with the rights that lending needs, and that check
// and service name the one that is missing, wait for nothing and go on without it.
func (e *estate) lending(rights []acl) {
	e.t.Helper()
	e.grant(rights...)
	missing := func() (out []string) {
		for _, f := range service.Check(e.t.Context(), e.cfg, service.Deps{}) {
			if f.About == "topic "+devstack.Turns && f.Level != finding.OK {
				out = append(out, f.What)
			}
		}
		return out
	}
	if got := missing(); len(got) != 0 {
		e.t.Errorf("check with the rights to lend turns warns: %q", got)
	}
	e.spareNoEpochs()
	e.start()
	e.emit(false)
	e.settled()
	if strings.Contains(e.out.String(), noTurns) {
		e.t.Errorf("no turns are lent with the rights of the page:\n%s", e.out.String())
	}
	e.stop()
	for _, r := range rights {
		e.revoke(r)
		what := "a right is missing: " + r.named()
		if got := missing(); len(got) != 1 || !strings.HasPrefix(got[0], what+": replicas wait for their own slots") {
			e.t.Errorf("check without %s: %q", r.named(), got)
		}
		e.spareNoEpochs()
		e.start()
		e.emit(false)
		e.settled()
		if r.operation == "Read" { // Write is missed when there is something to say
			e.out.hears(e.t, noTurns+": "+what, 1)
		}
		e.stop()
		e.grant(r)
	}
	e.revoke(rights...)
}

// TestEachRightIsNamedAndWaitedFor is at the embedded broker.
func TestEachRightIsNamedAndWaitedFor(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.EnableACLs(),
		kfake.Superuser("SCRAM-SHA-256", "admin", "admin"), kfake.GroupMinSessionTimeout(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	admin := devstack.Kafka{Brokers: c.ListenAddrs(), SASL: scram.Auth{User: "admin", Pass: "admin"}.AsSha256Mechanism()}
	newEstate(t, admin, c.ListenAddrs()).theRightsSuffice()
}
