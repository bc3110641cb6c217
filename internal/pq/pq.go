// Package pq holds a heap: a priority queue whose first element is at hand, and
// whose every element can be found again, moved and removed while it waits.
//
// It orders exactly as [container/heap] does, equal elements included, so that a
// run that is replayed goes the same way. It differs from it in what its users
// write and pay: a heap is one line instead of five methods, its elements have a
// type, and no operation allocates, but for room to grow.
//
// It is not for several goroutines at once, and does not know when an element's
// rank changes: whoever changes it calls Fix.
package pq

import "iter"

// A Heap holds elements by their rank. Make one with [New].
type Heap[T any] struct {
	items []T
	less  func(a, b T) bool
	moved func(x T, i int)
}

// New returns an empty heap whose first element is one that no other is less
// than. less must be a strict weak order, as for [slices.SortFunc].
//
// moved, unless nil, is told where an element stands from now on: the index that
// Fix and Remove take, or -1 when it has left. It must not touch the heap. An
// element whose index did not change may be told again.
func New[T any](less func(a, b T) bool, moved func(x T, i int)) *Heap[T] {
	return &Heap[T]{less: less, moved: moved}
}

// Len returns how many elements there are.
func (h *Heap[T]) Len() int { return len(h.items) }

// Peek returns the first element and leaves it. It panics if there is none.
func (h *Heap[T]) Peek() T { return h.items[0] }

// At returns the element at i, from zero on, as All has them, and leaves it.
func (h *Heap[T]) At(i int) T { return h.items[i] }

// Push adds an element.
func (h *Heap[T]) Push(x T) {
	h.items = append(h.items, x)
	h.up(len(h.items)-1, x)
}

// Pop removes the first element and returns it. It panics if there is none.
func (h *Heap[T]) Pop() T { return h.Remove(0) }

// Fix finds the place of the element at i, whose rank has changed.
func (h *Heap[T]) Fix(i int) { h.settle(i, h.items[i]) }

// Remove removes the element at i and returns it.
func (h *Heap[T]) Remove(i int) T {
	x, n := h.items[i], len(h.items)-1
	last := h.items[n]
	clear(h.items[n:]) // what has left can be collected
	h.items = h.items[:n]
	if i != n {
		h.settle(i, last)
	}
	if h.moved != nil {
		h.moved(x, -1)
	}
	return x
}

// FixAll finds the places of all elements, after the ranks of many have changed.
func (h *Heap[T]) FixAll() {
	for i := len(h.items)/2 - 1; i >= 0; i-- {
		h.down(i, h.items[i])
	}
}

// All returns the elements in no order that means anything. The heap must not be
// changed meanwhile.
func (h *Heap[T]) All() iter.Seq[T] {
	return func(yield func(T) bool) {
		for _, x := range h.items {
			if !yield(x) {
				return
			}
		}
	}
}

// Least returns, as All does, those for which in is true. It must be true of every
// element that is less than one of which it is: the others are not looked at.
func (h *Heap[T]) Least(in func(T) bool) iter.Seq[T] {
	return func(yield func(T) bool) { h.least(0, in, yield) }
}

func (h *Heap[T]) least(i int, in, yield func(T) bool) bool {
	if i >= len(h.items) || !in(h.items[i]) {
		return true
	}
	return yield(h.items[i]) && h.least(2*i+1, in, yield) && h.least(2*i+2, in, yield)
}

// settle puts x where it belongs, given that i is free and all else in order.
func (h *Heap[T]) settle(i int, x T) {
	if !h.down(i, x) {
		h.up(i, x)
	}
}

// up puts x at i, or as far above as it is less than those there, which make
// room. An element is moved once, not swapped from step to step.
func (h *Heap[T]) up(i int, x T) {
	for i > 0 {
		parent := (i - 1) / 2
		if !h.less(x, h.items[parent]) {
			break
		}
		h.put(i, h.items[parent])
		i = parent
	}
	h.put(i, x)
}

// down puts x at i, or as far below as others are less than it. It reports
// whether x went down.
func (h *Heap[T]) down(i int, x T) bool {
	start := i
	for {
		child := 2*i + 1
		if child >= len(h.items) {
			break
		}
		if right := child + 1; right < len(h.items) && h.less(h.items[right], h.items[child]) {
			child = right
		}
		if !h.less(h.items[child], x) {
			break
		}
		h.put(i, h.items[child])
		i = child
	}
	h.put(i, x)
	return i > start
}

func (h *Heap[T]) put(i int, x T) {
	h.items[i] = x
	if h.moved != nil {
		h.moved(x, i)
	}
}
