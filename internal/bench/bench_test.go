package bench

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"paylink/internal/devstack"
	"paylink/internal/event"
)

func outcomeOf(id string) devstack.Record {
	var r devstack.Record
	r.Headers = []event.Header{{Key: event.HeaderIntentID, Value: []byte(id)}}
	return r
}

func TestAnAudienceCountsEachIntentOnce(t *testing.T) {
	a := newAudience("b-", 3)
	for _, id := range []string{"b-00000000", "w-00000001", "b-00000002", "b-00000002", "b-9", "b-x", "", "b-00000001"} {
		if err := a.see(outcomeOf(id)); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-a.all:
	default:
		t.Error("not all seen")
	}
	if a.seen != 3 || a.twice != 1 {
		t.Errorf("%d seen, %d twice; want 3 and 1", a.seen, a.twice)
	}
}

func TestLatencyCountsFromTheScheduledTime(t *testing.T) {
	start := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	a := newAudience("b-", 100)
	for i := range a.at { // everything comes at once, a second after the start
		a.at[i] = start.Add(time.Second)
	}
	var m measurement
	m.spread(a, devstack.Stream{Rate: 100, Start: start}.Due)
	if m.P50 != 500*time.Millisecond || m.Max != time.Second {
		t.Errorf("p50 %v, maximum %v; want 500ms and 1s", m.P50, m.Max)
	}
}

func TestKeysFollowTheirDistribution(t *testing.T) {
	for _, tt := range []struct {
		name     string
		bench    Options
		distinct func(int) bool
		hottest  func(int) bool
	}{
		{"one per intent", Options{}, func(n int) bool { return n == 5000 }, func(n int) bool { return n == 1 }},
		{"uniform", Options{Keys: 10}, func(n int) bool { return n == 10 }, func(n int) bool { return n < 650 }},
		{"zipf", Options{Keys: 1000, Zipf: 1.5}, func(n int) bool { return n > 50 && n <= 1000 }, func(n int) bool { return n > 1500 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			intents, keys := tt.bench.intents("b-", 1, []writer{func(intent) ([]byte, error) { return nil, nil }}), map[string]int{}
			hottest := 0
			for range 5000 {
				m, err := intents()
				if err != nil {
					t.Fatal(err)
				}
				k := string(m.Key)
				keys[k]++
				hottest = max(hottest, keys[k])
			}
			if !tt.distinct(len(keys)) || !tt.hottest(hottest) {
				t.Errorf("%d keys, the hottest %d times", len(keys), hottest)
			}
		})
	}
}

func TestTheRateIsHalfOfTheSlowestUnlessGiven(t *testing.T) {
	backlogs := []measurement{{PerSecond: 4000}, {PerSecond: 3001}}
	for _, tt := range []struct{ given, want float64 }{{-1, 1500}, {0, 0}, {700, 700}} {
		c := Options{Rate: tt.given}
		if got := c.rate(backlogs); got != tt.want {
			t.Errorf("rate %v: %v, want %v", tt.given, got, tt.want)
		}
	}
}

func TestMediansAreOfTheirLoopAndPart(t *testing.T) {
	var all []measurement
	for i, v := range []float64{5, 1, 3} {
		all = append(all,
			measurement{Loop: "paylink", Part: "backlog", PerSecond: v},
			measurement{Loop: "plain", Part: "backlog", PerSecond: 100 * v},
			measurement{Loop: "paylink", Part: "schedule", PerSecond: float64(i) + 1000})
	}
	if got := row(figures[0], []string{"paylink", "plain"}, all); got != "  outcomes/s                                           3           300    0.01" {
		t.Errorf("row %s", strconv.Quote(got))
	}
}

// TestRatiosAreWithinARun: a machine that slows down between two runs changes
// the figures of both loops, and not how they compare.
func TestRatiosAreWithinARun(t *testing.T) {
	var all []measurement
	for _, slow := range []float64{1, 10, 2} {
		all = append(all,
			measurement{Loop: "paylink", Part: "backlog", PerSecond: 100 / slow},
			measurement{Loop: "avro", Part: "backlog", PerSecond: 98 / slow},
			measurement{Loop: "protobuf", Part: "backlog", PerSecond: 102 / slow})
	}
	if got := row(figures[0], []string{"paylink", "avro", "protobuf"}, all); !strings.HasSuffix(got, "50           49 0.98           51 1.02") {
		t.Errorf("row %s", strconv.Quote(got))
	}
}

func TestQuantile(t *testing.T) {
	ten := []time.Duration{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	for _, tt := range []struct {
		values []time.Duration
		q      float64
		want   time.Duration
	}{{ten, 0.5, 5}, {ten, 0.99, 10}, {ten, 0, 1}, {ten, 1, 10}, {ten[:1], 0.999, 1}, {nil, 0.5, 0}} {
		if got := quantile(tt.values, tt.q); got != tt.want {
			t.Errorf("quantile(%v, %v) = %d, want %d", tt.values, tt.q, got, tt.want)
		}
	}
}

// TestALoopFindsItsTopics: also that of lent turns, without which it would go on, and be
// slower.
func TestALoopFindsItsTopics(t *testing.T) {
	cfg, err := (&subject{Brokers: []string{"127.0.0.1:9"}, Name: "bench", Gateway: "http://127.0.0.1:9", InFlight: 1, Format: "json"}).settings()
	if err != nil {
		t.Fatal(err)
	}
	var made []string
	for _, topic := range benchTopics("bench", 1) {
		made = append(made, topic.Name)
	}
	want := []string{cfg.Topics.Intents, cfg.Topics.Outcomes, cfg.Topics.DeadLetters, cfg.Turns.Name()}
	if !slices.Equal(made, want) {
		t.Errorf("topics %v are made, the loop needs %v", made, want)
	}
}
