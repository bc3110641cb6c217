package kafkaio

import (
	"context"
	"sync"
)

// A shared question is one that many ask at the same time, such as all partitions
// that are taken over: an answer serves everybody who asked before the question was
// sent. So nobody gets an answer that is older than his question, and there is one
// request on its way at most.
type shared[T any] struct {
	asking chan struct{} // has a token in it while a request is on its way

	mu   sync.Mutex
	next *round[T] // has not been sent yet; nil: nobody waits to send it
}

// A round is one request and those who wait for its answer.
type round[T any] struct {
	done   chan struct{} // closed when answer and err are there
	answer T
	err    error
	given  bool // it was sent; else who would have sent it has given up
}

func newShared[T any]() *shared[T] { return &shared[T]{asking: make(chan struct{}, 1)} }

// ask returns the answer to a question that is sent after the call. ask of one of
// those who wait is called, with his context; if that ends, another one's is.
func (s *shared[T]) ask(ctx context.Context, ask func(context.Context) (T, error)) (answer T, err error) {
	for {
		s.mu.Lock()
		r, mine := s.next, s.next == nil
		if mine {
			r = &round[T]{done: make(chan struct{})}
			s.next = r
		}
		s.mu.Unlock()
		if mine {
			s.send(ctx, r, ask)
		}
		select {
		case <-r.done:
		case <-ctx.Done():
			return answer, ctx.Err()
		}
		if mine || r.given {
			return r.answer, r.err
		}
	}
}

// send sends the request of a round when the one before is answered.
func (s *shared[T]) send(ctx context.Context, r *round[T], ask func(context.Context) (T, error)) {
	defer close(r.done)
	select {
	case s.asking <- struct{}{}:
		defer func() { <-s.asking }()
	case <-ctx.Done():
		r.err = ctx.Err()
	}
	s.mu.Lock()
	s.next = nil
	s.mu.Unlock()
	if r.err == nil {
		r.answer, r.err = ask(ctx)
		r.given = ctx.Err() == nil
	}
}
