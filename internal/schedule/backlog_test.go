package schedule_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"paylink/internal/schedule"
)

// backlogOf is the backlog of a merchant that is called once in a second, with so
// much work loaded: 32 is what its lane keeps loaded.
func backlogOf(st *story, loaded int) *schedule.Backlog {
	l := st.s.Bind("slow", schedule.Terms{Rate: perSecond(1), Endpoint: "gateway"}, false, st.now)
	b := schedule.NewBacklog(l)
	for range loaded {
		b.Load(100)
	}
	return b
}

// roomy has room for far more than lanes keep loaded.
var roomy = schedule.Room{Bytes: 1 << 20, Merchants: 1}

func TestWhichArrivalsAreLoaded(t *testing.T) {
	soon, late := noon.Add(time.Minute), noon.Add(2*giveUp)
	crowded := schedule.Room{Bytes: 1 << 20, Used: 1 << 20, Merchants: 1 << 10}
	tests := []struct {
		name   string
		loaded int
		room   schedule.Room
		by     time.Time
		hasty  bool
		want   bool
	}{
		{"nothing is loaded", 0, roomy, late, false, true},
		{"a little is loaded", 31, roomy, late, false, true},
		{"enough is loaded", 32, roomy, late, false, false},
		{"enough is loaded, given up before some of it", 32, roomy, soon, false, true},
		{"enough is loaded, expires before some of it", 32, roomy, soon, true, true},
		{"enough is loaded, expires after all of it", 32, roomy, late, true, false},
		{"twice as much is loaded, expires before some of it", 64, roomy, soon, true, false},
		{"twice as much is loaded, has expired", 64, roomy, noon, true, true},
		{"three times as much is loaded, has expired", 96, roomy, noon, true, false},
		{"no room, nothing is loaded", 0, crowded, late, false, true},
		{"no room, an even share is loaded", 10, crowded, late, false, false},
		{"no room, less than an even share is loaded", 9, crowded, late, false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			st := begin(t, 10)
			b := backlogOf(st, tt.loaded)
			st.expiring("slow", "loaded", 10*time.Minute)
			if got := b.Admits(tt.room, schedule.Arrival{By: tt.by, Hasty: tt.hasty}, noon); got != tt.want {
				t.Errorf("Admits = %v, want %v", got, tt.want)
			}
		})
	}
}

// holdSlow has the merchant be on hold: the first call is refused.
func holdSlow(st *story) {
	st.queue("slow", "strange")
	st.play(2 * time.Second)
	st.end("strange", denied)
}

// TestWhatComesOnHoldIsLoaded: it may be of another kind than what waits.
func TestWhatComesOnHoldIsLoaded(t *testing.T) {
	for _, tt := range []struct {
		loaded         int
		isHeld, admits bool
	}{{32, false, false}, {32, true, true}, {95, true, true}, {96, true, false}} {
		st := begin(t, 10)
		b := backlogOf(st, tt.loaded)
		if put(b, 1, 1, false); tt.isHeld {
			holdSlow(st)
		}
		if got := b.Admits(roomy, schedule.Arrival{By: noon.Add(2 * giveUp)}, noon); got != tt.admits {
			t.Errorf("%d loaded, on hold %v: Admits = %v, want %v", tt.loaded, tt.isHeld, got, tt.admits)
		}
	}
}

// TestAHoldIsProbedByWhatWaits: what is loaded may all be of one kind. For each one that is
// refused another is read: the last, and one from anywhere, by turns. One that waits behind
// another of its key is not read before it.
func TestAHoldIsProbedByWhatWaits(t *testing.T) {
	for name, tt := range map[string]struct {
		isHeld   bool
		isBehind func(slot int64) bool
		want     []int64
	}{
		"no hold":     {false, func(int64) bool { return false }, []int64{}},
		"on hold":     {true, func(int64) bool { return false }, []int64{19, 9, 17, 4, 15}},
		"of two keys": {true, func(slot int64) bool { return slot > 1 }, []int64{1, 0, 2, 3, 4}},
	} {
		t.Run(name, func(t *testing.T) {
			st := begin(t, 10)
			b := backlogOf(st, 40)
			if tt.isHeld {
				holdSlow(st)
			}
			for slot := range int64(20) {
				b.Put(schedule.Entry{Slot: slot, Key: 1 + uint64(slot%2)}, schedule.Arrival{By: noon.Add(giveUp), Behind: tt.isBehind(slot)}, noon)
			}
			got := []int64{}
			for range 5 {
				b.Repeats(1)
				b.Load(100)
				got = append(got, slotsOf(b.Read(roomy, noon))...)
				b.Done()
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("read %v, want %v", got, tt.want)
			}
		})
	}
}

func TestAMerchantThatIsNotPacedHasNoBacklog(t *testing.T) {
	st := begin(t, 10)
	b := schedule.NewBacklog(st.lane("quick"))
	for range 10_000 {
		if !b.Admits(schedule.Room{Bytes: 1, Used: 1, Merchants: 1}, schedule.Arrival{By: noon}, noon) {
			t.Fatal("Admits = false")
		}
		b.Load(1)
	}
}

// put puts work into a backlog: patient that must be settled after so many minutes.
func put(b *schedule.Backlog, slot int64, minutes int, hasty bool) {
	b.Put(schedule.Entry{Slot: slot}, schedule.Arrival{By: noon.Add(time.Duration(minutes) * time.Minute), Hasty: hasty}, noon)
}

func slotsOf(entries []schedule.Entry) (slots []int64) {
	for _, e := range entries {
		slots = append(slots, e.Slot)
	}
	return slots
}

func TestABacklogIsReadWhenHalfIsLeft(t *testing.T) {
	st := begin(t, 10)
	b := backlogOf(st, 17)
	for i := range int64(100) {
		put(b, i, 60+int(i), false)
	}
	if got := b.Read(roomy, noon); got != nil {
		t.Errorf("17 of 32 are loaded: Read = %v, want none", slotsOf(got))
	}
	b.Unload(100)
	got := b.Read(roomy, noon)
	if want := 16; len(got) != want || b.Len() != 100-want {
		t.Fatalf("16 of 32 are loaded: Read = %d, and %d are left; want %d", len(got), b.Len(), want)
	}
	b.Unload(100)
	if again := b.Read(roomy, noon); again != nil {
		t.Errorf("Read = %v while reading, want none", slotsOf(again))
	}
	for range got {
		b.Load(100)
	}
	for range 31 {
		b.Unload(100)
	}
	b.Done()
	if again := b.Read(roomy, noon); len(again) != 32 {
		t.Errorf("nothing is loaded: Read = %d, want 32", len(again))
	}
}

func TestWhatMustBeSettledFirstIsReadFirst(t *testing.T) {
	st := begin(t, 10)
	b := backlogOf(st, 0)
	put(b, 1, 50, false)
	put(b, 2, 10, false)
	put(b, 3, 30, true)
	put(b, 4, 10, false) // as soon as 2, and after it
	put(b, 5, 5, true)
	put(b, 6, 70, false)
	if at, ok := b.Expires(); !ok || !at.Equal(noon.Add(5*time.Minute)) {
		t.Errorf("Expires = %v, %v; want in 5 minutes", at, ok)
	}
	if got, want := slotsOf(b.Read(roomy, noon)), []int64{5, 2, 4, 3, 1, 6}; !slices.Equal(got, want) {
		t.Errorf("Read = %v, want %v", got, want)
	}
	if at, ok := b.Expires(); ok {
		t.Errorf("Expires = %v, and nothing is left", at)
	}
}

// TestWhatIsDueSoonerIsReadBesides: of what must be settled before some that is loaded,
// as much again is loaded as a lane keeps, and a third time as much of what is overdue.
func TestWhatIsDueSoonerIsReadBesides(t *testing.T) {
	tests := []struct {
		name    string
		loaded  int
		minutes int // after which they are due
		want    int
	}{
		{"before some that is loaded", 32, 5, 32},
		{"before some that is loaded, of which there is much", 63, 5, 1},
		{"before some that is loaded, of which there is too much", 64, 5, 0},
		{"after all that is loaded", 32, 30, 0},
		{"overdue", 32, -1, 64},
		{"due this moment", 95, 0, 1},
		{"overdue, and too much is loaded", 96, -1, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			st := begin(t, 10)
			b := backlogOf(st, tt.loaded)
			st.expiring("slow", "loaded", 10*time.Minute)
			for i := range int64(200) {
				put(b, i, tt.minutes, i%2 == 0)
				put(b, 1000+i, 60, i%2 == 1)
			}
			got := slotsOf(b.Read(roomy, noon))
			if len(got) != tt.want {
				t.Errorf("Read = %d, want %d", len(got), tt.want)
			}
			for i, slot := range got {
				if slot != int64(i) {
					t.Errorf("entry %d is %d, which is not its turn", i, slot)
				}
			}
		})
	}
}

func TestLoadTellsFirstAndLast(t *testing.T) {
	st := begin(t, 10)
	b := backlogOf(st, 0)
	if !b.Load(10) || b.Load(20) {
		t.Error("Load does not tell the first")
	}
	if b.Unload(10) || !b.Unload(20) {
		t.Error("Unload does not tell the last")
	}
}

func TestABacklogGivesEveryEntry(t *testing.T) {
	st := begin(t, 10)
	b := backlogOf(st, 0)
	want := map[int64]bool{}
	for i := range int64(20) {
		put(b, i, int(i), i%3 == 0)
		want[i] = true
	}
	b.Each(func(e schedule.Entry) {
		if !want[e.Slot] || !e.Since().Equal(noon) || !e.By().Equal(noon.Add(time.Duration(e.Slot)*time.Minute)) {
			t.Errorf("entry %d, by %v, since %v", e.Slot, e.By(), e.Since())
		}
		delete(want, e.Slot)
	})
	if len(want) > 0 {
		t.Errorf("entries %v are missing", want)
	}
}

func TestABacklogGivesWhatMustBeSettledSoon(t *testing.T) {
	st := begin(t, 10)
	b := backlogOf(st, 0)
	for i := range int64(20) {
		put(b, i, int(i), i%3 == 0)
	}
	var got []int64
	b.EachBy(noon.Add(5*time.Minute), func(e schedule.Entry) { got = append(got, e.Slot) })
	if slices.Sort(got); !slices.Equal(got, []int64{0, 1, 2, 3, 4}) {
		t.Errorf("in five minutes %v must be settled, want 0 to 4", got)
	}
}

// TestFarEntriesKeepTheirOrder: an entry's time has eight bytes.
func TestFarEntriesKeepTheirOrder(t *testing.T) {
	st := begin(t, 10)
	for name, at := range farTimes {
		t.Run(name, func(t *testing.T) {
			b := backlogOf(st, 0)
			b.Put(schedule.Entry{Slot: 1}, schedule.Arrival{By: at}, noon)
			b.Put(schedule.Entry{Slot: 2}, schedule.Arrival{By: noon}, noon)
			want := []int64{1, 2}
			if at.After(noon) {
				want = []int64{2, 1}
			}
			if got := slotsOf(b.Read(roomy, noon)); !slices.Equal(got, want) {
				t.Errorf("Read = %v, want %v", got, want)
			}
		})
	}
}

// TestMemoryIsBounded: however much work there is, and however large it is, so much
// is loaded and no more.
func TestMemoryIsBounded(t *testing.T) {
	for _, size := range []int{1, 100, 10_000, 1 << 20} {
		for _, merchants := range []int{1, 10, 1000} {
			t.Run(fmt.Sprintf("%d bytes, %d merchants", size, merchants), func(t *testing.T) {
				st := begin(t, 10)
				room := schedule.Room{Bytes: 4 << 20}
				used, loaded := 0, 0
				for range merchants {
					b := backlogOf(st, 0)
					for n := 0; ; n++ {
						r := room
						r.Used, r.Merchants = used, max(1, loaded)
						if !b.Admits(r, schedule.Arrival{By: noon.Add(giveUp)}, noon) {
							break
						}
						if n > 32 {
							t.Fatal("more is loaded than a lane keeps")
						}
						if b.Load(size) {
							loaded++
						}
						used += size
					}
				}
				if most := 2*room.Bytes + 2*merchants*size; used > most {
					t.Errorf("%d bytes are loaded, want at most %d: the room, shares that are as much, and one record each", used, most)
				}
			})
		}
	}
}

// TestNothingOvertakes: what arrives is put behind what must be settled before it,
// or at the same time, also when there is room.
func TestNothingOvertakes(t *testing.T) {
	st := begin(t, 10)
	b := backlogOf(st, 5)
	put(b, 1, 30, false)
	for minutes, want := range map[int]bool{29: true, 30: false, 31: false} {
		a := schedule.Arrival{By: noon.Add(time.Duration(minutes) * time.Minute)}
		if got := b.Admits(roomy, a, noon); got != want {
			t.Errorf("Admits what must be settled after %d minutes = %v, want %v: after 30 another must", minutes, got, want)
		}
	}
}

// TestWhatCanOnlyBeLookedUpIsInNobodysWay: four such are loaded at a time, besides
// the others, and those of their keys stay behind them.
func TestWhatCanOnlyBeLookedUpIsInNobodysWay(t *testing.T) {
	st := begin(t, 10)
	b := backlogOf(st, 0)
	late := schedule.Arrival{By: noon.Add(-time.Minute), Inherited: true}
	for slot := range int64(10) {
		b.Put(schedule.Entry{Slot: slot, Key: 7}, late, noon)
	}
	b.Put(schedule.Entry{Slot: 10, Key: 7}, schedule.Arrival{By: noon.Add(time.Minute)}, noon) // behind them by its key
	for slot := int64(100); slot < 200; slot++ {
		put(b, slot, 30, false)
	}
	got := slotsOf(b.Read(roomy, noon))
	if len(got) != 36 || got[0] != 100 || !slices.Equal(got[32:], []int64{0, 1, 2, 3}) {
		t.Fatalf("Read = %v, want 32 that can be called for, and the first four that cannot", got)
	}
	for range got {
		b.Load(100)
	}
	b.Looks(4)
	b.Done()
	if got := b.Read(roomy, noon); got != nil {
		t.Errorf("Read = %v, want none: four wait for their look", slotsOf(got))
	}
	if b.Admits(roomy, late, noon) {
		t.Error("a fifth is admitted")
	}
	for range 4 {
		b.Looks(-1)
		b.Unload(100)
	}
	if got, want := slotsOf(b.Read(roomy, noon)), []int64{4, 5, 6, 7}; !slices.Equal(got, want) {
		t.Errorf("Read = %v, want %v", got, want)
	}
	b.Done()
	if got, want := slotsOf(b.Read(roomy, noon)), []int64{8, 9, 10}; !slices.Equal(got, want) {
		t.Errorf("Read = %v, want %v: the last keeps its place in its key", got, want)
	}
}

// TestWhatIsRepeatedIsInNobodysWay: what has to be called for again may be so for ever.
// It counts only where there is no room besides.
func TestWhatIsRepeatedIsInNobodysWay(t *testing.T) {
	full := schedule.Room{Bytes: 1 << 20, Used: 1 << 20, Merchants: 1 << 10}
	st := begin(t, 10)
	b := backlogOf(st, 32)
	b.Repeats(32)
	if a := (schedule.Arrival{By: noon.Add(giveUp)}); !b.Admits(roomy, a, noon) || b.Admits(full, a, noon) {
		t.Error("another is to be admitted if there is room for it")
	}
	for slot := range int64(100) {
		put(b, slot, 60, false)
	}
	if got := b.Read(full, noon); got != nil {
		t.Errorf("Read = %v without room, want none", slotsOf(got))
	}
	if got := b.Read(roomy, noon); len(got) != 32 {
		t.Errorf("Read = %d, want 32", len(got))
	}
	b.Done()
	b.Repeats(-1)
	for range 32 { // behind them
		b.Load(100)
		b.Follows(1)
	}
	if got := b.Read(roomy, noon); len(got) != 31 {
		t.Errorf("Read = %d, want 31: one can be called for", len(got))
	}
	b.Done()
	b.Follows(-32)
	if got := b.Read(roomy, noon); got != nil {
		t.Errorf("Read = %v, want none: 33 can be called for", slotsOf(got))
	}
}

// TestWhatHasWaitedTooLongCanOnlyBeLookedUp, if an owner before us may have called
// for it: its time is up while it waits. All others whose time is up are settled.
func TestWhatHasWaitedTooLongCanOnlyBeLookedUp(t *testing.T) {
	st := begin(t, 10)
	b := backlogOf(st, 32)
	for slot := range int64(10) {
		b.Put(schedule.Entry{Slot: slot}, schedule.Arrival{By: noon.Add(time.Minute), Inherited: slot < 6}, noon)
	}
	if got := b.Read(roomy, noon); got != nil {
		t.Errorf("Read = %v, want none: enough is loaded", slotsOf(got))
	}
	if got, want := slotsOf(b.Read(roomy, noon.Add(time.Minute))), []int64{6, 7, 8, 9, 0, 1, 2, 3}; !slices.Equal(got, want) {
		t.Errorf("Read = %v when their time is up, want %v", got, want)
	}
}
