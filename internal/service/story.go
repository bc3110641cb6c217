package service

import (
	"context"
	"fmt"
	"slices"
	"time"

	"paylink/internal/console"
	"paylink/internal/event"
	"paylink/internal/kafkaio"
	"paylink/internal/payment"
	"paylink/internal/pipeline"
)

// story is what this process knows of an intent, by its id or its order's: the
// records that wait, the newest outcomes and dead letters, and whether a ledger has
// its answer. The topics know more: "paylink explain" reads them.
func (s *service) story(ctx context.Context, id string) console.Story {
	st := s.engine.State()
	return s.tell(id, s.engine.Find(payment.IntentID(id)), st.Recent, st.Dead, s.source.Settled(ctx, payment.IntentID(id)))
}

func (s *service) tell(id string, waits []pipeline.IntentWait, recent []pipeline.RecentOutcome, dead []pipeline.RecentDead, settled []kafkaio.Settled) console.Story {
	t := console.Story{ID: id, State: "unknown", Records: []console.Record{}, Events: []console.Event{}}
	for _, d := range dead {
		if string(d.Intent) == id && id != "" {
			t.State = "dead_letter"
			t.Events = append(t.Events, s.event(d.At, "dead_letter", d.Partition, d.Offset, "It went to the dead letters, as "+d.Reason+": it gets no outcome unless it is sent again."))
		}
	}
	for _, w := range waits {
		t.State = "waiting"
		t.Records = append(t.Records, console.Record{
			IntentID: string(w.ID), OrderID: w.Order, Merchant: string(w.Merchant), Partition: w.Partition, Offset: w.Offset,
			State: w.State, Asks: w.Asks, Since: w.Since, Until: w.Until, Attempts: w.Attempts, LastError: w.LastError,
		})
	}
	for _, is := range settled {
		t.Outcomes = append(t.Outcomes, settledOf(is))
		t.State = t.Outcomes[0].State
	}
	for _, r := range recent {
		if string(r.Intent) != id && r.Order != id {
			continue
		}
		what, text := ended(r)
		t.State, settled = what, nil // here is more of it
		t.Events = append(t.Events, s.event(r.At, what, r.Partition, r.Offset, text))
	}
	for i := range settled {
		is := t.Outcomes[i]
		e := console.Event{At: is.At, Event: is.State, Text: "It has its outcome."}
		if is.Offset != nil {
			e.Topic, e.Partition, e.Offset = is.Topic, is.Partition, *is.Offset
		}
		t.Events = append(t.Events, e)
	}
	slices.SortStableFunc(t.Events, func(a, b console.Event) int { return a.At.Compare(b.At) })
	return t
}

func (s *service) event(at time.Time, what string, partition int32, offset int64, text string) console.Event {
	return console.Event{At: at.UTC(), Event: what, Topic: s.cfg.Topics.Intents, Partition: partition, Offset: offset, Text: text}
}

func settledOf(is kafkaio.Settled) console.Settled {
	v := console.Settled{State: "answered", Topic: is.Topic, Partition: is.Partition, At: is.Message.Time.UTC()}
	if is.Message.Time.IsZero() {
		v.At = time.Time{}
	}
	if is.Offset >= 0 {
		v.Offset = &is.Offset
	}
	switch string(is.Message.Header("ce_type")) {
	case event.CETypeCreated:
		v.State = "created"
	case event.CETypeFailed:
		v.State = "failed"
	}
	return v
}

// ended says what became of an intent.
func ended(r pipeline.RecentOutcome) (what, text string) {
	of := fmt.Sprintf("intent %s of merchant %s", r.Intent, r.Merchant)
	took := short(r.Took.Round(time.Millisecond))
	switch o := r.Outcome.(type) {
	case payment.Created:
		return "created", fmt.Sprintf("The link of %s was published, %s after the intent, with %s.", of, took, calls(o.Attempts))
	case payment.Failed:
		text = fmt.Sprintf("No link: %s failed as %s, %s after it was emitted, with %s.", of, o.Reason, took, calls(o.Attempts))
		if o.PaymentMayExist {
			text += " A payment may exist: look it up at the gateway before anybody pays again."
		}
		if o.ErrorCode != "" {
			text += " The gateway's code is " + o.ErrorCode + "."
		}
	}
	return "failed", text
}

func calls(n int) string {
	if n == 1 {
		return "1 call"
	}
	return fmt.Sprintf("%d calls", n)
}
