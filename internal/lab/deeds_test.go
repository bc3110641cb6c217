package lab

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"paylink/internal/devstack"
	"paylink/internal/gatewaysim"
	"paylink/internal/history"
	"paylink/internal/payment"
)

// do does a fault, and ends it after its time.
func (s *scene) do(f fault) {
	switch f.what {
	case offsets, skip:
		s.resetOffsets(f)
	case mislead:
		s.mislead(f)
	case join:
		x := s.seat()
		x.start()
		if f.lasts > 0 {
			time.Sleep(f.lasts)
			x.leave()
		}
	case kill, leave, freeze, stall, cutKafka, cutPay, lose, mute, late, double, jump, delay, tighten:
		if seats := s.all(); f.seat < len(seats) {
			s.befall(seats[f.seat], f)
		}
	case misbehave, down, secret, echo:
		s.spoil(f)
	case unregister:
		s.closeRegistry(f)
	case rotate:
		s.rotate(f)
	default:
		s.trouble(f)
	}
}

// befall does what befalls one member.
func (s *scene) befall(x *seat, f fault) {
	l := x.now()
	if l == nil {
		return
	}
	if f.what != leave && f.what != jump && f.topic != devstack.Turns { // notes that go wrong excuse nothing
		s.blame(l.name, f)
	}
	switch f.what {
	case jump:
		l.clock.Add(int64(f.by))
		if f.by > rebalanceTimeout {
			l.leapt.Store(time.Since(x.s.began).Nanoseconds())
		}
	case kill, leave:
		map[what]func(){kill: x.kill, leave: x.leave}[f.what]()
		time.Sleep(f.lasts)
		x.start()
	case freeze:
		s.silent(l.name, f)
		l.kafka.out.freeze()
		l.pay.out.freeze()
		time.Sleep(f.lasts)
		l.kafka.out.unfreeze()
		l.pay.out.unfreeze()
	case stall:
		s.silent(l.name, f)
		l.kafka.out.freeze()
		time.Sleep(f.lasts)
		l.kafka.out.unfreeze()
	case cutKafka:
		s.silent(l.name, f)
		l.kafka.out.cut()
		time.Sleep(f.lasts)
		if x.now() == l {
			l.kafka.out.mend()
		}
	case cutPay:
		l.pay.out.cut()
		time.Sleep(f.lasts)
		if x.now() == l {
			l.pay.out.mend()
		}
	case lose:
		l.kafka.treatOf(f.topic, kmsg.Key(f.key), f.count, treatment{lose: true})
	case mute:
		l.kafka.treatOf(f.topic, kmsg.Key(f.key), f.count, treatment{mute: true})
	case double:
		l.kafka.treatOf(f.topic, kmsg.Key(f.key), f.count, treatment{more: f.lasts})
	case tighten:
		l.kafka.treat(kmsg.Produce, 1, treatment{mute: true, then: func() { s.tighten(f) }})
	case delay:
		l.pay.treat(initCall, f.count, treatment{late: f.lasts})
	case late:
		l.kafka.treatOf(f.topic, kmsg.Key(f.key), f.count, treatment{late: f.lasts})
	}
}

// blame writes down that a member had a fault. What a request that went wrong
// leads to may take until the end of the plan.
func (s *scene) blame(member string, f fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	until := f.at + f.lasts
	if !slices.Contains([]what{kill, freeze, stall, cutKafka, cutPay, unregister}, f.what) {
		until = s.plan.end()
	}
	blamed := history.Fault{At: time.Now(), Until: s.began.Add(until), Member: member, What: string(f.what)}
	if f.what == delay {
		blamed.Until, blamed.Late = blamed.Until.Add(f.lasts), f.lasts
	}
	s.faults = append(s.faults, blamed)
}

// silent writes down when a member that hears no broker must not call: from the
// end of its lease on.
func (s *scene) silent(member string, f fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.lasts > s.plan.world.session {
		now := time.Now()
		s.silences = append(s.silences, history.Silence{Member: member, From: now.Add(s.plan.world.session), To: now.Add(f.lasts), Why: string(f.what)})
	}
}

// spoil does what the gateway does.
func (s *scene) spoil(f fault) {
	switch f.what {
	case misbehave:
		s.misbehave(f.arg, true)
		time.Sleep(f.lasts)
		s.misbehave(f.arg, false)
	case down:
		s.sim.Down(map[string]gatewaysim.Downtime{"503": gatewaysim.Refuse503, "cut": gatewaysim.Disconnect}[f.arg])
		time.Sleep(f.lasts)
		s.sim.Up()
	case echo:
		s.echoes.Add(1)
		time.Sleep(f.lasts)
		s.echoes.Add(-1)
	case secret:
		id := merchantID(f.seat)
		s.sim.SetSecret(id, payment.Secret(f.arg))
		time.Sleep(f.lasts)
		s.sim.SetSecret(id, s.secrets.atGateway(id))
	}
}

// misbehave begins or ends one mood of the gateway. The newest is in force.
func (s *scene) misbehave(rules string, begin bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.moods, rules); i >= 0 && !begin {
		s.moods = slices.Delete(s.moods, i, i+1)
	}
	if begin {
		s.moods = append(s.moods, rules)
	}
	mood := s.plan.world.looks
	if len(s.moods) > 0 {
		mood = s.moods[len(s.moods)-1]
	}
	live, err := gatewaysim.ParseRules(mood)
	if err == nil {
		err = s.sim.Misbehave(live...)
	}
	if err != nil {
		panic(err) // the plan is wrong
	}
}

// settleMood ends all moods but the one that never ends.
func (s *scene) settleMood() {
	s.mu.Lock()
	s.moods = nil
	s.mu.Unlock()
	s.misbehave("", false)
}

// closeRegistry has the registry answer nothing that is its own. Who has an answer then
// can publish no outcome, and leaves the intent to the next owner when it has to go.
func (s *scene) closeRegistry(f fault) {
	for _, x := range s.all() {
		if l := x.now(); l != nil {
			s.blame(l.name, f)
		}
	}
	switch g := s.farGate(registryName); f.arg {
	case "cut":
		g.cut()
		time.Sleep(f.lasts)
		g.mend()
	case "frozen":
		g.freeze()
		time.Sleep(f.lasts)
		g.unfreeze()
	default:
		status, err := strconv.Atoi(f.arg)
		if err != nil {
			panic(err) // the plan is wrong
		}
		s.sick.Store(int32(status))
		time.Sleep(f.lasts)
		s.sick.Store(0)
	}
}

// trouble does what befalls brokers, and so everybody.
func (s *scene) trouble(f fault) {
	if !slices.Contains([]what{leaders, hash, widen, limit, vanish, litter}, f.what) {
		for _, x := range s.all() {
			if l := x.now(); l != nil {
				s.blame(l.name, f)
			}
		}
	}
	addrs := s.brokers.Addrs()
	switch f.what {
	case leaders:
		s.moveLeaders(f.seat)
	case hash:
		s.brokers.RehashCoordinators()
	case remove:
		s.removeBroker(f, addrs)
	case pause:
		g := s.farGate(addrs[f.seat%len(addrs)])
		g.freeze()
		time.Sleep(f.lasts)
		g.unfreeze()
	case refuse:
		h := s.brokers.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Key(f.key)}, Topic: f.topic, Err: kafkaError(f.arg), Count: f.count})
		s.mu.Lock()
		defer s.mu.Unlock()
		s.refusals = append(s.refusals, h)
	case steal, begin:
		s.steal(f)
	case widen:
		s.widen()
	case limit:
		s.limitFor(f)
	case trim:
		s.trim(f)
	case relogin:
		s.relogin(f)
	case vanish:
		s.vanish(f)
	case litter:
		s.litter(f)
	}
}

func kafkaError(name string) *kerr.Error {
	for code := range int16(120) {
		if e := kerr.TypedErrorForCode(code); e != nil && e.Message == name {
			return e
		}
	}
	panic("no Kafka error " + name) // the plan is wrong
}

// moveLeaders has every partition led by the next broker.
func (s *scene) moveLeaders(by int) {
	n := int32(len(s.brokers.Addrs()))
	for _, topic := range []string{devstack.Intents, devstack.Outcomes, devstack.DeadLetters, devstack.Turns} {
		for _, p := range s.brokers.PartitionInfos(topic) {
			_ = s.brokers.MoveTopicPartition(topic, p.Partition, (s.brokers.LeaderFor(topic, p.Partition)+1+int32(by))%n) // a broker that is gone takes none
		}
	}
}

// removeBroker takes a broker away and brings it back under its old address. It is never
// the last one: in kfake (as of 2026-09) that is the controller, and no other ever is.
func (s *scene) removeBroker(f fault, addrs []string) {
	node := int32(f.seat % max(1, s.plan.world.brokers-1))
	const firstPort = 9092
	if len(addrs) == 1 || s.brokers.RemoveNode(node) != nil {
		return
	}
	g := s.farGate(fmt.Sprintf("localhost:%d", firstPort+int(node)))
	g.cut()
	time.Sleep(f.lasts)
	if _, _, err := s.brokers.AddNode(node, firstPort+int(node)); err != nil {
		s.note("broker %d does not come back: %v", node, err)
	}
	g.mend()
}

// steal fences a partition as another service of the same name would, or begins to:
// that is what requests of a former owner do that arrive long after they were sent.
func (s *scene) steal(f fault) {
	req := kmsg.NewPtrInitProducerIDRequest()
	id := "paylink/" + group + "/" + devstack.Intents + "/" + string(rune('0'+f.seat))
	req.TransactionalID, req.TransactionTimeoutMillis = &id, 10_000
	if f.what == begin {
		req.TransactionTimeoutMillis = 400_000
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	got, err := req.RequestWith(ctx, s.client)
	if err != nil || f.what != begin {
		return // one that fails steals nothing
	}
	add := kmsg.NewPtrAddPartitionsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch = id, got.ProducerID, got.ProducerEpoch
	add.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: devstack.Outcomes, Partitions: []int32{int32(f.seat) % s.plan.world.outcomes}}}
	_, _ = add.RequestWith(ctx, s.client)
}

// widen adds a partition to the intents.
func (s *scene) widen() {
	req := kmsg.NewPtrCreatePartitionsRequest()
	rt := kmsg.NewCreatePartitionsRequestTopic()
	rt.Topic, rt.Count = devstack.Intents, int32(len(s.brokers.PartitionInfos(devstack.Intents)))+1
	req.Topics, req.TimeoutMillis = append(req.Topics, rt), 5000
	if _, err := req.RequestWith(context.Background(), s.client); err != nil {
		s.note("no partition added: %v", err)
	}
	s.client.ForceMetadataRefresh()
}

// resetOffsets stops all members, sets the committed offsets back as an
// operator's tool does, and starts the members again.
func (s *scene) resetOffsets(f fault) {
	s.stopAll()
	s.awaitNoMembers()
	set := s.setBack
	if f.what == skip {
		set = s.setToEnd
	}
	if err := set(f); err != nil {
		s.note("offsets not reset: %v", err)
	}
	s.halt(false)
	for _, x := range s.all() {
		if x.n < s.plan.world.seats {
			x.start()
		}
	}
}

// awaitNoMembers waits until the group knows no members, for 20 s at most.
func (s *scene) awaitNoMembers() {
	for range 200 {
		if i := s.brokers.GroupInfo(group); i == nil || len(i.Members) == 0 {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// setBack commits a part of each offset that is committed.
func (s *scene) setBack(f fault) error {
	info := s.brokers.GroupInfo(group)
	if info == nil {
		return nil
	}
	back := map[int32]int64{}
	for p, c := range info.Commits[devstack.Intents] {
		back[p] = c.Offset * int64(f.count) / 4
	}
	return s.commit(back)
}

// commit commits offsets in the place of the members, of which there must be none.
func (s *scene) commit(offsets map[int32]int64) error {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.Generation = group, -1
	rt := kmsg.NewOffsetCommitRequestTopic()
	rt.Topic = devstack.Intents
	rt.TopicID = s.brokers.TopicInfo(devstack.Intents).TopicID // newer versions of the request have no name
	for p, offset := range offsets {
		rp := kmsg.NewOffsetCommitRequestTopicPartition()
		rp.Partition, rp.Offset = p, offset
		rt.Partitions = append(rt.Partitions, rp)
	}
	req.Topics = append(req.Topics, rt)
	res, err := req.RequestWith(context.Background(), s.client)
	if err != nil {
		return err
	}
	for _, rt := range res.Topics {
		for _, rp := range rt.Partitions {
			if err := kerr.ErrorForCode(rp.ErrorCode); err != nil {
				return fmt.Errorf("commit %d: %w", rp.Partition, err)
			}
		}
	}
	return nil
}
