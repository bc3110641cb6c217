package kafkaio

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"

	"paylink/internal/event"
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
}

// hinderLocked notes what stands in the way, and keeps since when.
func (a *appender) hinderLocked(since time.Time, cause error, text string) {
	if a.hindered.since.IsZero() {
		a.hindered.since = since
	}
	a.hindered.cause, a.hindered.text = cause, text
}

// hindranceLocked returns what stands in the appender's way: also that a request
// gets no answer. Who has nothing to append is not hindered.
func (a *appender) hindranceLocked() hindrance {
	switch {
	case len(a.flight)+len(a.queue) == 0:
		return hindrance{}
	case a.sending && a.hindered.since.IsZero():
		return hindrance{since: a.sentAt, cause: errNoAnswer}
	}
	return a.hindered
}

var errNoAnswer = errors.New("the broker does not answer")

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
	return Trouble{
		Kind: AppendBlocked, About: at.String(), Cause: cause, Since: h.since, Mend: mend,
		What: fmt.Sprintf("Kafka takes no records of partition %d of %s: %s", at.Partition, at.Topic, why),
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
		return "no_answer", "Look at the broker that leads the partition, and at the network in between."
	case kafka.LeaderNotAvailable, kafka.NotLeaderForPartition, kafka.UnknownTopicOrPartition, kafka.BrokerNotAvailable:
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

// refused deals with a batch of which the broker says that it will never take it as
// it is. It was sent once only, so nothing of it landed, and it may be changed: what
// it says stays, but the time that the log has of a record is made that of now, and a
// record that has no key gets one, which compacted topics ask for.
func (a *appender) refused(verdict kafka.Error, text string) {
	for i := range a.flight {
		e := &a.flight[i]
		switch {
		case verdict == kafka.InvalidTimestamp:
			e.rec.Millis = time.Now().UnixMilli()
		case len(e.rec.Key) == 0:
			e.rec.Key = e.ownKey()
		}
	}
	a.raw = nil
	a.refusals++
	a.retryAt = time.Now().Add(min(time.Second, 10*time.Millisecond<<min(a.refusals, 7)))
	a.hinderLocked(a.sentAt, verdict, text)
}

// ownKey is the key of a record that came without: an outcome's intent, or where the
// original of a dead letter stands.
func (e *entry) ownKey() []byte {
	if e.id != "" {
		return []byte(e.id)
	}
	var at [3]string
	for _, h := range e.rec.Headers {
		switch string(h.Key) {
		case event.HeaderSourceTopic:
			at[0] = string(h.Value)
		case event.HeaderSourcePartition:
			at[1] = string(h.Value)
		case event.HeaderSourceOffset:
			at[2] = string(h.Value)
		}
	}
	return fmt.Appendf(nil, "%s/%s/%s", cmp.Or(at[0], "?"), at[1], at[2])
}
