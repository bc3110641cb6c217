package schedule_test

import (
	"fmt"
	"testing"
	"time"

	"paylink/internal/pace"
	"paylink/internal/schedule"
)

// oneOfFour begins the story of a member, "me", that has had one partition of four for
// long, and merchant "1" with a slot in 1.5 s.
func oneOfFour(t *testing.T) *story { return oneOf(t, 4) }

func oneOf(t *testing.T, partitions int) *story {
	st := &story{T: t, now: noon, works: map[string]*schedule.Work{}}
	st.s = schedule.New(schedule.Config{Concurrency: 10, GiveUpAfter: giveUp, Window: 1000, Name: "me"})
	st.s.Share([]int32{0}, partitions, 1, noon)
	st.s.Bind("1", schedule.Terms{Rate: pace.Rate{Events: 1, Per: 1500 * time.Millisecond}, Endpoint: "gateway"}, false, noon)
	st.pass(time.Minute)
	return st
}

// lacking is oneOfFour, with work and no turn for it.
func lacking(t *testing.T) *story {
	st := oneOfFour(t)
	st.call("1", "first", answered)
	if notes, _ := st.s.Notes(); len(notes) > 0 {
		t.Errorf("said %v though there was a turn", notes)
	}
	st.queue("1", "second")
	return st
}

// says is what is said now: one note of a kind.
func (st *story) says(k pace.NoteKind) pace.Note {
	st.Helper()
	notes, _ := st.s.Notes()
	if len(notes) != 1 || notes[0].Kind != k || notes[0].From != "me" || notes[0].Merchant != "1" {
		st.Fatalf("at %v: said %+v, want one note of kind %d", st.clock(), notes, k)
	}
	return notes[0]
}

func (st *story) saysNothing(when string) {
	st.Helper()
	if notes, _ := st.s.Notes(); len(notes) > 0 {
		st.Errorf("%s: said %+v", when, notes)
	}
}

func answer(ask pace.Note, k pace.NoteKind, by string) pace.Note {
	return pace.Note{Kind: k, Merchant: ask.Merchant, Slot: ask.Slot, From: by, To: ask.From, Number: ask.Number, Until: ask.Until}
}

// TestALaneSaysThatItAsks, as long as it lacks a turn, and only if there is somebody to
// ask.
func TestALaneSaysThatItAsks(t *testing.T) {
	asks := func(st *story) bool {
		v := st.s.View(st.lane("1"), func(*schedule.Work) time.Time { return noon }, st.now)
		if v.Wait.State != "paced" {
			t.Errorf("at %v the lane is %q", st.clock(), v.Wait.State)
		}
		return v.Wait.Asks
	}
	st := lacking(t)
	if !asks(st) {
		t.Error("a lane without a turn does not say that it asks")
	}
	alone := oneOf(t, 1)
	alone.call("1", "first", answered)
	alone.queue("1", "second")
	if asks(alone) {
		t.Error("a lane says that it asks, and there is nobody")
	}
}

// TestALoanIsUsedAtOnceAndOnce.
func TestALoanIsUsedAtOnceAndOnce(t *testing.T) {
	st := lacking(t)
	st.queue("1", "third")
	st.want()
	loan := answer(st.says(pace.Ask), pace.Loan, "other")
	st.now = st.now.Add(30 * time.Millisecond)
	st.s.Hear(loan, st.now)
	st.want("start second")
	if by := st.works["second"].LentBy(); by != "other" {
		t.Errorf("turn of %q, want other's", by)
	}
	st.s.Hear(loan, st.now) // it comes twice
	st.want()
	if _, turns := st.s.Notes(); turns.Borrowed != 1 || turns.Lost != 1 {
		t.Errorf("%+v, want one borrowed and one lost", turns)
	}
}

// TestALoanIsNotUsed if it is late, is not for us, or was not asked for, and it is not
// saved when its work is gone.
func TestALoanIsNotUsed(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(*story, *pace.Note)
	}{
		{"late", func(st *story, _ *pace.Note) { st.now = st.now.Add(pace.LoanFor + 1) }},
		{"late by the wall clock", func(st *story, _ *pace.Note) {
			st.now = st.now.Round(0).Add(pace.LoanFor + 1)
		}},
		{"to another", func(_ *story, n *pace.Note) { n.To = "other" }},
		{"of another ask", func(_ *story, n *pace.Note) { n.Number += 7 }},
		{"of another merchant", func(_ *story, n *pace.Note) { n.Merchant = "2" }},
		{"its work is gone", func(st *story, _ *pace.Note) { st.s.Remove(st.works["second"], st.now) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			st := lacking(t)
			st.want()
			loan := answer(st.says(pace.Ask), pace.Loan, "other")
			tt.spoil(st, &loan)
			st.s.Hear(loan, st.now)
			st.want()
			st.queue("1", "next")
			st.want()
		})
	}
}

// TestOthersAreAskedOneAfterAnother: each once for its newest slot, the next one as
// soon as one declines, or after a while without an answer; then nobody, until a slot
// begins.
func TestOthersAreAskedOneAfterAnother(t *testing.T) {
	st := lacking(t)
	st.want()
	asked := map[int64]bool{}
	for i := range 3 {
		ask := st.says(pace.Ask)
		if asked[ask.Slot] || ask.Slot%4 == 0 {
			t.Errorf("asked for slot %d, after %v", ask.Slot, asked)
		}
		asked[ask.Slot] = true
		if i == 1 { // one does not answer
			st.pass(150 * time.Millisecond)
			continue
		}
		st.s.Hear(answer(ask, pace.Decline, fmt.Sprint("m", i)), st.now)
		st.want()
	}
	st.saysNothing("all have been asked")
	st.pass(1550 * time.Millisecond)
	if ask := st.says(pace.Ask); asked[ask.Slot] {
		t.Errorf("asked for slot %d again", ask.Slot)
	}
}

// TestAsksAreBounded: a lane with work for hours, whose asks are all declined, asks
// twice in an interval of its own, and no more than eight times at once.
func TestAsksAreBounded(t *testing.T) {
	st := lacking(t)
	for i := range 3000 {
		st.queue("1", fmt.Sprint("work ", i))
	}
	asks, from := 0, st.now
	for st.now.Before(from.Add(30 * time.Minute)) {
		for _, step := range st.next() {
			st.end(step[len("start "):], answered)
		}
		notes, _ := st.s.Notes()
		for _, n := range notes {
			asks++
			st.s.Hear(answer(n, pace.Decline, fmt.Sprint("m", n.Slot%4)), st.now)
		}
		if len(notes) == 0 {
			st.now = st.s.Wake(st.now)
		}
	}
	own := 6030 * time.Millisecond
	if most := int(2*30*time.Minute/own) + 8; asks > most || asks < most/2 {
		t.Errorf("%d asks in half an hour, want some, at most %d", asks, most)
	}
}

// TestATurnIsLentToWhoAsksForOurSlot, if it is saved and there is nothing to call for.
func TestATurnIsLentToWhoAsksForOurSlot(t *testing.T) {
	ask := func(st *story) pace.Note {
		return pace.Note{Kind: pace.Ask, Merchant: "1", Slot: 4000, From: "other", Number: 7, Until: st.now.Add(300 * time.Millisecond).Round(0)}
	}
	st := oneOfFour(t)
	st.s.Hear(ask(st), st.now)
	if n := st.says(pace.Loan); n.To != "other" || n.Number != 7 || n.Slot != 4000 {
		t.Errorf("said %+v, want a loan to other for its ask 7 of slot 4000", n)
	}
	st.s.Hear(ask(st), st.now)
	st.saysNothing("the ask comes twice")
	again := ask(st)
	again.Number = 8
	st.s.Hear(again, st.now)
	st.says(pace.Decline)
	st.queue("1", "own")
	if got := st.next(); len(got) > 0 {
		t.Errorf("%v: the turn that was lent is used here too", got)
	}

	st = oneOfFour(t)
	for name, spoil := range map[string]func(*pace.Note){
		"of another's slot": func(n *pace.Note) { n.Slot++ },
		"of yesterday":      func(n *pace.Note) { n.Until = n.Until.Add(-24 * time.Hour) },
		"of tomorrow":       func(n *pace.Note) { n.Until = n.Until.Add(24 * time.Hour) },
		"of our own":        func(n *pace.Note) { n.From = "me" },
		"of no merchant":    func(n *pace.Note) { n.Merchant = "9" },
	} {
		n := ask(st)
		spoil(&n)
		st.s.Hear(n, st.now)
		st.saysNothing("an ask " + name)
	}
	st.queue("1", "own")
	st.s.Hear(ask(st), st.now)
	st.says(pace.Decline)
	st.want("start own")
}
