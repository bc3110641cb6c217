package lab

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"paylink/internal/devstack"
	"paylink/internal/history"
)

// Limits of a topic's records.
const (
	noLimit   = 0     // the brokers' default
	nothing   = 100   // not even a reference to a dead letter
	oneRecord = 2_500 // an outcome, or a dead letter by itself; no batch of several
)

// drawTopics adds what operators and emitters do to topics: limits of size that change,
// records that are deleted, records that unpack to much.
func (d *drawing) drawTopics() {
	switch pick := d.IntN(100); {
	case pick < 14:
		d.drawLimits()
	case pick < 30:
		d.drawTrims()
	case pick < 36:
		d.drawBombs()
	case pick < 44:
		d.drawInvalid()
	}
}

// drawLimits are limits that change while outcomes and dead letters are published.
func (d *drawing) drawLimits() {
	d.noConflicts()
	for range 1 + d.IntN(3) {
		f := fault{at: d.when(), what: one(d, limit, limit, tighten, tighten, tighten), seat: d.seat(), count: one(d, nothing, nothing, oneRecord),
			topic: one(d, devstack.Outcomes, devstack.Outcomes, devstack.DeadLetters), lasts: d.between(200*time.Millisecond, 4*time.Second)}
		d.add(f)
	}
}

// drawTrims are records that are deleted: of the intents what is committed, or all; of
// the outcomes some or all. Then partitions change hands, or offsets are set back.
func (d *drawing) drawTrims() {
	d.noRepeats()
	w := &d.plan.world
	for range 1 + d.IntN(3) {
		f := fault{at: d.when() + 2*time.Second, what: trim, topic: devstack.Intents, seat: d.IntN(int(w.partitions)), count: one(d, 0, 0, 4)}
		if !d.plan.jumps() && d.often(75) { // what is left is dated by clocks that jump
			f.topic, f.seat, f.count = devstack.Outcomes, d.IntN(int(w.outcomes)), one(d, 2, 3, 4, 4)
		}
		d.add(f)
		switch after := f.at + d.between(0, 2*time.Second); {
		case d.often(40):
			d.add(fault{at: after, what: kill, seat: d.seat(), lasts: one(d, 0, 200*time.Millisecond, w.session)})
		case d.often(50):
			d.add(fault{at: after, what: offsets, count: d.IntN(4)})
		}
	}
	for _, e := range d.plan.emissions {
		for i := range e.records {
			if s := &e.records[i].stamp; *s == soon { // an age that nobody can know to be wrong
				*s = ""
			}
		}
	}
}

// drawBombs adds records that unpack to much, in batches with intents, some of which
// are large themselves: more of them than a partition has room for.
func (d *drawing) drawBombs() {
	p := d.Int32N(d.plan.world.partitions)
	for i := range 2 + d.IntN(2) {
		e := emission{at: d.when(), partition: p}
		for j := range 8 {
			r := record{id: fmt.Sprintf("large-%d-%d", i, j), amount: "10.00", bomb: padded}
			switch {
			case j == 3:
				r = record{bomb: one(d, wide, crowded)}
			case d.often(20):
				r.bomb = ""
			case d.often(10):
				r.id = "" // its dead letter fits by reference only
			}
			e.records = append(e.records, r)
		}
		d.plan.emissions = append(d.plan.emissions, e)
	}
}

// drawInvalid are batches that the broker takes exception to, also when they come again
// after an answer that was lost.
func (d *drawing) drawInvalid() {
	for range 1 + d.IntN(3) {
		at := d.when()
		if d.often(70) {
			d.add(fault{at: at, what: mute, seat: d.seat(), key: int16(kmsg.Produce), count: 1 + d.IntN(2)})
		}
		d.add(fault{at: at, what: refuse, key: int16(kmsg.Produce), topic: one(d, devstack.Outcomes, devstack.Outcomes, devstack.DeadLetters),
			count: 1 + d.IntN(4), arg: one(d, "INVALID_RECORD", "INVALID_TIMESTAMP")})
	}
}

// noConflicts has what comes again be the same. Whether it is, nobody can know any more
// of an intent whose outcome was too large, or was deleted.
func (d *drawing) noConflicts() {
	for _, e := range d.plan.emissions {
		for i := range e.records {
			if r := &e.records[i]; r.amount == "99.00" {
				r.amount = "10.00"
			}
		}
	}
}

// noRepeats has nothing come again: what comes later than outcomes are known from is
// new to everybody.
func (d *drawing) noRepeats() {
	seen := map[string]bool{}
	for _, e := range d.plan.emissions {
		for i := range e.records {
			if r := &e.records[i]; r.id != "" && seen[r.id] {
				d.ids++
				r.id, r.amount, r.strange = fmt.Sprintf("i-%02d", d.ids), "10.00", ""
			}
			seen[e.records[i].id] = true
		}
	}
}

// limitFor sets a limit, and lifts it.
func (s *scene) limitFor(f fault) {
	began := time.Now()
	s.setLimit(f.topic, f.count)
	time.Sleep(f.lasts)
	s.setLimit(f.topic, noLimit)
	if f.topic == devstack.Outcomes && f.count < oneRecord {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.tight = append(s.tight, history.Span{From: began, To: time.Now()})
	}
}

// tighten sets a limit and returns; it is lifted later.
func (s *scene) tighten(f fault) {
	began := time.Now()
	s.setLimit(f.topic, f.count)
	if f.topic == devstack.Outcomes && f.count < oneRecord {
		s.mu.Lock()
		s.tight = append(s.tight, history.Span{From: began, To: time.Now().Add(f.lasts)})
		s.mu.Unlock()
	}
	time.AfterFunc(f.lasts, func() { s.setLimit(f.topic, noLimit) })
}

// setLimit sets how large a topic's records may be.
func (s *scene) setLimit(topic string, bytes int) {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, topic
	c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	c.Name, c.Op = "max.message.bytes", kmsg.IncrementalAlterConfigOpDelete
	if bytes != noLimit {
		c.Op, c.Value = kmsg.IncrementalAlterConfigOpSet, kmsg.StringPtr(strconv.Itoa(bytes))
	}
	r.Configs = append(r.Configs, c)
	req.Resources = append(req.Resources, r)
	if _, err := req.RequestWith(context.Background(), s.client); err != nil {
		s.note("no limit of %d for %s: %v", bytes, topic, err)
	}
}

// settleTopics lifts every limit.
func (s *scene) settleTopics() {
	for _, topic := range []string{devstack.Outcomes, devstack.DeadLetters} {
		s.setLimit(topic, noLimit)
	}
}

// deleted is a record that its topic does not hold any more.
type deleted struct {
	devstack.Record
	visible bool // to readers of committed records
	settled bool // it was deleted when it was committed
}

// trim deletes the oldest records of a partition, as retention does: as many quarters of
// them as it says, or of the intents those that are committed. Of an open transaction
// nothing is deleted.
func (s *scene) trim(f fault) {
	s.trimming <- struct{}{}
	defer func() { <-s.trimming }()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	p := int32(f.seat)
	info := s.brokers.PartitionInfo(f.topic, p)
	all, visible, err := s.brokers.Kafka().ReadBoth(ctx, f.topic)
	committed := s.brokers.GroupInfo(group)
	if err != nil || info == nil || committed == nil {
		return // what cannot be read is not deleted
	}
	done := committed.Commits[devstack.Intents][p].Offset
	to := info.LogStartOffset + (info.LastStableOffset-info.LogStartOffset)*int64(f.count)/4
	if f.topic == devstack.Intents && f.count == 0 {
		to = min(done, info.LastStableOffset)
	}
	if to <= info.LogStartOffset || s.brokers.DeleteRecords(f.topic, p, to) != nil {
		return
	}
	seen := map[int64]bool{}
	for _, r := range visible {
		seen[r.Offset] = seen[r.Offset] || r.Partition == p
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range all {
		if r.Partition == p && r.Offset < to {
			s.gone[f.topic] = append(s.gone[f.topic], deleted{Record: r, visible: seen[r.Offset], settled: r.Offset < done})
		}
	}
	if f.topic == devstack.Outcomes {
		s.trimmed[p] = to
	}
}

// readBoth reads a topic with what was deleted of it.
func (s *scene) readBoth(ctx context.Context, topic string) (all, visible []devstack.Record, err error) {
	left, leftVisible, err := s.brokers.Kafka().ReadBoth(ctx, topic)
	for _, d := range s.gone[topic] {
		all = append(all, d.Record)
		if d.visible {
			visible = append(visible, d.Record)
		}
	}
	return append(all, left...), append(visible, leftVisible...), err
}

// unread are the intents that were deleted before they were committed.
func (s *scene) unread() map[history.Place]bool {
	out := map[history.Place]bool{}
	for _, d := range s.gone[devstack.Intents] {
		out[history.Place{Partition: d.Partition, Offset: d.Offset}] = !d.settled
	}
	return out
}

// forgotten is, for partitions of the intents, until when outcomes may have been deleted
// that a new owner did not read: until the first that is left, and a while for who took
// the partition over before.
func (s *scene) forgotten(outcomes []history.Outcome) map[int32]time.Time {
	until := map[int32]time.Time{}
	for p := range s.plan.world.partitions + 8 {
		from, ok := s.trimmed[p%s.plan.world.outcomes]
		if !ok {
			continue
		}
		until[p] = time.Now()
		for _, o := range outcomes {
			if t := o.Time.Add(time.Minute); o.At.Partition == p%s.plan.world.outcomes && o.At.Offset >= from && t.Before(until[p]) {
				until[p] = t
			}
		}
	}
	return until
}
