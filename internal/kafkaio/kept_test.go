package kafkaio_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"paylink/internal/devstack"
	"paylink/internal/kafkaio"
)

func keptIn(dir string) func(*kafkaio.Config) {
	return func(c *kafkaio.Config) { c.LedgerDir = dir }
}

// inKept is inLab with a folder for ledgers, that are written from the first outcome on.
func inKept(t *testing.T, parts int32, f func(l *lab, dir string)) {
	dir := filepath.Join(t.TempDir(), "ledger")
	inLab(t, parts, func(l *lab) {
		l.adjust = func(s *kafkaio.Source) { s.SaveLedgersFrom(1) }
		f(l, dir)
	})
}

// read is how many outcomes a member has read since it began.
func (m *life) read(t *testing.T) int { return int(m.metric(t, "ledger_outcomes_read_total")) }

// saidOnce checks that a member has said something, and not again.
func (m *life) saidOnce(t *testing.T, what string) {
	t.Helper()
	if n := m.said.times(what); n != 1 {
		t.Errorf("%q said %d times, want once", what, n)
	}
}

const notBelieved = "is not believed"

func TestARestartWithTheFolderReadsTheTail(t *testing.T) {
	inKept(t, 2, func(l *lab, dir string) {
		l.emit(0, 200)
		l.serveOnce(200, keptIn(dir))
		l.emit(200, 20)
		l.serveOnce(220) // without the folder, which is then of before
		l.forgetOffsets()
		l.emit(0, 220)
		m := l.start("b", keptIn(dir))
		time.Sleep(5 * time.Second)
		if n := m.read(t); n != 20 {
			t.Errorf("%d outcomes read, want the 20 that came since", n)
		}
		l.emit(220, 10)
		l.judge(230)
		if n := m.said.times(notBelieved); n != 0 {
			t.Errorf("%d files are not believed", n)
		}
		m.leave(t)
		l.calls(230, 1)
	})
}

// A crash leaves what was written last; a minute is enough for that.
func TestAKilledMemberLeavesItsLedger(t *testing.T) {
	inKept(t, 1, func(l *lab, dir string) {
		m := l.start("a", keptIn(dir))
		l.emit(0, 100)
		l.judge(100)
		time.Sleep(70 * time.Second)
		l.emit(100, 5)
		l.judge(105)
		l.kill("a", m)
		time.Sleep(2 * time.Minute)
		b := l.start("b", keptIn(dir))
		l.emit(0, 105)
		time.Sleep(30 * time.Second)
		if n := b.read(t); n > 5 {
			t.Errorf("%d outcomes read, want at most the 5 that came since", n)
		}
		l.emit(105, 5)
		l.judge(110)
		b.leave(t)
		l.calls(110, 1)
	})
}

// What is on disk is not believed where the log is another one, or it is damaged. The
// member then does as without a folder.
func TestAFolderIsNotBelievedForItself(t *testing.T) {
	for name, c := range map[string]struct {
		spoil    func(l *lab, file string)
		outcomes int // that are left in the log
		another  bool
	}{
		"damaged": {func(l *lab, file string) {
			b, err := os.ReadFile(file)
			if err != nil {
				l.t.Fatal(err)
			}
			b[len(b)/2] ^= 4
			l.writeFile(file, b)
		}, 40, false},
		"cut off": {func(l *lab, file string) {
			if err := os.Truncate(file, 1000); err != nil {
				l.t.Fatal(err)
			}
		}, 40, false},
		"empty":         {func(l *lab, file string) { l.writeFile(file, nil) }, 40, false},
		"somebody's":    {func(l *lab, file string) { l.writeFile(file, []byte("shopping list")) }, 40, false},
		"another topic": {func(l *lab, file string) { l.makeOutcomesAgain() }, 0, false},
		"another log, which is longer": {func(l *lab, file string) {
			l.makeOutcomesAgain()
			if err := l.broker.Kafka().EmitTo(context.Background(), devstack.Outcomes, 0, answeredIntents(7, 200)...); err != nil {
				l.t.Fatal(err)
			}
		}, 0, true},
		"emptied": {func(l *lab, file string) {
			end := l.broker.PartitionInfo(devstack.Outcomes, 0).HighWatermark
			if err := l.broker.DeleteRecords(devstack.Outcomes, 0, end); err != nil {
				l.t.Fatal(err)
			}
		}, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			inKept(t, 1, func(l *lab, dir string) {
				l.emit(0, 40)
				l.serveOnce(40, keptIn(dir))
				time.Sleep(10 * time.Minute)
				file := filepath.Join(dir, "0.ledger")
				c.spoil(l, file)
				m := l.start("b", keptIn(dir))
				l.emit(40, 5)
				for i := range 10 { // answered, if at all, at the beginning of another log
					id := fmt.Sprintf("order-7-%010d", i)
					if c.another {
						l.client.Produce(context.Background(), &kgo.Record{Topic: devstack.Intents, Key: []byte(id), Value: []byte(intent(id))}, nil)
					}
				}
				time.Sleep(20 * time.Second)
				l.calls(45, 1)
				m.leave(t)
				if _, err := os.Stat(file + ".aside"); c.outcomes > 0 && (err != nil || m.said.times(notBelieved) != 1) {
					t.Errorf("put aside: %v, said %d times; want once", err, m.said.times(notBelieved))
				}
				if n := m.read(t); c.outcomes > 0 && n < c.outcomes {
					t.Errorf("%d outcomes read, want all %d", n, c.outcomes)
				}
			})
		})
	}
}

func (l *lab) writeFile(path string, b []byte) {
	l.t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		l.t.Fatal(err)
	}
}

// makeOutcomesAgain deletes the outcome topic, and makes it again; what the group has
// committed stays.
func (l *lab) makeOutcomesAgain() {
	l.t.Helper()
	adm, was := kadm.NewClient(l.client), l.committed()
	if _, err := adm.DeleteTopics(context.Background(), devstack.Outcomes); err != nil {
		l.t.Fatal(err)
	}
	if _, err := adm.CreateTopics(context.Background(), 1, 1, nil, devstack.Outcomes); err != nil {
		l.t.Fatal(err)
	}
	var back kadm.Offsets
	for _, o := range was {
		back.Add(o)
	}
	if err := adm.CommitAllOffsets(context.Background(), "paylink", back); err != nil {
		l.t.Fatal(err)
	}
}

// A folder that cannot be used costs one line.
func TestAFolderThatCannotBeUsedStopsNobody(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, dir string){
		"a file": func(t *testing.T, dir string) {
			if err := os.WriteFile(dir, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"shared": func(t *testing.T, dir string) { kafkaio.TakeLedgerDir(t, dir) },
	} {
		t.Run(name, func(t *testing.T) {
			inKept(t, 1, func(l *lab, dir string) {
				spoil(t, dir)
				m := l.start("a", keptIn(dir))
				l.emit(0, 20)
				l.judge(20)
				time.Sleep(5 * time.Minute)
				m.leave(t)
				m.saidOnce(t, "PAYLINK_LEDGER_DIR cannot be used")
				l.calls(20, 1)
			})
		})
	}
}

// A folder that takes nothing more, as on a full disk, costs one line, and one when it
// does again.
func TestAFolderThatTakesNothingMoreStopsNobody(t *testing.T) {
	inKept(t, 1, func(l *lab, dir string) {
		m := l.start("a", keptIn(dir))
		l.emit(0, 20)
		l.judge(20)
		time.Sleep(5 * time.Second)
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		for i := 1; i < 4; i++ {
			l.emit(0, 20+20*i)
			l.judge(20 + 20*i)
			time.Sleep(2 * time.Minute)
		}
		m.saidOnce(t, "cannot be written to PAYLINK_LEDGER_DIR")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		l.emit(0, 100)
		l.judge(100)
		time.Sleep(2 * time.Minute)
		m.saidOnce(t, "can be written to PAYLINK_LEDGER_DIR again")
		m.leave(t)
		l.calls(100, 1)
	})
}

// Yesterday's file, of a member that has slept through others' work.
func TestAnOldFolderIsReadOnFromWhereItEnds(t *testing.T) {
	inKept(t, 2, func(l *lab, dir string) {
		l.emit(0, 100)
		l.serveOnce(100, keptIn(dir))
		time.Sleep(24 * time.Hour)
		l.emit(100, 60)
		l.serveOnce(160)
		l.forgetOffsets()
		m := l.start("b", keptIn(dir))
		l.emit(0, 160)
		time.Sleep(5 * time.Second)
		if n := m.read(t); n != 60 {
			t.Errorf("%d outcomes read, want the 60 of a day", n)
		}
		l.emit(160, 10)
		l.judge(170)
		m.leave(t)
		l.calls(170, 1)
	})
}
