package schedule_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"paylink/internal/schedule"
)

// A said is what the gateway answered to a call for an intent.
type said struct {
	intent string
	r      schedule.Result
}

var (
	lateDenied   = schedule.Result{How: schedule.Denied, Late: true}
	deniedLookUp = schedule.Result{How: schedule.Denied, LookUp: true, Code: "401"}
	foundLookUp  = schedule.Result{How: schedule.Answered, LookUp: true, Proves: true}
)

// TestWhatDenialsMean: of one intent, of different ones, of look-ups; after calls
// that have proven the credentials, and before any has.
func TestWhatDenialsMean(t *testing.T) {
	const (
		suspected = schedule.Suspected
		alone     = schedule.DeniedAlone
		began     = schedule.HoldBegan
		believed  = schedule.HoldBelieved
		refused   = schedule.ProbeRefused
	)
	proof := said{"proof", answered}
	tests := []struct {
		name    string
		answers []said
		held    bool
		want    []schedule.ChangeKind
	}{
		{"one, and nothing is proven", []said{{"a", denied}}, true, []schedule.ChangeKind{began}},
		{"two, and nothing is proven", []said{{"a", denied}, {"b", denied}}, true, []schedule.ChangeKind{began, believed}},
		{"one twice, and nothing is proven", []said{{"a", denied}, {"a", denied}}, true, []schedule.ChangeKind{began, refused}},
		{"one, and then another is accepted", []said{{"a", denied}, {"b", answered}}, false, []schedule.ChangeKind{began, schedule.HoldEnded}},
		{"one", []said{proof, {"a", denied}}, false, []schedule.ChangeKind{suspected}},
		{"two", []said{proof, {"a", denied}, {"b", denied}}, true, []schedule.ChangeKind{suspected, began, believed}},
		{"one twice", []said{proof, {"a", denied}, {"a", denied}}, true, []schedule.ChangeKind{suspected, began}},
		{"two, another accepted between", []said{proof, {"a", denied}, {"b", answered}, {"c", denied}}, false, []schedule.ChangeKind{suspected, suspected}},
		{"two, no answer between", []said{proof, {"a", denied}, {"b", unanswered}, {"c", denied}}, true, []schedule.ChangeKind{suspected, began, believed}},
		{"one alone, while others are accepted", []said{proof, {"a", denied}, {"b", answered}, {"a", denied}, {"c", answered}, {"a", denied}}, false, []schedule.ChangeKind{suspected, alone, alone}},
		{"of a partition that is handed over", []said{proof, {"a", lateDenied}, {"b", lateDenied}}, false, nil},
		{"of look-ups, and Init is accepted", []said{proof, {"a", deniedLookUp}, {"b", deniedLookUp}}, false, []schedule.ChangeKind{schedule.Blinded}},
		{"of look-ups that are answered again", []said{proof, {"a", deniedLookUp}, {"b", foundLookUp}}, false, []schedule.ChangeKind{schedule.Blinded, schedule.SeesAgain}},
		{"of a look-up, and nothing is proven", []said{{"a", deniedLookUp}}, true, []schedule.ChangeKind{began}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			st := begin(t, 10)
			for _, answer := range tt.answers {
				w := st.works[answer.intent]
				if w == nil {
					w = st.make("1", answer.intent)
				}
				st.s.Queue(w, schedule.First, st.now)
				if got := st.play(10 * time.Second); len(got) != 1 {
					t.Fatalf("%q, want a call for %s", got, answer.intent)
				}
				st.end(answer.intent, answer.r)
			}
			st.wantChanges(tt.want...)
			if st.lane("1").IsHeld() != tt.held {
				t.Errorf("held %v, want %v", !tt.held, tt.held)
			}
			st.queue("1", "next")
			st.queue("2", "of another merchant")
			got := st.next()
			if !slices.Contains(got, "start of another merchant") || !tt.held && len(got) != 2 {
				t.Errorf("then %q", got)
			}
		})
	}
}

// TestALookUpEndsNoHold: only Init does.
func TestALookUpEndsNoHold(t *testing.T) {
	st := begin(t, 10)
	st.queue("1", "looks")
	st.want("start looks")
	st.hold("1")
	st.end("looks", foundLookUp)
	if !st.lane("1").IsHeld() {
		t.Error("a look-up ends the hold")
	}
	st.wantChanges()
}

// TestALastLookWaitsForNoHold: it probes nothing.
func TestALastLookWaitsForNoHold(t *testing.T) {
	st := begin(t, 10)
	st.hold("1")
	st.queue("1", "probe")
	st.s.Queue(st.make("1", "looks"), schedule.Last, st.now)
	st.want("start looks")
	st.end("looks", foundLookUp)
	st.wantPlay(10*time.Second, "10s start probe")
}

func TestAHoldIsProbedLessAndLess(t *testing.T) {
	st := begin(t, 10)
	st.hold("1")
	probes := []time.Duration{10, 30, 70, 150, 270, 390}
	for i, at := range probes {
		name := fmt.Sprint("probe ", i)
		st.queue("1", name)
		st.wantPlay(at*time.Second-st.clock(), fmt.Sprint(at*time.Second, " start ", name))
		st.end(name, denied)
		c := st.wantChanges(schedule.ProbeRefused)
		if i+1 < len(probes) && len(c) == 1 && c[0].Wait != (probes[i+1]-at)*time.Second {
			t.Errorf("%s: the next in %v, want %v", name, c[0].Wait, (probes[i+1]-at)*time.Second)
		}
	}
}

// TestProbesComeFromEverywhere: what comes one after the other may be of one kind. Half
// of them are for the one that is due last, the others for the first, the middle and so on.
func TestProbesComeFromEverywhere(t *testing.T) {
	st := begin(t, 10)
	st.hold("1")
	for i := range 17 {
		st.queue("1", fmt.Sprint(i))
	}
	var got []string
	for _, wait := range []time.Duration{10, 20, 40, 80, 120, 120, 120, 120} {
		started := st.play(wait * time.Second)
		if len(started) != 1 {
			t.Fatalf("%q, want one probe", started)
		}
		name := started[0][strings.LastIndex(started[0], " ")+1:]
		st.end(name, denied)
		got = append(got, name)
	}
	if want := []string{"16", "0", "15", "8", "14", "4", "13", "10"}; !slices.Equal(got, want) {
		t.Errorf("probes for %q, want %q", got, want)
	}
}

// TestAProbeOfOneThatWasNotRefusedGoesAtOnce: others have probed for long, less and less.
// The next such one waits, as the first probes do.
func TestAProbeOfOneThatWasNotRefusedGoesAtOnce(t *testing.T) {
	st := begin(t, 10)
	st.hold("1")
	st.s.BackOff(st.works["denied 0"], schedule.Again, 0, st.now)
	for _, wait := range []time.Duration{10, 20, 40, 80, 120, 120} {
		if got := st.play(wait * time.Second); len(got) != 1 {
			t.Fatalf("%q, want a probe by the one that was refused", got)
		}
		st.end("denied 0", denied)
		st.s.BackOff(st.works["denied 0"], schedule.Again, time.Second, st.now)
	}
	st.queue("1", "new", "newer")
	st.want("start newer")
	st.end("newer", denied)
	st.wantPlay(20*time.Second, fmt.Sprint(st.clock()+20*time.Second, " start new"))
}

// TestAHoldThatAnotherEndedGivesPatience: a bunch was refused, and another was accepted.
// The rest of the bunch is told apart by calls at once, and nobody is told of it. Once
// patience is used up, it is a hold as any other.
func TestAHoldThatAnotherEndedGivesPatience(t *testing.T) {
	const patience = 32
	for name, tt := range map[string]struct {
		then schedule.Result // the answer to one of those that were refused, when it is called for again
		want int             // calls at once
	}{
		"it is refused again":  {denied, 2 + patience},
		"it is accepted after": {answered, 2},
	} {
		t.Run(name, func(t *testing.T) {
			st := begin(t, 10)
			st.hold("1")
			st.queue("1", "good")
			st.wantPlay(10*time.Second, "10s start good")
			st.end("good", answered)
			st.wantChanges(schedule.HoldEnded)
			st.s.Queue(st.works["denied 0"], schedule.Again, st.now)
			st.want("start denied 0")
			st.end("denied 0", tt.then)
			for i := range 50 {
				st.queue("1", fmt.Sprint("strange ", i))
			}
			st.s.SetConcurrency(1, st.now)
			calls := 0
			for got := st.next(); len(got) > 0; got = st.next() {
				st.end(strings.TrimPrefix(got[0], "start "), denied)
				calls++
			}
			if calls != tt.want {
				t.Errorf("%d calls at once, want %d", calls, tt.want)
			}
			st.queue("1", "another")
			if got := st.play(10 * time.Second); len(got) != 1 {
				t.Errorf("then %q, want a probe in 10 s", got)
			}
		})
	}
}

// TestOfAHoldThatEndsAtOnceNobodyIsTold: there is patience, and the first probe is accepted.
func TestOfAHoldThatEndsAtOnceNobodyIsTold(t *testing.T) {
	st := begin(t, 10)
	for i := range 3 {
		st.call("1", fmt.Sprint("strange ", 2*i), denied)
		st.call("1", fmt.Sprint("strange ", 2*i+1), denied)
		st.queue("1", fmt.Sprint("good ", i))
		if i == 0 { // patience is yet to come
			st.pass(10 * time.Second)
		}
		st.want(fmt.Sprint("start good ", i))
		if !st.lane("1").IsHeld() {
			t.Error("not on hold")
		}
		st.end(fmt.Sprint("good ", i), answered)
	}
	st.wantChanges(schedule.HoldBegan, schedule.HoldBelieved, schedule.HoldEnded, schedule.Suspected, schedule.Suspected)
}

// TestThoseThatWereShownToBeAloneDoNotComeBackWithTheNextHold: its end ends the waits of
// those that were refused since the proof before, and of no others.
func TestThoseThatWereShownToBeAloneDoNotComeBackWithTheNextHold(t *testing.T) {
	st := begin(t, 10)
	refuse := func(name string) {
		st.call("1", name, denied)
		st.s.BackOff(st.works[name], schedule.Again, time.Minute, st.now)
	}
	refuse("a")
	refuse("b")
	st.queue("1", "good")
	st.wantPlay(10*time.Second, "10s start good")
	st.end("good", answered)
	st.want("start a", "start b")
	for _, name := range []string{"a", "b"} {
		st.end(name, denied)
		st.s.BackOff(st.works[name], schedule.Again, time.Minute, st.now)
	}
	refuse("c")
	refuse("d")
	st.queue("1", "better")
	st.want("start better")
	st.end("better", answered)
	got := st.next()
	slices.Sort(got)
	if want := []string{"start c", "start d"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	st.s.Mended(st.lane("1"), st.now)
	st.pass(59 * time.Second)
}

func TestAProbeThatShowsNothingKeepsTheHold(t *testing.T) {
	st := begin(t, 10)
	st.hold("1")
	st.queue("1", "b", "c")
	st.wantPlay(10*time.Second, "10s start c")
	st.end("c", unanswered)
	st.wantPlay(20*time.Second, "30s start b")
	st.wantChanges()
}

// TestDenialsOfCallsInFlightAreNoNews: they were made before the hold.
func TestDenialsOfCallsInFlightAreNoNews(t *testing.T) {
	st := begin(t, 10)
	st.queue("1", "a", "b", "c", "d")
	st.want("start a", "start b", "start c", "start d")
	st.end("a", denied)
	st.now = noon.Add(5 * time.Second)
	for _, name := range []string{"b", "c", "d"} {
		st.end(name, denied)
	}
	st.wantChanges(schedule.HoldBegan, schedule.HoldBelieved)
	st.queue("1", "probe")
	st.wantPlay(15*time.Second, "15s start probe")
}

func TestAHoldEndsByAnyProof(t *testing.T) {
	late := answered
	late.Late = true
	tests := []struct {
		name  string
		proof func(st *story)
	}{
		{"the probe", func(st *story) {
			st.wantPlay(10*time.Second, "10s start after it")
			st.end("after it", answered)
		}},
		{"a call that was in flight", func(st *story) { st.end("in flight", answered) }},
		{"one of a partition that is handed over", func(st *story) { st.end("in flight", late) }},
		{"changed settings", func(st *story) { st.s.Mended(st.lane("1"), st.now) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			st := begin(t, 10)
			st.queue("1", "in flight")
			st.want("start in flight")
			st.hold("1")
			st.queue("1", "next", "after it")
			tt.proof(st)
			if c := st.wantChanges(schedule.HoldEnded); len(c) == 1 && !c[0].Since.Equal(noon) {
				t.Errorf("it says that it began at %v, want noon", c[0].Since)
			}
			if got := st.play(0); len(got) == 0 {
				t.Error("nothing goes on at once")
			}
			st.s.Mended(st.lane("1"), st.now)
			st.wantChanges()
		})
	}
}

// prove has a call show that a merchant's credentials work.
func (st *story) prove(name string) { st.call("1", name, answered) }

func TestTimeOnHoldDoesNotCountTowardsGivingUp(t *testing.T) {
	tests := []struct {
		name     string
		from, to time.Duration // of the hold
		expires  time.Duration // 0: never
		want     string
	}{
		{"no hold", 0, 0, 0, "1h0m0s gave_up a"},
		{"half an hour", 10 * time.Minute, 40 * time.Minute, 0, "1h30m0s gave_up a"},
		{"until after it would have been given up", 10 * time.Minute, 3 * time.Hour, 0, "3h50m0s gave_up a"},
		{"expires on hold", 10 * time.Minute, 3 * time.Hour, time.Hour + time.Minute, "1h1m0s expired a"},
		{"expires after the hold", 10 * time.Minute, 40 * time.Minute, time.Hour + time.Minute, "1h1m0s expired a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			st := begin(t, 10)
			st.prove("proof")
			a := st.make("1", "a")
			if tt.expires != 0 {
				a.ExpiresAt = noon.Add(tt.expires)
			}
			st.s.BackOff(a, schedule.Again, 24*time.Hour, st.now)
			var log []string
			if tt.to > 0 {
				log = append(log, st.play(tt.from)...)
				st.hold("1")
				log = append(log, st.play(tt.to-tt.from)...)
				st.s.Mended(st.lane("1"), st.now)
			}
			log = append(log, st.play(10*time.Hour)...)
			if fmt.Sprint(log) != fmt.Sprint([]string{tt.want}) {
				t.Errorf("%q, want %q", log, tt.want)
			}
		})
	}
}

// TestAHoldThatWasFoundCountsFromTheBeginning: where no call has shown yet that the
// credentials work, the hold may have lasted since before we came.
func TestAHoldThatWasFoundCountsFromTheBeginning(t *testing.T) {
	st := begin(t, 10)
	old := st.make("1", "old")
	old.At = noon.Add(-59 * time.Minute)
	st.s.BackOff(old, schedule.Again, 24*time.Hour, st.now)
	if st.lane("1").Knows(old) {
		t.Error("known before any call")
	}
	st.call("1", "a", denied)
	if st.lane("1").Knows(old) {
		t.Error("known by a denial")
	}
	st.pass(10 * time.Hour)
	st.queue("1", "probe")
	st.want("start probe")
	st.end("probe", answered)
	if !st.lane("1").Knows(old) {
		t.Error("not known by an answer")
	}
	st.wantPlay(24*time.Hour, "11h0m0s gave_up old")
}

// TestOneThatAloneWasRefusedIsGivenUp: nobody comes who could show whether it is the
// merchant that is refused, or this one alone. Its age counts from when we saw it
// refused. Where another is refused too, it is the merchant, and no age counts.
func TestOneThatAloneWasRefusedIsGivenUp(t *testing.T) {
	for name, tt := range map[string]struct {
		age  time.Duration // when it was refused
		also []string      // are refused
		want []string
	}{
		"alone":              {0, nil, []string{"1h0m0s gave_up a"}},
		"alone, and old":     {59 * time.Minute, nil, []string{"1h0m0s gave_up a"}},
		"alone, and overdue": {5 * time.Hour, nil, []string{"1h0m0s gave_up a"}},
		"not alone":          {0, []string{"b"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			st := begin(t, 10)
			a := st.make("1", "a")
			a.At = noon.Add(-tt.age)
			st.s.BackOff(a, schedule.First, 0, st.now)
			a.At = noon
			st.want("start a")
			st.end("a", denied)
			if !st.lane("1").Knows(a) {
				t.Error("nobody comes who could show more, and it is not known")
			}
			a.At = noon.Add(-tt.age)
			st.s.BackOff(a, schedule.Again, 24*time.Hour, st.now)
			for _, name := range tt.also {
				st.call("1", name, denied)
			}
			st.wantPlay(10*time.Hour, tt.want...)
		})
	}
}

// TestThoseThatWereRefusedMakeWay: some orders are refused for ever, and are due sooner.
// Whoever comes is the next probe.
func TestThoseThatWereRefusedMakeWay(t *testing.T) {
	st := begin(t, 10)
	names := []string{"a", "b", "c"}
	st.queue("1", names...)
	st.want("start a", "start b", "start c")
	refuse := func(names ...string) {
		for _, name := range names {
			st.end(name, denied)
			st.s.BackOff(st.works[name], schedule.Again, time.Second, st.now)
		}
	}
	refuse(names...)
	for _, wait := range []time.Duration{10, 20, 40, 80, 120, 120} {
		started := st.play(wait * time.Second)
		if len(started) != 1 {
			t.Fatalf("%q, want one probe", started)
		}
		refuse(started[0][strings.LastIndex(started[0], " ")+1:])
	}
	st.queue("1", "next")
	st.wantPlay(0, "6m30s start next")
}

// TestAProbeThatIsNeverAnsweredIsGivenUp: it is the only one left, and no answer to it
// speaks of our credentials. Once one does, time on hold does not count any more.
func TestAProbeThatIsNeverAnsweredIsGivenUp(t *testing.T) {
	for name, tt := range map[string]struct {
		last schedule.Result // the answer after half an hour
		want []string
	}{
		"no answer":    {unanswered, []string{"1h0m10s gave_up silent"}},
		"it is denied": {denied, nil},
	} {
		t.Run(name, func(t *testing.T) {
			st := begin(t, 10)
			st.hold("1")
			st.queue("1", "silent")
			st.wantPlay(10*time.Second, "10s start silent")
			st.end("silent", unanswered)
			st.s.BackOff(st.works["silent"], schedule.Again, 30*time.Minute, st.now)
			st.wantPlay(30*time.Minute, "30m10s start silent")
			st.end("silent", tt.last)
			st.s.BackOff(st.works["silent"], schedule.Again, 48*time.Hour, st.now)
			st.wantPlay(24*time.Hour, tt.want...)
		})
	}
}

// TestWhatLooksUpMakesWayForProbes: it is due sooner, and its look-ups are refused for
// ever. Without others the turn is its own.
func TestWhatLooksUpMakesWayForProbes(t *testing.T) {
	st := begin(t, 10)
	st.hold("1")
	looks := st.make("1", "looks")
	looks.At, looks.LooksUp = noon.Add(-time.Minute), true
	st.s.Queue(looks, schedule.First, st.now)
	st.wantPlay(10*time.Second, "10s start looks")
	st.end("looks", deniedLookUp)
	st.s.BackOff(looks, schedule.Again, time.Second, st.now)
	st.queue("1", "next")
	st.wantPlay(0, "10s start next")
	st.end("next", answered)
	st.wantPlay(time.Second, "11s start looks")
}

// TestThoseThatOnlyLookUpAreGivenUp, when nobody is left who could end the hold: time
// counts again from when the last such one had left.
func TestThoseThatOnlyLookUpAreGivenUp(t *testing.T) {
	for name, tt := range map[string]struct {
		inits time.Duration // how long one is there whose next call is an Init
		lasts time.Duration
		want  []string
	}{
		"nobody else":                   {0, 24 * time.Hour, []string{"1h0m0s gave_up looks"}},
		"one that leaves":               {10 * time.Minute, 24 * time.Hour, []string{"1h10m0s gave_up looks"}},
		"one that leaves much later":    {5 * time.Hour, 24 * time.Hour, []string{"6h0m0s gave_up looks"}},
		"one that stays: no age counts": {24 * time.Hour, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			st := begin(t, 10)
			st.hold("1")
			looks := st.make("1", "looks")
			looks.LooksUp = true
			st.s.BackOff(looks, schedule.Again, 48*time.Hour, st.now)
			other := st.make("1", "other")
			other.Endless = true
			st.s.BackOff(other, schedule.Again, 48*time.Hour, st.now)
			log := st.play(tt.inits)
			st.s.Remove(other, st.now)
			log = append(log, st.play(tt.lasts)...)
			if fmt.Sprint(log) != fmt.Sprint(tt.want) {
				t.Errorf("%q, want %q", log, tt.want)
			}
		})
	}
}

// TestTimeOnHoldCountsOnce, also where one hold follows another before any call has
// shown that the credentials work.
func TestTimeOnHoldCountsOnce(t *testing.T) {
	st := begin(t, 10)
	a := st.make("1", "a")
	st.s.BackOff(a, schedule.Again, 24*time.Hour, st.now)
	st.now = noon.Add(10 * time.Minute)
	st.call("1", "b", denied)
	st.s.Mended(st.lane("1"), st.now) // settings have changed, and are wrong again
	st.call("1", "c", denied)
	st.pass(10 * time.Minute)
	st.queue("1", "probe")
	st.want("start probe")
	st.end("probe", answered)
	st.wantPlay(24*time.Hour, "1h20m0s gave_up a")
}

// TestOnlyAnAnswerProvesTheCredentials: what nobody answered shows nothing of them.
// So the first denial after it begins a hold; after an answer, it is a suspicion.
func TestOnlyAnAnswerProvesTheCredentials(t *testing.T) {
	for name, tt := range map[string]struct {
		first schedule.Result
		want  schedule.ChangeKind
	}{
		"unanswered":       {unanswered, schedule.HoldBegan},
		"nobody was asked": {schedule.Result{How: schedule.Unasked}, schedule.HoldBegan},
		"a late denial":    {lateDenied, schedule.HoldBegan},
		"answered":         {answered, schedule.Suspected},
	} {
		t.Run(name, func(t *testing.T) {
			st := begin(t, 10)
			st.call("1", "a", tt.first)
			st.call("1", "b", denied)
			st.wantChanges(tt.want)
		})
	}
}

// TestTheEndOfAHoldEndsTheWaitsOfWhatWasPutAside, and of nothing else.
func TestTheEndOfAHoldEndsTheWaitsOfWhatWasPutAside(t *testing.T) {
	st := begin(t, 10)
	st.hold("1")
	st.s.BackOff(st.works["denied 0"], schedule.First, 40*time.Second, st.now)
	st.s.BackOff(st.make("1", "backs off"), schedule.First, 20*time.Second, st.now)
	st.queue("1", "probe")
	st.wantPlay(10*time.Second, "10s start probe")
	st.end("probe", answered)
	st.wantPlay(time.Minute, "10s start denied 0", "20s start backs off")
}

func TestManyHoldsKeepTheirTime(t *testing.T) {
	st := begin(t, 10)
	st.prove("proof")
	a := st.make("1", "a")
	st.s.BackOff(a, schedule.Again, 24*time.Hour, st.now)
	const holds = 200 // of ten seconds, and ten seconds between
	for range holds {
		st.hold("1")
		st.pass(10 * time.Second)
		st.s.Mended(st.lane("1"), st.now)
		st.pass(10 * time.Second)
	}
	got := st.play(24 * time.Hour)
	if len(got) != 1 {
		t.Fatalf("%q, want a given up", got)
	}
	at, _ := time.ParseDuration(got[0][:len(got[0])-len(" gave_up a")])
	if least, most := giveUp+holds*10*time.Second, giveUp+holds*20*time.Second; at < least || at > most {
		t.Errorf("given up after %v, want %v, and at the latest, as old holds run together, %v", at, least, most)
	}
}
