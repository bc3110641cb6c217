package pipeline_test

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"paylink/internal/pace"
	"paylink/internal/payment"
	"paylink/internal/pipeline"
)

// An air carries notes between members in 15 ms.
type air struct{ members []*voice }

// A voice is one member's.
type voice struct {
	air   *air
	name  string
	heard chan pace.Note
	said  atomic.Int64
}

func (a *air) join(c *pipeline.Config) {
	v := &voice{air: a, name: fmt.Sprint("m", len(a.members)), heard: make(chan pace.Note, 16)}
	a.members = append(a.members, v)
	c.Turns = v
}

func (v *voice) Name() string            { return v.name }
func (v *voice) Heard() <-chan pace.Note { return v.heard }

func (v *voice) Say(n pace.Note) {
	v.said.Add(1)
	for _, m := range v.air.members {
		if m != v && (n.To == "" || n.To == m.name) {
			time.AfterFunc(15*time.Millisecond, func() { m.heard <- n })
		}
	}
}

// slowly paces every merchant: a slot in 1.5 s.
func slowly(c *pipeline.Config) {
	c.Terms = func(payment.MerchantID) pipeline.Terms {
		return pipeline.Terms{Rate: pace.Rate{Events: 1, Per: 1500 * time.Millisecond}, Endpoint: "gateway"}
	}
}

// TestMembersLendEachOtherTurns: two members share a merchant, and one has all of its
// intents, one in each second slot. It calls for each at once, as without lending it
// would for none but those that fall on a turn of its own.
func TestMembersLendEachOtherTurns(t *testing.T) {
	run := func(lend bool) (late int, a, b *member, said int) {
		inLab(t, 2, func(l *lab) {
			var air air
			member := func(part int32) *member {
				m := l.start(slowly, func(c *pipeline.Config) {
					c.Partitions = func() int { return 2 }
					if lend {
						air.join(c)
					}
				})
				m.source.take(part)
				return m
			}
			a, b = member(0), member(1)
			after(10 * time.Second)
			for i := range 20 {
				p := l.topic.parts[0]
				id := fmt.Sprint("i", i)
				p.emit("", intent(id))
				after(500 * time.Millisecond)
				if !slices.Contains(p.order(), id) {
					late++
				}
				after(2500 * time.Millisecond)
			}
			l.settles(time.Minute)
			for _, v := range air.members {
				said += int(v.said.Load())
			}
		})
		return late, a, b, said
	}
	late, a, b, said := run(true)
	if late > 2 { // the first ask only tells the other that there is a merchant to lend for
		t.Errorf("%d of 20 intents waited for more than half a second, though turns are lent", late)
	}
	if got := a.metric(t, "paylink_turns_total", "event", "borrowed"); got < 5 {
		t.Errorf("%v turns were borrowed, want some", got)
	}
	lent, declined := b.metric(t, "paylink_turns_total", "event", "lent"), b.metric(t, "paylink_turns_total", "event", "declined")
	if asked := a.metric(t, "paylink_turns_total", "event", "asked"); lent < 5 || asked+lent+declined != float64(said) {
		t.Errorf("lent %v, asked %v, declined %v; said %d notes", lent, asked, declined, said)
	}
	if late, _, _, _ := run(false); late < 5 {
		t.Errorf("only %d intents waited without lending: it is not needed here", late)
	}
}

// TestWhoMayNotCallLendsNothing: a member without a lease has slots in mind that may be
// another's by now.
func TestWhoMayNotCallLendsNothing(t *testing.T) {
	inLab(t, 2, func(l *lab) {
		var air air
		member := func() *member {
			return l.start(slowly, air.join, func(c *pipeline.Config) { c.Partitions = func() int { return 2 } })
		}
		a, b := member(), member()
		a.source.take(0)
		c := b.source.take(1)
		after(10 * time.Second)
		emit := func(from int) (lent float64) {
			before := b.metric(t, "paylink_turns_total", "event", "lent")
			for i := range 20 {
				l.topic.parts[0].emit("", intent(fmt.Sprint("i", from+i)))
				after(3 * time.Second)
			}
			return b.metric(t, "paylink_turns_total", "event", "lent") - before
		}
		if lent := emit(0); lent == 0 {
			t.Error("nothing was lent by who may call")
		}
		c.setLive(false)
		if lent := emit(20); lent > 0 {
			t.Errorf("%v turns were lent by who may not call", lent)
		}
	})
}

// TestWhoIsAloneSaysNothing, however much it has to do.
func TestWhoIsAloneSaysNothing(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		var air air
		_, p, _ := l.one(slowly, air.join, func(c *pipeline.Config) { c.Partitions = func() int { return 1 } })
		for i := range 20 {
			p.emit("", intent(fmt.Sprint("i", i)))
		}
		l.settles(time.Minute)
		if n := air.members[0].said.Load(); n > 0 {
			t.Errorf("said %d notes, want none", n)
		}
	})
}
