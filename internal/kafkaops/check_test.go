package kafkaops

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"paylink/internal/finding"
	"paylink/internal/kafkaio"
	"paylink/internal/payment"
)

var checkTopics = Topics{Intents: "in", Outcomes: "out", DeadLetters: "dead"}

// cluster starts an embedded Kafka without topics.
func cluster(t *testing.T, brokers int, opts ...kfake.Opt) (*kfake.Cluster, kafkaio.Connection) {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(brokers)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, kafkaio.Connection{Brokers: c.ListenAddrs(), ClientID: "test"}
}

func checked(t *testing.T, conn kafkaio.Connection) []finding.Finding {
	t.Helper()
	return Check(t.Context(), CheckConfig{
		Connection: conn, Group: "g", Topics: checkTopics, SessionTimeout: 15 * time.Second, LedgerWindow: 168 * time.Hour,
	})
}

func create(t *testing.T, conn kafkaio.Connection, plan Plan) []TopicReport {
	t.Helper()
	plan.Topics, plan.LedgerWindow = checkTopics, 168*time.Hour
	r, err := CreateTopics(t.Context(), conn, plan)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// alter changes a setting of a topic.
func alter(t *testing.T, conn kafkaio.Connection, topic, setting, value string) {
	t.Helper()
	a, err := newAdmin(conn, checkTopics.all())
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	res, err := a.client.IncrementalAlterConfigs(t.Context(), &kafka.IncrementalAlterConfigsRequest{Resources: []kafka.IncrementalAlterConfigsRequestResource{{
		ResourceType: kafka.ResourceTypeTopic, ResourceName: topic,
		Configs: []kafka.IncrementalAlterConfigsRequestConfig{{Name: setting, Value: value}},
	}}})
	if err == nil {
		err = res.Resources[0].Error
	}
	if err != nil {
		t.Fatal(err)
	}
}

// failures are the findings that forbid a start.
func failures(all []finding.Finding) []finding.Finding {
	return slices.DeleteFunc(slices.Clone(all), func(f finding.Finding) bool { return f.Level != finding.Fail })
}

// find reports whether some finding of a level holds a text, and says how to mend it.
func find(all []finding.Finding, l finding.Level, text string) bool {
	return slices.ContainsFunc(all, func(f finding.Finding) bool {
		return f.Level == l && strings.Contains(f.About+": "+f.What, text) && (l == finding.OK) == (f.Mend == "")
	})
}

func TestTopicsAreMadeOnceAndComparedLater(t *testing.T) {
	_, conn := cluster(t, 3)
	want := []TopicReport{{Name: "in", Created: true}, {Name: "out", Created: true}, {Name: "dead", Created: true}}
	if diff := cmp.Diff(want, create(t, conn, Plan{Partitions: 6})); diff != "" {
		t.Error(diff)
	}
	want = []TopicReport{{Name: "in"}, {Name: "out"}, {Name: "dead"}}
	if diff := cmp.Diff(want, create(t, conn, Plan{Partitions: 6})); diff != "" {
		t.Errorf("again: %s", diff)
	}
	got := create(t, conn, Plan{Partitions: 8, Replication: 2})
	diffs := []string{"has 6 partitions, planned are 8", "has 3 replicas, planned are 2", "min.insync.replicas is 2, planned is 1"}
	if diff := cmp.Diff(diffs, got[1].Differences); diff != "" {
		t.Errorf("another plan: %s", diff)
	}

	states, err := DescribeTopics(t.Context(), conn, checkTopics)
	if err != nil {
		t.Fatal(err)
	}
	out := TopicState{Name: "out", Exists: true, Partitions: 6, Replicas: 3, Settings: map[string]string{
		"cleanup.policy": "delete", "retention.ms": "691200000", "retention.bytes": "-1",
		"min.insync.replicas": "2", "unclean.leader.election.enable": "false", "max.message.bytes": states[1].Settings["max.message.bytes"],
	}}
	if diff := cmp.Diff(out, states[1]); diff != "" {
		t.Error(diff)
	}
}

func TestCreateTopicsSaysWhatTheBrokerRefuses(t *testing.T) {
	_, conn := cluster(t, 1)
	_, err := CreateTopics(t.Context(), conn, Plan{Topics: checkTopics, Partitions: 1, Replication: 3, LedgerWindow: time.Hour})
	if err == nil || !strings.HasPrefix(err.Error(), "create topic in: ") {
		t.Errorf("three replicas on one broker: %v, want an error that names the topic", err)
	}
}

func TestDescribeSaysWhatIsMissing(t *testing.T) {
	_, conn := cluster(t, 1)
	states, err := DescribeTopics(t.Context(), conn, checkTopics)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]TopicState{{Name: "in"}, {Name: "out"}, {Name: "dead"}}, states); diff != "" {
		t.Error(diff)
	}
}

func TestCheckIsContentWithWhatCreateMade(t *testing.T) {
	_, conn := cluster(t, 3, kfake.BrokerConfigs(map[string]string{"auto.create.topics.enable": "false", "offsets.topic.replication.factor": "3"}))
	create(t, conn, Plan{Partitions: 6})
	got := checked(t, conn)
	if finding.Worst(got) != finding.OK {
		t.Errorf("findings = %+v, want only good ones", got)
	}
	for _, want := range []string{"brokers: 3 in the cluster", "partitions: 6 of intents and of outcomes", "fence: an empty transaction", "group g: is new"} {
		if !find(got, finding.OK, want) {
			t.Errorf("no finding %q in %+v", want, got)
		}
	}
}

func TestCheckLeavesNothingThatAConsumerSees(t *testing.T) {
	c, conn := cluster(t, 1)
	create(t, conn, Plan{Partitions: 1})
	checked(t, conn)
	info := c.PartitionInfo("out", 0)
	if info.HighWatermark != 1 || info.LastStableOffset != 1 {
		t.Errorf("outcome partition = %+v, want one marker and no open transaction", info)
	}
}

func TestCheckFindsWhatIsWrongWithTopics(t *testing.T) {
	for _, c := range []struct {
		name            string
		setting, value  string // of the outcome topic
		level           finding.Level
		want            string
		brokers, copies int
	}{
		{"retention", "retention.ms", "3600000", finding.Fail, "topic out: retention.ms keeps outcomes for 1h0m0s", 3, 3},
		{"unlimited retention", "retention.ms", "-1", finding.OK, "topic out: 4 partitions", 3, 3},
		{"bytes", "retention.bytes", "1000000", finding.Warn, "topic out: retention.bytes is 1000000", 3, 3},
		{"compaction", "cleanup.policy", "compact", finding.Fail, "topic out: cleanup.policy is compact", 3, 3},
		{"min ISR", "min.insync.replicas", "1", finding.Fail, "topic out: min.insync.replicas is less than 2", 3, 3},
		{"min ISR of all", "min.insync.replicas", "3", finding.Warn, "topic out: min.insync.replicas equals the 3 replicas", 3, 3},
		{"min ISR of more", "min.insync.replicas", "2", finding.Warn, "topic out: min.insync.replicas is 2 with 1 replicas", 1, 1},
		{"small records", "max.message.bytes", "20000", finding.Fail, "topic out: max.message.bytes is 20000", 3, 3},
		{"unclean", "unclean.leader.election.enable", "true", finding.Fail, "topic out: unclean.leader.election.enable is true", 3, 3},
		{"few copies", "min.insync.replicas", "2", finding.Warn, "topic out: has 2 replicas on 3 brokers", 3, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, conn := cluster(t, c.brokers)
			create(t, conn, Plan{Partitions: 4, Replication: c.copies})
			alter(t, conn, "out", c.setting, c.value)
			if got := checked(t, conn); !find(got, c.level, c.want) {
				t.Errorf("no %s %q in %+v", c.level, c.want, got)
			}
		})
	}
}

// TestCheckRefusesCompactedDeadLetters: brokers refuse one without a key there.
func TestCheckRefusesCompactedDeadLetters(t *testing.T) {
	_, conn := cluster(t, 1)
	create(t, conn, Plan{Partitions: 1, Replication: 1})
	alter(t, conn, checkTopics.DeadLetters, "cleanup.policy", "compact")
	want := "topic " + checkTopics.DeadLetters + ": cleanup.policy is compact: a dead letter without a key is refused"
	if got := checked(t, conn); !find(got, finding.Fail, want) {
		t.Errorf("no failure %q in %+v", want, got)
	}
}

func TestATopicThatTakesNothingNowIsRefusing(t *testing.T) {
	topic := func(isr ...int) kafka.Topic {
		p := kafka.Partition{Leader: kafka.Broker{Host: "h"}, Replicas: make([]kafka.Broker, 3), Isr: make([]kafka.Broker, len(isr))}
		return kafka.Topic{Name: "out", Partitions: []kafka.Partition{p}}
	}
	for _, c := range []struct {
		minISR        string
		isr, refusing int
	}{{"3", 2, 1}, {"3", 3, 0}, {"2", 2, 0}, {"2", 1, 1}, {"5", 3, 0}, {"", 1, 0}} {
		s := stateOf(topic(make([]int, c.isr)...), map[string]string{setMinISR: c.minISR})
		if s.Refusing != c.refusing {
			t.Errorf("min.insync.replicas %q with %d of 3 in sync: %d refusing, want %d", c.minISR, c.isr, s.Refusing, c.refusing)
		}
	}
	check := &checker{cfg: CheckConfig{Topics: checkTopics}, nodes: 3}
	check.topic(TopicState{Name: "out", Exists: true, Partitions: 4, Replicas: 3, OutOfSync: 4, Refusing: 4})
	if !find(check.found, finding.Fail, "topic out: 4 of 4 partitions take nothing now") {
		t.Errorf("findings = %+v", check.found)
	}
}

// A broker that has not heard of the new topics yet is waited for.
func TestCreateReturnsWhenEveryBrokerKnows(t *testing.T) {
	c, conn := cluster(t, 3)
	late := 3
	c.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if c.CurrentNode() != 2 || late == 0 {
			return nil, nil, false
		}
		late--
		res := req.ResponseKind().(*kmsg.MetadataResponse)
		for i, addr := range c.ListenAddrs() {
			host, port, _ := net.SplitHostPort(addr)
			n, _ := strconv.Atoi(port)
			b := kmsg.NewMetadataResponseBroker()
			b.NodeID, b.Host, b.Port = int32(i), host, int32(n)
			res.Brokers = append(res.Brokers, b)
		}
		for _, topic := range req.(*kmsg.MetadataRequest).Topics {
			missing := kmsg.NewMetadataResponseTopic()
			missing.Topic, missing.ErrorCode = topic.Topic, kerr.UnknownTopicOrPartition.Code
			res.Topics = append(res.Topics, missing)
		}
		return res, nil, true
	})
	create(t, conn, Plan{Partitions: 2})
	if late > 0 {
		t.Errorf("made before the last broker knew: it would have had to be asked %d times more", late)
	}
}

func TestCheckFindsEmptiedPartitions(t *testing.T) {
	c, conn := cluster(t, 1)
	create(t, conn, Plan{Partitions: 2})
	checked(t, conn) // leaves a marker in partition 0
	if got := checked(t, conn); find(got, finding.Warn, "that are empty now") {
		t.Errorf("findings = %+v, want none of emptied partitions", got)
	}
	if err := c.DeleteRecords("out", 0, c.PartitionInfo("out", 0).HighWatermark); err != nil {
		t.Fatal(err)
	}
	if got := checked(t, conn); !find(got, finding.Warn, "topic out: held outcomes in 1 partitions (0)") {
		t.Errorf("findings = %+v, want the emptied partition", got)
	}
}

func TestCheckFindsUnequalPartitions(t *testing.T) {
	_, conn := cluster(t, 1, kfake.SeedTopics(3, "in"))
	create(t, conn, Plan{Partitions: 4})
	if got := checked(t, conn); !find(got, finding.Warn, "partitions: 3 of intents, 4 of outcomes") {
		t.Errorf("findings = %+v", got)
	}
}

func TestCheckFindsMissingTopics(t *testing.T) {
	_, conn := cluster(t, 1)
	got := checked(t, conn)
	if len(failures(got)) != 3 || !find(got, finding.Fail, "topic out: does not exist") {
		t.Errorf("findings = %+v, want three missing topics and nothing else", got)
	}
}

func TestCheckFindsBrokerSettings(t *testing.T) {
	_, conn := cluster(t, 1, kfake.BrokerConfigs(map[string]string{
		"auto.create.topics.enable": "true", "group.min.session.timeout.ms": "20000", "producer.id.expiration.ms": "3600000",
	}))
	create(t, conn, Plan{Partitions: 1})
	got := checked(t, conn)
	for _, c := range []struct {
		level finding.Level
		want  string
	}{
		{finding.Warn, "broker settings: auto.create.topics.enable is true"},
		{finding.Fail, "broker settings: group.min.session.timeout.ms is 20s"},
		{finding.Fail, "broker settings: producer.id.expiration.ms is 1h0m0s"},
		{finding.Warn, "brokers: 1 in the cluster"},
	} {
		if !find(got, c.level, c.want) {
			t.Errorf("no %s %q in %+v", c.level, c.want, got)
		}
	}
}

// TestCheckSaysWhichRightIsMissing: those of deploy/rights.md suffice, and without
// one of them check names it in one line.
func TestCheckSaysWhichRightIsMissing(t *testing.T) {
	acl := func(resource kmsg.ACLResourceType, name string, op kmsg.ACLOperation) kfake.ACL {
		pattern := kmsg.ACLResourcePatternTypeLiteral
		if resource == kmsg.ACLResourceTypeTransactionalId {
			pattern = kmsg.ACLResourcePatternTypePrefixed
		}
		return kfake.ACL{Resource: resource, Name: name, Pattern: pattern, Operation: op, Allow: true}
	}
	all := []struct {
		acl  kfake.ACL
		want string // what check says without it
	}{
		{acl(kmsg.ACLResourceTypeTopic, "in", kmsg.ACLOperationRead), "Describe on topic in"},
		{acl(kmsg.ACLResourceTypeTopic, "out", kmsg.ACLOperationRead), "Read on topic out"},
		{acl(kmsg.ACLResourceTypeTopic, "out", kmsg.ACLOperationWrite), "Write on topic out"},
		{acl(kmsg.ACLResourceTypeTopic, "dead", kmsg.ACLOperationWrite), "Describe on topic dead"},
		{acl(kmsg.ACLResourceTypeTransactionalId, "paylink/g/in/", kmsg.ACLOperationWrite), "Write on transactional-id prefix paylink/g/in/"},
		{acl(kmsg.ACLResourceTypeGroup, "g", kmsg.ACLOperationRead), ""}, // kfake lets heartbeats of a new group pass
	}
	for without := -1; without < len(all)-1; without++ {
		var acls []kfake.ACL
		for i, r := range all {
			if i != without {
				acls = append(acls, r.acl)
			}
		}
		_, conn := cluster(t, 1, kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "admin", "admin"), kfake.User("PLAIN", "pay", "pay", acls...))
		conn.SASL = &kafkaio.SASL{Mechanism: kafkaio.SASLPlain, Username: "admin", Password: "admin"}
		create(t, conn, Plan{Partitions: 1})
		conn.SASL = &kafkaio.SASL{Mechanism: kafkaio.SASLPlain, Username: "pay", Password: "pay"}
		got := failures(checked(t, conn))
		switch {
		case without < 0 && len(got) != 0:
			t.Errorf("with all rights: %+v", got)
		case without >= 0 && (len(got) != 1 || !strings.HasPrefix(got[0].What, "a right is missing: "+all[without].want)):
			t.Errorf("without %q: %+v", all[without].want, got)
		}
	}
}

// TestCheckNoticesBrokersOfAnotherCluster: such as one of the cluster before, that is
// still in the list.
func TestCheckNoticesBrokersOfAnotherCluster(t *testing.T) {
	_, conn := cluster(t, 2, kfake.ClusterID("here"))
	create(t, conn, Plan{Partitions: 1})
	if got := failures(checked(t, conn)); len(got) != 0 {
		t.Errorf("of one cluster: %+v", got)
	}
	_, other := cluster(t, 1, kfake.ClusterID("there"))
	create(t, other, Plan{Partitions: 1})
	conn.Brokers = append(conn.Brokers, other.Brokers...)
	want := "broker " + other.Brokers[0] + ": is of another cluster (there) than " + conn.Brokers[0] + " (here)"
	if got := checked(t, conn); !find(got, finding.Fail, want) {
		t.Errorf("%+v, want %q", got, want)
	}
}

// TestCheckSaysWhoRefusesTimes: the embedded broker does not know these settings.
func TestCheckSaysWhoRefusesTimes(t *testing.T) {
	for _, tt := range []struct {
		set  map[string]string
		fail bool
	}{
		{map[string]string{"message.timestamp.before.max.ms": "9223372036854775807", "message.timestamp.after.max.ms": "3600000"}, false},
		{map[string]string{"message.timestamp.before.max.ms": "0"}, true},
		{map[string]string{"message.timestamp.after.max.ms": "999"}, true},
		{map[string]string{"message.timestamp.difference.max.ms": "0"}, true},
		{map[string]string{"message.timestamp.before.max.ms": "0", "message.timestamp.type": "LogAppendTime"}, false},
		{nil, false},
	} {
		var c checker
		if c.slack("topic out", tt.set); (len(failures(c.found)) == 1) != tt.fail {
			t.Errorf("%v: %+v, want a failure: %t", tt.set, c.found, tt.fail)
		}
	}
}

// TestCheckSaysWhatTransactionsNeed: a fence asks for ten seconds.
func TestCheckSaysWhatTransactionsNeed(t *testing.T) {
	_, conn := cluster(t, 1, kfake.BrokerConfigs(map[string]string{"transaction.max.timeout.ms": "9999"}))
	create(t, conn, Plan{Partitions: 1})
	got := failures(checked(t, conn))
	if len(got) != 1 || got[0].About != "fence" || !strings.Contains(got[0].Mend, "transaction.max.timeout.ms to 10000 or more") {
		t.Errorf("%+v, want one that names the brokers' setting", got)
	}
}

func TestCheckWaitsForACoordinatorThatLoads(t *testing.T) {
	k, conn := cluster(t, 1)
	create(t, conn, Plan{Partitions: 1})
	h := k.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.InitProducerID}, Err: kerr.CoordinatorLoadInProgress, Count: 2})
	if got := failures(checked(t, conn)); len(got) != 0 || h.Hits() != 2 {
		t.Errorf("failures = %+v after %d faults, want none after 2", got, h.Hits())
	}
}

func TestCheckOfBrokersThatAreAway(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	got := Check(ctx, CheckConfig{Connection: kafkaio.Connection{Brokers: []string{addr}}, Topics: checkTopics})
	if !find(got, finding.Warn, "broker "+addr) || !find(got, finding.Fail, "brokers: ask "+addr) {
		t.Errorf("findings = %+v", got)
	}
	if got := Check(ctx, CheckConfig{}); !find(got, finding.Fail, "brokers: connect: no brokers are given") {
		t.Errorf("without brokers: %+v", got)
	}
}

func TestTheWrongPasswordIsHintedAt(t *testing.T) {
	_, conn := cluster(t, 1, kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "u", "right"))
	for _, c := range []struct {
		mechanism, password string
		good                bool
	}{{kafkaio.SASLScram256, "right", true}, {kafkaio.SASLScram256, "wrong", false}, {kafkaio.SASLPlain, "right", false}} {
		conn.SASL = &kafkaio.SASL{Mechanism: c.mechanism, Username: "u", Password: payment.Secret(c.password)}
		got := checked(t, conn)
		if reached := find(got, finding.Warn, "brokers: 1 in the cluster"); reached != c.good {
			t.Errorf("%s %s: reached %v, want %v: %+v", c.mechanism, c.password, reached, c.good, got)
		}
		if !c.good && !strings.Contains(got[len(got)-1].Mend, "refuse a login") {
			t.Errorf("%s %s: last finding %+v, want a hint at the login", c.mechanism, c.password, got[len(got)-1])
		}
	}
	conn.SASL = &kafkaio.SASL{Mechanism: "gssapi"}
	if _, err := conn.Transport(); err == nil {
		t.Error("an unknown mechanism is accepted")
	}
}

func TestTheBrokersCertificateIsVerified(t *testing.T) {
	web := httptest.NewTLSServer(nil) // its certificate is good for 127.0.0.1
	defer web.Close()
	_, conn := cluster(t, 1, kfake.TLS(&tls.Config{Certificates: web.TLS.Certificates}))
	trusted := x509.NewCertPool()
	trusted.AddCert(web.Certificate())
	for _, c := range []struct {
		name string
		tls  *tls.Config
		good bool
	}{
		{"trusted", &tls.Config{RootCAs: trusted}, true},
		{"other name", &tls.Config{RootCAs: trusted, ServerName: "kafka.internal"}, false},
		{"not trusted", &tls.Config{RootCAs: x509.NewCertPool()}, false},
		{"plain", nil, false},
	} {
		conn.TLS = c.tls
		got := checked(t, conn)
		if reached := find(got, finding.Warn, "brokers: 1 in the cluster"); reached != c.good {
			t.Errorf("%s: reached %v, want %v: %+v", c.name, reached, c.good, got)
		}
	}
}

// TestCheckTellsWhenRedriveForgets: the brokers' value, and where it is not visible.
func TestCheckTellsWhenRedriveForgets(t *testing.T) {
	for minutes, want := range map[string]time.Duration{"1440": 24 * time.Hour, "10080": 168 * time.Hour} {
		_, conn := cluster(t, 3, kfake.BrokerConfigs(map[string]string{"offsets.retention.minutes": minutes}))
		create(t, conn, Plan{Partitions: 1})
		r, err := NewReader(conn, "in")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if got, err := r.OffsetsKept(t.Context()); err != nil || got != want {
			t.Errorf("%s minutes: offsets are kept for %s, %v, want %s", minutes, got, err, want)
		}
		warned := find(checked(t, conn), finding.Warn, "broker settings: offsets.retention.minutes is 24h0m0s")
		if short := want < 168*time.Hour; warned != short {
			t.Errorf("%s minutes and a ledger window of a week: warned %t, want %t", minutes, warned, short)
		}
	}
	for text, want := range map[string]time.Duration{"": 0, "-1": 0, "a day": 0, "1": time.Minute} {
		if got := offsetsKept(map[string]string{setOffsetsKept: text}); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}
