package kafkaio_test

import (
	"strings"
	"testing"
	"time"

	"paylink/internal/kafkaio"
)

// A partition that was given away costs no memory a minute later.
func TestTheLedgerOfAPartitionGivenAwayIsFreed(t *testing.T) {
	inLab(t, 4, func(l *lab) {
		a := l.start("a")
		l.emit(0, 2000)
		l.judge(2000)
		all := a.source.LedgerBytes()
		b := l.start("b")
		time.Sleep(20 * time.Second)
		if n := a.source.Known(); n != 2000 {
			t.Errorf("%d answers known right after a rebalance, want all 2000", n)
		}
		time.Sleep(70 * time.Second)
		left, bytes, owned := a.source.Known(), a.source.LedgerBytes(), len(a.source.Owned())
		if owned != 2 || left < 700 || left > 1300 || bytes > all*7/10 {
			t.Errorf("%d partitions owned, %d of 2000 answers known, %d of %d bytes; want the half", owned, left, bytes, all)
		}
		l.emit(0, 2000)
		l.emit(2000, 20)
		l.judge(2020)
		b.leave(t)
		a.leave(t)
		l.calls(2020, 1)
	})
}

// atMost bounds the answered intents that a member remembers.
func atMost(n int64) func(*kafkaio.Config) {
	return func(c *kafkaio.Config) { c.LedgerIntents = n }
}

// At the bound a partition waits, loudly; no answer is forgotten for it.
func TestAPartitionWaitsThatNoLedgerHasRoomFor(t *testing.T) {
	inLab(t, 2, func(l *lab) {
		l.emit(0, 400)
		l.serveOnce(400)
		l.forgetOffsets()
		l.emit(0, 400) // upstream repeats all
		b := l.start("b", atMost(300))
		time.Sleep(time.Minute)
		full := b.trouble(kafkaio.LedgerFull)
		if len(full) != 1 || !strings.Contains(full[0].What, "is not taken over") || b.metric(t, "ledger_full") != 1 {
			t.Errorf("troubles %v, want that one partition waits", full)
		}
		if n := b.source.Known(); n < 150 || n > 250 {
			t.Errorf("%d answers known, want those of one partition", n)
		}
		running := 0
		for _, p := range b.source.State().Partitions {
			if p.State == kafkaio.Running {
				running++
			}
		}
		if running != 1 {
			t.Errorf("%d partitions are served, want one", running)
		}
		c := l.start("c") // another replica has room
		l.emit(400, 20)
		l.judge(420)
		if full := b.trouble(kafkaio.LedgerFull); len(full) > 0 {
			t.Errorf("troubles %v, want none when each has a partition", full)
		}
		b.leave(t)
		c.leave(t)
		l.calls(420, 1)
	})
}

// What is owned goes on past the bound, which is said before.
func TestTheBoundOfTheLedgerIsSaidBeforeItIsPassed(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		m := l.start("a", atMost(100))
		for _, c := range []struct {
			to   int
			want string
		}{{79, ""}, {85, "80 % of the 100"}, {120, "takes over no further partition. Those that it has go on"}} {
			l.emit(0, c.to)
			l.judge(c.to)
			time.Sleep(10 * time.Second)
			full := m.trouble(kafkaio.LedgerFull)
			if said := len(full) > 0; said != (c.want != "") || said && !strings.Contains(full[0].What, c.want) {
				t.Errorf("%d answered: troubles %v, want %q", c.to, full, c.want)
			}
		}
		m.leave(t)
		l.calls(120, 1)
	})
}

// A member that loses the group for a moment takes over again what it has in memory,
// also past the bound.
func TestALedgerInMemoryWaitsForNoRoom(t *testing.T) {
	inLab(t, 2, func(l *lab) {
		a := l.start("a", atMost(100))
		l.emit(0, 150)
		l.judge(150)
		a.net.cut()
		time.Sleep(20 * time.Second)
		a.net.mend()
		l.emit(150, 20)
		l.judge(170)
		a.leave(t)
		l.calls(170, 1)
	})
}
