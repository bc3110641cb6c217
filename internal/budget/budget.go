// Package budget counts bytes that are held, so that all of a process together
// hold no more than so many. It counts; it allocates nothing and waits for nothing.
package budget

import "sync"

// A Budget is shared by its accounts. Each of them has a share that nobody else can
// take, so that none can starve another; what is not set aside as a share is
// everybody's.
type Budget struct {
	size, share int

	mu       sync.Mutex
	accounts int
	used     int           // of all accounts
	beyond   int           // of that, what accounts use beyond their shares
	returned chan struct{} // closed, and replaced, when something is returned
}

// New returns a budget of so many bytes. Where the shares of all accounts come to
// more than its size, the budget is the sum of the shares.
func New(size, share int) *Budget {
	return &Budget{size: size, share: share, returned: make(chan struct{})}
}

// An Account is what one part of the process uses. A nil Account has room for
// everything.
type Account struct {
	b      *Budget
	used   int
	closed bool
}

// Open returns an account that uses nothing yet.
func (b *Budget) Open() *Account {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.accounts++
	return &Account{b: b}
}

// take takes n bytes, if there is room for them. A closed account has none.
func (a *Account) take(n int) bool {
	if a == nil {
		return true
	}
	b := a.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if a.closed {
		return false
	}
	more := max(0, a.used+n-b.share) - max(0, a.used-b.share)
	if more > 0 && b.beyond+more > max(0, b.size-b.share*b.accounts) {
		return false
	}
	a.used += n
	b.used += n
	b.beyond += more
	return true
}

// give returns n bytes.
func (a *Account) give(n int) {
	if a == nil || n == 0 {
		return
	}
	a.b.mu.Lock()
	defer a.b.mu.Unlock()
	if !a.closed {
		a.giveLocked(n)
	}
}

func (a *Account) giveLocked(n int) {
	b := a.b
	b.beyond -= max(0, a.used-b.share) - max(0, a.used-n-b.share)
	a.used -= n
	b.used -= n
	close(b.returned)
	b.returned = make(chan struct{})
}

// Close returns what the account still uses. What is returned later was returned
// by that.
func (a *Account) Close() {
	a.b.mu.Lock()
	defer a.b.mu.Unlock()
	if a.closed {
		return
	}
	a.giveLocked(a.used)
	a.closed = true
	a.b.accounts--
}

// Used is what all accounts use.
func (b *Budget) Used() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

// Returned is closed when something is returned next, or an account is closed. Ask
// for it before Lease.
func (b *Budget) Returned() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.returned
}

// A Lease is bytes that were taken. The zero Lease is none.
type Lease struct {
	account *Account
	n       int
}

// Lease takes n bytes.
func (a *Account) Lease(n int) (Lease, bool) {
	if !a.take(n) {
		return Lease{}, false
	}
	return Lease{a, n}, true
}

// Release returns them. What is released is not released again.
func (l *Lease) Release() { l.Shrink(0) }

// Shrink returns all of them but n.
func (l *Lease) Shrink(n int) {
	if l.n > n {
		l.account.give(l.n - n)
		l.n = n
	}
}
