package kafkaops

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"paylink/internal/finding"
	"paylink/internal/kafkaio"
)

// lendingTopics are checkTopics and the topic for turns.
var lendingTopics = Topics{Intents: "in", Outcomes: "out", DeadLetters: "dead", Turns: "turns"}

func createLending(t *testing.T, conn kafkaio.Connection) []TopicReport {
	t.Helper()
	r, err := CreateTopics(t.Context(), conn, Plan{Topics: lendingTopics, Partitions: 6, LedgerWindow: 168 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// lending is what check says of the topic for turns.
func lending(t *testing.T, conn kafkaio.Connection) (of []finding.Finding) {
	t.Helper()
	for _, f := range Check(t.Context(), CheckConfig{
		Connection: conn, Group: "g", Topics: lendingTopics, SessionTimeout: 15 * time.Second, LedgerWindow: 168 * time.Hour,
	}) {
		if f.About == "topic turns" {
			of = append(of, f)
		}
	}
	return of
}

func TestTheTopicForTurnsIsSmall(t *testing.T) {
	_, conn := cluster(t, 3)
	if got := createLending(t, conn); len(got) != 4 || !got[3].Created || got[3].Name != "turns" {
		t.Errorf("created %+v, want the topic for turns last", got)
	}
	states, err := DescribeTopics(t.Context(), conn, lendingTopics)
	if err != nil || len(states) != 4 {
		t.Fatalf("%d states, %v", len(states), err)
	}
	got := states[3]
	if got.Partitions != 1 || got.Replicas != 3 || got.Settings[setRetention] != "3600000" || got.Settings[setCleanup] != "delete" {
		t.Errorf("made %+v, want one partition that keeps an hour, copied as the others", got)
	}
	if again := createLending(t, conn); again[3].Created || len(again[3].Differences) > 0 {
		t.Errorf("again: %+v, want no difference", again[3])
	}
}

func TestCheckSaysWhetherTurnsCanBeLent(t *testing.T) {
	_, conn := cluster(t, 1)
	create(t, conn, Plan{Partitions: 6})
	got := lending(t, conn)
	if len(got) != 1 || got[0].Level != finding.Warn || got[0].What != "does not exist: replicas wait for their own slots" {
		t.Errorf("without the topic: %+v", got)
	}
	createLending(t, conn)
	want := []finding.Finding{{Level: finding.OK, About: "topic turns", What: "replicas can lend each other turns"}}
	if diff := cmp.Diff(want, lending(t, conn)); diff != "" {
		t.Error(diff)
	}
	_, conn = cluster(t, 1, kfake.SeedTopics(3, "turns"))
	got = lending(t, conn)
	if len(got) != 1 || got[0].Level != finding.Warn || !strings.HasPrefix(got[0].What, "has 3 partitions, of which only the first is used") {
		t.Errorf("with three partitions: %+v", got)
	}
}

// TestCheckNamesEachRightThatLendingLacks: none of them is a failure.
func TestCheckNamesEachRightThatLendingLacks(t *testing.T) {
	on := func(topic string, op kmsg.ACLOperation) kfake.ACL {
		return kfake.ACL{Resource: kmsg.ACLResourceTypeTopic, Name: topic, Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: op, Allow: true}
	}
	read, write := on("turns", kmsg.ACLOperationRead), on("turns", kmsg.ACLOperationWrite)
	needed := []kfake.ACL{
		on("in", kmsg.ACLOperationRead), on("out", kmsg.ACLOperationRead), on("out", kmsg.ACLOperationWrite), on("dead", kmsg.ACLOperationWrite),
		{Resource: kmsg.ACLResourceTypeTransactionalId, Name: "paylink/g/in/", Pattern: kmsg.ACLResourcePatternTypePrefixed, Operation: kmsg.ACLOperationWrite, Allow: true},
		{Resource: kmsg.ACLResourceTypeGroup, Name: "g", Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: kmsg.ACLOperationRead, Allow: true},
	}
	for _, c := range []struct {
		has  []kfake.ACL
		want []string // rights that are missing
	}{
		{nil, []string{"Describe"}},
		{[]kfake.ACL{on("turns", kmsg.ACLOperationDescribe)}, []string{"Read", "Write"}},
		{[]kfake.ACL{read}, []string{"Write"}},
		{[]kfake.ACL{write}, []string{"Read"}},
		{[]kfake.ACL{read, write}, nil},
	} {
		_, conn := cluster(t, 1, kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "admin", "admin"), kfake.User("PLAIN", "pay", "pay", append(c.has, needed...)...))
		conn.SASL = &kafkaio.SASL{Mechanism: kafkaio.SASLPlain, Username: "admin", Password: "admin"}
		createLending(t, conn)
		conn.SASL = &kafkaio.SASL{Mechanism: kafkaio.SASLPlain, Username: "pay", Password: "pay"}
		var got []string
		for _, f := range lending(t, conn) {
			right, missing := strings.CutPrefix(f.What, "a right is missing: ")
			if missing {
				right, _, _ = strings.Cut(right, " on topic turns: replicas wait for their own slots")
				got = append(got, right)
			}
			if missing != (f.Level == finding.Warn) {
				t.Errorf("with %+v: %+v", c.has, f)
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("with %+v: %s", c.has, diff)
		}
		if got := failures(checked(t, conn)); len(got) != 0 {
			t.Errorf("with %+v: failures %+v", c.has, got)
		}
		states, err := DescribeTopics(t.Context(), conn, lendingTopics)
		if want := map[bool]int{true: 3, false: 4}[len(c.has) == 0]; err != nil || len(states) != want {
			t.Errorf("with %+v: described are %d topics (%v), want %d", c.has, len(states), err, want)
		}
	}
}

// TestCheckLeavesNoNote: the marker of its transaction is all that comes to the topic.
func TestCheckLeavesNoNote(t *testing.T) {
	c, conn := cluster(t, 1)
	createLending(t, conn)
	lending(t, conn)
	a, err := newAdmin(conn, []string{"turns"})
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	md, err := a.metadata(t.Context(), []string{"turns"})
	if err != nil {
		t.Fatal(err)
	}
	if md.Topics[0].Error != nil {
		t.Fatal(md.Topics[0].Error)
	}
	at, err := kafkaio.ListOffsets(t.Context(), a.client, kafka.ReadUncommitted, "turns", []kafka.OffsetRequest{kafka.LastOffsetOf(0)})
	if err != nil || at.LastOffset != 1 || c.PartitionInfo("turns", 0).HighWatermark != 1 {
		t.Errorf("the topic ends at %d (%v), want at the marker", at.LastOffset, err)
	}
	res, err := kafkaio.FetchRequest{Leader: int32(md.Topics[0].Partitions[0].Leader.ID), Topic: "turns", MaxBytes: 1 << 20,
		Partitions: []kafkaio.FetchFrom{{MaxBytes: 1 << 20}}}.FetchOne(t.Context(), a.client)
	if err != nil {
		t.Fatal(err)
	}
	for {
		b, err := res.Records.Next()
		if err != nil {
			t.Fatal(err)
		}
		if b == nil {
			return
		}
		if !b.Control {
			t.Errorf("a batch of records stands at %d", b.Base)
		}
	}
}
