package lab

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"paylink/internal/devstack"
	"paylink/internal/history"
)

// drawTurns adds what befalls notes about lent turns: they are lost, late or come
// twice, their topic goes and comes back, strangers write to it, a member dies or
// freezes with a loan on its way, and partitions change hands meanwhile. Half of such
// plans have a merchant that does not use its rate, so that there is something to lend.
func (d *drawing) drawTurns() {
	if !d.often(40) {
		return
	}
	if d.often(50) {
		d.drawSparse()
	} else {
		d.drawSkewed()
	}
	for range 1 + d.IntN(4) {
		d.add(one(d, d.ofNotes, d.ofNotes, d.ofLoan, d.ofLoan, d.ofTurnsTopic)())
	}
}

// drawSparse are intents far enough apart that each could be called at once.
func (d *drawing) drawSparse() {
	merchant := d.IntN(len(d.plan.world.merchants))
	for at := d.between(0, time.Second); at < d.span; at += d.between(300*time.Millisecond, 900*time.Millisecond) {
		d.ids++
		id := fmt.Sprintf("i-%02d", d.ids)
		d.plan.emissions = append(d.plan.emissions, emission{at: at, partition: d.Int32N(d.plan.world.partitions), records: []record{{id: id, key: id, merchant: merchant, amount: "10.00"}}})
	}
}

// drawSkewed is work of one merchant that one member has alone, for as long as it takes
// to use the turns of all.
func (d *drawing) drawSkewed() {
	merchant, e := d.IntN(len(d.plan.world.merchants)), emission{at: d.when(), partition: d.Int32N(d.plan.world.partitions)}
	for range 16 {
		d.ids++
		id := fmt.Sprintf("i-%02d", d.ids)
		e.records = append(e.records, record{id: id, key: id, merchant: merchant, amount: "10.00"})
	}
	d.plan.emissions = append(d.plan.emissions, e)
}

// noteTime is by how much a note is late: less than a loan lasts, about as much, more.
func (d *drawing) noteTime() time.Duration {
	return one(d, d.between(10*time.Millisecond, 200*time.Millisecond), d.between(200*time.Millisecond, 600*time.Millisecond), d.between(600*time.Millisecond, 3*time.Second))
}

// ofNotes are notes that do not come as they were said.
func (d *drawing) ofNotes() fault {
	f := fault{at: d.when(), what: one(d, lose, mute, late, late, double, double), seat: d.seat(), topic: devstack.Turns, key: int16(kmsg.Produce), count: 1 + d.IntN(6)}
	if d.often(30) && f.what != double {
		f.key = int16(kmsg.Fetch)
	}
	if f.what == late || f.what == double {
		f.lasts = d.noteTime()
	}
	return f
}

// ofLoan is a member that dies or freezes when it has lent, while its loan is on its
// way, or partitions change hands.
func (d *drawing) ofLoan() fault {
	at, seat := d.when(), d.seat()
	if d.often(60) {
		d.add(fault{at: at, what: late, seat: seat, topic: devstack.Turns, key: int16(kmsg.Produce), count: 1 + d.IntN(3), lasts: d.noteTime()})
	}
	switch after := at + d.between(50*time.Millisecond, time.Second); d.IntN(4) {
	case 0:
		return fault{at: after, what: freeze, seat: seat, lasts: one(d, d.between(100*time.Millisecond, 800*time.Millisecond), d.plan.world.session+time.Second)}
	case 1:
		return fault{at: after, what: join, lasts: one(d, 0, d.between(time.Second, 4*time.Second))}
	case 2:
		return fault{at: after, what: leave, seat: seat, lasts: one(d, 0, time.Second)}
	default:
		return fault{at: after, what: kill, seat: seat, lasts: one(d, 0, 200*time.Millisecond, d.plan.world.session)}
	}
}

func (d *drawing) ofTurnsTopic() fault {
	return fault{at: d.when(), what: one(d, vanish, litter), count: 1 + d.IntN(200), lasts: d.between(200*time.Millisecond, 4*time.Second)}
}

// vanish deletes the topic of turns, and makes it again.
func (s *scene) vanish(f fault) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	admin := kadm.NewClient(s.client)
	if _, err := admin.DeleteTopic(ctx, devstack.Turns); err != nil {
		s.note("delete %s: %v", devstack.Turns, err)
	}
	time.Sleep(f.lasts)
	if _, err := admin.CreateTopic(ctx, 1, 1, nil, devstack.Turns); err != nil {
		s.note("create %s: %v", devstack.Turns, err)
	}
}

// overhear writes down which turns a member lends.
func (s *scene) overhear(member string, frame []byte) {
	if len(frame) < 6 || kmsg.Key(binary.BigEndian.Uint16(frame[4:])) != kmsg.Produce || !bytes.Contains(frame, []byte(devstack.Turns)) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		_, rest, found := bytes.Cut(frame, []byte(`{"g":`))
		if !found {
			return
		}
		var n struct{ K, M, F, T string }
		if err := json.NewDecoder(io.MultiReader(strings.NewReader(`{"g":`), bytes.NewReader(rest))).Decode(&n); err == nil {
			s.names[n.F] = member
			if n.K == "loan" {
				s.loans = append(s.loans, history.Loan{At: time.Now(), Merchant: n.M, By: member, To: s.names[n.T]}) // who borrows has asked
			}
		}
		frame = rest
	}
}

// litter writes what is no note of this group: without sense, of another group, of
// another time.
func (s *scene) litter(f fault) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	past := time.Now().Add(-24 * time.Hour).UnixMicro()
	values := [][]byte{
		[]byte("no note"), nil, bytes.Repeat([]byte("x"), 100<<10),
		fmt.Appendf(nil, `{"g":"another","k":"ask","m":%q,"s":1,"f":"x","n":1,"u":%d}`, merchantID(0), time.Now().Add(time.Hour).UnixMicro()),
		fmt.Appendf(nil, `{"g":%q,"k":"ask","m":%q,"s":1,"f":"x","n":1,"u":%d}`, group, merchantID(0), past),
		fmt.Appendf(nil, `{"g":%q,"k":"loan","m":%q,"s":1,"f":"x","t":"y","n":1,"u":%d}`, group, merchantID(0), time.Now().Add(time.Hour).UnixMicro()),
	}
	for i := range f.count {
		r := &kgo.Record{Topic: devstack.Turns, Value: values[i%len(values)]}
		s.client.Produce(ctx, r, func(*kgo.Record, error) {}) // the topic may be gone
	}
	_ = s.client.Flush(ctx)
}
