//go:build integration

package realkafka

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Name returns a name for a topic or group that no other test uses.
func Name(t testing.TB, what string) string {
	test := regexp.MustCompile(`[^A-Za-z0-9]+`).ReplaceAllString(t.Name(), "-")
	return fmt.Sprintf("%s-%s-%s", what, test[:min(len(test), 80)], strings.ToLower(rand.Text()[:8]))
}

// Topic creates a topic with a name of its own and returns it once every broker
// knows a leader for all partitions. The brokers decide about replicas; config
// holds settings as "key=value". The topic is deleted with the test.
func Topic(t testing.TB, brokers []string, what string, partitions int, config ...string) string {
	t.Helper()
	topic := Name(t, what)
	cl := connect(t, brokers)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := create(ctx, cl, topic, partitions, config); err != nil {
		t.Fatalf("create topic %s: %v", topic, err)
	}
	t.Cleanup(func() { forget(cl, topic) })
	for _, b := range cl.SeedBrokers() {
		if err := poll(ctx, func() error { return led(ctx, b, topic, partitions) }); err != nil {
			t.Fatalf("wait for topic %s: %v", topic, err)
		}
	}
	return topic
}

// connect returns a client that is closed with the test.
func connect(t testing.TB, brokers []string) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		t.Fatalf("connect to %v: %v", brokers, err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func create(ctx context.Context, cl *kgo.Client, topic string, partitions int, config []string) error {
	rt := kmsg.NewCreateTopicsRequestTopic()
	rt.Topic, rt.NumPartitions, rt.ReplicationFactor = topic, int32(partitions), -1
	for _, pair := range config {
		key, value, ok := strings.Cut(pair, "=")
		if !ok {
			return fmt.Errorf("setting %q: want key=value", pair)
		}
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = key, &value
		rt.Configs = append(rt.Configs, c)
	}
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Topics = append(req.Topics, rt)
	return poll(ctx, func() error {
		resp, err := req.RequestWith(ctx, cl)
		if err != nil {
			return err
		}
		err = kerr.ErrorForCode(resp.Topics[0].ErrorCode)
		if errors.Is(err, kerr.TopicAlreadyExists) { // by an earlier try whose answer was lost: the name is ours
			return nil
		}
		return err
	})
}

// led reports an error until a broker knows a leader for all partitions.
func led(ctx context.Context, b kmsg.Requestor, topic string, partitions int) error {
	parts, err := describe(ctx, b, topic)
	if err != nil {
		return err
	}
	if len(parts) != partitions {
		return fmt.Errorf("%d of %d partitions", len(parts), partitions)
	}
	for _, p := range parts {
		if p.ErrorCode != 0 || p.Leader < 0 {
			return fmt.Errorf("partition %d: leader %d: %w", p.Partition, p.Leader, kerr.ErrorForCode(p.ErrorCode))
		}
	}
	return nil
}

func describe(ctx context.Context, b kmsg.Requestor, topic string) ([]kmsg.MetadataResponseTopicPartition, error) {
	rt := kmsg.NewMetadataRequestTopic()
	rt.Topic = &topic
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = append(req.Topics, rt)
	resp, err := req.RequestWith(ctx, b)
	if err != nil {
		return nil, err
	}
	if len(resp.Topics) != 1 {
		return nil, fmt.Errorf("metadata of %d topics, want 1", len(resp.Topics))
	}
	return resp.Topics[0].Partitions, kerr.ErrorForCode(resp.Topics[0].ErrorCode)
}

// forget deletes a topic as well as it can: brokers may be dead by then.
func forget(cl *kgo.Client, topic string) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	rt := kmsg.NewDeleteTopicsRequestTopic()
	rt.Topic = &topic
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TopicNames, req.Topics = []string{topic}, append(req.Topics, rt)
	_, _ = req.RequestWith(ctx, cl)
}

// poll repeats f until it succeeds or ctx ends, and returns its last error
// beside that of ctx.
func poll(ctx context.Context, f func() error) error {
	var last error
	for {
		err := f()
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), last)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
