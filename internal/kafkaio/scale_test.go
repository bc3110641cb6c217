package kafkaio

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write what the page of scale takes from the simulation")

// usualPace is that of the page: what the code says, and what was measured.
func usualPace() crowdPace {
	return crowdPace{
		heartbeat: Config{SessionTimeout: 15 * time.Second}.heartbeatEvery(), session: 15 * time.Second,
		request: 20 * time.Millisecond, delay: 3 * time.Second, drain: time.Second,
		fence: 175 * time.Millisecond, outcomes: 100_000, outcome: time.Microsecond, restart: 2 * time.Second,
	}
}

// A scene is one row of the page.
type scene struct {
	name  string
	took  time.Duration
	parts int
	crowdCount
}

// crowdOf is a group that has come to rest.
func crowdOf(t *testing.T, members, parts int, static bool) (*crowd, time.Duration) {
	t.Helper()
	c := newCrowd(parts, usualPace())
	for i := range members {
		c.start(fmt.Sprintf("m%03d", i), static)
	}
	took, ok := c.settle()
	if !ok {
		t.Fatalf("%d members of %d partitions are not at rest after %v", members, parts, took)
	}
	return c, took
}

// play has something happen to a group at rest.
func (c *crowd) play(t *testing.T, name string, do func()) scene {
	t.Helper()
	c.counted = crowdCount{}
	begin := c.now
	do()
	c.until(c.pace.request + time.Millisecond) // it has begun
	if _, ok := c.settle(); !ok {
		t.Fatalf("%s: not at rest", name)
	}
	return scene{name, c.now - begin, len(c.parts), c.counted}
}

// roll restarts all members, some at a time; the next ones when all calls flow again.
func (c *crowd) roll(t *testing.T, members, atATime int) func() {
	return func() {
		for i := 0; i < members; i += atATime {
			for j := i; j < min(members, i+atATime); j++ {
				c.stop(fmt.Sprintf("m%03d", j))
			}
			c.until(3 * time.Second) // the ends have been noticed
			if _, ok := c.settle(); !ok {
				t.Fatal("not at rest after a restart")
			}
		}
	}
}

// until lives on for a while.
func (c *crowd) until(d time.Duration) {
	over := false
	c.after(d, func() { over = true })
	for !over {
		c.step()
	}
}

func scenes(t *testing.T) []scene {
	const members, parts = 100, 2000
	c, took := crowdOf(t, members, parts, false)
	all := []scene{{"100 members join, the group is new", took, parts, c.counted}}
	all = append(all, c.play(t, "one more joins", func() { c.start("m100", false) }))
	c, _ = crowdOf(t, members, parts, false)
	all = append(all, c.play(t, "ten are lost at once", func() {
		for i := range 10 {
			c.kill(fmt.Sprintf("m%03d", 10*i))
		}
	}))
	c, _ = crowdOf(t, members, parts, false)
	all = append(all, c.play(t, "rolling restart, one at a time", c.roll(t, members, 1)))
	c, _ = crowdOf(t, members, parts, true)
	all = append(all, c.play(t, "the same, with group instance ids", c.roll(t, members, 1)))
	c, _ = crowdOf(t, members, parts, true)
	all = append(all, c.play(t, "the same, ten at a time", c.roll(t, members, 10)))
	return all
}

// TestTheSimulationOfManyMembers: everybody serves again, no partition has two owners
// (serve panics), and what the page says of it is so.
func TestTheSimulationOfManyMembers(t *testing.T) {
	var table strings.Builder
	table.WriteString("| | all calls flow again after | a partition stands still, at most | on average | partitions that moved | fences | generations |\n|---|---|---|---|---|---|---|\n")
	for _, s := range scenes(t) {
		mean := s.still / time.Duration(s.parts)
		fmt.Fprintf(&table, "| %s | %s | %s | %s | %d | %d | %d |\n", s.name, roughly(s.took), roughly(s.longest), roughly(mean), s.moved, s.fences, s.generations)
	}
	onPage(t, "simulation", table.String())
}

func roughly(d time.Duration) string {
	if d > 10*time.Minute {
		return fmt.Sprintf("%.0f min", d.Minutes())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// TestARebalanceMovesOnlyWhatMust: of 1,000 partitions over 10 members an eleventh gets
// its share, and nothing else moves or is fenced. All others are served throughout.
func TestARebalanceMovesOnlyWhatMust(t *testing.T) {
	c, _ := crowdOf(t, 10, 1000, false)
	s := c.play(t, "join", func() { c.start("m010", false) })
	if s.moved != 90 || s.fences != 90 {
		t.Errorf("%d partitions moved with %d fences, want 90 and 90", s.moved, s.fences)
	}
	alone := time.Duration(90) * (c.pace.fence + time.Duration(c.pace.outcomes)*c.pace.outcome)
	if most := 90 * (c.pace.drain + 2*c.pace.heartbeat + time.Second + alone); s.still > most {
		t.Errorf("partitions stood still for %v together, want at most %v", s.still, most)
	}
}

// onPage compares a part of deploy/scale.md, between two comments, with what it should be.
func onPage(t *testing.T, name, want string) {
	t.Helper()
	const file = "../../deploy/scale.md"
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- "+name+" -->\n", "<!-- /"+name+" -->\n"
	before, rest, ok := strings.Cut(string(data), begin)
	got, after, ok2 := strings.Cut(rest, end)
	switch {
	case !ok || !ok2:
		t.Fatalf("%s has no part %q", file, name)
	case got == want:
	case *update:
		if err := os.WriteFile(file, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s, %s: says\n%s\nwant\n%s\n(go test ./internal/kafkaio -run ManyMembers -update writes it)", file, name, got, want)
	}
}

// A fleet is what the page reckons with.
type fleet struct {
	replicas, brokers, partitions, merchants int
	outcomes                                 float64 // a week
}

// What was measured, or follows from the protocol; the page says how.
const (
	ledgerEach    = 40       // bytes of an answered intent, at most
	partitionEach = 33 << 10 // bytes of an idle partition
	metadataEach  = 50       // bytes of a partition in an answer of Metadata, three replicas
	notesEach     = 2        // of lending, for each intent that borrows
)

// TestTheNeedsOfAFleet: the page's table follows from the code's own constants.
func TestTheNeedsOfAFleet(t *testing.T) {
	f := fleet{replicas: 100, brokers: 9, partitions: 10_000, merchants: 100_000, outcomes: 1e9}
	var b strings.Builder
	row := func(what, one, all string) { fmt.Fprintf(&b, "| %s | %s | %s |\n", what, one, all) }
	b.WriteString("| | one replica | all together |\n|---|---|---|\n")
	each := f.partitions / f.replicas
	perSecond := f.outcomes / (7 * 24 * time.Hour).Seconds()
	row("partitions", fmt.Sprint(each), fmt.Sprint(f.partitions))
	row("intents a second, on average", fmt.Sprintf("%.0f", perSecond/float64(f.replicas)), fmt.Sprintf("%.0f", perSecond))
	ledger := f.outcomes / float64(f.replicas) * ledgerEach
	row("memory of the ledger", mib(ledger), gib(ledger*float64(f.replicas)))
	bound := float64(512<<20 + max(0, each-heldBytes/heldShare)*heldShare)
	row("memory beside it, at most (M1)", mib(bound), gib(bound*float64(f.replicas)))
	row("of that, idle partitions", mib(float64(each*partitionEach)), gib(float64(f.partitions*partitionEach)))
	conns := 2*f.brokers + 5
	row("connections, at rest", fmt.Sprint(conns), fmt.Sprintf("%d, %d at each broker", conns*f.replicas, conns*f.replicas/f.brokers))
	fetches := int(time.Second/maxFetchWait) * f.brokers
	row("fetches a second, while nothing comes", fmt.Sprint(fetches), fmt.Sprintf("%d, %d at each broker", fetches*f.replicas, fetches*f.replicas/f.brokers))
	commits := int(time.Second / commitEvery)
	row("commits a second, at most", fmt.Sprint(commits), fmt.Sprint(commits*f.replicas))
	beat := usualPace().heartbeat
	row("heartbeats a second", fmt.Sprintf("%.1f", 1/beat.Seconds()), fmt.Sprintf("%.0f", float64(f.replicas)/beat.Seconds()))
	// kafka-go waits from 0 to the TTL between two: half of it, on average.
	metadata := float64(f.partitions*metadataEach) * (3*2/metadataTTL.Seconds() + 2/idsEvery.Seconds())
	row("metadata a second", mib(metadata), mib(metadata*float64(f.replicas)))
	row("notes of lending a second, if every intent borrows", fmt.Sprintf("%.0f", notesEach*perSecond/float64(f.replicas)), fmt.Sprintf("%.0f", notesEach*perSecond))
	row("fences at a rolling restart", fmt.Sprint(each), fmt.Sprint(f.partitions))
	onPage(t, "needs", b.String())
}

func mib(bytes float64) string { return fmt.Sprintf("%.1f MiB", bytes/(1<<20)) }
func gib(bytes float64) string { return fmt.Sprintf("%.1f GiB", bytes/(1<<30)) }
