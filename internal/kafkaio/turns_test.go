package kafkaio_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"paylink/internal/devstack"
	"paylink/internal/kafkaio"
	"paylink/internal/pace"
	"paylink/internal/payment"
)

// lends has a member say and hear notes.
func lends(c *kafkaio.Config) { c.TurnsTopic = devstack.Turns }

// lenders starts two members that lend each other turns, and waits until they hear.
func lenders(l *lab) (a, b *life) {
	a, b = l.start("a", lends), l.start("b", lends)
	time.Sleep(5 * time.Second)
	return a, b
}

// asks is a note to whoever owns a slot.
func asks(from *life, number uint64) pace.Note {
	return pace.Note{Kind: pace.Ask, Merchant: "540001", Slot: int64(number), From: from.source.Turns().Name(), Number: number, Until: time.Now().Add(time.Minute)}
}

// hears returns what a member hears within a time.
func (m *life) hears(d time.Duration) (got []pace.Note) {
	end := time.After(d)
	for {
		select {
		case n := <-m.source.Turns().Heard():
			got = append(got, n)
		case <-end:
			return got
		}
	}
}

// notes is how many notes a member counted.
func (m *life) notes(t *testing.T, direction, result string) float64 {
	t.Helper()
	families, err := m.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, x := range f.GetMetric() {
			if f.GetName() == "paylink_kafka_turn_notes_total" && x.GetLabel()[0].GetValue() == direction && x.GetLabel()[1].GetValue() == result {
				return x.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("no notes %s %s", direction, result)
	return 0
}

// unlent checks what a member says of itself: why no turns are lent. Empty: they are.
func (m *life) unlent(t *testing.T, want string) {
	t.Helper()
	s := m.source.State()
	if !strings.HasPrefix(s.Unlent, want) || (want == "") != (s.Unlent == "") || (want == "") != s.UnlentSince.IsZero() {
		t.Errorf("its state is %q since %s, want %q", s.Unlent, s.UnlentSince, want)
	}
	if n := m.metric(t, "turns_blocked"); (n == 1) != (want != "") {
		t.Errorf("paylink_kafka_turns_blocked is %v while its state is %q", n, s.Unlent)
	}
}

// through checks that a note gets from one member to another.
func through(t *testing.T, from, to *life, number uint64) {
	t.Helper()
	from.source.Turns().Say(asks(from, number))
	got := to.hears(time.Second)
	if len(got) != 1 || got[0].Number != number {
		t.Errorf("heard %+v, want the ask %d", got, number)
	}
}

// leaveAll ends members as SIGTERM does.
func leaveAll(t *testing.T, members ...*life) {
	t.Helper()
	for _, m := range members {
		m.leave(t)
	}
}

func TestNotesComeThroughWithinMilliseconds(t *testing.T) {
	inLab(t, 2, func(l *lab) {
		a, b := lenders(l)
		said := asks(a, 1)
		began := time.Now()
		a.source.Turns().Say(said)
		got := <-b.source.Turns().Heard()
		if took := time.Since(began); took > 5*time.Millisecond {
			t.Errorf("an ask took %s, want a few milliseconds", took)
		}
		if got.From != a.source.Turns().Name() || got.Number != 1 || got.Slot != 1 || got.Merchant != "540001" || !got.Until.Equal(said.Until.Truncate(time.Microsecond)) {
			t.Errorf("heard %+v, want %+v", got, said)
		}
		loan := pace.Note{Kind: pace.Loan, Merchant: "540001", Slot: 1, From: b.source.Turns().Name(), To: got.From, Number: 1, Until: time.Now().Add(time.Second)}
		b.source.Turns().Say(loan)
		if got := a.hears(time.Second); len(got) != 1 || got[0].Kind != pace.Loan || got[0].To != a.source.Turns().Name() {
			t.Errorf("the asker heard %+v, want the loan only, and not its own ask", got)
		}
		if got := b.hears(time.Second); len(got) != 0 {
			t.Errorf("the lender heard %+v, want nothing", got)
		}
		leaveAll(t, a, b)
	})
}

func TestNoTwoLivesHaveOneName(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		long := strings.Repeat("pod-", 100)
		named := func(c *kafkaio.Config) { c.TurnsTopic, c.InstanceID = devstack.Turns, long }
		a := l.start("a", named)
		a.leave(t)
		b := l.start("a", named)
		defer b.leave(t)
		one, two := a.source.Turns().Name(), b.source.Turns().Name()
		if one == two || !strings.HasPrefix(one, "pod-pod-") || len(one) > 128 {
			t.Errorf("names of two lives: %s and %s", one, two)
		}
		if none := l.start("b"); none.source.Turns() != nil {
			t.Error("there are turns without a topic for them")
		} else {
			none.leave(t)
		}
	})
}

// TestNothingIsWrittenWhenNobodyAsks, and what is listened with is one long poll.
func TestNothingIsWrittenWhenNobodyAsks(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		fetches := l.broker.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: devstack.Turns, Count: -1, Observe: true})
		writes := l.broker.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: devstack.Turns, Count: -1, Observe: true})
		a, b := lenders(l)
		before := fetches.Hits()
		time.Sleep(100 * time.Second)
		if n := fetches.Hits() - before; n > 2*100+10 || n < 2*50 {
			t.Errorf("two members listened with %d fetches in 100 s, want one a second each", n)
		}
		if n := writes.Hits(); n != 0 {
			t.Errorf("%d requests write notes, want none", n)
		}
		leaveAll(t, a, b)
	})
}

// TestWhatIsSaidAtOnceIsWrittenAtOnce: and more than there is room for is dropped.
func TestWhatIsSaidAtOnceIsWrittenAtOnce(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		writes := l.broker.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: devstack.Turns, Count: -1, Observe: true})
		a, b := lenders(l)
		const many = 1000
		for i := range uint64(many) {
			a.source.Turns().Say(asks(a, i)) // none of which waits
		}
		got := b.hears(2 * time.Second)
		sent, dropped, unheard := a.notes(t, "said", "sent"), a.notes(t, "said", "dropped"), b.notes(t, "heard", "dropped")
		if len(got) < 200 || float64(len(got))+unheard != sent || sent+dropped != many {
			t.Errorf("%d are heard, %v sent, %v and %v dropped; want some 256 at least, and each counted", len(got), sent, dropped, unheard)
		}
		if n := writes.Hits(); n > 10 {
			t.Errorf("%d requests for them, want a few", n)
		}
		leaveAll(t, a, b)
	})
}

// others writes what does not belong on the topic.
func (l *lab) others(codec kgo.CompressionCodec, recs ...*kgo.Record) {
	l.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(l.broker.Addrs()...), kgo.Dialer(l.vn.DialContext), kgo.DefaultProduceTopic(devstack.Turns),
		kgo.ProducerBatchCompression(codec), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(1<<20))
	if err != nil {
		l.t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.ProduceSync(context.Background(), recs...).FirstErr(); err != nil {
		l.t.Fatal(err)
	}
}

// TestATopicFullOfOthersRecordsStopsNothing: of another group, without sense, packed,
// too large, late.
func TestATopicFullOfOthersRecordsStopsNothing(t *testing.T) {
	inLab(t, 2, func(l *lab) {
		note := func(group, to string, until time.Time) *kgo.Record {
			return &kgo.Record{Value: fmt.Appendf(nil, `{"g":%q,"k":"ask","m":"540001","s":1,"f":"x","t":%q,"n":1,"u":%d}`, group, to, until.UnixMicro())}
		}
		now := time.Now()
		for range 1000 {
			l.others(kgo.NoCompression(), note("paylink", "", now.Add(time.Hour))) // from before anybody listened
		}
		a, b := lenders(l)
		if got := b.hears(time.Second); len(got) != 0 {
			t.Errorf("heard %d notes from before it listened, such as %+v", len(got), got[0])
		}
		large := bytes.Repeat([]byte("x"), 200<<10)
		for range 10 {
			l.others(kgo.NoCompression(), note("another", "", now.Add(time.Hour)), note("paylink", "somebody", now.Add(time.Hour)), note("paylink", "", now),
				&kgo.Record{Value: []byte("no note")}, &kgo.Record{}, &kgo.Record{Value: large})
			l.others(kgo.SnappyCompression(), note("paylink", "", now.Add(time.Hour)), note("paylink", "", now.Add(time.Hour)), note("paylink", "", now.Add(time.Hour)))
			time.Sleep(time.Second)
		}
		if got := b.hears(time.Second); len(got) != 0 {
			t.Errorf("heard %d notes that are none, such as %+v", len(got), got[0])
		}
		for result, want := range map[string]float64{"of_others": 20, "late": 10, "unreadable": 40, "taken": 0} {
			if n := b.notes(t, "heard", result); n != want {
				t.Errorf("%v records are %s, want %v", n, result, want)
			}
		}
		for range 20 { // more than members have to say
			l.others(kgo.NoCompression(), &kgo.Record{Value: large}, &kgo.Record{Value: large}, &kgo.Record{Value: large})
		}
		time.Sleep(5 * time.Second)
		through(t, a, b, 7)
		if n := b.said.times("turns") + a.said.times("turns"); n != 0 && !testing.Verbose() {
			t.Errorf("%d lines about it, want none", n)
		}
		l.emit(0, 50)
		l.judge(50)
		leaveAll(t, a, b)
	})
}

// TestATopicThatIsADayLateStopsNothing: a mirror brings yesterday's notes, asks and loans
// to this very member among them. Nobody takes them, and new ones come through between
// them.
func TestATopicThatIsADayLateStopsNothing(t *testing.T) {
	inLab(t, 2, func(l *lab) {
		a, b := lenders(l)
		from, to := a.source.Turns().Name(), b.source.Turns().Name()
		const rounds, each = 10, 100
		for i := range uint64(rounds) {
			yesterday := time.Now().Add(-24 * time.Hour)
			var old []*kgo.Record
			for n := range each {
				kind, whom := "ask", ""
				if n%2 == 0 {
					kind, whom = "loan", to
				}
				old = append(old, &kgo.Record{Timestamp: yesterday, Value: fmt.Appendf(nil, `{"g":"paylink","k":%q,"m":"540001","s":%d,"f":%q,"t":%q,"n":%d,"u":%d}`,
					kind, n, from, whom, n, yesterday.Add(time.Second).UnixMicro())})
			}
			l.others(kgo.NoCompression(), old...)
			through(t, a, b, i)
			time.Sleep(time.Second)
		}
		for result, want := range map[string]float64{"late": rounds * each, "taken": rounds} {
			if n := b.notes(t, "heard", result); n != want {
				t.Errorf("%v notes are %s, want %v", n, result, want)
			}
		}
		b.unlent(t, "")
		l.emit(0, 50)
		l.judge(50)
		leaveAll(t, a, b)
	})
}

// TestWithoutTheTopicNoTurnsAreLentAndNothingStops: it is said once, and noticed when
// the topic is there; the same when it goes.
func TestWithoutTheTopicNoTurnsAreLentAndNothingStops(t *testing.T) {
	topics := devstack.DefaultTopics(2)
	inLabWith(t, topics[:3], func(l *lab) {
		a, b := lenders(l)
		l.emit(0, 50)
		l.judge(50)
		a.source.Turns().Say(asks(a, 1))
		time.Sleep(10 * time.Minute)
		for _, m := range []*life{a, b} {
			if n := m.said.times("no turns are lent, so replicas wait for their own slots: no such topic"); n != 1 {
				t.Errorf("said %d times that there is no topic, want once", n)
			}
			m.unlent(t, "no such topic")
			if since := m.source.State().UnlentSince; time.Since(since) < 10*time.Minute {
				t.Errorf("none are lent since %s, want from the start on", since)
			}
		}
		admin := kadm.NewClient(l.client)
		if _, err := admin.CreateTopic(context.Background(), 1, 1, nil, devstack.Turns); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		through(t, a, b, 2)
		b.unlent(t, "")
		if n := b.said.times("turns can be lent"); n != 1 {
			t.Errorf("said %d times that turns can be lent, want once", n)
		}
		if _, err := admin.DeleteTopic(context.Background(), devstack.Turns); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if n := b.said.times("no turns are lent"); n != 2 {
			t.Errorf("said %d times that none are lent, want once more when the topic is gone", n)
		}
		if _, err := admin.CreateTopic(context.Background(), 1, 1, nil, devstack.Turns); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Minute)
		through(t, b, a, 3)
		l.emit(50, 50)
		l.judge(100)
		leaveAll(t, a, b)
	})
}

// TestWithoutRightsNoTurnsAreLentAndNothingStops: each is named once, tried again once
// a minute, and noticed when it is granted. That it is a rule of the brokers, and not a
// fault, service's rights_test.go shows.
func TestWithoutRightsNoTurnsAreLentAndNothingStops(t *testing.T) {
	for _, right := range []struct {
		key  kmsg.Key
		says string
	}{{kmsg.Metadata, "Describe on topic "}, {kmsg.Fetch, "Read on topic "}, {kmsg.Produce, "Write on topic "}} {
		t.Run(right.says, func(t *testing.T) {
			inLab(t, 2, func(l *lab) {
				shut := l.broker.Fault(kfake.Fault{Keys: []kmsg.Key{right.key}, Topic: devstack.Turns, Count: -1, Err: kerr.TopicAuthorizationFailed})
				a, b := lenders(l)
				for range 20 {
					a.source.Turns().Say(asks(a, 1))
					time.Sleep(time.Minute)
				}
				if n := a.said.times("no turns are lent, so replicas wait for their own slots: a right is missing: " + right.says + devstack.Turns); n != 1 {
					t.Errorf("said %d times, want once", n)
				}
				a.unlent(t, "a right is missing: "+right.says+devstack.Turns)
				if n := shut.Hits(); n > 2*25*2 {
					t.Errorf("two members tried %d times in 20 minutes, want once a minute", n)
				}
				shut.Remove()
				time.Sleep(2 * time.Minute)
				b.hears(time.Second)
				through(t, a, b, 2)
				a.unlent(t, "")
				l.emit(0, 50)
				l.judge(50)
				leaveAll(t, a, b)
			})
		})
	}
}

// TestALeaderThatIsDeadStopsNoTurnsForGood, also while it answers nothing at all.
func TestALeaderThatIsDeadStopsNoTurnsForGood(t *testing.T) {
	inLab(t, 2, func(l *lab) {
		a, b := lenders(l)
		var silent atomic.Bool
		treat := func(k kmsg.Key) treatment {
			return treatment{refuse: silent.Load() && (k == kmsg.Fetch || k == kmsg.Produce)}
		}
		a.net.set(treat)
		silent.Store(true)
		for i := range uint64(60) {
			a.source.Turns().Say(asks(a, i))
			time.Sleep(time.Second)
		}
		if n := a.said.times("no turns are lent, so replicas wait for their own slots"); n != 1 {
			t.Errorf("said %d times, want once", n)
		}
		silent.Store(false)
		time.Sleep(10 * time.Second)
		b.hears(time.Second)
		through(t, a, b, 100)
		through(t, b, a, 101)
		if n := a.said.times("turns can be lent"); n != 1 {
			t.Errorf("said %d times that turns can be lent, want once", n)
		}
		for node := range int32(3) { // the leader moves
			l.broker.MoveTopicPartition(devstack.Turns, 0, node)
			time.Sleep(15 * time.Second)
			through(t, a, b, 200+uint64(node))
		}
		l.emit(0, 50)
		l.judge(50)
		leaveAll(t, a, b)
	})
}

// TestALateNoteIsNotSaidEither: what waited for too long is of no use.
func TestALateNoteIsNotSaidEither(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		a, b := lenders(l)
		late := asks(a, 1)
		late.Until = time.Now().Add(-time.Millisecond)
		a.source.Turns().Say(late)
		a.source.Turns().Say(pace.Note{Kind: pace.Decline, Merchant: payment.MerchantID("540001"), From: a.source.Turns().Name(), To: b.source.Turns().Name(), Number: 2})
		got := b.hears(time.Second)
		if len(got) != 1 || got[0].Kind != pace.Decline {
			t.Errorf("heard %+v, want what needs no time only", got)
		}
		leaveAll(t, a, b)
	})
}

// sparseWaits returns how long intents wait for their calls, in order, that come so far
// apart that each could be called at once, with four replicas.
func sparseWaits(t *testing.T, lends bool) (waits []time.Duration) {
	inLab(t, 12, func(l *lab) {
		l.flow, l.lends = at(t, "1/1500ms"), lends
		var members []*life
		for _, name := range []string{"a", "b", "c", "d"} {
			members = append(members, l.start(name))
		}
		time.Sleep(time.Minute)
		const n = 120
		emitted := map[payment.IntentID]time.Time{}
		for i := range n {
			emitted[payment.IntentID(fmt.Sprintf("i-%05d", i))] = time.Now()
			l.emit(i, 1)
			time.Sleep(3200 * time.Millisecond)
		}
		l.judge(n)
		if most := busiest(l.gate.times(), 15*time.Second); most > 10+4 {
			t.Errorf("%d calls in 15 s, want at most 14", most)
		}
		l.gate.mu.Lock()
		for _, c := range l.gate.log {
			waits = append(waits, c.at.Sub(emitted[c.id]))
		}
		l.gate.mu.Unlock()
		leaveAll(t, members...)
	})
	slices.Sort(waits)
	return waits
}

// TestASparseMerchantWaitsForNobodysIdleSlots: where replicas lend each other turns.
func TestASparseMerchantWaitsForNobodysIdleSlots(t *testing.T) {
	quantile := func(waits []time.Duration, q float64) time.Duration { return waits[int(q*float64(len(waits)-1))] }
	alone, lent := sparseWaits(t, false), sparseWaits(t, true)
	t.Logf("waits of 120 intents, one every 3.2 s, at 1/1.5 s with four replicas: p50 %s, p90 %s; without lending %s, %s",
		quantile(lent, 0.5), quantile(lent, 0.9), quantile(alone, 0.5), quantile(alone, 0.9))
	if quantile(lent, 0.5) > 100*time.Millisecond || quantile(lent, 0.9) > 500*time.Millisecond {
		t.Errorf("p50 %s, p90 %s, want at most 100 ms and 500 ms", quantile(lent, 0.5), quantile(lent, 0.9))
	}
	if quantile(alone, 0.9) < time.Second {
		t.Errorf("p90 %s without lending: this shows nothing", quantile(alone, 0.9))
	}
}
