package lab

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"paylink/internal/devstack"
	"paylink/internal/event"
	"paylink/internal/history"
	"paylink/internal/history/records"
	"paylink/internal/kafkaio"
	"paylink/internal/kafkaops"
	"paylink/internal/replay"
)

// The verbs that heal as rules: each puts on the intent topic exactly what is missing, once.
const (
	ruleReplay  = "replay unanswered"
	ruleRedrive = "redrive"
)

// How the operator's first attempt ends.
const (
	notAtAll   = ""            // it does not
	halfWay    = "half-way"    // its network breaks
	atTheEnd   = "at the end"  // a transaction is committed, the answer lost, and then its network breaks
	beforeThat = "before that" // what asks for the commit never arrives
)

// drawMistakes adds an operator's mistakes: offsets are set beyond intents that have no
// answer, or schemas are deleted in the registry for a while, so that intents are buried.
// Nothing else that leaves an intent without its outcome for good goes with them.
func (d *drawing) drawMistakes() {
	if d.plan.endsForGood() || !d.often(40) {
		return
	}
	d.noRepeats() // what an emitter repeats is new to who does not know of the first
	for _, e := range d.plan.emissions {
		for i := range e.records {
			e.records[i].stamp = "" // an age in which nobody can know what was answered
		}
	}
	d.plan.world.interrupted = one(d, notAtAll, halfWay, atTheEnd, beforeThat)
	kind := d.IntN(3)
	if kind != 0 {
		d.add(fault{at: d.when()/2 + time.Second, what: skip})
	}
	if kind != 1 {
		d.plan.world.registry = true
		d.add(fault{at: d.when() / 2, what: mislead, lasts: d.between(2*time.Second, 6*time.Second)})
		for _, e := range d.plan.emissions {
			for i := range e.records {
				if r := &e.records[i]; r.id != "" && d.often(50) {
					r.schema = 1 + d.IntN(knownSchemas)
				}
			}
		}
	}
}

// endsForGood says that the plan has what no verb heals: records that are deleted, or
// larger than they may be.
func (p plan) endsForGood() bool {
	return slices.ContainsFunc(p.faults, func(f fault) bool { return f.what == trim || f.what == limit || f.what == tighten }) ||
		slices.ContainsFunc(p.emissions, emission.isLarge)
}

// mistaken says that an operator makes mistakes.
func (p plan) mistaken() bool {
	return slices.ContainsFunc(p.faults, func(f fault) bool { return f.what == skip || f.what == mislead })
}

// setsOffsets says that somebody sets the group's offsets.
func (p plan) setsOffsets() bool {
	return slices.ContainsFunc(p.faults, func(f fault) bool { return f.what == skip || f.what == offsets })
}

// An offsetSpan is offsets, up to one that is not among them.
type offsetSpan struct{ from, to int64 }

// setToEnd commits the ends of the intent topic, as tools do that know nothing of what
// is behind an offset.
func (s *scene) setToEnd(fault) error {
	info := s.brokers.GroupInfo(group)
	if info == nil {
		return nil
	}
	to := s.ends(devstack.Intents)
	s.mu.Lock()
	for p, end := range to {
		s.passed[p] = append(s.passed[p], offsetSpan{info.Commits[devstack.Intents][p].Offset, end})
	}
	s.mu.Unlock()
	return s.commit(to)
}

func (s *scene) wasPassed(at history.Place) bool {
	return slices.ContainsFunc(s.passed[at.Partition], func(o offsetSpan) bool { return o.from <= at.Offset && at.Offset < o.to })
}

// mislead has the registry deny its schemas.
func (s *scene) mislead(f fault) {
	began := time.Now()
	s.denies.Store(true)
	time.Sleep(f.lasts)
	s.denies.Store(false)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.misled = append(s.misled, history.Span{From: began, To: time.Now()})
}

// heal does what an operator does who has understood the mistakes of the plan: the
// verbs put what is missing on the intent topic, while the service runs. They are run
// until nothing is left, once more when all is settled, and the first time they may be
// interrupted. It returns what they ought not to have done.
func (s *scene) heal() (wrong []history.Violation) {
	if !s.plan.mistaken() {
		return nil
	}
	time.Sleep(20 * time.Second) // members forget that a schema was unknown
	breaks := func(rule string, err error) {
		wrong = append(wrong, history.Violation{Rule: rule, Story: err.Error()})
	}
	due, err := s.topics()
	if err != nil {
		breaks(ruleReplay, err)
		return wrong
	}
	missing := due.unanswered(s.committedNow())
	if s.plan.world.interrupted != notAtAll {
		if err := s.runHealers(s.plan.world.interrupted); err != nil {
			s.note("the operator's first attempt: %v", err)
		}
	}
	var letters map[string]int
	for again := range 2 {
		if again > 0 { // the first goes on where the interrupted one ended, before all it emitted is read
			s.awaitSettled()
		}
		if due, err = s.topics(); err == nil {
			letters = due.letters
			err = s.runHealers(notAtAll)
		}
		if err != nil {
			breaks(ruleReplay, fmt.Errorf("the verbs end: %w", err))
			return wrong
		}
	}
	s.awaitSettled()
	now, err := s.topics()
	if err != nil {
		breaks(ruleReplay, err)
		return wrong
	}
	if !maps.Equal(now.replayed, missing) {
		breaks(ruleReplay, fmt.Errorf("without an answer were %v; emitted again were %v", missing, now.replayed))
	}
	if !maps.Equal(now.driven, letters) {
		breaks(ruleRedrive, fmt.Errorf("dead letters of unknown schemas were of %v; redriven were those of %v", letters, now.driven))
	}
	return wrong
}

// runHealers runs the verbs, as cmd/paylink does. The network breaks as it says.
func (s *scene) runHealers(ending string) error {
	n := &network{out: newGate(), latency: s.plan.world.latency, dial: s.vn.DialContext, far: s.farGate, kafka: true,
		jitter: s.plan.world.jitter, chance: rand.New(rand.NewPCG(s.plan.seed, 1<<40))}
	switch ending {
	case halfWay:
		time.AfterFunc(time.Duration(n.chance.Int64N(int64(20*n.latency+50*time.Millisecond))), n.out.cut)
	case atTheEnd:
		n.treat(kmsg.EndTxn, 1, treatment{mute: true, then: n.out.cut})
	case beforeThat:
		n.treat(kmsg.EndTxn, 40, treatment{lose: true})
	}
	a, err := s.openArchive(n.connect)
	if err != nil {
		return err
	}
	defer a.close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	if err := a.replayUnanswered(ctx); err != nil {
		return err
	}
	return a.redrive(ctx)
}

// emitter opens the verb's.
func (a *archive) emitter(ctx context.Context, verb string) (*kafkaops.Emitter, error) {
	topic := a.facts.Topics.Intents
	return kafkaops.OpenEmitter(ctx, a.broker, topic, kafkaio.TransactionalIDs(group, topic)+verb)
}

func (a *archive) replayUnanswered(ctx context.Context) error {
	e, err := a.emitter(ctx, "unanswered")
	if err != nil {
		return err
	}
	defer e.Close()
	spans, err := a.kafka.Spans(ctx, kafkaops.Range{Topic: a.facts.Topics.Intents, Partition: -1})
	if err != nil {
		return err
	}
	run := replay.Unanswered{
		Archive: replay.Archive{Kafka: a.kafka, Facts: a.facts, Now: time.Now()}, Group: group, Emit: e,
		Tell: func(replay.UnansweredLine) error { return nil },
	}
	_, err = run.Run(ctx, spans)
	return err
}

func (a *archive) redrive(ctx context.Context) error {
	e, err := a.emitter(ctx, "redrive")
	if err != nil {
		return err
	}
	defer e.Close()
	spans, err := a.kafka.Spans(ctx, kafkaops.Range{Topic: a.facts.Topics.DeadLetters, Partition: -1})
	if err != nil {
		return err
	}
	now := time.Now()
	run := replay.Redrive{
		Archive: replay.Archive{Kafka: a.kafka, Facts: a.facts, Now: now}, Group: group, Emit: e,
		Reasons: []string{string(event.UnknownSchema)}, MaxCycles: 100, Rate: 1000, Oldest: now.Add(-7 * 24 * time.Hour),
		Tell: func(replay.RedriveLine) error { return nil },
	}
	_, err = run.Run(ctx, spans)
	return err
}

// A standing is what readers of committed records see, as far as healing goes.
type standing struct {
	intents  []devstack.Record
	answered map[string]bool
	buried   map[history.Place]bool
	letters  map[string]int // dead letters of unknown schemas, by intent
	replayed map[string]int // records that say so of themselves, by intent
	driven   map[string]int
}

// topics reads them. Leaders may have just moved.
func (s *scene) topics() (st *standing, err error) {
	for range 5 {
		if st, err = s.topicsOnce(); err == nil {
			break
		}
		time.Sleep(time.Second)
	}
	return st, err
}

func (s *scene) topicsOnce() (*standing, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	st := &standing{answered: map[string]bool{}, buried: map[history.Place]bool{}, letters: map[string]int{}, replayed: map[string]int{}, driven: map[string]int{}}
	k := s.brokers.Kafka()
	var err error
	if st.intents, err = k.Read(ctx, devstack.Intents, devstack.ReadCommitted); err != nil {
		return nil, err
	}
	outcomes, err := k.Read(ctx, devstack.Outcomes, devstack.ReadCommitted)
	if err != nil {
		return nil, err
	}
	dead, err := k.Read(ctx, devstack.DeadLetters, devstack.ReadCommitted)
	if err != nil {
		return nil, err
	}
	for _, r := range outcomes {
		st.answered[string(r.Header(event.HeaderIntentID))] = true
	}
	for _, r := range dead {
		from, err := records.Source(r)
		if err != nil {
			return nil, err
		}
		st.buried[from] = true
		if string(r.Header(event.HeaderReason)) == string(event.UnknownSchema) {
			st.letters[string(r.Header(headerID))]++
		}
	}
	for _, r := range st.intents {
		id := string(r.Header(headerID))
		if r.Header(replay.HeaderReplayedAt) != nil {
			st.replayed[id]++
		}
		if r.Header(replay.HeaderCycles) != nil {
			st.driven[id]++
		}
	}
	return st, nil
}

// unanswered are the intents that were passed and have no answer, each once.
func (st *standing) unanswered(committed map[int32]int64) map[string]int {
	out := map[string]int{}
	for _, r := range st.intents {
		if id := string(r.Header(headerID)); id != "" && !st.answered[id] && !st.buried[records.Place(r)] && r.Offset < committed[r.Partition] {
			out[id] = 1
		}
	}
	return out
}

func (s *scene) committedNow() map[int32]int64 {
	out := map[int32]int64{}
	if info := s.brokers.GroupInfo(group); info != nil {
		for p, c := range info.Commits[devstack.Intents] {
			out[p] = c.Offset
		}
	}
	return out
}
