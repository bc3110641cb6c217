package kafkaio

import (
	"context"
	"errors"
	"sync"
	"time"

	"paylink/internal/kafkawire"
)

// topics knows which topics ours are: a topic that is deleted and made again has the
// same name, other records and another id. Brokers before Kafka 2.8 give no ids; then
// only what the offsets show is noticed.
type topics struct {
	s     *Source
	asked *shared[map[string]kafkawire.TopicID]

	mu    sync.Mutex
	ids   map[string]kafkawire.TopicID
	again map[string]bool // made again since this process began
}

// idsEvery is how often to look whether a topic was made again.
const idsEvery = 2 * time.Second

// read asks for the ids of now. A topic that has none, or is not there, is left out.
// The answer names every partition, so many claims that ask share one; it is not to be
// changed.
func (t *topics) read(ctx context.Context) (map[string]kafkawire.TopicID, error) {
	return t.asked.ask(ctx, t.readNow)
}

func (t *topics) readNow(ctx context.Context) (map[string]kafkawire.TopicID, error) {
	ids, err := call(ctx, 5*time.Second, func(ctx context.Context) (map[string]kafkawire.TopicID, error) {
		return kafkawire.TopicIDs(ctx, t.s.tr, t.s.addr, t.s.cfg.IntentTopic, t.s.cfg.OutcomeTopic)
	})
	if errors.Is(err, kafkawire.ErrNoTopicIDs) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for topic, id := range ids {
		if was, ok := t.ids[topic]; ok && was != id {
			t.again[topic] = true
		}
		t.ids[topic] = id
	}
	return ids, nil
}

// madeAgain says that a topic was made again while this process ran.
func (t *topics) madeAgain(topic string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.again[topic]
}

// watch has claims begin anew whose topic was made again.
func (t *topics) watch(ctx context.Context) {
	for Sleep(ctx, idsEvery) {
		ids, err := t.read(ctx)
		if err != nil {
			continue // the old ones stay good until there are new ones
		}
		for _, c := range t.s.member.all() {
			c.compare(ids)
		}
	}
}

// compare has a claim begin anew if a topic is not any more what the claim knows.
// Intents are read from the beginning of the new log by the next claim. Outcomes need
// a fence in the new log, whose leader knows of none, and another ledger.
func (c *claim) compare(ids map[string]kafkawire.TopicID) {
	c.mu.Lock()
	is := c.note
	c.mu.Unlock()
	if differs(is.intents, ids[c.s.cfg.IntentTopic]) && !c.isDraining() {
		c.log.Info("the intent topic was made again: taking the partition over anew")
		c.drain()
	}
	if differs(is.outcomes, ids[c.s.cfg.OutcomeTopic]) {
		c.outcomes.pause()
		select {
		case c.trouble <- errMadeAgain:
		default:
		}
	}
}

// errMadeAgain says that the outcome topic is another one than that of our fence.
var errMadeAgain = errors.New("the outcome topic was made again")

// differs says that two ids are known, and not of the same topic.
func differs(a, b kafkawire.TopicID) bool {
	none := kafkawire.TopicID{}
	return a != none && b != none && a != b
}

// sayMadeAgain is loud, once for all partitions, about an intent topic that is not the
// one whose offsets were committed.
func (c *claim) sayMadeAgain() {
	c.s.metrics.madeAgain.Inc()
	topic := c.s.cfg.IntentTopic
	c.s.bursts.Say("made again", func() {
		c.log.WithField("topic", topic).Error("the intent topic was deleted and made again: its committed offsets belong to the " +
			"old one, so it is read from its beginning, also where PAYLINK_KAFKA_START is latest; what is answered already is skipped")
	}, func(more int) {
		c.s.log.WithField("topic", topic).WithField("more", more).Error("more partitions are read from their beginning, because " +
			"the intent topic was made again")
	})
}
