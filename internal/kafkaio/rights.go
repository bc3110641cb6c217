package kafkaio

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
)

// A RightError names a right that the brokers' rules do not grant us. What needs it
// waits for it: it may be granted at any time. deploy/rights.md lists them all.
type RightError struct {
	Operation string // as kafka-acls.sh calls it
	Resource  string // kind and name, such as "topic payment-outcomes"
	Err       error  // the brokers' verdict
}

func (e *RightError) Error() string {
	return "a right is missing: " + e.Operation + " on " + e.Resource
}

func (e *RightError) Unwrap() error { return e.Err }

// A need is what a request needs the right to do.
type need struct {
	operation string // on the topic
	topic     string
	group     string // that is read; empty: none
	txn       string // prefix of the transactional id that is written; empty: none
}

// lacks names the right that an error is about, if it is about one; other errors
// it returns as they are.
func (n need) lacks(err error) error {
	if named := new(RightError); errors.As(err, &named) {
		return err
	}
	switch Code(err) {
	case kafka.TopicAuthorizationFailed:
		return &RightError{n.operation, "topic " + n.topic, err}
	case kafka.GroupAuthorizationFailed:
		return &RightError{"Read", "group " + n.group, err}
	case kafka.TransactionalIDAuthorizationFailed:
		return &RightError{"Write", "transactional-id prefix " + n.txn, err}
	case kafka.ClusterAuthorizationFailed:
		return &RightError{"IdempotentWrite", "cluster", err}
	}
	return err
}

// rights knows which rights were found missing. Its lock is always alone.
type rights struct {
	mu      sync.Mutex
	missing map[string]time.Time // what a RightError says → when it was said last
}

// missingHolds is how long a right counts as missing that is not found missing
// again: what waits for one asks for it every few seconds.
const missingHolds = 10 * time.Second

func (r *rights) note(err *RightError) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.missing == nil {
		r.missing = map[string]time.Time{}
	}
	r.missing[err.Error()] = time.Now()
}

// list returns what is missing now.
func (r *rights) list() (out []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for what, at := range r.missing {
		if time.Since(at) > missingHolds {
			delete(r.missing, what)
			continue
		}
		out = append(out, what)
	}
	slices.Sort(out)
	return out
}

// lacks notes and tells, once per burst, that a right is missing, if that is what
// the error says. It returns the error, which names the right then.
func (s *Source) lacks(n need, err error) error {
	err = n.lacks(err)
	if right := new(RightError); errors.As(err, &right) {
		s.rights.note(right)
		s.bursts.Say(right.Error(), func() {
			s.log.Error(right.Error() + ": grant it to this user, it is waited for (deploy/rights.md)")
		}, func(more int) {
			s.log.WithField("more", more).Error(right.Error() + ": more requests were refused for it")
		})
	}
	return err
}

// told reports whether an error was told already: lacks names a right, a trouble says that
// the outcome topic is compacted.
func told(err error) bool { return errors.As(err, new(*RightError)) || errors.Is(err, errCompacted) }

// needs of the source's requests.
func (s *Source) readsIntents() need {
	return need{operation: "Read", topic: s.cfg.IntentTopic, group: s.cfg.Group}
}
func (s *Source) readsOutcomes() need { return need{operation: "Read", topic: s.cfg.OutcomeTopic} }
func (s *Source) writes(topic string) need {
	return need{operation: "Write", topic: topic, txn: TransactionalIDs(s.cfg.Group, s.cfg.IntentTopic)}
}

// describes is what it takes to see a topic; Read and Write imply it.
func describes(topic string) need { return need{operation: "Describe", topic: topic} }
