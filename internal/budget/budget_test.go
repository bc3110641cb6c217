package budget

import (
	"math/rand/v2"
	"testing"
)

func TestAShareIsNobodyElses(t *testing.T) {
	b := New(100, 10)
	greedy, modest := b.Open(), b.Open()
	for greedy.take(1) {
	}
	if b.Used() != 90 {
		t.Errorf("%d taken by one of two, want 90", b.Used())
	}
	if !modest.take(10) || modest.take(1) {
		t.Error("the other's share is not its own")
	}
	late := b.Open()
	if !late.take(10) || late.take(1) {
		t.Error("a share is there whatever the others hold")
	}
	wake := b.Returned()
	greedy.give(20)
	<-wake
	if greedy.take(11) || !greedy.take(10) {
		t.Error("what the shares of three leave to one is 80")
	}
	late.Close()
	modest.Close()
	greedy.Close()
	greedy.give(5)
	greedy.Close()
	if b.Used() != 0 || b.beyond != 0 || greedy.take(1) {
		t.Errorf("%d used, %d beyond shares after all were closed", b.Used(), b.beyond)
	}
}

func TestNothingLeaks(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	b := New(1000, 50)
	accounts := []*Account{b.Open(), b.Open(), b.Open()}
	var leases []Lease
	for range 100_000 {
		a := r.IntN(3)
		switch r.IntN(20) {
		case 0:
			accounts[a].Close()
			accounts[a] = b.Open()
		case 1, 2, 3, 4, 5, 6, 7, 8, 9, 10:
			if l, ok := accounts[a].Lease(r.IntN(100)); ok {
				leases = append(leases, l)
			}
		default:
			if len(leases) > 0 {
				i := r.IntN(len(leases))
				leases[i].Shrink(leases[i].n / 2)
				leases[i].Release()
				leases[i].Release()
				leases = append(leases[:i], leases[i+1:]...)
			}
		}
		if b.Used() > 1000 || b.beyond < 0 {
			t.Fatalf("%d used, %d beyond", b.Used(), b.beyond)
		}
	}
	for i := range leases {
		leases[i].Release()
	}
	if b.Used() != 0 || b.beyond != 0 {
		t.Errorf("%d used, %d beyond, want none", b.Used(), b.beyond)
	}
}

func TestNobodysAccountHasRoomForEverything(t *testing.T) {
	var nobodys *Account
	l, ok := nobodys.Lease(1 << 40)
	if !ok {
		t.Error("a nil account has no room")
	}
	l.Release()
}
