package attempt

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"paylink/internal/payment"
)

var (
	noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	link = payment.Link{PaymentID: 1 << 40, RedirectURL: "https://pay.example/1", RedirectURLType: payment.URLNeedData}
)

// said is an answer of the gateway of some class, with a code and Retry-After.
func said(c payment.Class, signed bool) *payment.GatewayError {
	return &payment.GatewayError{Class: c, Cause: "x", Signed: signed, Code: "340", Description: "words", RetryAfter: 7 * time.Second}
}

// after is the state of an intent that was called for twice. The newest call was
// not sent, or, where a doubt stands, in doubt.
func after(d Doubt) State {
	newest := payment.NotSent
	if d == Standing {
		newest = payment.InDoubt
	}
	return State{Calls: 2, Repeats: 2, Doubt: d, Last: &payment.GatewayError{Class: newest}}
}

var doubts = map[Doubt]string{Clear: "no doubt", Inherited: "inherited doubt", Standing: "standing doubt"}

// words are a decision without its outcome.
func words(d Decision) string {
	switch d := d.(type) {
	case Settle:
		return "settle"
	case Repeat:
		return fmt.Sprint("repeat after ", d.AtLeast)
	case Proceed:
		return "proceed"
	case PutAside:
		return fmt.Sprint("put aside ", d.Denials)
	case Compared:
		return fmt.Sprint("compared, second ", d.Second)
	}
	return "nothing"
}

// outcomeOf is what a decision publishes; nil: nothing.
func outcomeOf(d Decision) payment.Outcome {
	if s, ok := d.(Settle); ok {
		return s.Outcome
	}
	return nil
}

// TestOpened is "Gateway behaviour → what we do" of internal/README.md, row by row: what an answer to Init leads
// to, and whether a payment may exist after it.
func TestOpened(t *testing.T) {
	refusal, unsigned, duplicate := said(payment.RefusedForGood, true), said(payment.RefusedForGood, false), said(payment.IsDuplicate, true)
	tests := []struct {
		name  string
		err   error
		want  string
		next  Next
		doubt bool // of its own, afterwards
	}{
		{"ok, signed, with a URL and a payment", nil, "settle", nil, false},
		{"ok but unsigned or broken, may pass, timeout, cut, 5xx, 429, pending", said(payment.InDoubt, false), "repeat after 7s", nil, true},
		{"may pass, signed", said(payment.InDoubt, true), "repeat after 7s", nil, true},
		{"an error of no class", errors.New("boom"), "repeat after 0s", nil, true},
		{"in doubt, wrapped", fmt.Errorf("open: %w", said(payment.InDoubt, false)), "repeat after 7s", nil, true},
		{"a class from the future", said(payment.Class(99), true), "repeat after 7s", nil, true},
		{"refused connection, DNS, TLS", said(payment.NotSent, false), "repeat after 0s", nil, false},
		{"error, signed, refused for good", refusal, "settle", nil, false},
		{"error, unsigned, refused for good", unsigned, "proceed", ExplainRefusal{unsigned}, false},
		{"duplicate", duplicate, "proceed", ExplainDuplicate{duplicate}, false},
		{"our credentials or set-up, signed: it makes way for others", said(payment.Misconfigured, true), "put aside 0", nil, false},
		{"our credentials or set-up, unsigned: anybody could have said it", said(payment.Misconfigured, false), "put aside 0", nil, true},
	}
	for _, tt := range tests {
		for doubt, in := range doubts {
			t.Run(tt.name+"/"+in, func(t *testing.T) {
				var l payment.Link
				if tt.err == nil {
					l = link
				}
				want, next := tt.want, tt.next
				if tt.err == refusal && doubt == Inherited { // an earlier call, not ours, may have made a payment
					want, next = "proceed", ExplainRefusal{refusal}
				}
				got, d := after(doubt).Opened(l, tt.err, noon)
				if words(d) != want || got.Calls != 3 {
					t.Errorf("Opened = %s after %d calls, want %s after 3", words(d), got.Calls, want)
				}
				if diff := cmp.Diff(next, got.Next); diff != "" {
					t.Errorf("next call (-want +got):\n%s", diff)
				}
				if wantDoubt := leaves(doubt, tt.doubt); got.Doubt != wantDoubt {
					t.Errorf("%s afterwards, want %s", doubts[got.Doubt], doubts[wantDoubt])
				}
				if want == "proceed" && !(got.IsLookUp() && got.MayExist()) {
					t.Error("what is to be explained is denied, or not looked up")
				}
				var o payment.Outcome
				switch {
				case tt.err == nil:
					o = payment.Created{Link: link, Attempts: 3, At: noon}
				case want == "settle":
					o = payment.Failed{Reason: payment.Refused, ErrorCode: "340", ErrorDescription: "words", PaymentMayExist: doubt == Standing, Attempts: 3, At: noon}
				}
				if diff := cmp.Diff(o, outcomeOf(d)); diff != "" {
					t.Errorf("outcome (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// leaves is the doubt after an answer that left one of its own, or none.
func leaves(before Doubt, own bool) Doubt {
	if own {
		return Standing
	}
	return before
}

// TestFound is what a status look-up leads to that explains a duplicate or a refusal.
func TestFound(t *testing.T) {
	said350 := func(c payment.Class, signed bool) *payment.GatewayError {
		return &payment.GatewayError{Class: c, Signed: signed, Code: "350", Description: "why"}
	}
	duplicate := ExplainDuplicate{said350(payment.IsDuplicate, true)}
	unsigned := ExplainRefusal{said350(payment.RefusedForGood, false)}
	signed := ExplainRefusal{said350(payment.RefusedForGood, true)} // after calls of an owner before us
	saysNothing := []struct {
		name string
		err  error
		want string
	}{
		{"in doubt", said(payment.InDoubt, false), "repeat after 7s"},
		{"not sent", said(payment.NotSent, false), "repeat after 7s"},
		{"refused", said(payment.RefusedForGood, true), "repeat after 7s"},
		{"refused, unsigned", said(payment.RefusedForGood, false), "repeat after 7s"},
		{"duplicate", said(payment.IsDuplicate, true), "repeat after 7s"},
		{"our set-up, signed", said(payment.Misconfigured, true), "repeat after 7s"},
		{"our set-up, unsigned", said(payment.Misconfigured, false), "repeat after 7s"},
		{"an error of no class", errors.New("boom"), "repeat after 0s"},
		{"merchant removed this moment", payment.ErrUnknownMerchant, "repeat after 0s"},
	}
	type row struct {
		name   string
		asks   Next
		err    error
		want   string
		reason payment.Reason // of settle
		next   Next           // afterwards
		doubt  bool           // of its own, afterwards
	}
	tests := []row{
		{"duplicate, found", duplicate, nil, "settle", payment.Duplicate, duplicate, false},
		{"duplicate, not found", duplicate, payment.ErrNotFound, "settle", payment.Duplicate, duplicate, false},
		{"unsigned refusal, found: ask again for its page", unsigned, nil, "repeat after 0s", "", Init{}, true},
		{"unsigned refusal, not found", unsigned, payment.ErrNotFound, "settle", payment.Refused, unsigned, false},
		{"unsigned refusal, not found, wrapped", unsigned, fmt.Errorf("find: %w", payment.ErrNotFound), "settle", payment.Refused, unsigned, false},
		{"signed refusal, found", signed, nil, "settle", payment.Refused, signed, true},
		{"signed refusal, not found", signed, payment.ErrNotFound, "settle", payment.Refused, signed, false},
	}
	for _, asks := range []Next{duplicate, unsigned, signed} {
		for _, n := range saysNothing {
			tests = append(tests, row{name: fmt.Sprintf("%T, %s", asks, n.name), asks: asks, err: n.err, want: n.want, next: asks})
		}
	}
	for _, tt := range tests {
		for doubt, in := range doubts {
			t.Run(tt.name+"/"+in, func(t *testing.T) {
				s := after(doubt)
				s.Next = tt.asks
				var st payment.Status
				if tt.err == nil {
					st.PaymentID = 1 << 40
				}
				got, d := s.Found(st, tt.err, 0, noon)
				if words(d) != tt.want || got.Calls != 2 {
					t.Errorf("Found = %s after %d calls of Init, want %s after 2", words(d), got.Calls, tt.want)
				}
				if diff := cmp.Diff(tt.next, got.Next); diff != "" {
					t.Errorf("next call (-want +got):\n%s", diff)
				}
				if want := leaves(doubt, tt.doubt); got.Doubt != want {
					t.Errorf("%s afterwards, want %s", doubts[got.Doubt], doubts[want])
				}
				if outcomeOf(d) == nil && !got.MayExist() {
					t.Error("not cleared up, and a payment is denied")
				}
				var want payment.Outcome
				if tt.want == "settle" {
					f := payment.Failed{Reason: tt.reason, ErrorCode: "350", ErrorDescription: "why", Attempts: 2, At: noon}
					f.PaymentMayExist, f.PaymentID = doubt == Standing || tt.doubt || tt.reason == payment.Duplicate, st.PaymentID
					want = f
				}
				if diff := cmp.Diff(want, outcomeOf(d)); diff != "" {
					t.Errorf("outcome (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func TestAMerchantRemovedThisMomentWasNotCalled(t *testing.T) {
	s := after(Clear)
	got, d := s.Opened(payment.Link{}, fmt.Errorf("open: %w", payment.ErrUnknownMerchant), noon)
	if words(d) != "repeat after 0s" {
		t.Errorf("Opened = %s, want a repeat", words(d))
	}
	if diff := cmp.Diff(s, got); diff != "" {
		t.Errorf("the state changed (-want +got):\n%s", diff)
	}
}

// TestAnIntentIsPutAsideLongerAndLonger by the times it was denied, whatever came
// between and whoever signed it. What look-ups are denied does not count.
func TestAnIntentIsPutAsideLongerAndLonger(t *testing.T) {
	var s State
	for i, step := range []struct {
		err  error
		want string
	}{
		{said(payment.Misconfigured, false), "put aside 0"},
		{said(payment.InDoubt, false), "repeat after 7s"},
		{said(payment.Misconfigured, true), "put aside 1"},
		{said(payment.Misconfigured, true), "put aside 2"},
		{said(payment.RefusedForGood, false), "proceed"},
		{said(payment.Misconfigured, true), "repeat after 7s"}, // to the look-up
		{nil, "repeat after 0s"},                               // it finds a payment: ask again for its page
		{said(payment.Misconfigured, false), "put aside 3"},
	} {
		var d Decision
		if s.IsLookUp() {
			s, d = s.Found(payment.Status{PaymentID: 9}, step.err, 0, noon)
		} else {
			s, d = s.Opened(payment.Link{}, step.err, noon)
		}
		if words(d) != step.want {
			t.Errorf("step %d: %s, want %s", i, words(d), step.want)
		}
		if denied := payment.AsGatewayError(step.err).Class == payment.Misconfigured; step.err != nil && s.IsDenied() != denied {
			t.Errorf("step %d: IsDenied = %v, want %v", i, s.IsDenied(), denied)
		}
	}
}

func TestOver(t *testing.T) {
	const yes, no = true, false
	explaining := after(Clear)
	explaining.Next = ExplainDuplicate{said(payment.IsDuplicate, true)}
	refused := after(Inherited)
	refused.Next = ExplainRefusal{said(payment.RefusedForGood, true)}
	spoken := after(Standing)
	spoken.Last = said(payment.InDoubt, false)
	again := State{Next: Init{}}
	found := after(Standing)
	found.Payment = 1 << 40
	looking := State{Next: LastLook{}, Doubt: Inherited}
	gaveUp := payment.Failed{Reason: payment.GaveUp, Retryable: true}
	expired := payment.Failed{Reason: payment.Expired}
	with := func(f payment.Failed, attempts int, mayExist bool) payment.Failed {
		f.Attempts, f.PaymentMayExist = attempts, mayExist
		return f
	}
	withWords := with(gaveUp, 2, true)
	withWords.ErrorCode, withWords.ErrorDescription = "340", "words"
	withPayment := with(gaveUp, 2, true)
	withPayment.PaymentID = 1 << 40

	denied := State{Calls: 1, Denials: 1, Last: said(payment.Misconfigured, true)}
	withDenial, expiredDenied := with(gaveUp, 1, true), with(expired, 1, false)
	withDenial.ErrorCode, withDenial.ErrorDescription = "340", "words"
	expiredDenied.ErrorCode, expiredDenied.ErrorDescription = "340", "words"

	tests := []struct {
		name   string
		s      State
		why    payment.Reason
		proven bool
		want   payment.Outcome // nil: a last look first
	}{
		{"old, never called", State{}, payment.GaveUp, yes, gaveUp},
		{"old, about to be asked again", again, payment.GaveUp, yes, gaveUp},
		{"old, not sent twice", after(Clear), payment.GaveUp, yes, with(gaveUp, 2, false)},
		{"old, in doubt", after(Standing), payment.GaveUp, yes, with(gaveUp, 2, true)},
		{"old, duplicate not explained", explaining, payment.GaveUp, yes, with(gaveUp, 2, true)},
		{"old, duplicate not explained, not proven: it asks already", explaining, payment.GaveUp, no, with(gaveUp, 2, true)},
		{"old, refusal not explained after inherited calls", refused, payment.GaveUp, yes, with(gaveUp, 2, true)},
		{"old, with the gateway's last words", spoken, payment.GaveUp, yes, withWords},
		{"old, with the payment that was found", found, payment.GaveUp, yes, withPayment},
		{"old, inherited doubt", after(Inherited), payment.GaveUp, yes, nil},
		{"old, credentials not proven", State{}, payment.GaveUp, no, nil},
		{"old, credentials not proven, about to be asked again", again, payment.GaveUp, no, nil},
		{"old, in doubt, credentials not proven", after(Standing), payment.GaveUp, no, nil},
		{"old, its last look not made yet", looking, payment.GaveUp, yes, nil},
		{"old, denied while others were accepted: nobody knows what that meant", denied, payment.GaveUp, yes, withDenial},
		{"expired, denied as all others", denied, payment.Expired, no, expiredDenied},
		{"expired, never called", State{}, payment.Expired, yes, expired},
		{"expired, credentials not proven: that matters to no one", State{}, payment.Expired, no, expired},
		{"expired, in doubt", after(Standing), payment.Expired, yes, with(expired, 2, true)},
		{"expired, duplicate not explained", explaining, payment.Expired, yes, with(expired, 2, true)},
		{"expired, inherited doubt", after(Inherited), payment.Expired, yes, nil},
		{"expired, its last look not made yet", looking, payment.Expired, yes, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, d := tt.s.Over(tt.why, tt.proven, noon)
			if tt.want == nil {
				if _, ok := got.Next.(LastLook); words(d) != "proceed" || !ok {
					t.Errorf("Over = %s with %T next, want a last look first", words(d), got.Next)
				}
				return
			}
			want := tt.want.(payment.Failed)
			want.At = noon
			if diff := cmp.Diff(payment.Outcome(want), outcomeOf(d)); diff != "" {
				t.Errorf("Over (-want +got):\n%s", diff)
			}
		})
	}
}

// TestLastLook is what the last look of an intent leads to, and what it is settled
// as then.
func TestLastLook(t *testing.T) {
	const found, id = true, 1 << 40
	tests := []struct {
		name     string
		before   Doubt
		err      error
		want     string
		doubt    Doubt // afterwards
		mayExist bool  // says the outcome
	}{
		{"there is a payment", Inherited, nil, "repeat after 0s", Standing, true},
		{"there is a payment, though nothing was in doubt", Clear, nil, "repeat after 0s", Standing, true},
		{"there is none", Inherited, payment.ErrNotFound, "repeat after 0s", Clear, false},
		{"there is none yet, after a call of ours in doubt", Standing, payment.ErrNotFound, "repeat after 0s", Standing, true},
		{"there is none, and nothing was in doubt", Clear, payment.ErrNotFound, "repeat after 0s", Clear, false},
		{"in doubt", Inherited, said(payment.InDoubt, false), "repeat after 0s", Standing, true},
		{"in doubt, and nothing was before", Clear, said(payment.InDoubt, false), "repeat after 0s", Clear, false},
		{"in doubt, and something was before", Standing, said(payment.InDoubt, false), "repeat after 0s", Standing, true},
		{"not sent", Inherited, said(payment.NotSent, false), "repeat after 0s", Standing, true},
		{"refused", Inherited, said(payment.RefusedForGood, true), "repeat after 0s", Standing, true},
		{"our set-up", Inherited, said(payment.Misconfigured, true), "repeat after 0s", Standing, true},
		{"our set-up, unsigned", Inherited, said(payment.Misconfigured, false), "repeat after 0s", Standing, true},
		{"an error of no class", Inherited, errors.New("boom"), "repeat after 0s", Standing, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := after(tt.before)
			s.Next = LastLook{}
			var st payment.Status
			if tt.err == nil {
				st.PaymentID = id
			}
			got, d := s.Found(st, tt.err, 0, noon)
			if words(d) != tt.want || got.IsLookUp() || got.Doubt != tt.doubt {
				t.Errorf("Found = %s, %T next, %s; want %s, Init, %s", words(d), got.Next, doubts[got.Doubt], tt.want, doubts[tt.doubt])
			}
			_, d = got.Over(payment.Expired, true, noon)
			want := payment.Failed{Reason: payment.Expired, PaymentMayExist: tt.mayExist, PaymentID: st.PaymentID, Attempts: 2, At: noon}
			if diff := cmp.Diff(payment.Outcome(want), outcomeOf(d)); diff != "" {
				t.Errorf("Over after it (-want +got):\n%s", diff)
			}
		})
	}
	s := State{Doubt: Inherited, Next: LastLook{}}
	if got, d := s.Found(payment.Status{}, payment.ErrUnknownMerchant, 0, noon); words(d) != "repeat after 0s" || !got.IsLookUp() {
		t.Errorf("merchant removed this moment: %s, %T next; want the look again", words(d), got.Next)
	}
}

// TestWhatADenialLeftIsNotForgotten: nobody knows what it meant, and a call that was
// never sent shows nothing of it.
func TestWhatADenialLeftIsNotForgotten(t *testing.T) {
	var s State
	for _, err := range []error{said(payment.Misconfigured, true), said(payment.NotSent, false)} {
		s, _ = s.Opened(payment.Link{}, err, noon)
	}
	_, d := s.Over(payment.GaveUp, true, noon)
	if f, ok := outcomeOf(d).(payment.Failed); !ok || !f.PaymentMayExist {
		t.Errorf("Over = %+v, want that a payment may exist", d)
	}
}

// TestNotFoundTooEarlyClearsNothingUp: a call can still be on its way to the gateway.
// The last look is the last; a refusal is looked up again when none is any more.
func TestNotFoundTooEarlyClearsNothingUp(t *testing.T) {
	for doubt, want := range map[Doubt]Doubt{Clear: Clear, Inherited: Standing, Standing: Standing} {
		s := after(doubt)
		s.Next = LastLook{}
		if s, _ = s.Found(payment.Status{}, payment.ErrNotFound, 9*time.Second, noon); s.Doubt != want {
			t.Errorf("last look with %s: %s afterwards, want %s", doubts[doubt], doubts[s.Doubt], doubts[want])
		}
	}
	for doubt := range doubts {
		for _, signed := range []bool{true, false} {
			s := after(doubt)
			s.Next = ExplainRefusal{said(payment.RefusedForGood, signed)}
			got, d := s.Found(payment.Status{}, payment.ErrNotFound, 9*time.Second, noon)
			if words(d) != "repeat after 9s" || !got.MayExist() {
				t.Errorf("a refusal with %s: %s, payment_may_exist %v; want to look again after 9s", doubts[doubt], words(d), got.MayExist())
			}
			if diff := cmp.Diff(s, got); diff != "" {
				t.Errorf("the state changed (-want +got):\n%s", diff)
			}
		}
	}
}

func TestDismissedHasNoPaymentUnlessACallMayHaveMadeOne(t *testing.T) {
	explaining := after(Clear)
	explaining.Next = ExplainRefusal{said(payment.RefusedForGood, false)}
	found := after(Standing)
	found.Payment = 1 << 40
	tests := []struct {
		name     string
		s        State
		mayExist bool
	}{
		{"never called", State{}, false},
		{"not sent", after(Clear), false},
		{"inherited doubt: nobody can be asked", after(Inherited), true},
		{"standing doubt", after(Standing), true},
		{"not explained", explaining, true},
		{"found", found, true},
	}
	for _, tt := range tests {
		want := payment.Failed{
			Reason:          payment.InvalidIntent,
			Violations:      []payment.Violation{{Field: "merchant_id", Rule: "must be a merchant that this service is configured for"}},
			PaymentMayExist: tt.mayExist, PaymentID: tt.s.Payment, Attempts: tt.s.Calls, At: noon,
		}
		if diff := cmp.Diff(want, tt.s.Dismissed(noon)); diff != "" {
			t.Errorf("%s: Dismissed (-want +got):\n%s", tt.name, diff)
		}
	}
}

// TestInvalidIntentHasNoPayment, unless an owner before us may have called for it.
func TestInvalidIntentHasNoPayment(t *testing.T) {
	vs := []payment.Violation{{Field: "amount", Rule: "is required"}}
	for doubt, mayExist := range map[Doubt]bool{Clear: false, Inherited: true} {
		want := payment.Failed{Reason: payment.InvalidIntent, Violations: vs, PaymentMayExist: mayExist, At: noon}
		if diff := cmp.Diff(want, State{Doubt: doubt}.Invalid(vs, noon)); diff != "" {
			t.Errorf("Invalid with %s (-want +got):\n%s", doubts[doubt], diff)
		}
	}
}

func TestALinkAfterDoubtIsCompared(t *testing.T) {
	tests := []struct {
		name  string
		found int64
		err   error
		want  string
	}{
		{"the payment of the link", 7, nil, "compared, second false"},
		{"another payment", 8, nil, "compared, second true"},
		{"none", 0, payment.ErrNotFound, "compared, second false"},
		{"in doubt", 0, said(payment.InDoubt, false), "compared, second false"},
		{"our set-up", 0, said(payment.Misconfigured, true), "compared, second false"},
		{"merchant removed this moment", 0, payment.ErrUnknownMerchant, "compared, second false"},
	}
	for _, tt := range tests {
		s := after(Standing).Linked(7)
		if !s.IsLinked() || !s.IsLookUp() {
			t.Fatalf("IsLinked, IsLookUp = %v, %v after Linked, want both", s.IsLinked(), s.IsLookUp())
		}
		if _, d := s.Found(payment.Status{PaymentID: tt.found}, tt.err, 0, noon); words(d) != tt.want {
			t.Errorf("%s: Found = %s, want %s", tt.name, words(d), tt.want)
		}
	}
	if s := after(Standing); s.IsLinked() || s.IsLookUp() {
		t.Error("an intent whose link is not published is linked")
	}
}
