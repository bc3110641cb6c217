package kafkaio

import (
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/produce"

	"paylink/internal/kafkawire"
	"paylink/internal/pipeline"
)

// verdicts are what a broker says of the batches of a request.
type verdicts map[TopicPartition]produce.ResponsePartition

// moved says that another broker leads the partition now.
func moved(code int16) bool {
	switch kafka.Error(code) {
	case kafka.NotLeaderForPartition, kafka.LeaderNotAvailable, kafka.UnknownTopicOrPartition, kafka.BrokerNotAvailable:
		return true
	}
	return false
}

// judge acts on the broker's verdict on the batch in flight, or on having none.
// A duplicate sequence is as good as an acknowledgement: the same bytes have
// landed before. What speaks of producer or sequence says that we do not know what
// landed, and only the log can tell: a new fence, and the ledger read to it.
// Everything else passes, and the same bytes go out again. Its caller has mu, and
// calls what it returns once mu is free.
func (a *appender) judge(verdict kafka.Error, err error) (done []func()) {
	m := a.claim.s.metrics
	switch {
	case err != nil || verdict == -1:
		a.again(err)
	case verdict == 0, verdict == kafka.DuplicateSequenceNumber:
		m.batches.Inc()
		m.appended.Add(int64(len(a.flight)))
		return a.landed()
	case verdict == kafka.MessageSizeTooLarge, verdict == kafka.RecordListTooLarge:
		return a.split()
	case verdict == kafka.OutOfOrderSequenceNumber, verdict == kafka.UnknownProducerId,
		verdict == kafka.InvalidProducerEpoch, verdict == kafka.ProducerFenced, verdict == kafka.InvalidProducerIDMapping:
		a.broken(verdict)
	default:
		a.again(verdict)
	}
	return nil
}

func (a *appender) landed() (done []func()) {
	for _, e := range a.flight {
		if a.fenced {
			a.claim.ledger.add(e.id, e.digest, time.UnixMilli(e.rec.Millis))
		}
		done = append(done, func() { e.done(nil) })
	}
	a.seq = kafkawire.NextSequence(a.seq, len(a.flight))
	a.flight, a.raw, a.attempts = nil, nil, 0
	return done
}

// split halves a batch that the broker finds too large; nothing of it landed, so
// its sequence is free. A single record is returned to its owner.
func (a *appender) split() (done []func()) {
	if len(a.flight) == 1 {
		e := a.flight[0]
		a.flight, a.raw = nil, nil
		return []func(){func() { e.done(pipeline.ErrTooLarge) }}
	}
	half := len(a.flight) / 2
	a.queue = append(append([]entry(nil), a.flight[half:]...), a.queue...)
	a.flight, a.raw = a.flight[:half:half], nil
	return nil
}

// broken says that the producer is not in force any more. An outcome's fence is
// made again by the claim; a dead letter takes any new producer, and may then be
// repeated, which its source offset shows.
func (a *appender) broken(verdict kafka.Error) {
	a.ready = false
	if !a.fenced {
		return
	}
	select {
	case a.claim.trouble <- verdict:
	default:
	}
}

// again has the same bytes sent once more, after a short wait.
func (a *appender) again(err error) {
	s := a.claim.s
	err = s.lacks(s.writes(a.at.Topic), err)
	s.metrics.retries.Inc()
	a.attempts++
	a.retryAt = time.Now().Add(min(time.Second, 10*time.Millisecond<<min(a.attempts, 7)))
	if a.attempts%20 == 0 {
		l := a.claim.log.WithError(err).WithField("topic", a.at.Topic).WithField("attempts", a.attempts)
		s.bursts.Say(fmt.Sprint("append", a.at), func() { l.Warn("append: the brokers do not take it yet") }, func(int) {})
	}
}
