package kafkaops

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"

	"paylink/internal/finding"
	"paylink/internal/kafkaio"
)

// CheckConfig says what Check looks at.
type CheckConfig struct {
	Connection     kafkaio.Connection
	Group          string
	Topics         Topics
	SessionTimeout time.Duration
	LedgerWindow   time.Duration
}

// Check looks at everything that the promise needs of Kafka, and tells each
// thing it saw. It publishes no record; it does put an empty, aborted transaction
// into the outcome and dead letter topics, whose marker no consumer ever sees,
// because nothing else shows that the fence is allowed, and one into the topic for turns. It joins no group.
func Check(ctx context.Context, cfg CheckConfig) []finding.Finding {
	c := &checker{cfg: cfg}
	up := c.seeds(ctx)
	a, err := newAdmin(cfg.Connection, cfg.Topics.all())
	if err != nil {
		c.fail("brokers", err.Error(), "correct the connection settings")
		return c.found
	}
	defer a.close()
	c.admin = a
	md, err := a.metadata(ctx, cfg.Topics.all())
	if err != nil {
		c.fail("brokers", err.Error(), "check addresses, network, and TLS and SASL settings; to hang up, with an \"unexpected "+
			"EOF\", is how brokers refuse a login or a plain connection to a TLS port")
		return c.found
	}
	c.brokers(md)
	c.strangers(ctx, up)
	c.brokerSettings(ctx, md)
	if c.rights(ctx, md) {
		c.topics(ctx, md)
	}
	c.fence(ctx)
	c.turns(ctx)
	c.group(ctx)
	return c.found
}

type checker struct {
	cfg   CheckConfig
	admin *admin
	found []finding.Finding
	have  map[string]bool // topics that exist
	nodes int
}

func (c *checker) add(l finding.Level, about, what, mend string) {
	c.found = append(c.found, finding.Finding{Level: l, About: about, What: what, Mend: mend})
}
func (c *checker) ok(about, what string)         { c.add(finding.OK, about, what, "") }
func (c *checker) warn(about, what, mend string) { c.add(finding.Warn, about, what, mend) }
func (c *checker) fail(about, what, mend string) { c.add(finding.Fail, about, what, mend) }

// seeds tries each broker that is configured. One that is away is only a warning:
// the others lead to the rest.
func (c *checker) seeds(ctx context.Context) (up []string) {
	for _, addr := range c.cfg.Connection.Brokers {
		if err := c.cfg.Connection.Reach(ctx, addr); err != nil {
			c.warn("broker "+addr, err.Error(), "start it, or correct PAYLINK_KAFKA_BROKERS")
			continue
		}
		c.ok("broker "+addr, "accepts connections")
		up = append(up, addr)
	}
	return up
}

// strangers looks for brokers of another cluster among those that are configured: the
// service would talk to the one or the other, as it happens.
func (c *checker) strangers(ctx context.Context, up []string) {
	if len(up) < 2 {
		return
	}
	var first, of string
	for _, addr := range up {
		id, err := c.clusterOf(ctx, addr)
		switch {
		case err != nil || id == "": // it does not answer, or is so old that it has none
		case first == "":
			first, of = addr, id
		case id != of:
			c.fail("broker "+addr, fmt.Sprintf("is of another cluster (%s) than %s (%s)", id, first, of),
				"name brokers of one cluster alone in PAYLINK_KAFKA_BROKERS")
		}
	}
}

// clusterOf asks one broker for the id of its cluster.
func (c *checker) clusterOf(ctx context.Context, addr string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	one := c.cfg.Connection
	one.Brokers = []string{addr}
	a, err := newAdmin(one, c.cfg.Topics.all())
	if err != nil {
		return "", err
	}
	defer a.close()
	md, err := a.metadata(ctx, []string{})
	if err != nil {
		return "", err
	}
	return md.ClusterID, nil
}

func (c *checker) brokers(md *kafka.MetadataResponse) {
	c.nodes = len(md.Brokers)
	var names []string
	for _, b := range md.Brokers {
		names = append(names, net.JoinHostPort(b.Host, strconv.Itoa(b.Port)))
	}
	what := fmt.Sprintf("%d in the cluster: %s", len(names), strings.Join(names, ", "))
	if c.nodes < 3 {
		c.warn("brokers", what, "run three or more, so that an outcome survives the loss of one")
		return
	}
	c.ok("brokers", what)
}

// brokerSettings looks at one broker for all: they should not differ.
func (c *checker) brokerSettings(ctx context.Context, md *kafka.MetadataResponse) {
	if len(md.Brokers) == 0 {
		return
	}
	id := strconv.Itoa(md.Brokers[0].ID)
	all, err := c.admin.settings(ctx, kafka.ResourceTypeBroker, id)
	set := all[id]
	if err != nil || set == nil {
		c.warn("broker settings", "not visible to us", "grant DescribeConfigs on the cluster to have them checked")
		return
	}
	before := len(c.found)
	if set["auto.create.topics.enable"] == "true" {
		c.warn("broker settings", "auto.create.topics.enable is true: a mistyped topic name makes a topic", "set it to false")
	}
	if n, err := strconv.Atoi(set["offsets.topic.replication.factor"]); err == nil && n < 2 && c.nodes >= 3 {
		c.warn("broker settings", "offsets.topic.replication.factor is 1: commits die with one broker",
			"set it to 3 before the first group is made")
	}
	if d, ok := millis(set["producer.id.expiration.ms"]); ok && d <= kafkaio.FenceRenewal {
		c.fail("broker settings", fmt.Sprintf("producer.id.expiration.ms is %s: a fence is renewed every %s only, and would "+
			"be forgotten in between", d, kafkaio.FenceRenewal), "set it to 86400000 (a day) or more")
	}
	if d := offsetsKept(set); d > 0 && d < c.cfg.LedgerWindow {
		c.warn("broker settings", fmt.Sprintf("%s is %s, and PAYLINK_LEDGER_WINDOW is %s: what was redriven is forgotten after the former, so that "+
			"\"paylink redrive\" leaves older dead letters alone; and a group that is stopped for so long loses its offsets", setOffsetsKept, d, c.cfg.LedgerWindow),
			"raise it to 10080 (a week, the brokers' default) or to the ledger window")
	}
	if d, ok := millis(set["group.min.session.timeout.ms"]); ok && c.cfg.SessionTimeout < d {
		c.fail("broker settings", fmt.Sprintf("group.min.session.timeout.ms is %s, and PAYLINK_KAFKA_SESSION_TIMEOUT is %s: "+
			"the group refuses us", d, c.cfg.SessionTimeout), "raise the latter")
	}
	if d, ok := millis(set["group.max.session.timeout.ms"]); ok && c.cfg.SessionTimeout > d {
		c.fail("broker settings", fmt.Sprintf("group.max.session.timeout.ms is %s, and PAYLINK_KAFKA_SESSION_TIMEOUT is %s: "+
			"the group refuses us", d, c.cfg.SessionTimeout), "lower the latter")
	}
	if len(c.found) == before {
		c.ok("broker settings", "fit (seen on broker "+id+")")
	}
}

func (c *checker) topics(ctx context.Context, md *kafka.MetadataResponse) {
	c.have = map[string]bool{}
	states, err := c.admin.describe(ctx, md, c.cfg.Topics.all())
	if err != nil {
		c.fail("topics", err.Error(), "grant Describe and DescribeConfigs on the three topics")
		return
	}
	for _, s := range states {
		c.have[s.Name] = s.Exists
		c.topic(s)
	}
	intents, outcomes, dead := states[0], states[1], states[2]
	if intents.Exists && outcomes.Exists {
		c.counts(intents, outcomes)
	}
	if dead.Exists && intents.Exists {
		c.sizes(intents, dead)
	}
	if outcomes.Exists {
		c.emptied(ctx, outcomes)
	}
	c.times(ctx, outcomes, dead)
	if n, err := strconv.Atoi(outcomes.Settings[setMaxMessage]); err == nil && n < kafkaio.LargestOutcome {
		c.fail("topic "+outcomes.Name, fmt.Sprintf("max.message.bytes is %d, the largest outcome needs %d: it may be refused when "+
			"its payment exists already", n, kafkaio.LargestOutcome), "raise it; the brokers' default is 1048588")
	}
}

func (c *checker) topic(s TopicState) {
	about := "topic " + s.Name
	if !s.Exists {
		c.fail(about, "does not exist", "run \"paylink topics create\"")
		return
	}
	before := len(c.found)
	if s.Leaderless > 0 {
		c.fail(about, fmt.Sprintf("%d of %d partitions have no leader", s.Leaderless, s.Partitions),
			"bring the brokers that hold them back")
	}
	if s.Refusing > 0 {
		c.fail(about, fmt.Sprintf("%d of %d partitions take nothing now: fewer of their replicas are in sync than "+
			"min.insync.replicas asks for", s.Refusing, s.Partitions), "bring the missing brokers back, or lower min.insync.replicas")
	}
	if s.OutOfSync > 0 {
		c.warn(about, fmt.Sprintf("%d of %d partitions have a replica that is behind or away", s.OutOfSync, s.Partitions),
			"look at the brokers")
	}
	if s.Settings == nil {
		c.warn(about, "its settings are not visible to us", "grant DescribeConfigs on it to have them checked")
	} else {
		c.copies(about, s)
		c.retention(about, s)
	}
	if len(c.found) == before {
		c.ok(about, fmt.Sprintf("%d partitions, %d replicas, settings fit", s.Partitions, s.Replicas))
	}
}

// copies looks at what keeps an acknowledged record alive.
func (c *checker) copies(about string, s TopicState) {
	minISR, _ := strconv.Atoi(s.Settings[setMinISR])
	switch {
	case minISR > s.Replicas:
		c.warn(about, fmt.Sprintf("min.insync.replicas is %d with %d replicas: brokers of 4.3 ask for all of them, "+
			"older ones may take nothing", minISR, s.Replicas), "lower the one or raise the other")
	case c.nodes >= 3 && minISR < 2 && s.Name == c.cfg.Topics.Outcomes:
		c.fail(about, "min.insync.replicas is less than 2: an acknowledged outcome may die with one broker, and its intent "+
			"be answered twice", "set it to 2, with 3 replicas")
	case c.nodes >= 3 && minISR < 2:
		c.warn(about, "min.insync.replicas is less than 2: an acknowledged record may die with one broker",
			"set it to 2, with 3 replicas")
	case minISR > 1 && minISR == s.Replicas:
		c.warn(about, fmt.Sprintf("min.insync.replicas equals the %d replicas: one broker away stops all writing",
			s.Replicas), "have one replica more")
	}
	if c.nodes >= 3 && s.Replicas < 3 {
		c.warn(about, fmt.Sprintf("has %d replicas on %d brokers", s.Replicas, c.nodes), "reassign it to 3 replicas")
	}
	if s.Settings[setUnclean] == "true" {
		c.fail(about, "unclean.leader.election.enable is true: records that were acknowledged may vanish", "set it to false")
	}
}

// retention looks at what deletes records; outcomes are the service's memory.
func (c *checker) retention(about string, s TopicState) {
	switch compacted := strings.Contains(s.Settings[setCleanup], "compact"); {
	case compacted && s.Name == c.cfg.Topics.DeadLetters:
		c.fail(about, "cleanup.policy is "+s.Settings[setCleanup]+": a dead letter without a key is refused, and its partition "+
			"waits", "set it to delete")
	case compacted:
		c.fail(about, "cleanup.policy is "+s.Settings[setCleanup]+": of several records with one key only the last is "+
			"kept", "set it to delete")
	}
	if s.Name != c.cfg.Topics.Outcomes {
		return
	}
	if d, ok := millis(s.Settings[setRetention]); ok && d < c.cfg.LedgerWindow {
		c.fail(about, fmt.Sprintf("retention.ms keeps outcomes for %s, and PAYLINK_LEDGER_WINDOW is %s: answered intents "+
			"would be forgotten, and answered again", d, c.cfg.LedgerWindow), "raise retention.ms, or lower the window")
	}
	if n, err := strconv.ParseInt(s.Settings[setRetentionLen], 10, 64); err == nil && n >= 0 {
		c.warn(about, fmt.Sprintf("retention.bytes is %d: on a busy day outcomes go before the ledger window ends", n),
			"set it to -1")
	}
}

// emptied looks for outcome partitions that held something and hold nothing now: what
// they held, the service cannot know.
func (c *checker) emptied(ctx context.Context, s TopicState) {
	var which []string
	for p := range s.Partitions {
		at, err := kafkaio.ListOffsets(ctx, c.admin.client, kafka.ReadUncommitted, s.Name,
			[]kafka.OffsetRequest{kafka.FirstOffsetOf(p), kafka.LastOffsetOf(p)})
		if err != nil {
			return // said of its leader, or of our rights
		}
		if at.FirstOffset == at.LastOffset && at.LastOffset > 0 {
			which = append(which, strconv.Itoa(p))
		}
	}
	if len(which) > 0 {
		c.warn("topic "+s.Name, fmt.Sprintf("held outcomes in %d partitions (%s) that are empty now: intents from before the "+
			"service's next start there are refused as too_old", len(which), strings.Join(which[:min(10, len(which))], ", ")),
			"keep outcomes for longer than the ledger window; \"paylink replay unanswered\" emits again what has no outcome")
	}
}

// times looks at topics that refuse records for their times.
func (c *checker) times(ctx context.Context, topics ...TopicState) {
	for _, s := range topics {
		if !s.Exists || s.Settings == nil {
			continue
		}
		set, err := c.admin.settings(ctx, kafka.ResourceTypeTopic, s.Name)
		if err == nil {
			c.slack("topic "+s.Name, set[s.Name])
		}
	}
}

// leastSlack is how much the time of a record may differ from the broker's, at least: it
// takes a while until a record is written, and no two clocks are the same.
const leastSlack = time.Second

func (c *checker) slack(about string, set map[string]string) {
	if set["message.timestamp.type"] == "LogAppendTime" { // records have the broker's time
		return
	}
	for _, name := range [...]string{"message.timestamp.before.max.ms", "message.timestamp.after.max.ms", "message.timestamp.difference.max.ms"} {
		if d, ok := millis(set[name]); ok && d < leastSlack {
			c.fail(about, fmt.Sprintf("%s is %s: records are refused for their times, and the transactions that take a partition over, too",
				name, d), "raise it; the brokers' default is an hour, or no limit")
		}
	}
}

func (c *checker) counts(intents, outcomes TopicState) {
	if intents.Partitions == outcomes.Partitions {
		c.ok("partitions", fmt.Sprintf("%d of intents and of outcomes", intents.Partitions))
		return
	}
	c.warn("partitions", fmt.Sprintf("%d of intents, %d of outcomes: it works, but ledgers overlap or stay unused",
		intents.Partitions, outcomes.Partitions), "make them equal while every replica is stopped and no intent is "+
		"unfinished")
}

// sizes looks whether the largest intent fits into the dead letters.
func (c *checker) sizes(intents, dead TopicState) {
	in, err1 := strconv.Atoi(intents.Settings[setMaxMessage])
	out, err2 := strconv.Atoi(dead.Settings[setMaxMessage])
	if err1 == nil && err2 == nil && out < in {
		c.warn("topic "+dead.Name, fmt.Sprintf("max.message.bytes is %d, less than the %d of %s: a large dead letter is "+
			"kept by reference only", out, in, intents.Name), "raise it above the intents'")
	}
}

// fence makes a fence as every claim does first, by the same code, of a
// transactional id that no partition has: it shows whether transactions work, and
// whether we may write.
func (c *checker) fence(ctx context.Context) {
	var topics []string
	prefix := kafkaio.TransactionalIDs(c.cfg.Group, c.cfg.Topics.Intents)
	f := kafkaio.Fence{TransactionalID: prefix + "check"}
	for _, t := range []string{c.cfg.Topics.Outcomes, c.cfg.Topics.DeadLetters} {
		if c.have[t] {
			topics = append(topics, t)
			f.Partitions = append(f.Partitions, kafkaio.TopicPartition{Topic: t})
		}
	}
	if len(topics) == 0 {
		return
	}
	var waited error // what is waited out, which tells more than that the time was over
	f.Trouble = func(step string, err error, _ time.Duration) error {
		waited = fmt.Errorf("%s: %w", step, err)
		if !passes(err) {
			return err
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	_, err := f.Make(ctx, c.admin.client)
	if err != nil && ctx.Err() != nil && waited != nil {
		err = waited
	}
	if err != nil && c.lacksOf(ctx, err, f) {
		return
	}
	if err != nil {
		c.fail("fence", err.Error(), mendFence(err, prefix))
		return
	}
	c.ok("fence", "an empty transaction was begun and aborted: transactions work, and we may write "+
		strings.Join(topics, " and "))
}

// passes reports whether an error of the fence may pass by itself while we wait.
// The service waits for more, such as a right that is yet to be granted; to tell
// that is what a check is for.
func passes(err error) bool {
	switch kafkaio.Code(err) {
	case 0: // no broker has given a verdict
		return true
	case kafka.ConcurrentTransactions, kafka.GroupLoadInProgress, kafka.GroupCoordinatorNotAvailable,
		kafka.NotCoordinatorForGroup:
		return true
	}
	return false
}

func mendFence(err error, prefix string) string {
	switch kafkaio.Code(err) {
	case kafka.GroupLoadInProgress, kafka.GroupCoordinatorNotAvailable, kafka.NotCoordinatorForGroup:
		return "the transaction coordinator is not up; look at the topic __transaction_state " +
			"(transaction.state.log.replication.factor needs so many brokers)"
	case kafka.ConcurrentTransactions:
		return "the transaction before does not end, because a partition takes no marker: look at the leaders and replicas in sync of " +
			"the topics of outcomes and dead letters, and at the brokers' logs; a coordinator that has given up goes on when its broker restarts"
	case kafka.InvalidTransactionTimeout:
		return fmt.Sprintf("raise the brokers' transaction.max.timeout.ms to %d or more; their default is 900000",
			kafkaio.TransactionTimeout.Milliseconds())
	}
	return "the brokers must support transactions, and let us use ids that begin with " + prefix
}

func (c *checker) group(ctx context.Context) {
	about := "group " + c.cfg.Group
	said, err := kafkaio.DescribeGroup(ctx, c.admin.client, c.cfg.Group)
	switch {
	case kafkaio.Code(err) == kafka.GroupAuthorizationFailed: // told with the other rights
	case kafkaio.Code(err) == kafka.GroupIdNotFound: // newer brokers say so of a group that is new
		c.ok(about, "is new")
	case err != nil:
		c.warn(about, err.Error(), "look at the group coordinator")
	case said.GroupState == "Dead":
		c.ok(about, "is new")
	default:
		c.ok(about, fmt.Sprintf("is %s, with %d members", strings.ToLower(said.GroupState), len(said.Members)))
	}
}

// millis reads a setting in milliseconds; negative values mean "no limit".
func millis(s string) (time.Duration, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > int64(1<<63-1)/int64(time.Millisecond) {
		return 0, false
	}
	return time.Duration(n) * time.Millisecond, true
}
