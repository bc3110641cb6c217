package kafkaops

import (
	"context"
	"errors"
	"fmt"

	"github.com/segmentio/kafka-go"

	"paylink/internal/kafkaio"
)

// ErrNoRight is in the chain of an error that says which right is missing.
var ErrNoRight = errors.New("a right is missing")

func noRight(err error) bool {
	switch kafkaio.Code(err) {
	case kafka.TopicAuthorizationFailed, kafka.GroupAuthorizationFailed, kafka.ClusterAuthorizationFailed:
		return true
	}
	return false
}

// lack names the right that an error is about, if it is about one.
func lack(operation, kind, name string, err error) error {
	if !noRight(err) {
		return err
	}
	return fmt.Errorf("%w: %s on %s %s (%w); deploy/rights.md has the commands", ErrNoRight, operation, kind, name, err)
}

// Committed returns the next offset to read of each partition of a topic that the
// group has one for. It takes the right Describe on the group, and none else.
func (r *Reader) Committed(ctx context.Context, group, topic string) (map[int32]int64, error) {
	all, err := r.committed(ctx, group, topic)
	return all, lack("Describe", "group", group, err)
}

// Cluster returns the id of the cluster, which is empty where brokers have none.
func (r *Reader) Cluster(ctx context.Context) (string, error) {
	md, err := r.admin.metadata(ctx, []string{})
	if err != nil {
		return "", err
	}
	return md.ClusterID, nil
}
