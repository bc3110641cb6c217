package kafkaops

import (
	"context"
	"errors"

	"github.com/segmentio/kafka-go"

	"paylink/internal/kafkaio"
)

func noRight(err error) bool {
	switch kafkaio.Code(err) {
	case kafka.TopicAuthorizationFailed, kafka.GroupAuthorizationFailed, kafka.ClusterAuthorizationFailed:
		return true
	}
	return false
}

// lacking names the right that an error is about, if it is about one that is not named
// yet: an operation on a resource, in the words of a kafkaio.RightError. Other errors it
// returns as they are.
func lacking(operation, resource string, err error) error {
	if _, named := errors.AsType[*kafkaio.RightError](err); named || !noRight(err) {
		return err
	}
	return &kafkaio.RightError{Operation: operation, Resource: resource, Err: err}
}

// Lacking is lacking of who reads a topic.
func Lacking(topic string, err error) error { return lacking("Read", "topic "+topic, err) }

// Cluster returns the id of the cluster, which is empty where brokers have none.
func (r *Reader) Cluster(ctx context.Context) (string, error) {
	md, err := r.admin.metadata(ctx, []string{})
	if err != nil {
		return "", err
	}
	return md.ClusterID, nil
}
