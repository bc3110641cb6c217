package service

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"paylink/internal/console"
	"paylink/internal/kafkaio"
	"paylink/internal/payment"
	"paylink/internal/pipeline"
)

func TestEachHoldIsAnAlarm(t *testing.T) {
	since := time.Unix(1, 0)
	got := holds([]pipeline.Lane{
		{Merchant: "540001", OnHold: true, Code: "9998", HeldSince: since}, {Merchant: "540002"}, {Merchant: "540003", Blind: true},
	})
	whatAndMend(t, got, "Merchant 540001 is on hold: the gateway rejects our credentials or set-up (error 9998)",
		"Merchant 540003: the gateway refuses our status look-ups, though not our payments")
	if len(got) > 0 && !got[0].Since.Equal(since) {
		t.Errorf("since %v, want %v", got[0].Since, since)
	}
}

func TestManyHoldsAreOneAlarm(t *testing.T) {
	var lanes []pipeline.Lane
	for i := range 5000 {
		lanes = append(lanes, pipeline.Lane{Merchant: payment.MerchantID(strconv.Itoa(540001 + i)), OnHold: true, HeldSince: time.Unix(int64(5000-i), 0)})
	}
	got := holds(lanes)
	whatAndMend(t, got, "5000 merchants are on hold: the gateway rejects our credentials or set-up")
	if len(got) == 1 && (!got[0].Since.Equal(time.Unix(1, 0)) || !strings.Contains(got[0].Mend, "540001, 540002") || len(got[0].Mend) > 1000) {
		t.Errorf("%+v, want the first since when, some of the names, and less than a page", got[0])
	}
}

func TestHoldsAreToldBesideReadiness(t *testing.T) {
	for want, who := range map[string][]payment.MerchantID{
		"": nil,
		"on hold, because the gateway rejects our credentials or set-up: merchant 540001, 540002, 540003 and 1 more": {"540001", "540002", "540003", "540004"},
	} {
		if got := held(who); got != want {
			t.Errorf("it says %q, want %q", got, want)
		}
	}
}

func TestEachGatewayThatIsDownIsAnAlarm(t *testing.T) {
	since := time.Unix(1, 0)
	got := gatewaysDown([]pipeline.Gateway{{Name: "two", Down: true}, {Name: "three"}, {Name: "one", Down: true, Since: since}})
	whatAndMend(t, got, "Gateway one fails broadly: its intents wait, and it is only probed", "Gateway two fails broadly: its intents wait, and it is only probed")
	if len(got) > 0 && !got[0].Since.Equal(since) {
		t.Errorf("since %v, want that of the breaker", got[0].Since)
	}
}

func TestPartitionsThatAreFullAreOneAlarm(t *testing.T) {
	whatAndMend(t, full([]pipeline.PartitionState{{Partition: 0, Full: true}, {Partition: 1}, {Partition: 7, Full: true}}),
		"2 partitions are not read on (0, 7): as many intents wait for their merchants' turns as may, and those behind them wait too, whatever their merchant")
	whatAndMend(t, full([]pipeline.PartitionState{{Partition: 1}}))
}

func TestManyGatewaysDownAreOneAlarm(t *testing.T) {
	var all []pipeline.Gateway
	for i := range 5000 {
		all = append(all, pipeline.Gateway{Name: fmt.Sprintf("gateway-%04d", i), Down: i > 0, Since: time.Unix(int64(5000-i), 0)})
	}
	got := gatewaysDown(all)
	whatAndMend(t, got, "4999 gateways fail broadly: their intents wait, and they are only probed")
	if len(got) == 1 && (!got[0].Since.Equal(time.Unix(1, 0)) || !strings.Contains(got[0].Mend, "gateway-0001, gateway-0002") || len(got[0].Mend) > 1000) {
		t.Errorf("%+v, want the first since when, some of the names, and less than a page", got[0])
	}
}

func TestSomeOfManyAreNamed(t *testing.T) {
	for want, all := range map[string][]string{"": nil, "a": {"a"}, "a, b": {"a", "b"}, "a, b and 2 more": {"a", "b", "c", "d"}} {
		if got := some(all, 2); got != want {
			t.Errorf("some of %v = %q, want %q", all, got, want)
		}
	}
}

func TestWhatMustNeverHappenIsAnAlarm(t *testing.T) {
	whatAndMend(t, rises(pipeline.Counts{Second: 2, Vanished: 2}, kafkaio.Counters{CorruptBatches: 1, BrokenFences: 2}),
		"Batches of the intent topic cannot be read: their partitions stand still (1 since the start)",
		"The gateway holds another payment than the published link's: it did not honour the idempotency key (2 since the start)",
		"Retention deleted intents that waited for their turn: they get no outcome (2 since the start)",
		"Somebody else fenced partitions that we own (2 since the start)",
	)
}

func TestEachTroubleIsAnAlarmAndABlockedAppendIsNotReady(t *testing.T) {
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	all := []kafkaio.Trouble{
		{Kind: kafkaio.AppendBlocked, What: "Kafka takes no records", Mend: "do", Since: since},
		{Kind: kafkaio.ShortLedger, What: "short", Mend: "do"},
	}
	whatAndMend(t, troubles(all), "Kafka takes no records", "short")
	if got, want := blocked(kafkaio.State{Troubles: all}), "Kafka takes no records, since 03:04:05 UTC"; got != want {
		t.Errorf("not ready for %q, want %q", got, want)
	}
	if got := blocked(kafkaio.State{Troubles: all[1:]}); got != "" {
		t.Errorf("not ready for %q, though records are taken", got)
	}
}

// whatAndMend checks what alarms say, and that each says what to do.
func whatAndMend(t *testing.T, got []console.Alarm, want ...string) {
	t.Helper()
	var what []string
	for _, a := range got {
		what = append(what, a.What)
		if a.Mend == "" {
			t.Errorf("%q says not how to mend it", a.What)
		}
	}
	if diff := cmp.Diff(want, what); diff != "" {
		t.Error(diff)
	}
}

func TestPartitionsTellTheirStateAndLag(t *testing.T) {
	got := partitions(kafkaio.State{Membership: kafkaio.Membership{Live: true}, Partitions: []kafkaio.Partition{
		{Number: 1, State: kafkaio.Running, Committed: 90, Fetched: 102, End: 142},
		{Number: 2, State: kafkaio.Draining, Committed: 7, Fetched: 9, End: -1},
		{Number: 3, State: kafkaio.Loading, Committed: 5, Fetched: 5, End: -1},
		{Number: 4, State: kafkaio.Fencing, Committed: -1, Fetched: -1, End: -1},
	}}, pipeline.State{Partitions: []pipeline.PartitionState{
		{Partition: 1, Watermark: 100, Unfinished: 2}, {Partition: 2, Watermark: -1, Draining: true},
	}})
	want := []console.Partition{
		{Number: 1, State: "running", Healthy: true, Watermark: 100, Unfinished: 2, Lag: 42},
		{Number: 2, State: "draining", Lag: -1},
		{Number: 3, State: "loading", Watermark: 5, Lag: -1},
		{Number: 4, State: "fencing", Lag: -1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestCountersNameWhatTheyCount(t *testing.T) {
	count := func(n uint64, labels ...string) pipeline.Count {
		c := pipeline.Count{N: n}
		copy(c.Labels[:], labels)
		return c
	}
	got := counters(pipeline.State{InFlight: 5, BackingOff: 1, Counts: pipeline.Counts{
		Settled: []pipeline.Count{count(7, "created", ""), count(2, "failed", "gave_up")},
		Dead:    []pipeline.Count{count(1, "conflict")}, Turns: []pipeline.Count{count(6, "borrowed")}, Repeats: 3,
	}}, kafkaio.Counters{RecordsAppended: 9, BrokenFences: 1}, hourCounts{
		settled: map[[2]string]uint64{{"created"}: 4}, dead: map[[2]string]uint64{{"conflict"}: 1}, turns: map[[2]string]uint64{{"borrowed"}: 5}, repeats: 2, brokenFences: 1,
	})
	want := []console.Counter{
		{Group: "Now", Name: "calls in flight", Value: 5, Now: true},
		{Group: "Now", Name: "waiting to repeat", Value: 1, Now: true},
		{Group: "Intents settled", Name: "created", Value: 7, Hour: 4},
		{Group: "Intents settled", Name: "failed gave_up", Value: 2, Bad: true},
		{Group: "Dead letters", Name: "conflict", Value: 1, Hour: 1, Bad: true},
		{Group: "Turns lent", Name: "borrowed", Value: 6, Hour: 5},
		{Group: "Gateway calls", Name: "to be repeated", Value: 3, Hour: 2},
		{Group: "Kafka", Name: "records appended", Value: 9},
		{Group: "Kafka", Name: "appends repeated"},
		{Group: "Kafka", Name: "fetches that failed"},
		{Group: "Kafka", Name: "fences found broken", Value: 1, Hour: 1, Bad: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestLendingIsToldInOneLine: that it works, and how often; that it does not, and why.
func TestLendingIsToldInOneLine(t *testing.T) {
	since := time.Unix(5, 0)
	down := kafkaio.State{Unlent: "no such topic", UnlentSince: since}
	lent := map[[2]string]uint64{{"asked"}: 7, {"borrowed"}: 5, {"lost"}: 1, {"lent"}: 3, {"declined"}: 2}
	for _, tt := range []struct {
		name   string
		on     bool
		k      kafkaio.State
		lately map[[2]string]uint64
		want   console.Lending
	}{
		{"off", false, kafkaio.State{}, nil, console.Lending{Level: console.Good, Text: "No turns are lent, as the settings ask: replicas wait for their own slots."}},
		{"quiet", true, kafkaio.State{}, nil, console.Lending{Level: console.Good, Text: "Turns: none was asked of other replicas in the last 5m, nor lent to them."}},
		{"busy", true, kafkaio.State{}, lent, console.Lending{Level: console.Good, Text: "Turns: in the last 5m this replica asked others for 7, borrowed 5 and lent 3."}},
		{"down", true, down, lent, console.Lending{Level: console.Wait, Text: "No turns are lent, so replicas wait for their own slots: no such topic", Since: since}},
	} {
		if diff := cmp.Diff(tt.want, lending(tt.on, tt.k, tt.lately)); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
	if !laneOf(pipeline.Lane{Wait: pipeline.Wait{Asks: true}}).Asks {
		t.Error("a lane does not say that it asks")
	}
}

func TestOutcomesOfBothKinds(t *testing.T) {
	at := time.Unix(5, 0)
	got := outcomes(pipeline.State{Recent: []pipeline.RecentOutcome{
		{At: at, Intent: "a", Merchant: "1", Took: time.Second, Outcome: payment.Created{Attempts: 2, Link: payment.Link{RedirectURL: "https://pay"}}},
		{At: at, Intent: "b", Outcome: payment.Failed{Attempts: 1, Reason: payment.Refused, PaymentMayExist: true}},
	}})
	want := []console.Outcome{
		{At: at, IntentID: "a", Merchant: "1", Took: time.Second, Type: "created", Attempts: 2, Link: "https://pay"},
		{At: at, IntentID: "b", Type: "failed", Attempts: 1, Reason: "refused", MayExist: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestReadyIsAMemberAllOfWhosePartitionsRun(t *testing.T) {
	is := func(states ...kafkaio.PartitionState) (all []kafkaio.Partition) {
		for _, s := range states {
			all = append(all, kafkaio.Partition{Assigned: true, State: s})
		}
		return all
	}
	member, since := kafkaio.Membership{Live: true, Joined: true}, time.Date(2026, 11, 28, 18, 0, 5, 0, time.UTC)
	leaving := kafkaio.Partition{State: kafkaio.Draining}
	const waits = "not a living member of the group yet: brokers, topics or the other members are waited for"
	for _, c := range []struct {
		name          string
		m             kafkaio.Membership
		parts         []kafkaio.Partition
		group, ledger string
	}{
		{"all run", member, is(kafkaio.Running, kafkaio.Running), "", ""},
		{"none is ours", member, nil, "", ""},
		{"one is fenced", member, is(kafkaio.Running, kafkaio.Fencing), "", "1 partition is being fenced, and its ledger read"},
		{"two load", member, is(kafkaio.Loading, kafkaio.Running, kafkaio.Fencing), "", "2 partitions are being fenced, and their ledgers read"},
		{"one of ours drains", member, is(kafkaio.Running, kafkaio.Draining), "", "1 partition is being fenced, and its ledger read"},
		{"one that is handed over drains", member, append(is(kafkaio.Running), leaving), "", ""},
		{"it does not stand for one that loads", member, append(is(kafkaio.Loading), leaving), "", "1 partition is being fenced, and its ledger read"},
		{"joined, and not told what is ours", kafkaio.Membership{Live: true}, nil, waits, ""},
		{"its lease is over", kafkaio.Membership{Joined: true}, is(kafkaio.Fencing), waits, ""},
		{"brokers are away", kafkaio.Membership{Trouble: errors.New("metadata: refused"), TroubleAt: since}, nil, waits + "; the last error, at 18:00:05 UTC: metadata: refused", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := outside(c.m); got != c.group {
				t.Errorf("group: %q, want %q", got, c.group)
			}
			if got := loading(kafkaio.State{Membership: c.m, Partitions: c.parts}); got != c.ledger {
				t.Errorf("ledger: %q, want %q", got, c.ledger)
			}
		})
	}
}

func TestAPartitionThatWaitsForRoomSaysWhy(t *testing.T) {
	k := kafkaio.State{
		Membership: kafkaio.Membership{Live: true, Joined: true},
		Partitions: []kafkaio.Partition{{State: kafkaio.Fencing, Assigned: true}},
		Troubles:   []kafkaio.Trouble{{Kind: kafkaio.LedgerFull, What: "no room"}},
	}
	if got, want := loading(k), "1 partition is being fenced, and its ledger read; no room"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	k.Troubles = []kafkaio.Trouble{{Kind: kafkaio.InputBlocked, What: "of another partition"}, {Kind: kafkaio.TakeOverBlocked, What: "no coordinator"}}
	if got, want := loading(k), "1 partition is being fenced, and its ledger read; no coordinator"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
