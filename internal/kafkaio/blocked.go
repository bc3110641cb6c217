package kafkaio

import (
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
)

// sayBlockedAfter is how long an append may fail before it is said. A leader that
// moves takes less.
const sayBlockedAfter = 2 * time.Second

// lookAgain is how soon to look again whether a request gets an answer.
const lookAgain = sayBlockedAfter / 4

// A hindrance is why an appender gets nothing appended; the zero value is none.
type hindrance struct {
	since time.Time
	cause error
	text  string // what else the broker says
	some  bool   // it stands in the way of some records only
}

// hinderLocked notes what stands in the way, and keeps since when.
func (a *appender) hinderLocked(since time.Time, cause error, text string) {
	if a.hindered.since.IsZero() {
		a.hindered.since = since
	}
	if !errors.Is(a.hindered.cause, cause) { // its words may differ each time: offsets, times
		a.hindered.cause, a.hindered.text = cause, text
	}
}

// hindranceLocked returns what stands in the appender's way: also that a request
// gets no answer. Who has nothing to append is not hindered.
func (a *appender) hindranceLocked() hindrance {
	switch {
	case len(a.flight)+len(a.queue) == 0, a.hindered.since.IsZero() && !a.sending:
		return a.aside.why
	case a.hindered.since.IsZero():
		return earlier(hindrance{since: a.sentAt, cause: a.unansweredLocked(errNoAnswer)}, a.aside.why)
	}
	return earlier(a.hindered, a.aside.why)
}

// earlier returns the one that began first.
func earlier(a, b hindrance) hindrance {
	if b.since.IsZero() || a.since.Before(b.since) {
		return a
	}
	return b
}

var errNoAnswer = errors.New("the broker does not answer")

// ErrThrottled says that a broker keeps us waiting because of a quota. It answers, but
// with nothing in it, and hears nothing more from that connection for a while.
var ErrThrottled = errors.New("a quota of the brokers throttles us (consumer_byte_rate, producer_byte_rate, request_percentage)")

// throttles notes that a broker will not hear us for so many milliseconds.
func (as *appenders) throttles(ms int32) {
	as.mu.Lock()
	defer as.mu.Unlock()
	if until := time.Now().Add(time.Duration(ms) * time.Millisecond); ms > 0 && until.After(as.throttled) {
		as.throttled = until
	}
}

// unansweredLocked is why there is no answer: err, unless a broker has said why.
func (a *appender) unansweredLocked(err error) error {
	if Code(err) == 0 && a.sentAt.Before(a.claim.s.appenders.throttled) {
		return ErrThrottled
	}
	return err
}

// tellBlocked has the appenders that get nothing appended among the troubles that
// stand, and no others. Only the goroutine of run calls it.
func (as *appenders) tellBlocked() {
	now := map[TopicPartition]hindrance{}
	as.mu.Lock()
	for a := range as.all {
		if h := a.hindranceLocked(); !h.since.IsZero() && time.Since(h.since) >= sayBlockedAfter {
			now[a.at] = h
		}
	}
	as.mu.Unlock()
	for at := range as.told {
		if _, still := now[at]; !still {
			as.s.troubles.pass(AppendBlocked, at.String())
			delete(as.told, at)
		}
	}
	for at, h := range now {
		as.told[at] = true
		as.s.troubles.stand(h.trouble(at))
	}
}

// String is topic and partition.
func (at TopicPartition) String() string { return fmt.Sprintf("%s/%d", at.Topic, at.Partition) }

func (h hindrance) trouble(at TopicPartition) Trouble {
	cause, mend := h.explain()
	why := fmt.Sprint(h.cause)
	if h.text != "" {
		why += ": " + h.text
	}
	takes := "takes no records"
	if h.some {
		takes = "does not take some records"
	}
	return Trouble{
		Kind: AppendBlocked, About: at.String(), Cause: cause, Since: h.since, Mend: mend,
		What: fmt.Sprintf("Kafka %s of partition %d of %s: %s", takes, at.Partition, at.Topic, why),
	}
}

// The causes of an append that is blocked, as the metric names them.
var blockCauses = []string{
	"no_answer", "no_leader", "not_enough_replicas", "not_allowed", "invalid_timestamp", "invalid_record", "other",
}

// explain returns the cause's name, and what to do about it.
func (h hindrance) explain() (cause, mend string) {
	switch code := Code(h.cause); code {
	case 0:
		if errors.Is(h.cause, ErrThrottled) {
			return "no_answer", "Raise the quota of our user or client id: kafka-configs.sh --describe --entity-type users, clients."
		}
		return "no_answer", "Look at the broker that leads the partition, and at the network in between."
	case kafka.UnknownTopicOrPartition:
		return "no_leader", "See who deleted the topic, and make it again: paylink topics create."
	case kafka.LeaderNotAvailable, kafka.NotLeaderForPartition, kafka.BrokerNotAvailable:
		return "no_leader", "Bring the brokers back that hold the partition."
	case kafka.NotEnoughReplicas, kafka.NotEnoughReplicasAfterAppend:
		return "not_enough_replicas", "Bring the missing brokers back, or lower the topic's min.insync.replicas below its " +
			"number of replicas."
	case kafka.TopicAuthorizationFailed, kafka.ClusterAuthorizationFailed, kafka.TransactionalIDAuthorizationFailed:
		return "not_allowed", "Grant Write on the topic."
	case kafka.InvalidTimestamp:
		return "invalid_timestamp", "Compare our clock with the brokers', and raise the topic's " +
			"message.timestamp.before.max.ms and message.timestamp.after.max.ms."
	case kafka.InvalidRecord:
		return "invalid_record", "Look at the topic's settings: cleanup.policy, and what may check records on the broker."
	}
	return "other", "Look at the brokers' logs."
}
