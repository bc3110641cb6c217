package kafkaio_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"paylink/internal/devstack"
	"paylink/internal/event"
	"paylink/internal/kafkaio"
)

// remake deletes a topic, makes it again, and fills it with intents before anybody
// else looks.
func (l *lab) remake(topic string, parts int32, from, n int) {
	l.t.Helper()
	if err := l.broker.DeleteTopic(topic); err != nil {
		l.t.Fatal(err)
	}
	if err := l.broker.CreateTopic(topic, parts, nil); err != nil {
		l.t.Fatal(err)
	}
	if n == 0 {
		return
	}
	// By a client that does not know the old topic.
	if err := l.broker.Kafka().Emit(context.Background(), topic, messages(from, n)...); err != nil {
		l.t.Fatal(err)
	}
}

// Offsets alone do not show it: the new log is longer than the old one was read.
func TestAnIntentTopicThatIsMadeAgainAndOutgrowsTheOldOneIsReadFromItsBeginning(t *testing.T) {
	for name, latest := range map[string]bool{"earliest": false, "latest": true} {
		start := func(c *kafkaio.Config) { c.StartLatest = latest }
		t.Run(name+", while a member runs", func(t *testing.T) {
			inLab(t, 2, func(l *lab) {
				m := l.start("a", start)
				time.Sleep(10 * time.Second)
				l.emit(0, 40)
				l.judge(40)
				l.remake(devstack.Intents, 2, 40, 100)
				l.judge(140)
				if n, told := m.metric(t, "partitions_made_again_total"), m.said.times("the intent topic was deleted and made again"); n != 2 || told != 1 {
					t.Errorf("%v partitions counted, told %d times; want 2, told once", n, told)
				}
				m.leave(t)
				l.calls(140, 1)
			})
		})
		t.Run(name+", while nobody runs", func(t *testing.T) {
			inLab(t, 2, func(l *lab) {
				l.emit(0, 40)
				l.serveOnce(40)
				adm := kadm.NewClient(l.client)
				old, err := adm.FetchOffsets(context.Background(), "paylink")
				if err != nil {
					t.Fatal(err)
				}
				l.remake(devstack.Intents, 2, 40, 100)
				// Brokers delete offsets with their topic; a commit that comes late puts them back.
				if err := adm.CommitAllOffsets(context.Background(), "paylink", old.Offsets()); err != nil {
					t.Fatal(err)
				}
				m := l.start("a", start)
				l.judge(140)
				m.leave(t)
				l.calls(140, 1)
				again := l.start("a", start) // what is committed belongs to the new topic now
				time.Sleep(10 * time.Second)
				if n := again.metric(t, "partitions_made_again_total"); n != 0 {
					t.Errorf("%v partitions are read from their beginning by the next member, want none", n)
				}
				again.leave(t)
			})
		})
	}
}

// emitAt publishes intents with a time of their own.
func (l *lab) emitAt(at time.Time, from, n int) {
	l.t.Helper()
	for _, m := range messages(from, n) {
		r := &kgo.Record{Topic: devstack.Intents, Key: m.Key, Value: m.Value, Timestamp: at}
		if err := l.client.ProduceSync(context.Background(), r).FirstErr(); err != nil {
			l.t.Fatal(err)
		}
	}
}

// Its leader knows no fence, and its log no outcome from before: so there is a new
// fence, and what may have been answered before is never called.
func TestAnOutcomeTopicThatIsMadeAgainIsFencedAndReadAnew(t *testing.T) {
	t.Run("idle", func(t *testing.T) { outcomesMadeAgain(t, 0) })
	// The new log outgrows what was read of the old one before anybody looks.
	t.Run("busy", func(t *testing.T) { outcomesMadeAgain(t, 20) })
}

func outcomesMadeAgain(t *testing.T, before int) {
	inLab(t, 1, func(l *lab) {
		m := l.start("a")
		l.emit(0, 40)
		l.judge(40)
		old := time.Now()
		time.Sleep(time.Minute)
		l.remake(devstack.Outcomes, 1, 0, 0)
		if before > 0 { // an older owner, whom no fence keeps out of the new log
			for i := range 5 {
				other := event.Message{Value: []byte("{}"), Headers: []event.Header{
					{Key: event.HeaderIntentID, Value: fmt.Appendf(nil, "i-%05d", 99-i)},
					{Key: event.HeaderIntentDigest, Value: []byte(strings.Repeat("0", 32))},
				}}
				if err := l.broker.Kafka().EmitTo(context.Background(), devstack.Outcomes, 0, other); err != nil {
					t.Fatal(err)
				}
			}
		}
		l.emit(40, before)
		time.Sleep(20 * time.Second)
		if n := m.metric(t, "fences_total"); n != 2 {
			t.Errorf("%v fences, want a second one", n)
		}
		if got := m.trouble(kafkaio.ShortLedger); len(got) != 1 {
			t.Errorf("troubles %v, want that the ledger is short", got)
		}
		l.emit(40+before, 30-before)
		l.outcomes(30)
		if before > 0 {
			l.emit(99, 1)
			l.deadLetters(1) // a conflict: its outcome was the first record of the new log
		}
		m.leave(t)
		l.calls(70, 1)

		l.emitAt(old, 0, 10) // a replay of what only the old log had answers to
		next := l.start("b") // and the process that knew them is gone
		if dead := l.deadLetters(10 + min(before, 1)); string(header(dead["i-00003"], event.HeaderReason)) != "too_old" {
			t.Errorf("dead letter %v, want it too old", dead["i-00003"])
		}
		next.leave(t)
		l.calls(70, 1)
	})
}
