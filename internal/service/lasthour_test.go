package service

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"paylink/internal/console"
	"paylink/internal/event"
	"paylink/internal/kafkaio"
	"paylink/internal/payment"
	"paylink/internal/pipeline"
)

func counted(n uint64, labels ...string) pipeline.Count {
	c := pipeline.Count{N: n}
	copy(c.Labels[:], labels)
	return c
}

func TestTheLastHourForgetsWhatIsOlder(t *testing.T) {
	var h lastHour
	start := time.Date(2026, 11, 28, 3, 0, 0, 0, time.UTC)
	for i := range 1000 {
		h.add(sample{at: start.Add(time.Duration(i) * sampleEvery), counts: pipeline.Counts{Settled: []pipeline.Count{counted(uint64(i), "created")}}})
	}
	now := start.Add(999 * sampleEvery)
	all := h.list(now)
	if len(all) != console.Steps+1 || !all[0].at.Equal(now.Add(-time.Hour)) || !all[len(all)-1].at.Equal(now) {
		t.Fatalf("%d samples from %s to %s, want those of an hour", len(all), all[0].at, all[len(all)-1].at)
	}
	if n := sum(all[len(all)-1].since(all[0]).settled, "created"); n != console.Steps {
		t.Errorf("%d settled in an hour, want %d", n, console.Steps)
	}
	if all := h.list(now.Add(40 * time.Minute)); len(all) > 122 { // the process stood still
		t.Errorf("%d samples after a gap of 40 minutes, want those of 20", len(all))
	}
}

func TestTheLastMinutesBeginWithinThem(t *testing.T) {
	now := time.Date(2026, 11, 28, 3, 0, 0, 0, time.UTC)
	old, young := sample{at: now.Add(-6 * time.Minute), lag: 6}, sample{at: now.Add(-4 * time.Minute), lag: 4}
	for want, all := range map[int64][]sample{4: {old, young}, 6: {old}, 0: nil} {
		if got := from(all, now.Add(-newly)).lag; got != want {
			t.Errorf("of %d samples that from %d min ago, want %d", len(all), got, want)
		}
	}
}

func TestAYoungServiceCountsFromItsStart(t *testing.T) {
	is := sample{counts: pipeline.Counts{Dead: []pipeline.Count{counted(3, "conflict")}, Turns: []pipeline.Count{counted(4, "lent")}, MayExist: 2, Repeats: 5}, kafka: kafkaio.Counters{BrokenFences: 1}}
	got := is.since(first(nil))
	if sum(got.dead, "") != 3 || sum(got.turns, "lent") != 4 || got.mayExist != 2 || got.repeats != 5 || got.brokenFences != 1 {
		t.Errorf("since the start: %+v", got)
	}
}

func TestChartsAreOfTheTimeBetweenSamples(t *testing.T) {
	at := time.Date(2026, 11, 28, 3, 0, 0, 0, time.UTC)
	all := []sample{
		{at: at, lag: 7},
		{at: at.Add(10 * time.Second), lag: 12, inDoubt: 2, counts: pipeline.Counts{
			Settled: []pipeline.Count{counted(40, "created"), counted(1, "failed", "refused"), counted(2, "failed", "gave_up")}, Dead: []pipeline.Count{counted(1, "conflict")},
		}, spread: pipeline.Spread{Within: []float64{1, 2, 10}, N: []uint64{20, 40, 43}, Total: 43}},
		{at: at.Add(20 * time.Second), lag: -1, counts: pipeline.Counts{
			Settled: []pipeline.Count{counted(41, "created"), counted(1, "failed", "refused"), counted(2, "failed", "gave_up")}, Dead: []pipeline.Count{counted(1, "conflict")},
		}, spread: pipeline.Spread{Within: []float64{1, 2, 10}, N: []uint64{20, 40, 43}, Total: 44}},
	}
	got := map[string]string{}
	for _, c := range charts(all) {
		for _, l := range c.Lines {
			got[l.Name] = fmt.Sprintf("%.2f", l.Values)
		}
	}
	want := map[string]string{
		"created": "[240.00 6.00]", "failed": "[18.00 0.00]", "dead letters": "[6.00 0.00]", "half within": "[1.07 10.00]", "95 % within": "[4.27 10.00]",
		"lag": "[12.00 NaN]", "in doubt": "[2.00 0.00]",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if q := quantile(0.5, all[2].spread, all[2].spread); !math.IsNaN(q) {
		t.Errorf("of no intents, half were settled within %v", q)
	}
}

func TestRisksAreToldWithWhatToDo(t *testing.T) {
	now := time.Date(2026, 11, 28, 3, 0, 0, 0, time.UTC)
	r := pipeline.Risk{InDoubt: 2, DoubtSince: now.Add(-9*time.Minute - 3*time.Second), Amounts: map[string]int64{"KZT": 4530005, "": 100}, Unpublished: 4, PublishedBy: now.Add(-time.Minute), Ending: 1}
	hour := hourCounts{second: 1, shared: 2, mayExist: 5, settled: map[[2]string]uint64{{"failed", "gave_up"}: 6, {"failed", "expired"}: 7, {"created"}: 90},
		dead: map[[2]string]uint64{{"conflict"}: 1, {"not_json"}: 2, {"empty"}: 0}}
	var got []string
	for _, r := range risks(r, hour, time.Hour, now) {
		got = append(got, fmt.Sprintf("%d %s: %s, money %v", r.N, r.Name, r.Level, r.Money))
		if r.Text == "" {
			t.Errorf("%s: nothing says what it means", r.Name)
		}
		for name, want := range map[string]string{"in doubt now": "1.00 in the merchants' own currency, 45300.05 KZT; the oldest was asked for 9m3s ago.", "dead letters, last hour": "2 not_json, 1 conflict."} {
			if r.Name == name && !strings.HasPrefix(r.Text, want) {
				t.Errorf("%s says %q, want %q", name, r.Text, want)
			}
		}
	}
	want := []string{
		"3 second payments, last hour: bad, money true",
		"5 failed though a payment may exist, last hour: bad, money true",
		"2 in doubt now: wait, money true",
		"4 answered, but not published yet: wait, money true",
		"1 given up within 10m, unless they go on: wait, money true",
		"6 given up, last hour: bad, money true",
		"3 dead letters, last hour: bad, money false",
		"7 expired, last hour: wait, money false",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	quiet := risks(pipeline.Risk{Unpublished: 9, PublishedBy: now.Add(-time.Second)}, hourCounts{}, time.Hour, now)
	for _, r := range quiet {
		if r.N != 0 || r.Level != console.Good || r.Text != "" {
			t.Errorf("%+v, though nothing is at risk: an answer is on its way to Kafka for a second", r)
		}
	}
	if len(quiet) != len(want) {
		t.Errorf("%d risks are told while there are none, want all %d", len(quiet), len(want))
	}
}

func TestGatewaysCountTheirMerchants(t *testing.T) {
	lanes := []pipeline.Lane{{Gateway: "a"}, {Gateway: "a"}, {Gateway: "b"}}
	got := gateways(pipeline.State{Lanes: lanes, Gateways: []pipeline.Gateway{{Name: "b", Down: true, Since: time.Unix(1, 0), LastError: "x"}, {Name: "a", Since: time.Unix(1, 0), LastError: "old"}}})
	if diff := cmp.Diff([]console.Gateway{{Name: "a", Merchants: 2}, {Name: "b", Merchants: 1, Down: true, Since: time.Unix(1, 0), LastError: "x"}}, got); diff != "" {
		t.Error(diff)
	}
}

func TestStoriesOfIntents(t *testing.T) {
	s := &service{}
	s.cfg.Topics.Intents = "in"
	at := time.Date(2026, 11, 28, 3, 0, 0, 0, time.UTC)
	recent := []pipeline.RecentOutcome{
		{At: at, Intent: "made", Order: "o-1", Merchant: "540001", Partition: 2, Offset: 17, Took: 1300 * time.Millisecond, Outcome: payment.Created{Attempts: 1, Link: payment.Link{RedirectURL: "https://pay"}}},
		{At: at, Intent: "lost", Order: "o-2", Merchant: "540001", Outcome: payment.Failed{Reason: payment.GaveUp, PaymentMayExist: true, Attempts: 9}},
	}
	dead := []pipeline.RecentDead{{At: at.Add(-time.Minute), Intent: "made", Reason: "conflict", Offset: 18}, {At: at, Intent: "bad", Reason: "too_old"}, {At: at, Reason: "not_json"}}
	waits := []pipeline.IntentWait{{ID: "waits", Order: "o-3", Merchant: "540001", Partition: 1, Offset: 5, Wait: pipeline.Wait{State: "paced", Asks: true}}}
	known := []kafkaio.Settled{{TopicPartition: kafkaio.TopicPartition{Topic: "out", Partition: 3}, Offset: 9, Message: event.Message{Time: at, Headers: []event.Header{{Key: "ce_type", Value: []byte(event.CETypeCreated)}}}}}
	for _, c := range []struct {
		id      string
		waits   []pipeline.IntentWait
		settled []kafkaio.Settled
		want    string
		says    string
	}{
		{"made", nil, known, "created [dead_letter created] 0", "The link of intent made of merchant 540001 was published, 1.3s after the intent, with 1 call."},
		{"o-1", nil, nil, "created [created] 0", "The link of intent made"},
		{"o-2", nil, nil, "failed [failed] 0", "A payment may exist"},
		{"bad", nil, nil, "dead_letter [dead_letter] 0", "as too_old"},
		{"waits", waits, nil, "waiting [] 1", ""},
		{"long ago", nil, known, "created [created] 0", "It has its outcome"},
		{"gone", nil, []kafkaio.Settled{{TopicPartition: kafkaio.TopicPartition{Topic: "out"}, Offset: -1}}, "answered [answered] 0", "It has its outcome"},
		{"nobody", nil, nil, "unknown [] 0", ""},
		{"", nil, nil, "unknown [] 0", ""},
	} {
		got := s.tell(c.id, c.waits, recent, dead, c.settled)
		var events []string
		text := ""
		for _, e := range got.Events {
			events, text = append(events, e.Event), text+e.Text
		}
		if len(got.Records) > 0 && !got.Records[0].Asks {
			t.Errorf("%q: it does not say that its merchant asks for a turn", c.id)
		}
		if is := fmt.Sprint(got.State, " ", events, " ", len(got.Records)); is != c.want || !strings.Contains(text, c.says) || strings.Contains(text, "https") {
			t.Errorf("%q: %s, %q, want %s, %q", c.id, is, text, c.want, c.says)
		}
	}
}
