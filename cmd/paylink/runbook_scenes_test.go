package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"paylink/internal/devstack"
	"paylink/internal/event"
	"paylink/internal/freedompay"
	"paylink/internal/gatewaysim"
	"paylink/internal/payment"
)

// scenes are what the sections of the runbook are about, by the names that it has
// for them.
var scenes = map[string]func(*stage){
	"link-never-came": func(s *stage) {
		s.topics(3)
		s.linked(1, 600, "order-7001", "1500.00")
		at, m := s.asked(0, 900, "order-7002", "2500.00")
		s.settled(at, m, 901, payment.Failed{Reason: payment.Refused, ErrorCode: "9403", ErrorDescription: "Wrong request", Attempts: 1, At: s.second(901)})
		s.asked(2, 2700, "order-7003", "900.00")
	},
	"gateway-down": func(s *stage) {
		s.Gateway.Sim.Down(gatewaysim.Refuse503)
		p := s.serve("PAYLINK_RATE=50/s")
		p.await("partition taken over")
		s.queue("order-80", 25)
		p.await("the gateway fails broadly")
	},
	"gateway-back": func(s *stage) {
		s.topics(3)
		s.linked(0, 600, "order-8001", "1500.00")
		at, m := s.asked(1, 660, "order-8002", "2500.00")
		s.pay(m)
		s.settled(at, m, 3300, payment.Failed{Reason: payment.GaveUp, Attempts: 9, PaymentMayExist: true, At: s.second(3300)})
		at, m = s.asked(2, 720, "order-8003", "900.00")
		s.settled(at, m, 3300, payment.Failed{Reason: payment.GaveUp, Attempts: 9, PaymentMayExist: true, At: s.second(3300)})
		s.commit(1, 1, 1)
	},
	"offsets-forward": func(s *stage) {
		s.topics(1)
		s.linked(0, 0, "order-9001", "1500.00")
		s.asked(0, 0, "order-9002", "2500.00")
		s.asked(0, 0, "order-9003", "900.00")
		s.commit(3)
	},
	"offsets-answered": func(s *stage) {
		s.topics(1)
		s.linked(0, 0, "order-9001", "1500.00")
		s.asked(0, 0, "order-9002", "2500.00")
		s.asked(0, 0, "order-9003", "900.00")
		s.linked(0, 3500, "order-9002", "2500.00")
		s.linked(0, 3500, "order-9003", "900.00")
		s.commit(5)
	},
	"offsets-back": func(s *stage) {
		s.topics(1)
		s.linked(0, 0, "order-9001", "1500.00")
		s.linked(0, 10, "order-9002", "2500.00")
		s.asked(0, 20, "order-9003", "900.00")
		s.commit(3)
	},
	"secret-wrong": func(s *stage) {
		s.Gateway.Sim.SetSecret("540001", "another one")
		p := s.serve("PAYLINK_RATE=10/s")
		p.await("partition taken over")
		s.queue("order-60", 20)
		p.await("merchant on hold")
	},
	"two-links": func(s *stage) {
		s.topics(3)
		at, m := s.linked(1, 600, "order-5001", "1500.00")
		s.settled(at, m, 660, s.made(2_200_000_077, 660))
		s.linked(0, 700, "order-5002", "900.00")
		s.commit(1, 1, 0)
	},
	"dead-letters": func(s *stage) {
		s.topics(1)
		bury := func(second int, id, value string, reason event.DeadReason, text string) {
			at, m := s.emitted(0, second, id, value)
			s.buried(at, m, second+1, reason, text, false)
		}
		broken := func(id string) string { return strings.TrimSuffix(intent(id, id, "1500.00", ""), "}") + ",}" }
		bury(600, "order-4001", broken("order-4001"), event.NotJSON, "a comma too many")
		bury(610, "order-4002", broken("order-4002"), event.NotJSON, "a comma too many")
		bury(620, "order-4003", intent("order-4003", "order-4003", "1500.00", ""), event.UnknownSchema, "the registry knows no schema 7")
		s.linked(0, 630, "order-4004", "900.00")
		bury(640, "order-4004", intent("order-4004", "order-4004", "9000.00", ""), event.Conflict, "this intent id was answered with other content")
	},
	"second-payment": func(s *stage) {
		s.topics(3)
		s.linked(0, 600, "order-3001", "1500.00")
		at, m := s.asked(1, 660, "order-3002", "2500.00")
		s.settled(at, m, 661, s.made(s.pay(m)+1000, 661))
		s.commit(1, 1, 0)
	},
	"new-cluster": func(s *stage) {
		s.topics(3)
		s.linked(0, 0, "order-2000", "1500.00")
		s.linked(0, 600, "order-2001", "1500.00")
		s.linked(1, 660, "order-2002", "2500.00")
		s.asked(2, 3000, "order-2003", "900.00")
		s.commit(2, 1, 0)
		s.mirrored()
	},
	"partitions-before": func(s *stage) {
		s.topics(3)
		s.linked(0, 600, "order-1001", "1500.00")
		s.linked(1, 660, "order-1002", "2500.00")
		s.commit(1, 1, 0)
	},
	"partitions-after": func(s *stage) { s.topics(6) },
}

func (s *stage) second(n int) time.Time { return s.began.Add(time.Duration(n) * time.Second) }

// asked emits an intent whose id is its order's.
func (s *stage) asked(partition int32, second int, id, amount string) (event.Place, event.Message) {
	return s.emitted(partition, second, id, intent(id, id, amount, ""))
}

// queue emits n intents at once, to one partition.
func (s *stage) queue(prefix string, n int) {
	s.t.Helper()
	var all []event.Message
	for i := range n {
		id := fmt.Sprintf("%s%02d", prefix, i+1)
		all = append(all, event.Message{Key: []byte(id), Value: []byte(intent(id, id, "1500.00", "")), Time: s.second(3300)})
	}
	if err := s.Broker.Kafka().EmitTo(s.t.Context(), devstack.Intents, 0, all...); err != nil {
		s.t.Fatal(err)
	}
}

// linked emits an intent that the gateway makes a payment of.
func (s *stage) linked(partition int32, second int, id, amount string) (event.Place, event.Message) {
	at, m := s.asked(partition, second, id, amount)
	s.settled(at, m, second+1, s.made(s.pay(m), second+1))
	return at, m
}

// pay has the gateway make the payment of an intent.
func (s *stage) pay(m event.Message) (id int64) {
	s.t.Helper()
	d, err := s.intents.Decode(s.t.Context(), m)
	if err != nil {
		s.t.Fatal(err)
	}
	c := freedompay.New(freedompay.Config{Merchant: func(id payment.MerchantID) (payment.Merchant, bool) {
		return payment.Merchant{ID: id, Secret: canary, GatewayURL: s.Gateway.URL}, true
	}})
	defer c.Close()
	link, err := c.Open(s.t.Context(), d.Intent)
	if err != nil {
		s.t.Fatal(err)
	}
	return link.PaymentID
}

func (s *stage) made(id int64, second int) payment.Created {
	o := created(id, second)
	o.At = s.second(second)
	return o
}

// commit commits these offsets for the service's group.
func (s *stage) commit(next ...int64) {
	s.t.Helper()
	c, err := s.Broker.Kafka().Client()
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	var offsets kadm.Offsets
	for p, n := range next {
		offsets.AddOffset(devstack.Intents, int32(p), n, -1)
	}
	if err := kadm.NewClient(c).CommitAllOffsets(s.t.Context(), "paylink", offsets); err != nil {
		s.t.Fatal(err)
	}
}

// mirrored copies the topics to another cluster, but for the oldest intent, so that
// offsets are others there.
func (s *stage) mirrored() {
	s.t.Helper()
	b, err := devstack.StartBroker(devstack.BrokerOptions{Topics: devstack.DefaultTopics(3)})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(b.Close)
	s.called("new-1:9092", b.Addrs()[0])
	for _, topic := range []string{devstack.Intents, devstack.Outcomes, devstack.DeadLetters} {
		recs, err := s.Broker.Kafka().Read(s.t.Context(), topic, devstack.ReadCommitted)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, r := range recs {
			if topic == devstack.Intents && r.Partition == 0 && r.Offset == 0 {
				continue
			}
			if err := b.Kafka().EmitTo(s.t.Context(), topic, r.Partition, r.Message); err != nil {
				s.t.Fatal(err)
			}
		}
	}
}
