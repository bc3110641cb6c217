package explain

import (
	"cmp"
	"slices"
	"time"

	"paylink/internal/event"
	"paylink/internal/facts"
	"paylink/internal/payment"
)

// sort puts the records in the order of time. Clocks differ: an outcome is never
// told before the record that it answers.
func (s *Story) sort() {
	emitted := map[event.Place]time.Time{}
	for _, f := range s.facts {
		if f.Kind == facts.Emitted {
			emitted[f.At] = f.Time
		}
	}
	when := func(f facts.Fact) time.Time {
		if at := emitted[f.Source]; f.Kind != facts.Emitted && at.After(f.Time) {
			return at
		}
		return f.Time
	}
	slices.SortStableFunc(s.facts, func(a, b facts.Fact) int {
		if a.At.Topic == b.At.Topic && a.At.Partition == b.At.Partition {
			return cmp.Compare(a.At.Offset, b.At.Offset)
		}
		return cmp.Or(when(a).Compare(when(b)), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.At.Partition, b.At.Partition))
	})
}

// outcome is the first one, which is the answer; nil: there is none.
func (s *Story) outcome() *facts.Fact {
	return s.first(func(f *facts.Fact) bool { return f.Kind == facts.Created || f.Kind == facts.Failed })
}

func (s *Story) first(is func(*facts.Fact) bool) *facts.Fact {
	for i := range s.facts {
		if is(&s.facts[i]) {
			return &s.facts[i]
		}
	}
	return nil
}

// original is the record that counts: the one that was answered, or else the first
// that may still be. Nil: the topic does not hold it.
func (s *Story) original() *facts.Fact {
	if o := s.outcome(); o != nil {
		return s.first(func(f *facts.Fact) bool { return f.Kind == facts.Emitted && f.At == o.Source })
	}
	if f := s.first(s.open); f != nil {
		return f
	}
	return s.first(func(f *facts.Fact) bool { return f.Kind == facts.Emitted })
}

// open reports whether a record is an emitted one without a dead letter.
func (s *Story) open(f *facts.Fact) bool {
	return f.Kind == facts.Emitted && s.first(func(d *facts.Fact) bool { return d.Kind == facts.DeadLetter && d.Source == f.At }) == nil
}

// State is what became of the intent.
func (s *Story) State() string {
	switch o := s.outcome(); {
	case o != nil && o.Kind == facts.Created:
		return Created
	case o != nil:
		return Failed
	case len(s.facts) == 0:
		return Unknown
	case s.first(s.open) == nil:
		return DeadLetter
	}
	return Waiting
}

// Summary is the last line.
func (s *Story) Summary() Summary {
	head := s.Head()
	return Summary{Kind: "summary", Intent: s.Intent, Merchant: head.Merchant, OrderID: head.OrderID, State: s.State()}
}

// Head is the record that names merchant, order and amount best. Whose order an outcome
// is of, the record says that it answers: a payment that was made for it is there. But the
// default merchant of today was perhaps another one then.
func (s *Story) Head() facts.Fact {
	if o, in := s.outcome(), s.original(); o != nil && in != nil {
		head := *o
		if in.Merchant != "" && !in.OfDefault {
			head.Merchant = in.Merchant
		}
		if in.OrderID != "" {
			head.OrderID = in.OrderID
		}
		return head
	}
	for _, f := range []*facts.Fact{s.outcome(), s.original(), s.first(func(f *facts.Fact) bool { return f.Intent != "" })} {
		if f != nil {
			return *f
		}
	}
	if len(s.facts) > 0 {
		return s.facts[0]
	}
	return facts.Fact{Intent: s.Intent}
}

// Pending is the record that waits for its outcome; nil: none does.
func (s *Story) Pending() *facts.Fact {
	if s.State() != Waiting {
		return nil
	}
	return s.original()
}

// Events tells the records in their order. personal is what may be added to an
// emitted record; nil: nothing.
func (s *Story) Events(personal map[event.Place]string) []Event {
	t := teller{story: s, outcome: s.outcome(), original: s.original()}
	var out []Event
	for i := range s.facts {
		f := &s.facts[i]
		what, text := t.tell(f)
		out = append(out, eventOf(f.Time, what, f.At, text+personal[f.At]))
	}
	return out
}

// Emissions are the places of the intent's records on the intent topic.
func (s *Story) Emissions() (all []event.Place) {
	for _, f := range s.facts {
		if f.Kind == facts.Emitted {
			all = append(all, f.At)
		}
	}
	return all
}

// Payment is the payment of the link; 0: there is none.
func (s *Story) Payment() int64 {
	if o := s.outcome(); o != nil && o.Kind == facts.Created {
		return o.PaymentID
	}
	return 0
}

// Asked is the intent as far as a look-up at the gateway needs it.
func (s *Story) Asked() payment.Intent {
	f := s.Head()
	return payment.Intent{ID: s.Intent, Merchant: f.Merchant, OrderID: f.OrderID, Amount: f.Amount, Currency: f.Currency}
}
