// Package conformance puts a Source to the test: every sentence of the contracts
// on pipeline.Source and pipeline.Claim is a subtest here. Only tests import it.
package conformance

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"paylink/internal/event"
	"paylink/internal/payment"
	"paylink/internal/pipeline"
)

// A Bench is a Source under test with the topics beneath it. The intent topic has
// one partition, and nobody has it yet.
type Bench struct {
	Open      func() pipeline.Source  // the next member of the group; one runs at a time
	Emit      func(key, value string) // appends to the intent topic
	Skip      func()                  // appends what no reader may see: aborted records, control records
	Vanish    func(below int64)       // deletes the intents below an offset
	Outcomes  func() []event.Message  // what a reader sees
	Dead      func() []event.Message  // the dead letters
	Committed func() int64            // the group's offset; below 0: none
	Lose      func()                  // the group takes the partition from the member that runs, without asking
	Large     int                     // no record can hold a value of so many random bytes
	Noise     func(bytes int) []byte  // that nothing compresses
}

// patience is how long anything may take.
const patience = time.Minute

// Run puts what open makes to all tests. Each subtest is run by in: in the bubble
// of a Source that lives in virtual time, or just so.
func Run(t *testing.T, in func(t *testing.T, f func(*testing.T)), open func(t *testing.T) Bench) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Bench)
	}{
		{"Run hands out a claim that is live", handsOut},
		{"Run returns after the last serve", returnsLast},
		{"Poll returns records in the order of their offsets", pollsInOrder},
		{"next passes what no reader may see", passesTheHidden},
		{"Poll waits no longer than its context", pollEndsWithItsContext},
		{"Poll says when the partition is to be handed over", pollSaysDraining},
		{"a lost claim says so everywhere", lostSaysSo},
		{"Reread returns records once more", rereads},
		{"Reread leaves out what the topic does not hold any more", rereadsWhatIsLeft},
		{"Look knows what was appended", looks},
		{"what is appended is durable once done is called", appendIsDurable},
		{"what is buried is durable once done is called", buryIsDurable},
		{"done is called exactly once, and not from within", doneIsCalledOnce},
		{"what the ledger has is not published again", publishesOnce},
		{"what no record can hold is ErrTooLarge, and nothing else suffers", tooLarge},
		{"Commit is followed within a moment", commitsSoon},
		{"the newest Commit counts before the hand-over", commitsLast},
		{"a claim that drains finishes", drainingFinishes},
		{"the next owner knows everything", nextOwnerKnows},
		{"Fresh divides what came before from what came after", freshDivides},
		{"Continues after an owner of ours", continues},
		{"Reach is the zero time while nothing was forgotten", reaches},
		{"methods may be called concurrently", concurrently},
	} {
		t.Run(c.name, func(t *testing.T) {
			in(t, func(t *testing.T) { c.test(t, open(t)) })
		})
	}
}

// serve runs the next member, with f as the engine of its first claim, until f has
// returned. Claims that come after a loss are handed back.
func (b Bench) serve(t *testing.T, f func(c pipeline.Claim, stop func())) {
	t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), 5*patience)
	defer stop()
	var served atomic.Bool
	err := b.Open().Run(ctx, func(c pipeline.Claim) {
		if served.Swap(true) {
			<-c.Draining()
			return
		}
		defer stop()
		f(c, stop)
	})
	if err != nil {
		t.Errorf("Run = %v", err)
	}
	if !served.Load() {
		t.Error("no claim was served")
	}
}

func (b Bench) emit(n int) {
	for i := range n {
		b.Emit(fmt.Sprint("k", i%3), intent(i))
	}
}

func intent(i int) string {
	return fmt.Sprintf(`{"intent_id":"i-%d","amount":"10.00","description":"d"}`, i)
}

// poll reads until it has n records.
func poll(t *testing.T, c pipeline.Claim, n int) (recs []pipeline.Record, next int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for len(recs) < n {
		more, to, err := c.Poll(ctx)
		if err != nil {
			t.Errorf("Poll after %d records of %d: %v", len(recs), n, err)
			return recs, next
		}
		recs, next = append(recs, more...), to
	}
	if len(recs) != n {
		t.Errorf("%d records, want %d", len(recs), n)
	}
	return recs, next
}

// await waits for something to become true.
func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("%s: not after %v", what, patience)
			return
		}
	}
}

// settle calls Append or Bury and waits for done.
func settle(t *testing.T, call func(done func(error))) error {
	t.Helper()
	ended := make(chan error, 2)
	call(func(err error) { ended <- err })
	select {
	case err := <-ended:
		return err
	case <-time.After(patience):
		return errors.New("done is not called")
	}
}

func appended(t *testing.T, c pipeline.Claim, a pipeline.Answer) error {
	t.Helper()
	return settle(t, func(done func(error)) { c.Append(a, done) })
}

// answer makes the outcome of a record.
func answer(t *testing.T, c pipeline.Claim, r pipeline.Record) pipeline.Answer {
	t.Helper()
	dec, err := event.NewDecoder(event.DecoderConfig{DefaultMerchant: "540001"}).Decode(context.Background(), r.Message)
	if err != nil {
		t.Error(err)
	}
	from := event.Place{Topic: "payment-intents", Partition: c.Partition(), Offset: r.Offset}
	link := payment.Link{PaymentID: 1, RedirectURL: "https://pay.example/1", RedirectURLType: payment.URLNeedData}
	m, err := event.NewEncoder(event.EncoderConfig{}).
		Outcome(context.Background(), dec, r.Key, from, payment.Created{Link: link, Attempts: 1, At: time.Now()})
	if err != nil {
		t.Error(err)
	}
	return pipeline.Answer{ID: dec.Intent.ID, Digest: dec.Digest, Message: m}
}

// deadLetter makes the dead letter of a record.
func deadLetter(c pipeline.Claim, r pipeline.Record) event.Message {
	from := event.Place{Topic: "payment-intents", Partition: c.Partition(), Offset: r.Offset}
	return event.DeadLetter(r.Message, from, "paylink", &event.Unreadable{Reason: event.NotJSON, Text: "x"}, time.Now())
}

func same[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

func handsOut(t *testing.T, b Bench) {
	b.serve(t, func(c pipeline.Claim, _ func()) {
		same(t, "Partition", c.Partition(), 0)
		same(t, "Live", c.Live(), true)
		same(t, "Draining is closed", isClosed(c.Draining()), false)
		same(t, "Lost is closed", isClosed(c.Lost()), false)
	})
}

func returnsLast(t *testing.T, b Bench) {
	var serving atomic.Bool
	b.serve(t, func(c pipeline.Claim, stop func()) {
		serving.Store(true)
		stop()
		<-c.Draining()
		time.Sleep(500 * time.Millisecond) // time to return too early
		serving.Store(false)
	})
	same(t, "still serving when Run has returned", serving.Load(), false)
}

func pollsInOrder(t *testing.T, b Bench) {
	b.emit(250)
	b.serve(t, func(c pipeline.Claim, _ func()) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		var recs []pipeline.Record
		for before := int64(-1); len(recs) < 250; {
			more, next, err := c.Poll(ctx)
			if err != nil {
				t.Errorf("Poll after %d records: %v", len(recs), err)
				return
			}
			if n := len(more); n > 0 && next <= more[n-1].Offset || next <= before {
				t.Errorf("next = %d after %d records, was %d", next, n, before)
			}
			recs, before = append(recs, more...), next
		}
		for i, r := range recs {
			if string(r.Value) != intent(i) || string(r.Key) != fmt.Sprint("k", i%3) || i > 0 && r.Offset <= recs[i-1].Offset {
				t.Errorf("record %d is %s at %d", i, r.Value, r.Offset)
			}
		}
	})
}

func passesTheHidden(t *testing.T, b Bench) {
	b.emit(3)
	b.Skip()
	b.Emit("k", intent(3))
	b.Skip()
	b.serve(t, func(c pipeline.Claim, _ func()) {
		recs, next := poll(t, c, 4)
		if len(recs) != 4 {
			return
		}
		for i, r := range recs {
			same(t, "record", string(r.Value), intent(i))
		}
		if recs[3].Offset <= recs[2].Offset+1 {
			t.Errorf("offsets %d and %d with something hidden between them", recs[2].Offset, recs[3].Offset)
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		for next <= recs[3].Offset+1 { // what is hidden at the end may come by itself
			more, to, err := c.Poll(ctx)
			if err != nil || len(more) > 0 {
				t.Errorf("Poll: %d records, %v; want only a later offset than %d", len(more), err, next)
				return
			}
			next = to
		}
	})
}

func pollEndsWithItsContext(t *testing.T, b Bench) {
	b.serve(t, func(c pipeline.Claim, _ func()) {
		ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
		defer cancel()
		if _, _, err := c.Poll(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Poll of an empty partition = %v, want its context's error", err)
		}
	})
}

func pollSaysDraining(t *testing.T, b Bench) {
	b.serve(t, func(c pipeline.Claim, stop func()) {
		time.AfterFunc(300*time.Millisecond, stop)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_, _, err := c.Poll(ctx)
		same(t, "Poll that waited", errors.Is(err, pipeline.ErrDraining), true)
		_, _, err = c.Poll(ctx)
		same(t, "Poll thereafter", errors.Is(err, pipeline.ErrDraining), true)
		same(t, "Draining is closed", isClosed(c.Draining()), true)
		same(t, "Lost is closed", isClosed(c.Lost()), false)
	})
}

func lostSaysSo(t *testing.T, b Bench) {
	b.emit(2)
	b.serve(t, func(c pipeline.Claim, _ func()) {
		recs, _ := poll(t, c, 2)
		if len(recs) != 2 {
			return
		}
		b.Lose()
		select {
		case <-c.Lost():
		case <-time.After(patience):
			t.Error("Lost is not closed")
			return
		}
		same(t, "Live", c.Live(), false)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_, _, err := c.Poll(ctx)
		same(t, "Poll says ErrLost", errors.Is(err, pipeline.ErrLost), true)
		_, err = c.Reread(ctx, []int64{recs[0].Offset})
		same(t, "Reread says ErrLost", errors.Is(err, pipeline.ErrLost), true)
		same(t, "Append says ErrLost", errors.Is(appended(t, c, answer(t, c, recs[0])), pipeline.ErrLost), true)
		err = settle(t, func(done func(error)) { c.Bury(deadLetter(c, recs[1]), done) })
		same(t, "Bury says ErrLost", errors.Is(err, pipeline.ErrLost), true)
	})
	same(t, "outcomes", len(b.Outcomes()), 0)
	same(t, "dead letters", len(b.Dead()), 0)
}

func rereads(t *testing.T, b Bench) {
	b.emit(50)
	b.serve(t, func(c pipeline.Claim, _ func()) {
		recs, _ := poll(t, c, 50)
		if len(recs) != 50 {
			return
		}
		want := []pipeline.Record{recs[3], recs[4], recs[40]}
		again, err := c.Reread(context.Background(), []int64{want[0].Offset, want[1].Offset, want[2].Offset})
		if err != nil || len(again) != 3 {
			t.Errorf("Reread: %d records, %v; want 3", len(again), err)
			return
		}
		for i, r := range again {
			if r.Offset != want[i].Offset || string(r.Value) != string(want[i].Value) || string(r.Key) != string(want[i].Key) {
				t.Errorf("Reread: record %d is at %d, want %d, as it was", i, r.Offset, want[i].Offset)
			}
		}
		none, err := c.Reread(context.Background(), nil)
		same(t, "Reread of nothing returns nothing", len(none) == 0 && err == nil, true)
	})
}

func rereadsWhatIsLeft(t *testing.T, b Bench) {
	b.emit(20)
	b.serve(t, func(c pipeline.Claim, _ func()) {
		recs, _ := poll(t, c, 20)
		if len(recs) != 20 {
			return
		}
		b.Vanish(recs[10].Offset)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		again, err := c.Reread(ctx, []int64{recs[2].Offset, recs[9].Offset, recs[10].Offset, recs[15].Offset})
		if err != nil || len(again) != 2 || again[0].Offset != recs[10].Offset || again[1].Offset != recs[15].Offset {
			t.Errorf("Reread: %d records, %v; want the two that are left", len(again), err)
		}
	})
}

func looks(t *testing.T, b Bench) {
	b.emit(2)
	b.serve(t, func(c pipeline.Claim, _ func()) {
		recs, _ := poll(t, c, 2)
		if len(recs) != 2 {
			return
		}
		a, other := answer(t, c, recs[0]), answer(t, c, recs[1])
		same(t, "Look before", c.Look(a.ID, a.Digest), pipeline.Unknown)
		same(t, "Append", appended(t, c, a), nil)
		same(t, "Look", c.Look(a.ID, a.Digest), pipeline.Repeated)
		same(t, "Look with other content", c.Look(a.ID, other.Digest), pipeline.Differs)
		same(t, "Look for another", c.Look(other.ID, other.Digest), pipeline.Unknown)
	})
}

func appendIsDurable(t *testing.T, b Bench) {
	b.emit(1)
	b.serve(t, func(c pipeline.Claim, _ func()) {
		recs, _ := poll(t, c, 1)
		if len(recs) != 1 {
			return
		}
		a := answer(t, c, recs[0])
		same(t, "Append", appended(t, c, a), nil)
		sameMessages(t, "outcomes", b.Outcomes(), a.Message)
	})
}

func buryIsDurable(t *testing.T, b Bench) {
	b.Emit("k", "junk")
	b.serve(t, func(c pipeline.Claim, _ func()) {
		recs, _ := poll(t, c, 1)
		if len(recs) != 1 {
			return
		}
		m := deadLetter(c, recs[0])
		same(t, "Bury", settle(t, func(done func(error)) { c.Bury(m, done) }), nil)
		sameMessages(t, "dead letters", b.Dead(), m)
	})
}

// sameMessages compares keys, values and headers.
func sameMessages(t *testing.T, what string, got []event.Message, want ...event.Message) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d %s, want %d", len(got), what, len(want))
		return
	}
	for i := range want {
		if string(got[i].Key) != string(want[i].Key) || string(got[i].Value) != string(want[i].Value) {
			t.Errorf("%s: %d is %s, want %s", what, i, got[i].Value, want[i].Value)
		}
		for _, h := range want[i].Headers {
			same(t, "header "+h.Key, string(got[i].Header(h.Key)), string(h.Value))
		}
	}
}

// once makes a done that checks how it is called.
func once(t *testing.T) (within func(call func(done func(error))), times func() int32) {
	var n atomic.Int32
	return func(call func(done func(error))) {
		returned := make(chan struct{})
		call(func(error) {
			select {
			case <-returned:
			case <-time.After(5 * time.Second):
				t.Error("done is called from within")
			}
			n.Add(1)
		})
		close(returned)
	}, n.Load
}

func doneIsCalledOnce(t *testing.T, b Bench) {
	b.emit(10)
	within, times := once(t)
	b.serve(t, func(c pipeline.Claim, _ func()) {
		recs, _ := poll(t, c, 10)
		for i, r := range recs {
			if i%2 == 0 {
				within(func(done func(error)) { c.Append(answer(t, c, r), done) })
			} else {
				within(func(done func(error)) { c.Bury(deadLetter(c, r), done) })
			}
		}
		await(t, "done of ten", func() bool { return times() >= 10 })
		large := answer(t, c, recs[1])
		large.Message.Value = b.Noise(b.Large)
		within(func(done func(error)) { c.Append(large, done) })
		await(t, "done of the one that is too large", func() bool { return times() >= 11 })
		b.Lose()
		<-c.Lost()
		within(func(done func(error)) { c.Append(answer(t, c, recs[3]), done) })
		await(t, "done of the one that came too late", func() bool { return times() >= 12 })
	})
	same(t, "calls of done", times(), 12)
}

func publishesOnce(t *testing.T, b Bench) {
	b.emit(1)
	b.serve(t, func(c pipeline.Claim, _ func()) {
		recs, _ := poll(t, c, 1)
		if len(recs) != 1 {
			return
		}
		a := answer(t, c, recs[0])
		same(t, "Append", appended(t, c, a), nil)
		same(t, "Append of the same says ErrAnswered", errors.Is(appended(t, c, a), pipeline.ErrAnswered), true)
		sameMessages(t, "outcomes", b.Outcomes(), a.Message)
	})
}

func tooLarge(t *testing.T, b Bench) {
	b.emit(3)
	b.serve(t, func(c pipeline.Claim, _ func()) {
		recs, _ := poll(t, c, 3)
		if len(recs) != 3 {
			return
		}
		a, dead := answer(t, c, recs[0]), deadLetter(c, recs[1])
		small := a.Message
		a.Message.Value, dead.Value = b.Noise(b.Large), b.Noise(b.Large)
		before := answer(t, c, recs[2])
		first := make(chan error, 1)
		c.Append(before, func(err error) { first <- err })
		same(t, "Append of too much", errors.Is(appended(t, c, a), pipeline.ErrTooLarge), true)
		same(t, "Append before it", <-first, nil)
		same(t, "Bury of too much", errors.Is(settle(t, func(done func(error)) { c.Bury(dead, done) }),
			pipeline.ErrTooLarge), true)
		same(t, "Look for what was too large", c.Look(a.ID, a.Digest), pipeline.Unknown)
		a.Message = small
		same(t, "Append of less", appended(t, c, a), nil)
		sameMessages(t, "outcomes", b.Outcomes(), before.Message, small)
	})
}

func commitsSoon(t *testing.T, b Bench) {
	b.emit(3)
	b.serve(t, func(c pipeline.Claim, _ func()) {
		recs, next := poll(t, c, 3)
		for _, r := range recs {
			same(t, "Append", appended(t, c, answer(t, c, r)), nil)
			c.Commit(r.Offset + 1)
		}
		c.Commit(next)
		await(t, "the offset is committed", func() bool { return b.Committed() == next })
	})
}

func commitsLast(t *testing.T, b Bench) {
	b.emit(3)
	var next int64
	b.serve(t, func(c pipeline.Claim, stop func()) {
		var recs []pipeline.Record
		recs, next = poll(t, c, 3)
		stop()
		<-c.Draining()
		for _, r := range recs {
			same(t, "Append", appended(t, c, answer(t, c, r)), nil)
			c.Commit(r.Offset + 1)
		}
		c.Commit(next)
	})
	same(t, "committed", b.Committed(), next)
}

func drainingFinishes(t *testing.T, b Bench) {
	b.emit(2)
	b.serve(t, func(c pipeline.Claim, stop func()) {
		recs, _ := poll(t, c, 2)
		if len(recs) != 2 {
			return
		}
		stop()
		<-c.Draining()
		a := answer(t, c, recs[0])
		same(t, "Live", c.Live(), true)
		same(t, "Append", appended(t, c, a), nil)
		same(t, "Look", c.Look(a.ID, a.Digest), pipeline.Repeated)
		same(t, "Bury", settle(t, func(done func(error)) { c.Bury(deadLetter(c, recs[1]), done) }), nil)
		again, err := c.Reread(context.Background(), []int64{recs[1].Offset})
		same(t, "Reread", len(again) == 1 && err == nil, true)
	})
	same(t, "outcomes", len(b.Outcomes()), 1)
	same(t, "dead letters", len(b.Dead()), 1)
}

func nextOwnerKnows(t *testing.T, b Bench) {
	b.emit(3)
	var a, other pipeline.Answer
	var first int64
	b.serve(t, func(c pipeline.Claim, _ func()) {
		recs, _ := poll(t, c, 3)
		if len(recs) != 3 {
			return
		}
		a, other, first = answer(t, c, recs[2]), answer(t, c, recs[0]), recs[1].Offset
		same(t, "Append", appended(t, c, a), nil)
		same(t, "Append", appended(t, c, other), nil)
		c.Commit(first)
	})
	b.serve(t, func(c pipeline.Claim, _ func()) {
		same(t, "Look", c.Look(a.ID, a.Digest), pipeline.Answered)
		same(t, "Look with other content", c.Look(a.ID, other.Digest), pipeline.Differs)
		recs, _ := poll(t, c, 2)
		if len(recs) == 2 {
			same(t, "first record, from the committed offset", recs[0].Offset, first)
		}
		same(t, "Append of what is answered says ErrAnswered", errors.Is(appended(t, c, a), pipeline.ErrAnswered), true)
	})
	same(t, "outcomes", len(b.Outcomes()), 2)
}

func freshDivides(t *testing.T, b Bench) {
	b.emit(5)
	b.serve(t, func(c pipeline.Claim, _ func()) {
		b.emit(5)
		recs, _ := poll(t, c, 10)
		for i, r := range recs {
			if came := r.Offset >= c.Fresh(); came != (i >= 5) {
				t.Errorf("record %d is at %d, Fresh() = %d", i, r.Offset, c.Fresh())
			}
		}
	})
}

// continues says nothing of the first claim: a body may know that there was none.
func continues(t *testing.T, b Bench) {
	b.emit(2)
	b.serve(t, func(c pipeline.Claim, _ func()) {
		recs, _ := poll(t, c, 2)
		same(t, "Append", appended(t, c, answer(t, c, recs[0])), nil)
		c.Commit(recs[0].Offset + 1)
	})
	b.serve(t, func(c pipeline.Claim, _ func()) { same(t, "Continues", c.Continues(), true) })
}

func reaches(t *testing.T, b Bench) {
	b.emit(1)
	for i := range 2 {
		b.serve(t, func(c pipeline.Claim, _ func()) {
			same(t, "Reach", c.Reach(), time.Time{})
			recs, _ := poll(t, c, 1)
			if len(recs) == 1 && i == 0 {
				same(t, "Append", appended(t, c, answer(t, c, recs[0])), nil)
			}
		})
	}
}

func concurrently(t *testing.T, b Bench) {
	b.emit(60)
	b.serve(t, func(c pipeline.Claim, _ func()) {
		recs, next := poll(t, c, 60)
		var all sync.WaitGroup
		for _, r := range recs {
			a := answer(t, c, r)
			all.Go(func() {
				same(t, "Append", appended(t, c, a), nil)
				same(t, "Look", c.Look(a.ID, a.Digest), pipeline.Repeated)
				same(t, "Live", c.Live(), true)
				if again, err := c.Reread(context.Background(), []int64{r.Offset}); len(again) != 1 || err != nil {
					t.Errorf("Reread: %d records, %v", len(again), err)
				}
				c.Commit(recs[0].Offset)
			})
		}
		all.Wait()
		c.Commit(next)
	})
	same(t, "outcomes", len(b.Outcomes()), 60)
	if n := b.Committed(); n < 60 {
		t.Errorf("committed = %d, want all of 60", n)
	}
}
