package reconcile

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"paylink/internal/payment"
)

// A desk is a gateway that notes when it is asked.
type desk struct {
	mu    sync.Mutex
	asked map[string][]time.Time
	fails func(order string, nth int) error
}

func (d *desk) Open(context.Context, payment.Intent) (payment.Link, error) {
	return payment.Link{}, errors.New("reconcile opens nothing")
}

func (d *desk) Find(_ context.Context, in payment.Intent) (payment.Status, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked[in.OrderID] = append(d.asked[in.OrderID], time.Now())
	if d.fails != nil {
		if err := d.fails(in.OrderID, len(d.asked[in.OrderID])); err != nil {
			return payment.Status{}, err
		}
	}
	return payment.Status{PaymentID: 7, State: "success", Amount: "1", Currency: "KZT"}, nil
}

type silent struct{}

func (silent) Add(int64) {}
func (silent) Done()     {}

// asks has an asker ask for n orders, of which each merchant has one after the other.
func asks(t *testing.T, d *desk, n int, every time.Duration) (*asker, *[]string, error) {
	t.Helper()
	d.asked = map[string][]time.Time{}
	work, err := OpenWorkDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = work.Close() })
	s, err := newSpool(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	var said []string
	a := newAsker(Config{Work: work, Say: func(s string) { said = append(said, s) }, Gateway: &Gateway{Gateway: d,
		Of:       func(payment.MerchantID) (Terms, bool) { return Terms{URL: "u", Every: every, Burst: 1}, true },
		Progress: func(string, int64) Progress { return silent{} },
	}}, s)
	for i := range n {
		m := &matter{ask: true, id: fmt.Sprint(i), entry: entry{merchant: fmt.Sprint(540001 + i%2), order: fmt.Sprint(i)}}
		at, err := s.put(m)
		if err == nil {
			err = a.plan(m, at)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.flush(); err != nil {
		t.Fatal(err)
	}
	return a, &said, a.run(t.Context())
}

func TestLookUpsKeepTheRateOfEachMerchant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &desk{}
		began := time.Now()
		if _, _, err := asks(t, d, 40, 1500*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		// Twenty of each merchant, side by side: nineteen waits.
		if took := time.Since(began); took < 19*1500*time.Millisecond || took > 20*1500*time.Millisecond {
			t.Errorf("40 look-ups of two merchants took %s, want 28.5 s", took)
		}
	})
}

func TestALookUpIsRepeatedAFewTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &desk{fails: func(order string, nth int) error {
			switch {
			case order == "3" && nth < tries:
				return &payment.GatewayError{Class: payment.InDoubt, Cause: "http_5xx", RetryAfter: 20 * time.Second}
			case order == "5":
				return fmt.Errorf("find: %w", payment.ErrNotFound)
			case order == "7":
				return &payment.GatewayError{Class: payment.NotSent, Cause: "refused"}
			}
			return nil
		}}
		a, _, err := asks(t, d, 10, 0)
		if err != nil {
			t.Fatal(err)
		}
		for order, want := range map[string]*answer{"1": {Found: true, Payment: 7, State: "success", Amount: "1", Currency: "KZT"},
			"3": {Found: true, Payment: 7, State: "success", Amount: "1", Currency: "KZT"}, "5": {}, "7": nil} {
			m := &matter{entry: entry{merchant: "540002", order: order}}
			got, err := a.answer(m)
			if err != nil || (got == nil) != (want == nil) || got != nil && *got != *want {
				t.Errorf("order %s: %+v, %v, want %+v", order, got, err, want)
			}
		}
		if why := a.why(&matter{entry: entry{merchant: "540002"}}); !strings.Contains(why, "refused") {
			t.Errorf("why = %q, want the cause", why)
		}
		if at := d.asked["3"]; len(at) != tries || at[1].Sub(at[0]) < 20*time.Second {
			t.Errorf("order 3 was asked for at %v, want %d times and what Retry-After says between", at, tries)
		}
		if n := len(d.asked["7"]); n != tries {
			t.Errorf("order 7 was asked for %d times, want %d", n, tries)
		}
	})
}

// TestAGatewayThatIsAwayIsLeftAlone: three look-ups in a row without an answer are
// enough, however many there are.
func TestAGatewayThatIsAwayIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &desk{fails: func(string, int) error { return &payment.GatewayError{Class: payment.InDoubt, Cause: "timeout"} }}
		a, said, err := asks(t, d, 2_000, 0)
		if err != nil {
			t.Fatal(err)
		}
		if len(*said) != 2 || !strings.Contains((*said)[0], "timeout") {
			t.Errorf("said %q, want a sentence for each merchant", *said)
		}
		if n := len(d.asked); n > 2*(inFlight+mostInARow) {
			t.Errorf("%d orders were asked for, want about those in flight", n)
		}
		if got, err := a.answer(&matter{entry: entry{merchant: "540001", order: "0"}}); got != nil || err != nil {
			t.Errorf("answer = %+v, %v, want none", got, err)
		}
	})
}
