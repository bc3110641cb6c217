package pipeline_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"paylink/internal/event"
	"paylink/internal/event/outcomes"
	"paylink/internal/payment"
	"paylink/internal/pipeline"
)

// A topic is what outlives every process: the partitions of the intent topic,
// and what was ever published for them. It watches the invariants S1, S2 and S3
// while it is used, and keeps what it saw broken in faults.
type topic struct {
	mu     sync.Mutex
	parts  []*partition
	faults []string
}

// A partition is one partition of the intent topic.
type partition struct {
	topic     *topic
	number    int32
	records   []pipeline.Record
	end       int64         // offset after the last record, control records included
	changed   chan struct{} // closed when something is added
	outcomes  []published
	dead      []published
	answered  map[payment.IntentID]event.Digest
	buried    map[int64]bool // offsets
	committed int64
	wasReset  bool      // a tool has set the committed offset
	claim     *claim    // who has it; nil: nobody
	stopped   time.Time // when a claim on it last was told to stop
}

// A published is an outcome or dead letter that is durable.
type published struct {
	event.Message
	offset int64 // of the intent
	at     time.Time
}

func newTopic(n int) *topic {
	tp := &topic{}
	for i := range n {
		tp.parts = append(tp.parts, &partition{
			topic: tp, number: int32(i), changed: make(chan struct{}), answered: map[payment.IntentID]event.Digest{}, buried: map[int64]bool{},
		})
	}
	return tp
}

func (tp *topic) fault(format string, args ...any) {
	tp.faults = append(tp.faults, fmt.Sprintf(format, args...))
}

// emit appends a record and returns its offset. An empty key is no key.
func (p *partition) emit(key, value string) int64 {
	return p.emitAt(time.Now(), key, value)
}

func (p *partition) emitAt(at time.Time, key, value string) int64 {
	return p.append(event.Message{Value: []byte(value), Time: at}, key)
}

// emitWith emits a record with a header.
func (p *partition) emitWith(h event.Header, key, value string) int64 {
	return p.append(event.Message{Value: []byte(value), Time: time.Now(), Headers: []event.Header{h}}, key)
}

func (p *partition) append(m event.Message, key string) int64 {
	p.topic.mu.Lock()
	defer p.topic.mu.Unlock()
	r := pipeline.Record{Offset: p.end, Message: m}
	if key != "" {
		r.Key = []byte(key)
	}
	p.records = append(p.records, r)
	p.end++
	p.wake()
	return r.Offset
}

// control appends n control records.
func (p *partition) control(n int) {
	p.topic.mu.Lock()
	defer p.topic.mu.Unlock()
	p.end += int64(n)
	p.wake()
}

func (p *partition) wake() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// settled says whether a record needs nothing any more.
func (p *partition) settled(r *pipeline.Record) bool {
	if p.buried[r.Offset] {
		return true
	}
	_, ok := p.answered[idOf(r)]
	return ok
}

// from returns the records from an offset on.
func (p *partition) from(offset int64) []pipeline.Record {
	i, _ := slices.BinarySearchFunc(p.records, offset, func(r pipeline.Record, o int64) int { return int(r.Offset - o) })
	return p.records[i:]
}

// outcome makes an outcome durable.
func (p *partition) outcome(o pipeline.Answer) error {
	v, err := outcomes.Decode(o.Message)
	if err != nil || v.Intent != o.ID || v.Source.Partition != p.number {
		p.topic.fault("outcome %s of %s at %v: %v", o.Message.Value, o.ID, v.Source, err)
		return nil
	}
	if _, twice := p.answered[o.ID]; twice {
		p.topic.fault("S1: a second outcome of %s", o.ID)
		return pipeline.ErrAnswered // a claim does not publish it; the engine should not have asked
	}
	p.inOrder(v.Source.Offset, "published")
	p.answered[o.ID] = o.Digest
	p.outcomes = append(p.outcomes, published{o.Message, v.Source.Offset, time.Now()})
	return nil
}

// inOrder checks S3: everything before a record under its key is settled.
func (p *partition) inOrder(offset int64, what string) {
	var key []byte
	if rs := p.from(offset); len(rs) > 0 && rs[0].Offset == offset {
		key = rs[0].Key
	}
	if key == nil {
		return
	}
	for i := range p.records {
		r := &p.records[i]
		if r.Offset < offset && string(r.Key) == string(key) && r.Key != nil && idOf(r) != "" && !p.settled(r) {
			p.topic.fault("S3: partition %d: record %d of key %s is %s before record %d is settled", p.number, offset, key, what, r.Offset)
			return
		}
	}
}

// bury makes a dead letter durable.
func (p *partition) bury(m event.Message) {
	from, ok := event.BuriedFrom(m)
	if !ok || from.Partition != p.number {
		p.topic.fault("dead letter without its place: %v", from)
		return
	}
	p.buried[from.Offset] = true
	p.dead = append(p.dead, published{m, from.Offset, time.Now()})
}

// intent is the JSON of an intent. More members may follow.
func intent(id string, more ...string) string {
	s := `{"intent_id":"` + id + `","amount":"10.00","description":"d"`
	for _, m := range more {
		s += "," + m
	}
	return s + "}"
}

// idOf returns the intent id of a record that intent made, or "".
func idOf(r *pipeline.Record) payment.IntentID {
	const head = `{"intent_id":"`
	s := string(r.Value)
	if len(s) < len(head) || s[:len(head)] != head {
		return ""
	}
	for i := len(head); i < len(s); i++ {
		if s[i] == '"' {
			return payment.IntentID(s[len(head):i])
		}
	}
	return ""
}

// views returns the outcomes so far by intent id.
func (p *partition) views() map[payment.IntentID]event.OutcomeView {
	p.topic.mu.Lock()
	defer p.topic.mu.Unlock()
	views := map[payment.IntentID]event.OutcomeView{}
	for _, m := range p.outcomes {
		v, err := outcomes.Decode(m.Message)
		if err != nil {
			p.topic.fault("outcome: %v", err)
		}
		views[v.Intent] = v
	}
	return views
}

// order returns the intent ids of the outcomes, as they were published.
func (p *partition) order() []string {
	p.topic.mu.Lock()
	defer p.topic.mu.Unlock()
	var ids []string
	for _, m := range p.outcomes {
		ids = append(ids, string(m.Header(event.HeaderIntentID)))
	}
	return ids
}

// reasons returns the dead letters' reasons by offset.
func (p *partition) reasons() map[int64]string {
	p.topic.mu.Lock()
	defer p.topic.mu.Unlock()
	m := map[int64]string{}
	for _, d := range p.dead {
		m[d.offset] = string(d.Header(event.HeaderReason))
	}
	return m
}

func (p *partition) committedOffset() int64 {
	p.topic.mu.Lock()
	defer p.topic.mu.Unlock()
	return p.committed
}

// unsettled names what has neither outcome nor dead letter.
func (p *partition) unsettled() []string {
	p.topic.mu.Lock()
	defer p.topic.mu.Unlock()
	open := map[string]bool{}
	for i := range p.records {
		if r := &p.records[i]; !p.settled(r) {
			open[string(idOf(r))+"@"+strconv.FormatInt(r.Offset, 10)] = true
		}
	}
	return slices.Sorted(maps.Keys(open))
}
