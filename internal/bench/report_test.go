package bench

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write goldens anew")

// full is a measurement in which nothing is left out.
func full(t *testing.T) measurement {
	t.Helper()
	var m measurement
	v := reflect.ValueOf(&m).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); {
		case !f.CanSet():
		case f.Kind() == reflect.String:
			f.SetString(v.Type().Field(i).Name)
		case f.CanInt():
			f.SetInt(int64(i + 1))
		case f.CanFloat():
			f.SetFloat(float64(i) + 0.5)
		default:
			t.Fatalf("%s is of a kind that this test does not know", v.Type().Field(i).Name)
		}
	}
	return m
}

// TestTheShapeOfJSON: scripts read it.
func TestTheShapeOfJSON(t *testing.T) {
	got, err := json.MarshalIndent([]measurement{full(t), {Loop: "paylink", Part: "backlog"}}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "measurements.json", append(got, '\n'))
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", file, got, want)
	}
}

// TestEveryPartHasRowsAndSomethingToCompareWith: a figure alone says little.
func TestEveryPartHasRowsAndSomethingToCompareWith(t *testing.T) {
	o := Options{Figures: true, Rate: -1, TopicPartitions: 12, Duration: time.Second}
	o.usual()
	var names []string
	for _, p := range o.parts(Streams{}) {
		names = append(names, p.name)
		last := p.columns()[len(p.trials)-1]
		compared := strings.Contains(last, plainLoop) || last == rawLoop || p.columns()[0] == "quiet"
		if len(figuresOf(p.name)) < 3 || len(p.trials) < 2 || !compared {
			t.Errorf("%s: %d rows, columns %v", p.name, len(figuresOf(p.name)), p.columns())
		}
	}
	if want := []string{"backlog", "schedule-200", "schedule-1000", "merchants", "sparse", "telemetry", "partitions", "ledger"}; !slices.Equal(names, want) {
		t.Errorf("parts %v, want %v", names, want)
	}
}

func TestBarsShareAScaleThatBeginsAtZero(t *testing.T) {
	all := []measurement{
		{Loop: "paylink", Part: "backlog", PerSecond: 50}, {Loop: "plain", Part: "backlog", PerSecond: 200},
		{Loop: "paylink", Part: "backlog", PerSecond: 100}, {Loop: "plain", Part: "backlog", PerSecond: 100},
	}
	got := chartOf(figures[0], []string{"paylink", "plain"}, all)
	want := pageChart{Name: "outcomes/s", Height: 2 * barHeight, Bars: []pageBar{
		{Name: "paylink", Text: "100", Length: 500, Runs: []int{250, 500}},
		{Name: "plain", Text: "200", Length: 1000, Runs: []int{1000, 500}, Y: barHeight},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestCallsAheadOfTheRateAreCounted(t *testing.T) {
	start := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name string
		at   []time.Duration
		want float64
	}{
		{"at the rate", []time.Duration{0, 100, 200, 350}, 1},
		{"two at once", []time.Duration{0, 0, 300}, 2},
		{"one comes a quarter too early", []time.Duration{0, 75}, 1.25},
	} {
		q := newQuickGateway(Options{}.Gateway, 100*time.Millisecond)
		for _, d := range tt.at {
			q.pace("540001", start.Add(d*time.Millisecond))
		}
		q.pace("540002", start)
		if q.ahead != tt.want {
			t.Errorf("%s: %v ahead, want %v", tt.name, q.ahead, tt.want)
		}
	}
}

func TestAMissingFigureIsADash(t *testing.T) {
	f := figuresOf("ledger")
	all := []measurement{{Loop: "paylink", Part: "ledger"}, {Loop: rawLoop, Part: "ledger", Fetched: 3 << 20}}
	if got := row(f[len(f)-1], []string{"paylink", rawLoop}, all); strings.Join(strings.Fields(got), " ") != "bytes fetched – 3.0 MiB" {
		t.Errorf("row %q", got)
	}
}
