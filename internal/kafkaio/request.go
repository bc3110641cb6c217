package kafkaio

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/segmentio/kafka-go"

	"paylink/internal/kafkawire"
)

// What is here are the primitives that the service and the operator's tools
// (kafkaops) share: one request each, on a client of either.

// A TopicPartition is one partition of one topic.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// Code returns the Kafka error code in an error's chain, or 0: then no broker
// has given a verdict.
func Code(err error) kafka.Error {
	e, _ := errors.AsType[kafka.Error](err)
	return e
}

// Sleep waits, unless the context ends first; it reports whether it waited.
//
// It waits a nanosecond at least: timers that are over when they are waited for crash
// Go 1.26's race detector now and then in a synctest bubble, of which two threads then
// use the one race context (runtime.unlockAndRun).
func Sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(max(1, d))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// call runs one request with a deadline and returns what it says.
func call[T any](ctx context.Context, limit time.Duration, f func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return f(ctx)
}

// maxFetchWait is how long a broker that has nothing to say keeps a fetch.
const maxFetchWait = 100 * time.Millisecond

// A FetchRequest asks one broker for records of partitions of one topic, all of
// which it leads.
type FetchRequest struct {
	Leader     int32
	Topic      string
	Partitions []FetchFrom
	MaxBytes   int32 // of all partitions together
	Isolation  int8  // kafkawire.ReadCommitted or ReadUncommitted

	Wait  time.Duration // how long a broker that has nothing to say keeps it; 0: maxFetchWait
	Limit time.Duration // how long the answer may take beside that; 0: ten seconds
}

// A FetchFrom is where to read on in one partition.
type FetchFrom struct {
	Partition int32
	Offset    int64
	MaxBytes  int32
}

// Fetch sends the request. What went wrong in a single partition stands in its
// answer.
func (r FetchRequest) Fetch(ctx context.Context, c *kafka.Client) ([]kafkawire.FetchPartitionResponse, error) {
	return r.fetch(ctx, c, nil)
}

// fetch sends the request within a session, if there is one: then what is not in the
// answer has nothing new.
func (r FetchRequest) fetch(ctx context.Context, c *kafka.Client, s *fetchSession) ([]kafkawire.FetchPartitionResponse, error) {
	topic := kafkawire.FetchTopic{Topic: r.Topic, Partitions: make([]kafkawire.FetchPartition, 0, len(r.Partitions))}
	for _, p := range r.Partitions {
		topic.Partitions = append(topic.Partitions, kafkawire.FetchPartition{
			Partition: p.Partition, CurrentLeaderEpoch: -1, FetchOffset: p.Offset, LogStartOffset: -1,
			PartitionMaxBytes: p.MaxBytes,
		})
	}
	wait, limit := cmp.Or(r.Wait, maxFetchWait), cmp.Or(r.Limit, requestTimeout)
	req := &kafkawire.FetchRequest{
		Node: r.Leader, ReplicaID: -1, MaxWaitTime: int32(wait.Milliseconds()), MinBytes: 1, MaxBytes: r.MaxBytes,
		IsolationLevel: r.Isolation, SessionEpoch: -1, Topics: []kafkawire.FetchTopic{topic},
	}
	if s != nil {
		s.tell(req, topic)
	}
	got, err := call(ctx, wait+limit, func(ctx context.Context) (kafka.Response, error) {
		return c.Transport.RoundTrip(ctx, c.Addr, req)
	})
	res, _ := got.(*kafkawire.FetchResponse)
	if s != nil {
		err = cmp.Or(err, s.heard(res))
	}
	if err != nil {
		return nil, err
	}
	topics := res.Topics
	switch {
	case len(topics) == 0 && res.ThrottleTimeMs > 0:
		return nil, ErrThrottled
	case len(topics) == 0:
		return nil, nil
	}
	return topics[0].Partitions, nil
}

// FetchOne is Fetch of the request's only partition. An error of the partition
// is the error.
func (r FetchRequest) FetchOne(ctx context.Context, c *kafka.Client) (*kafkawire.FetchPartitionResponse, error) {
	got, err := r.Fetch(ctx, c)
	switch {
	case err != nil:
		return nil, err
	case len(got) == 0:
		return nil, errors.New("fetch: empty answer")
	case got[0].ErrorCode != 0:
		return nil, kafka.Error(got[0].ErrorCode)
	}
	return &got[0], nil
}

// fetchFrom fetches from one partition, at the broker that leads it.
func (s *Source) fetchFrom(
	ctx context.Context, at TopicPartition, from int64, maxBytes int32, isolation int8,
) (*kafkawire.FetchPartitionResponse, error) {
	leader, ok := s.routes.leader(at)
	if !ok {
		s.routes.doubt()
		return nil, s.routes.leaderless(at.Topic)
	}
	p, err := FetchRequest{
		Leader: leader, Topic: at.Topic, Partitions: []FetchFrom{{at.Partition, from, maxBytes}}, MaxBytes: maxBytes,
		Isolation: isolation,
	}.FetchOne(ctx, s.client)
	if Code(err) != 0 {
		s.routes.doubt()
	}
	return p, err
}
