package kafkaio

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/metadata"
)

// routes knows which broker leads which partition, and how many partitions the
// topics have. kafka-go's transport asks the brokers every few seconds (metadataTTL)
// and answers our requests for metadata from what it remembers: refresh sends nothing.
// Who has trouble says so by doubt, and the brokers are asked at once.
type routes struct {
	source  *Source
	topics  []string
	doubts  chan struct{} // has something in it when what is known may be wrong
	changed chan struct{} // has something in it when the member should look at the number of partitions

	mu     sync.RWMutex
	nodes  map[TopicPartition]int32
	leads  []int32 // of nodes, the leaders of the intent partitions; -1: none. It is not changed, but replaced
	counts map[string]int
	hidden map[string]error // why we see nothing of a topic: a *RightError, or it does not exist
}

const routesEvery = 500 * time.Millisecond

// How often to look at what the transport has learned: without trouble as often as it
// asks, with trouble not more often than doubtPause.
const (
	watchEvery = metadataTTL
	doubtPause = 200 * time.Millisecond
)

// awaitTopics waits until all topics exist, and says once in a while what is
// missing. It returns an error only when ctx ends.
func (r *routes) awaitTopics(ctx context.Context) error {
	var said time.Time
	for {
		err := r.refresh(ctx)
		if err == nil {
			if missing := r.missing(); len(missing) > 0 && told(r.leaderless(missing[0])) {
				err = r.leaderless(missing[0])
			} else if len(missing) > 0 {
				err = fmt.Errorf("no topic %s: create it with \"paylink topics create\"", strings.Join(missing, ", "))
			}
		}
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.ask(ctx)
		r.source.member.noteTrouble(err)
		if time.Since(said) > 10*time.Second && !told(err) {
			said = time.Now()
			r.source.log.WithError(err).Warn("waiting for brokers and topics")
		}
		if !Sleep(ctx, routesEvery) {
			return ctx.Err()
		}
	}
}

func (r *routes) missing() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var out []string
	for _, t := range r.topics {
		if r.counts[t] == 0 {
			out = append(out, t)
		}
	}
	return out
}

// leaderless is why no broker is known that leads a partition of a topic.
func (r *routes) leaderless(topic string) error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return cmp.Or(r.hidden[topic], error(kafka.LeaderNotAvailable))
}

// watch takes up what the transport learns.
func (r *routes) watch(ctx context.Context) {
	t := time.NewTimer(watchEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.doubts:
			r.ask(ctx)
			r.refresh(ctx)
			if !Sleep(ctx, doubtPause) {
				return
			}
		case <-t.C:
			r.refresh(ctx) // the old layout stays good until there is a new one
		}
		t.Reset(watchEvery)
	}
}

// doubt says that a request went wrong in a way that new metadata may mend. It does not
// wait for them.
func (r *routes) doubt() {
	select {
	case r.doubts <- struct{}{}:
	default:
	}
}

// nameless is no name of a topic: no broker makes one of it.
const nameless = "paylink: what has changed?"

// ask has the transport ask the brokers now. It has no method for that, but asks anew
// after any answer about a topic that it does not know and that may be created
// (connPool.roundTrip in kafka-go's transport.go). So that is what is asked for, with a
// name that no topic can have; that request itself brings nothing.
func (r *routes) ask(ctx context.Context) {
	_, _ = call(ctx, metadataTTL, func(ctx context.Context) (kafka.Response, error) {
		return r.source.tr.RoundTrip(ctx, r.source.addr, &metadata.Request{TopicNames: []string{nameless}, AllowAutoTopicCreation: true})
	})
}

// refresh reads the transport's newest metadata.
func (r *routes) refresh(ctx context.Context) error {
	md, err := call(ctx, 5*time.Second, func(ctx context.Context) (*kafka.MetadataResponse, error) {
		return r.source.client.Metadata(ctx, &kafka.MetadataRequest{Topics: r.topics})
	})
	if err != nil {
		return fmt.Errorf("metadata: %w", err)
	}
	if r.isAsBefore(md) {
		return nil
	}
	r.mu.RLock()
	nodes, counts := map[TopicPartition]int32{}, maps.Clone(r.counts) // a topic that is gone will be back
	r.mu.RUnlock()
	hidden := map[string]error{}
	for _, t := range md.Topics {
		if t.Error != nil {
			hidden[t.Name] = r.source.lacks(describes(t.Name), t.Error)
			continue
		}
		counts[t.Name] = len(t.Partitions)
		for _, p := range t.Partitions {
			if p.Leader.Host != "" {
				nodes[TopicPartition{t.Name, int32(p.ID)}] = int32(p.Leader.ID)
			}
		}
	}
	r.mu.Lock()
	before, moved := r.counts, !maps.Equal(r.nodes, nodes)
	r.nodes, r.counts, r.hidden = nodes, counts, hidden
	r.leads = make([]int32, counts[r.topics[0]])
	for p := range r.leads {
		if node, ok := nodes[TopicPartition{r.topics[0], int32(p)}]; ok {
			r.leads[p] = node
		} else {
			r.leads[p] = -1
		}
	}
	r.mu.Unlock()
	r.wake(before, counts)
	if moved {
		r.source.fetcher.wake()
	}
	return nil
}

// isAsBefore reports whether metadata say nothing new, as nearly always.
func (r *routes) isAsBefore(md *kafka.MetadataResponse) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	led := 0
	for _, t := range md.Topics {
		if t.Error != nil || len(t.Partitions) != r.counts[t.Name] || r.hidden[t.Name] != nil {
			return false
		}
		for _, p := range t.Partitions {
			if p.Leader.Host == "" {
				continue
			}
			led++
			if node, ok := r.nodes[TopicPartition{t.Name, int32(p.ID)}]; !ok || node != int32(p.Leader.ID) {
				return false
			}
		}
	}
	return led == len(r.nodes)
}

// wake wakes the member when a number of partitions changed, also if the topic
// was deleted and made again with other partitions.
func (r *routes) wake(before, now map[string]int) {
	differs := func(t string) bool { return now[t] > 0 && before[t] > 0 && now[t] != before[t] }
	if !slices.ContainsFunc(r.topics[:2], differs) {
		return
	}
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// leader returns the broker that leads a partition, if there is one.
func (r *routes) leader(p TopicPartition) (int32, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	n, ok := r.nodes[p]
	return n, ok
}

// intentLeaders returns the leaders of the intent partitions, -1 for none. It is not to
// be changed.
func (r *routes) intentLeaders() []int32 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.leads
}

// partitions returns how many partitions a topic has; 0: unknown.
func (r *routes) partitions(topic string) int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.counts[topic]
}
