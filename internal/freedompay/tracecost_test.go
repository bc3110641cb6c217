package freedompay

import (
	"context"
	"net/http"
	"testing"
)

// untraced is all that is said of a request below no span: as a call of the service
// without traces has it.
func untraced(tb testing.TB) (say func()) {
	ctx, cancel := context.WithCancel(context.WithValue(tb.Context(), untracedKey{}, 0))
	tb.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://gateway.example/init_payment.php", http.NoBody)
	if err != nil {
		tb.Fatal(err)
	}
	return func() {
		_, told := traced(ctx, req)
		told(reply{}, nil)
	}
}

type untracedKey struct{}

func TestWithoutTracesNothingIsAllocated(t *testing.T) {
	if n := testing.AllocsPerRun(100, untraced(t)); n != 0 {
		t.Errorf("%v allocations for a request that nobody traces, want none", n)
	}
}

// BenchmarkUntraced is what traces cost that are off, per request.
func BenchmarkUntraced(b *testing.B) {
	for say := untraced(b); b.Loop(); {
		say()
	}
}
