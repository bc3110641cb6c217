//go:build integration

package torture

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"paylink/internal/devstack"
	"paylink/internal/event"
	"paylink/internal/history"
	"paylink/internal/history/records"
)

// A witness watches outcomes, dead letters and commits while a run goes on.
type witness struct {
	t      testing.TB
	k      devstack.Kafka
	adm    *kadm.Client
	topics topics
	group  string

	// name and ask, if not nil, help to explain a standstill.
	name func(memberID string) string  // the replica
	ask  func(intents []string) string // what the replicas say of themselves and of these

	mu       sync.Mutex
	answered map[string]bool
	buried   map[history.Place]bool
	commits  []history.Commit
}

// topics are the topics of one test.
type topics struct{ intents, outcomes, dead, turns string }

func newWitness(t testing.TB, brokers []string, names topics, group string) *witness {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.DialTimeout(2*time.Second), kgo.RequestTimeoutOverhead(3*time.Second))
	if err != nil {
		t.Fatalf("witness: %v", err)
	}
	w := &witness{t: t, k: devstack.Kafka{Brokers: brokers}, adm: kadm.NewClient(c), topics: names, group: group,
		answered: map[string]bool{}, buried: map[history.Place]bool{}}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { w.follow(ctx, names.outcomes, w.sawOutcome) })
	wg.Go(func() { w.follow(ctx, names.dead, w.sawDeadLetter) })
	wg.Go(func() { w.sampleCommits(ctx) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		forget, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		_, _ = w.adm.DeleteGroup(forget, group) // as well as it can: brokers may be dead by then
		c.Close()
	})
	return w
}

// follow watches a topic. After a change of leaders franz-go may report lost
// records where a marker of a fence was the last thing it read: it forgets the
// leader epoch of control records. It is let off and begins anew; what really
// is lost the judge finds, who reads everything at the end.
func (w *witness) follow(ctx context.Context, topic string, saw func(devstack.Record) error) {
	for ctx.Err() == nil {
		err := w.k.Follow(ctx, devstack.Tail{Topics: []string{topic}, FromBeginning: true}, saw)
		if ctx.Err() == nil && !errors.As(err, new(*kgo.ErrDataLoss)) {
			w.t.Errorf("follow %s: %v", topic, err)
			return
		}
	}
}

func (w *witness) sawOutcome(r devstack.Record) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answered[string(r.Header(event.HeaderIntentID))] = true
	return nil
}

func (w *witness) sawDeadLetter(r devstack.Record) error {
	from, err := records.Source(r)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buried[from] = true
	return nil
}

// sampleCommits looks at the committed offsets, and right after at how far the
// topics reach.
func (w *witness) sampleCommits(ctx context.Context) {
	for tick := time.NewTicker(250 * time.Millisecond); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
		}
		if cs, err := w.commitsNow(ctx); err == nil { // brokers may be down
			w.mu.Lock()
			w.commits = append(w.commits, cs...)
			w.mu.Unlock()
		}
	}
}

func (w *witness) commitsNow(ctx context.Context) ([]history.Commit, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	offsets, err := w.adm.FetchOffsets(ctx, w.group)
	if err != nil {
		return nil, err
	}
	listed, err := w.adm.ListEndOffsets(ctx, w.topics.outcomes, w.topics.dead)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, err
	}
	ends := map[string]map[int32]int64{w.topics.outcomes: {}, w.topics.dead: {}}
	listed.Each(func(o kadm.ListedOffset) { ends[o.Topic][o.Partition] = o.Offset })
	var cs []history.Commit
	offsets.Each(func(o kadm.OffsetResponse) {
		if o.Err == nil && o.Topic == w.topics.intents && o.At >= 0 {
			cs = append(cs, history.Commit{Next: history.Place{Partition: o.Partition, Offset: o.At}, Outcomes: ends[w.topics.outcomes], DeadLetters: ends[w.topics.dead]})
		}
	})
	return cs, nil
}

// open returns how many records are not settled yet, and one of them.
func (w *witness) open(intents []history.Intent) (n int, one history.Intent) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, in := range intents {
		if w.isOpenLocked(in) {
			n, one = n+1, in
		}
	}
	return n, one
}

func (w *witness) isOpenLocked(in history.Intent) bool {
	return !in.Hidden && !w.buried[in.At] && (in.ID == "" || !w.answered[in.ID])
}

// await waits until all records are settled. It fails the test when for so long
// not one was, and says what is known of why.
func (w *witness) await(intents []history.Intent, still time.Duration) (ok bool) {
	w.t.Helper()
	last, since := -1, time.Now()
	for {
		n, one := w.open(intents)
		if n == 0 {
			return true
		}
		if n != last {
			last, since = n, time.Now()
		}
		if time.Since(since) > still {
			w.t.Errorf("%d of %d records are not settled, and for %s nothing moves; one is %+v\n%s", n, len(intents), still, one, w.explain(intents))
			return false
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// awaitCommits waits until everything is committed, control records included.
func (w *witness) awaitCommits(limit time.Duration) {
	w.t.Helper()
	var lag map[int32]int64
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		var err error
		if lag, err = w.lag(); err == nil && len(lag) == 0 {
			return
		}
	}
	w.t.Errorf("not committed to the end after %s: %v\n%s", limit, lag, w.explain(nil))
}

// lag returns what is not committed, by partition.
func (w *witness) lag() (map[int32]int64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	ends, err1 := w.adm.ListEndOffsets(ctx, w.topics.intents)
	offsets, err2 := w.adm.FetchOffsets(ctx, w.group)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	lag := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		done, _ := offsets.Lookup(o.Topic, o.Partition)
		if o.Offset > max(done.At, 0) {
			lag[o.Partition] = o.Offset - max(done.At, 0)
		}
	})
	return lag, nil
}

// read returns what stands on the outcome topic for each level, and the dead letters.
func (w *witness) read() (uncommitted, committed []history.Outcome, dead []history.DeadLetter, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := w.awaitStable(ctx); err != nil {
		return nil, nil, nil, err
	}
	u, c, err := w.k.ReadBoth(ctx, w.topics.outcomes)
	if err != nil {
		return nil, nil, nil, err
	}
	d, err := w.k.Read(ctx, w.topics.dead, devstack.ReadUncommitted)
	if err != nil {
		return nil, nil, nil, err
	}
	uncommitted, err1 := records.Outcomes(u)
	committed, err2 := records.Outcomes(c)
	dead, err3 := records.DeadLetters(d)
	return uncommitted, committed, dead, errors.Join(err1, err2, err3)
}

// awaitStable waits until no transaction is open on the outcome topic: that of
// a fence whose owner was killed within it ends by its timeout.
func (w *witness) awaitStable(ctx context.Context) error {
	for {
		ends, err1 := w.adm.ListEndOffsets(ctx, w.topics.outcomes)
		stable, err2 := w.adm.ListCommittedOffsets(ctx, w.topics.outcomes)
		same := err1 == nil && err2 == nil
		ends.Each(func(o kadm.ListedOffset) {
			s, _ := stable.Lookup(o.Topic, o.Partition)
			same = same && s.Offset == o.Offset
		})
		if same {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("a transaction stays open on %s: %w", w.topics.outcomes, errors.Join(ctx.Err(), err1, err2))
		case <-time.After(100 * time.Millisecond):
		}
	}
}
