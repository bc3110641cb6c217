//go:build integration

package torture

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"paylink/internal/devstack"
	"paylink/internal/history"
)

// The builds that this one is run beside: the commit before, which is what a
// deployment of every commit would replace, and the last one whose fence notes
// knew nothing of topics.
const (
	commitBefore = "HEAD~1"
	shortNotes   = "cb7e9f67eec7a07adbf7e94f2dfe17ed94effdc6"
)

// TestTwoBuildsSideBySide changes a group from an older build to this one and
// back, under load, one replica after the other and with kill -9 in between. The
// promise holds all the while: the judge sees one link for an intent, every
// intent answered, no window in which both together went beyond the merchant's
// rate, and no call repeated where nobody was killed.
//
// What two builds tell each other is what they have to agree on, and never
// change but by adding: fence notes beside committed offsets, the user data of
// subscriptions and assignments, and the headers of outcomes, which are the
// ledger. The test looks at the first two while both builds are in the group.
func TestTwoBuildsSideBySide(t *testing.T) {
	t.Run("the commit before", func(t *testing.T) {
		var brokers []string // nil: real ones
		if !realKafkaNamed() {
			t.Log("no Kafka is named: the embedded broker")
			brokers = embedded(t)
		}
		sideBySide(t, commitBefore, brokers)
	})
	t.Run("short notes", func(t *testing.T) { sideBySide(t, shortNotes, embedded(t)) })
}

// realKafkaNamed reports whether the environment says where a real Kafka comes from.
func realKafkaNamed() bool {
	return os.Getenv("KAFKA_BROKERS")+os.Getenv("KAFKA_HOME")+os.Getenv("KAFKA_IMAGE") != ""
}

// embedded starts a broker in this process.
func embedded(t *testing.T) []string {
	t.Helper()
	b, err := devstack.StartBroker(devstack.BrokerOptions{Topics: []devstack.Topic{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b.Addrs()
}

func sideBySide(t *testing.T, commit string, brokers []string) {
	old := olderBinary(t, commit)
	const perSecond = 60 // less than what comes, so that the rate is what holds them back all the time
	sc := set(t, setting{brokers: brokers, replicas: 2, latency: 200 * time.Millisecond, env: []string{fmt.Sprintf("PAYLINK_RATE=%d/s", perSecond), "PAYLINK_CONCURRENCY=64"}})
	// The simulator notes when it came to a call: a busy machine makes calls that were
	// apart seem together. Two that each took the whole rate would be at twice of it.
	sc.rates = []history.Rate{{Merchant: merchant, Calls: perSecond, Per: time.Second, Burst: len(sc.fleet.replicas), Slack: 300 * time.Millisecond}}
	sc.emitter.keys = 0
	for _, r := range sc.fleet.replicas {
		r.file = old
	}
	sc.emitter.emit(200)
	sc.fleet.start()
	sc.fleet.awaitAssignment(0, time.Minute)
	sc.fleet.awaitAssignment(1, time.Minute)
	stop := sc.emitter.flow(64)
	beat := func() { time.Sleep(time.Second) }

	beat() // old and old
	sc.change(0, "")
	mixed := time.Now()
	beat() // new and old
	sc.lookAtNotes()
	sc.handOverByDeath(0, 1) // what the new build left, the old one takes over
	sc.handOverByDeath(1, 0) // and the other way round
	beat()
	both := sc.callers(mixed)
	sc.change(1, "")
	beat() // new and new
	sc.change(0, old)
	beat() // and back: old and new
	stop()

	v := sc.judge()
	if both["r0"] == 0 || both["r1"] == 0 {
		t.Errorf("of two builds side by side only %v called the gateway, so this run shows nothing", both)
	}
	if v.Counts.Intents < 500 || v.Counts.Intents != v.Counts.Outcomes {
		t.Errorf("%d intents, %d outcomes; want at least 500, and as many", v.Counts.Intents, v.Counts.Outcomes)
	}
}

// change stops a replica and starts it again as another build; empty: this one.
func (sc *scene) change(i int, file string) {
	sc.t.Helper()
	began, r := time.Now(), sc.fleet.replicas[i]
	sc.fleet.stop(i)
	r.file = file
	sc.fleet.start(i)
	sc.fleet.awaitAssignment(i, time.Minute)
	sc.t.Logf("%s is another build, and works %.1f s after SIGTERM", r.name, time.Since(began).Seconds())
}

// handOverByDeath kills a replica that has its share, waits until another has
// taken all of it over, and starts it again.
func (sc *scene) handOverByDeath(dies, takes int) {
	sc.t.Helper()
	share, died := sc.parts/len(sc.fleet.replicas), sc.fleet.replicas[dies]
	sc.awaitTaken(dies, share, died.began)
	began := time.Now()
	sc.fleet.kill(dies)
	sc.awaitTaken(takes, share, began)
	took := time.Since(began)
	sc.fleet.start(dies)
	sc.fleet.awaitAssignment(dies, time.Minute)
	sc.t.Logf("%s was killed: taken over from after %.1f s, works again after %.1f s", died.name, took.Seconds(), time.Since(began).Seconds())
}

// awaitTaken waits until a replica has taken over so many partitions since a time.
func (sc *scene) awaitTaken(i, n int, since time.Time) {
	sc.t.Helper()
	r := sc.fleet.replicas[i]
	for deadline := time.Now().Add(time.Minute); len(r.book.find("partition taken over", since)) < n; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			sc.t.Fatalf("%s did not take over %d partitions within a minute", r.name, n)
		}
	}
}

// callers are the replicas that called the gateway since a time.
func (sc *scene) callers(since time.Time) map[string]int {
	calls := map[string]int{}
	for _, c := range sc.sim.Calls() {
		if c.At.After(since) {
			calls[sc.fleet.member(c.Host)]++
		}
	}
	return calls
}

// lookAtNotes reads what the members tell each other by the broker, as a build
// of any age has to be able to: fence notes as "fence <producer> <due>", with more
// behind, and user data as an object of JSON with the number of partitions.
func (sc *scene) lookAtNotes() {
	sc.t.Helper()
	ctx, cancel := context.WithTimeout(sc.t.Context(), 10*time.Second)
	defer cancel()
	offsets, err := sc.witness.adm.FetchOffsets(ctx, sc.group)
	if err != nil {
		sc.t.Fatalf("fetch offsets: %v", err)
	}
	notes := 0
	offsets.Each(func(o kadm.OffsetResponse) {
		var producer, due int64
		if n, err := fmt.Sscanf(o.Metadata, "fence %d %d", &producer, &due); o.At > 0 && (n != 2 || err != nil) {
			sc.t.Errorf("the note beside the offset of partition %d is %q", o.Partition, o.Metadata)
		} else if n == 2 {
			notes++
		}
	})
	groups, err := sc.witness.adm.DescribeGroups(ctx, sc.group)
	if err != nil {
		sc.t.Fatalf("describe the group: %v", err)
	}
	members := groups[sc.group].Members
	for _, m := range members {
		joined, _ := m.Join.AsConsumer()
		assigned, _ := m.Assigned.AsConsumer()
		if joined == nil || assigned == nil {
			sc.t.Errorf("member %s speaks another protocol", m.MemberID)
			continue
		}
		for what, data := range map[string][]byte{"subscription": joined.UserData, "assignment": assigned.UserData} {
			var note struct{ Partitions int }
			if err := json.Unmarshal(data, &note); err != nil || note.Partitions != sc.parts {
				sc.t.Errorf("the user data of a %s is %q", what, data)
			}
		}
	}
	if notes == 0 || len(members) != len(sc.fleet.replicas) {
		sc.t.Errorf("%d notes and %d members to look at", notes, len(members))
	}
}

// olderBinary is the service as of a commit, built once. Without a history that
// holds the commit the test skips.
func olderBinary(t *testing.T, commit string) string {
	t.Helper()
	root, err := exec.Command("git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		t.Skipf("SKIP %s: it needs the history of git: %v", t.Name(), err)
	}
	dir := strings.TrimSpace(string(root))
	hash, err := exec.Command("git", "-C", dir, "rev-parse", "--verify", "--quiet", commit+"^{commit}").Output()
	if err != nil {
		t.Skipf("SKIP %s: the history here does not hold %s: is it a shallow clone?", t.Name(), commit)
	}
	file, err := olderBuild(dir, strings.TrimSpace(string(hash)))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

var (
	olderMu     sync.Mutex // guards olderBuilds
	olderBuilds = map[string]string{}
)

// olderBuild builds a commit, from an archive of it.
func olderBuild(root, hash string) (string, error) {
	olderMu.Lock()
	defer olderMu.Unlock()
	if file := olderBuilds[hash]; file != "" {
		return file, nil
	}
	dir, err := workplace()
	if err != nil {
		return "", err
	}
	file, source := filepath.Join(dir, "paylink-"+hash[:12]), filepath.Join(dir, "source-"+hash[:12])
	script := `set -e; mkdir -p "$2"; git archive --format=tar "$1" >"$2.tar"; tar -x -C "$2" -f "$2.tar"; rm "$2.tar"; cd "$2"; exec go build -buildvcs=false -o "$3" ./cmd/paylink`
	cmd := exec.Command("sh", "-c", script, "sh", hash, source, file)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build paylink as of %s: %w\n%s", hash, err, out)
	}
	olderBuilds[hash] = file
	return file, nil
}
