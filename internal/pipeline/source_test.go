package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"paylink/internal/event"
	"paylink/internal/payment"
	"paylink/internal/pipeline"
)

// A sourceRig is a Source under test, with the topics beneath it. The group's
// only member has only partition 0.
type sourceRig struct {
	source    pipeline.Source
	emit      func(key, value string) // appends a record to the intent topic
	outcomes  func() []event.Message
	dead      func() []event.Message
	committed func() int64
	again     func() pipeline.Source // the next owner's
}

// testSource checks what a Claim promises. It uses exported names only, so that
// every Source can be put to it; in, for one that runs on virtual time, is a
// bubble.
func testSource(t *testing.T, in func(t *testing.T, f func(*testing.T)), makeRig func(*testing.T) sourceRig) {
	tests := map[string]func(*testing.T, sourceRig){
		"records come in order, and next is after them": sourceKeepsOrder,
		"what is appended is durable and in the ledger": sourceKeepsOutcomes,
		"what is buried is durable":                     sourceBuries,
		"the next owner knows everything":               sourceRemembers,
		"the last commit counts before a hand-over":     sourceCommitsLast,
		"records are read again":                        sourceReadsAgain,
		"after a drain Poll says so":                    sourceDrains,
	}
	for name, f := range tests {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T) { f(t, makeRig(t)) })
		})
	}
}

func TestMemorySource(t *testing.T) {
	testSource(t, func(t *testing.T, f func(*testing.T)) { synctest.Test(t, f) }, func(t *testing.T) sourceRig {
		tp := newTopic(1)
		p := tp.parts[0]
		next := func() pipeline.Source {
			s := newSource(tp)
			go s.take(0)
			return s
		}
		messages := func(of *[]published) func() []event.Message {
			return func() (ms []event.Message) {
				tp.mu.Lock()
				defer tp.mu.Unlock()
				for _, m := range *of {
					ms = append(ms, m.Message)
				}
				return ms
			}
		}
		return sourceRig{
			source: next(), again: next, committed: p.committedOffset,
			emit:     func(key, value string) { p.emit(key, value) },
			outcomes: messages(&p.outcomes), dead: messages(&p.dead),
		}
	})
}

// serve runs a source with f as the engine, until f has returned.
func serve(t *testing.T, s pipeline.Source, f func(pipeline.Claim)) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var once sync.Once
	err := s.Run(ctx, func(c pipeline.Claim) {
		f(c)
		once.Do(stop)
	})
	if err != nil {
		t.Errorf("Run = %v", err)
	}
}

// poll reads until it has n records.
func poll(t *testing.T, c pipeline.Claim, n int) (recs []pipeline.Record, next int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for len(recs) < n {
		rs, to, err := c.Poll(ctx)
		if err != nil {
			t.Errorf("Poll after %d records of %d: %v", len(recs), n, err)
			return recs, next
		}
		recs, next = append(recs, rs...), to
	}
	return recs, next
}

// settle is a call of Append or Bury that waits.
func settle(t *testing.T, call func(done func(error))) error {
	t.Helper()
	ended := make(chan error, 2)
	call(func(err error) { ended <- err })
	select {
	case err := <-ended:
		return err
	case <-time.After(time.Minute):
		return errors.New("done is not called")
	}
}

// answerTo makes the outcome of a record.
func answerTo(t *testing.T, c pipeline.Claim, r pipeline.Record) pipeline.Answer {
	t.Helper()
	dec, err := event.NewDecoder(event.DecoderConfig{DefaultMerchant: "540001"}).Decode(context.Background(), r.Message)
	if err != nil {
		t.Error(err)
	}
	from := event.Place{Topic: "payment-intents", Partition: c.Partition(), Offset: r.Offset}
	created := payment.Created{Link: payment.Link{PaymentID: 1, RedirectURL: "https://pay.example/1", RedirectURLType: payment.URLNeedData}, Attempts: 1, At: time.Now()}
	m, err := event.NewEncoder(event.EncoderConfig{}).Outcome(context.Background(), dec, r.Key, from, created)
	if err != nil {
		t.Error(err)
	}
	return pipeline.Answer{ID: dec.Intent.ID, Digest: dec.Digest, Message: m}
}

func (rig sourceRig) emitN(n int) {
	for i := range n {
		rig.emit(fmt.Sprint("k", i%3), intent(fmt.Sprint("i-", i)))
	}
}

func sourceKeepsOrder(t *testing.T, rig sourceRig) {
	rig.emitN(250)
	serve(t, rig.source, func(c pipeline.Claim) {
		same(t, "live", c.Live(), true)
		same(t, "partition", c.Partition(), int32(0))
		recs, next := poll(t, c, 250)
		for i, r := range recs {
			if string(idOf(&r)) != fmt.Sprint("i-", i) || i > 0 && r.Offset <= recs[i-1].Offset {
				t.Errorf("record %d is %s at %d", i, idOf(&r), r.Offset)
			}
		}
		if last := recs[len(recs)-1].Offset; next <= last {
			t.Errorf("next = %d after offset %d", next, last)
		}
	})
}

func sourceKeepsOutcomes(t *testing.T, rig sourceRig) {
	rig.emitN(1)
	serve(t, rig.source, func(c pipeline.Claim) {
		recs, _ := poll(t, c, 1)
		a := answerTo(t, c, recs[0])
		same(t, "finding before", c.Look(a.ID, a.Digest), pipeline.Unknown)
		same(t, "Append", settle(t, func(done func(error)) { c.Append(a, done) }), nil)
		same(t, "finding", c.Look(a.ID, a.Digest), pipeline.Repeated)
		same(t, "finding of other content", c.Look(a.ID, event.Digest{1}), pipeline.Differs)
		got := rig.outcomes()
		if len(got) != 1 || string(got[0].Value) != string(a.Message.Value) || string(got[0].Key) != string(a.Message.Key) {
			t.Errorf("%d outcomes once Append is done, want the one", len(got))
		}
	})
}

func sourceBuries(t *testing.T, rig sourceRig) {
	rig.emit("k", "junk")
	serve(t, rig.source, func(c pipeline.Claim) {
		recs, _ := poll(t, c, 1)
		from := event.Place{Topic: "payment-intents", Partition: 0, Offset: recs[0].Offset}
		m := event.DeadLetter(recs[0].Message, from, "paylink", &event.Unreadable{Reason: event.NotJSON, Text: "x"}, time.Now())
		same(t, "Bury", settle(t, func(done func(error)) { c.Bury(m, done) }), nil)
		if got := rig.dead(); len(got) != 1 || string(got[0].Value) != "junk" {
			t.Errorf("%d dead letters once Bury is done, want the one", len(got))
		}
	})
}

func sourceRemembers(t *testing.T, rig sourceRig) {
	rig.emitN(2)
	var a pipeline.Answer
	serve(t, rig.source, func(c pipeline.Claim) {
		recs, _ := poll(t, c, 2)
		a = answerTo(t, c, recs[1])
		same(t, "Append", settle(t, func(done func(error)) { c.Append(a, done) }), nil)
		c.Commit(recs[0].Offset)
	})
	serve(t, rig.again(), func(c pipeline.Claim) {
		same(t, "finding", c.Look(a.ID, a.Digest), pipeline.Answered)
		same(t, "finding of other content", c.Look(a.ID, event.Digest{1}), pipeline.Differs)
		recs, next := poll(t, c, 2)
		same(t, "records from the committed offset on", len(recs), 2)
		if c.Fresh() < next {
			t.Errorf("Fresh() = %d, and the records below %d came before", c.Fresh(), next)
		}
	})
}

func sourceCommitsLast(t *testing.T, rig sourceRig) {
	rig.emitN(3)
	var next int64
	serve(t, rig.source, func(c pipeline.Claim) {
		var recs []pipeline.Record
		recs, next = poll(t, c, 3)
		for _, r := range recs {
			same(t, "Append", settle(t, func(done func(error)) { c.Append(answerTo(t, c, r), done) }), nil)
			c.Commit(r.Offset + 1)
		}
		c.Commit(next)
	})
	same(t, "committed", rig.committed(), next)
}

func sourceReadsAgain(t *testing.T, rig sourceRig) {
	rig.emitN(50)
	serve(t, rig.source, func(c pipeline.Claim) {
		recs, _ := poll(t, c, 50)
		offsets := []int64{recs[3].Offset, recs[4].Offset, recs[40].Offset}
		again, err := c.Reread(context.Background(), offsets)
		if err != nil || len(again) != 3 {
			t.Errorf("Reread: %d records, %v; want 3", len(again), err)
			return
		}
		for i, r := range again {
			if r.Offset != offsets[i] || string(r.Value) != string(recs[[]int{3, 4, 40}[i]].Value) {
				t.Errorf("Reread: record %d is at %d, want %d, as it was", i, r.Offset, offsets[i])
			}
		}
	})
}

func sourceDrains(t *testing.T, rig sourceRig) {
	ctx, stop := context.WithCancel(context.Background())
	time.AfterFunc(time.Minute, stop)
	var polled error
	err := rig.source.Run(ctx, func(c pipeline.Claim) {
		_, _, polled = c.Poll(context.Background())
		same(t, "draining", isClosed(c.Draining()), true)
		same(t, "lost", isClosed(c.Lost()), false)
	})
	if err != nil || !errors.Is(polled, pipeline.ErrDraining) {
		t.Errorf("Run = %v, Poll = %v; want the latter to say that it drains", err, polled)
	}
}
