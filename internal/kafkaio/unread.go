package kafkaio

import (
	"bytes"
	"context"
	"slices"
	"time"

	"paylink/internal/budget"
	"paylink/internal/event"
	"paylink/internal/kafkawire"
	"paylink/internal/pipeline"
)

// A fetchedSet is what a fetch has brought, as it came: checked, without what must
// not be seen, and packed. Records are unpacked one by one as they are taken, so
// that what is small when it comes, and large unpacked, is held only as far as there
// is room for it.
type fetchedSet struct {
	raw     kafkawire.Raw
	batches []*kafkawire.Batch // not read to their end yet
	next    int64              // the lowest offset that is not read yet
	wanted  []int64            // offsets of which records are wanted; nil: all
	bytes   int
	lease   budget.Lease

	stream *kafkawire.Stream // of the first batch, as far as it is unpacked; nil: it is not
	ahead  *kafkawire.Record // the newest of it, if it was not taken yet
	parked func()            // gives back what a stream has that stays open between two reads; nil: none does
	bad    error             // why what was read last cannot be unpacked
}

// openSet returns what a read-committed consumer may see of an answer, and the offset
// to go on from. With an error, it is what stands before the trouble.
func openSet(from int64, res *kafkawire.FetchPartitionResponse) (set *fetchedSet, next int64, err error) {
	set = &fetchedSet{raw: res.Records, next: from}
	set.bytes = set.raw.Held()
	filter, next := kafkawire.NewFilter(res.AbortedTransactions), from
	for {
		b, err := set.raw.Next()
		if err != nil || b == nil {
			set.bytes += len(set.batches) * batchCost
			return set, next, err
		}
		b.After(next)
		if !filter.Hides(b) && b.Last >= from {
			set.batches = append(set.batches, b)
		}
		next = max(next, b.Last+1)
	}
}

// batchCost is what a batch takes in memory beside its bytes: of the smallest ones more
// than those.
const batchCost = 192

// count counts the set's bytes. Without room for them it is dropped.
func (s *fetchedSet) count(a *budget.Account) (ok bool) {
	if len(s.batches) == 0 {
		return true
	}
	if s.lease, ok = a.Lease(s.bytes); !ok {
		s.drop()
	}
	return ok
}

// drop gives back what the set holds.
func (s *fetchedSet) drop() {
	if s == nil {
		return
	}
	s.close()
	s.raw.Release()
	s.lease.Release()
	s.batches = nil
}

// close ends the unpacking of the first batch. The next read begins it anew.
func (s *fetchedSet) close() {
	if s.stream != nil {
		s.stream.Close()
		s.stream, s.ahead = nil, nil
	}
	if s.parked != nil {
		s.parked()
		s.parked = nil
	}
}

// peek returns the next record of the first batch, or nil after its last. Records that
// cannot be unpacked, though their batch is as it was written, will never be read by
// anybody: one reference stands for them.
func (s *fetchedSet) peek() *kafkawire.Record {
	if s.ahead != nil {
		return s.ahead
	}
	if s.stream == nil {
		s.stream = s.batches[0].Open()
	}
	r, err := s.stream.Next()
	if err != nil {
		r, s.bad = s.stream.Rest(), err
	}
	s.ahead = r
	return r
}

// isLarge says that the set has taken the room of large ones, of which there is one.
func (s *fetchedSet) isLarge() bool { return s.raw.IsLarge() }

// maxUnpacked is how much is unpacked at a time, by cost.
const maxUnpacked = 4 << 20

// read unpacks records until the set ends, there is no room for more, or there are
// enough. full says that there was no room for the next one. The stream of a batch that
// is not read to its end stays open: whoever goes on later would else unpack again all
// that he has read.
func (s *fetchedSet) read(a *budget.Account) (recs []pipeline.Record, full bool) {
	for left := maxUnpacked; len(s.batches) > 0; {
		r := s.peek()
		if r == nil {
			s.next = s.batches[0].Last + 1
			s.stream.Close()
			s.stream, s.batches = nil, s.batches[1:]
			continue
		}
		if r.Offset < s.next || !s.wants(r.Offset) {
			s.ahead = nil
			continue
		}
		cost := r.Cost()
		lease, ok := a.Lease(cost)
		if !ok || left < cost && len(recs) > 0 {
			lease.Release()
			return recs, !ok
		}
		left -= cost
		recs = append(recs, record(r, s.batches[0].LogTime))
		recs[len(recs)-1].Lease = lease
		s.next, s.ahead = r.Offset+1, nil
	}
	return recs, false
}

func (s *fetchedSet) wants(offset int64) bool {
	if s.wanted == nil {
		return true
	}
	_, ok := slices.BinarySearch(s.wanted, offset)
	return ok
}

// unpack takes records out of the claim's first set, and waits where there is no room
// for any. It returns none when the set holds none any more, or reading has to go on
// elsewhere.
func (c *claim) unpack(ctx context.Context, set *fetchedSet) ([]pipeline.Record, int64) {
	returned := c.s.budget.Returned()
	if set.parked == nil {
		select {
		case c.s.unpacking <- struct{}{}:
		case <-ctx.Done():
			return nil, 0
		}
	}
	recs, full := set.read(c.account)
	c.park(set)
	c.sayUndecodable(set)
	next := set.next
	switch {
	case len(set.batches) == 0:
		c.pop(set)
	case set.isLarge(): // others may be waiting for its room; it is fetched again
		c.restart(next, 0)
	}
	if full && len(recs) == 0 {
		select {
		case <-returned:
		case <-c.draining:
		case <-c.ctx.Done():
		case <-ctx.Done():
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(recs) > 0 {
		c.input.polled = next
	}
	return recs, next
}

// park keeps the stream of a set open that has more to read, with its token of
// unpacking, as long as not too many are.
func (c *claim) park(set *fetchedSet) {
	switch {
	case set.stream == nil && set.parked == nil:
		<-c.s.unpacking
	case set.stream == nil:
		set.close()
	case set.parked == nil:
		set.parked = func() { <-c.s.unpacking }
		select {
		case c.s.parked <- struct{}{}:
			set.parked = func() { <-c.s.unpacking; <-c.s.parked }
		default:
			set.close()
		}
	}
}

// sayUndecodable tells of a batch that is as it was written, and holds no records.
func (c *claim) sayUndecodable(set *fetchedSet) {
	if set.bad == nil {
		return
	}
	err, at := set.bad, set.next
	set.bad = nil
	c.s.bursts.Say("undecodable"+label(c.partition), func() {
		c.log.WithError(err).WithField("offset", at).Error("records of a batch cannot be unpacked, though it is as it was written: " +
			"a dead letter stands for them; find their emitter, and have it emit again what they were")
	}, func(more int) {
		c.log.WithError(err).WithField("more", more).Error("more batches cannot be unpacked: a dead letter stands for each")
	})
}

// pop takes the first set off the input, which is read to its end.
func (c *claim) pop(set *fetchedSet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	in := &c.input
	in.sets[0] = nil
	in.sets, in.bytes = in.sets[1:], in.bytes-set.bytes
	set.drop()
}

// restart drops what was fetched, and has reading go on at an offset.
func (c *claim) restart(at int64, wait time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropSetsLocked()
	c.input.next = at
	if wait > 0 {
		c.input.retryAt = time.Now().Add(wait)
	}
}

func (c *claim) dropSetsLocked() {
	for _, s := range c.input.sets {
		s.drop()
	}
	c.input.sets, c.input.bytes = nil, 0
}

// Visible returns the records of an answer that a read-committed consumer may see,
// from an offset on, and the offset to go on from: before the answer's end, where
// there are too many to hold at a time. With an error, they are those before the
// trouble. What the answer held is given back.
func Visible(from int64, res *kafkawire.FetchPartitionResponse) (recs []pipeline.Record, next int64, err error) {
	if res.Records.Busy {
		return nil, from, nil
	}
	set, next, err := openSet(from, res)
	defer set.drop()
	recs, _ = set.read(nil)
	if len(set.batches) > 0 {
		return recs, set.next, nil
	}
	return recs, next, err
}

// record copies r, so that one waiting record does not keep a whole fetch in memory.
func record(r *kafkawire.Record, brokerTime bool) pipeline.Record {
	return pipeline.Record{Offset: r.Offset, Message: MessageOf(r, brokerTime)}
}

// MessageOf returns a copy of a record as a message.
func MessageOf(r *kafkawire.Record, brokerTime bool) event.Message {
	out := event.Message{Key: bytes.Clone(r.Key), Value: bytes.Clone(r.Value), BrokerTime: brokerTime, TooLarge: r.Beyond}
	if r.Millis >= 0 { // -1: it has none
		out.Time = time.UnixMilli(r.Millis)
	}
	if len(r.Headers) > 0 {
		out.Headers = make([]event.Header, len(r.Headers))
		for i, h := range r.Headers {
			out.Headers[i] = event.Header{Key: string(h.Key), Value: bytes.Clone(h.Value)}
		}
	}
	return out
}
