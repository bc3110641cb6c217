package kafkaio

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
)

// routes knows which broker leads which partition, and how many partitions the
// topics have. kafka-go's transport asks the brokers once a second (metadataTTL)
// and answers our requests for metadata from what it remembers. So refresh sends
// nothing, and after trouble it may be a second before it brings anything new.
type routes struct {
	source  *Source
	topics  []string
	changed chan struct{} // has something in it when the member should look at the number of partitions

	mu     sync.RWMutex
	nodes  map[TopicPartition]int32
	leads  []int32 // of nodes, the leaders of the intent partitions; -1: none. It is not changed, but replaced
	counts map[string]int
	denied map[string]bool // topics that we may not look at
}

const routesEvery = 500 * time.Millisecond

// watchEvery is how often to look at what the transport has learned, without trouble:
// as often as it asks.
const watchEvery = metadataTTL

// awaitTopics waits until all topics exist, and says once in a while what is
// missing. It returns an error only when ctx ends.
func (r *routes) awaitTopics(ctx context.Context) error {
	var said time.Time
	for {
		err := r.refresh(ctx)
		if err == nil {
			if missing := r.missing(); len(missing) > 0 && r.isDenied(missing[0]) {
				err = describes(missing[0]).lacks(kafka.TopicAuthorizationFailed)
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

func (r *routes) isDenied(topic string) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.denied[topic]
}

func (r *routes) watch(ctx context.Context) {
	for Sleep(ctx, watchEvery) {
		r.refresh(ctx) // the old layout stays good until there is a new one
	}
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
	denied := map[string]bool{}
	for _, t := range md.Topics {
		if t.Error != nil {
			denied[t.Name] = Code(r.source.lacks(describes(t.Name), t.Error)) == kafka.TopicAuthorizationFailed
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
	r.nodes, r.counts, r.denied = nodes, counts, denied
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
		if t.Error != nil || len(t.Partitions) != r.counts[t.Name] || r.denied[t.Name] {
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
