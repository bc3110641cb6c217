package service

import (
	"context"
	"fmt"
	"slices"
	"time"

	"paylink/internal/console"
	"paylink/internal/payment"
	"paylink/internal/pipeline"
)

// story is what this process knows of an intent, by its id or its order's: the
// records that wait, the newest outcomes and dead letters, and whether a ledger has
// its answer. The topics know more: "paylink explain" reads them.
func (s *service) story(_ context.Context, id string) console.Story {
	st := s.engine.State()
	return s.tell(id, s.engine.Find(payment.IntentID(id)), st.Recent, st.Dead, s.engine.IsAnswered(payment.IntentID(id)))
}

func (s *service) tell(id string, waits []pipeline.IntentWait, recent []pipeline.RecentOutcome, dead []pipeline.RecentDead, answered bool) console.Story {
	t := console.Story{ID: id, State: "unknown", Records: []console.Record{}, Events: []console.Event{}}
	if answered {
		t.State = "answered"
	}
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
			State: w.State, Since: w.Since, Until: w.Until, Attempts: w.Attempts, LastError: w.LastError,
		})
	}
	for _, r := range recent {
		if string(r.Intent) != id && r.Order != id {
			continue
		}
		what, text := ended(r)
		t.State = what
		t.Events = append(t.Events, s.event(r.At, what, r.Partition, r.Offset, text))
	}
	if t.State == "answered" {
		t.Events = append(t.Events, console.Event{Event: "answered", Text: "It has its outcome, published earlier than this page remembers."})
	}
	slices.SortStableFunc(t.Events, func(a, b console.Event) int { return a.At.Compare(b.At) })
	return t
}

func (s *service) event(at time.Time, what string, partition int32, offset int64, text string) console.Event {
	return console.Event{At: at.UTC(), Event: what, Topic: s.cfg.Topics.Intents, Partition: partition, Offset: offset, Text: text}
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
