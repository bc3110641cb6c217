package kafkaio

import (
	"cmp"
	"errors"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/produce"

	"paylink/internal/kafkawire"
	"paylink/internal/pace"
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
func (a *appender) judge(said produce.ResponsePartition, err error) (done []func()) {
	verdict, text := kafka.Error(said.ErrorCode), said.ErrorMessage
	m := a.claim.s.metrics
	switch {
	case err != nil || verdict == -1:
		a.again(cmp.Or(err, errNoVerdict), text)
	case verdict == 0, verdict == kafka.DuplicateSequenceNumber:
		m.batches.Inc()
		m.appended.Add(int64(len(a.flight)))
		first := said.BaseOffset
		if verdict != 0 { // of a batch that landed before, brokers may have forgotten where
			first = -1
		}
		return a.landed(first)
	case isTooLarge(verdict) && a.attempts == 0:
		return a.split()
	case isInvalid(verdict) && a.attempts == 0:
		a.refused(verdict, text)
	case verdict == kafka.OutOfOrderSequenceNumber, verdict == kafka.UnknownProducerId,
		verdict == kafka.InvalidProducerEpoch, verdict == kafka.ProducerFenced, verdict == kafka.InvalidProducerIDMapping,
		verdict == kafka.InvalidTransactionState, // somebody's fence stands open half-way
		isTooLarge(verdict), isInvalid(verdict):  // of a batch that was sent before, and may have landed then
		a.broken(verdict)
	default:
		a.again(verdict, text)
	}
	return nil
}

// landed says that the batch in flight stands in the log, from an offset on; -1:
// nobody said where.
func (a *appender) landed(first int64) (done []func()) {
	for i, e := range a.flight {
		at := first
		if at >= 0 {
			at += int64(i)
		}
		if a.fenced {
			a.claim.ledger.add(e.id, e.digest, at, time.UnixMilli(e.rec.Millis))
		}
		done = append(done, func() { e.done(nil) })
	}
	a.seq = kafkawire.NextSequence(a.seq, len(a.flight))
	a.flight, a.raw, a.attempts, a.refusals, a.hindered = nil, nil, 0, 0, hindrance{}
	a.probed()
	return done
}

// isTooLarge says that the broker finds a batch too large. Brokers look at the size
// before they look at the sequence: a batch may have landed under another limit, or
// at another leader, and be refused when it comes again.
func isTooLarge(verdict error) bool {
	return verdict == kafka.MessageSizeTooLarge || verdict == kafka.RecordListTooLarge
}

// isInvalid says that the broker takes exception to what the records are like. It,
// too, comes before the look at the sequence.
func isInvalid(verdict error) bool {
	return verdict == kafka.InvalidTimestamp || verdict == kafka.InvalidRecord
}

// split halves a batch that the broker finds too large. It was sent once only, so
// nothing of it landed, and its sequence is free. A single record is returned to its owner.
func (a *appender) split() (done []func()) {
	a.hindered = hindrance{}
	if len(a.flight) == 1 {
		e := a.flight[0]
		a.flight, a.raw = nil, nil
		a.unprobed()
		return []func(){func() { e.done(pipeline.ErrTooLarge) }}
	}
	a.halve()
	return nil
}

// halve keeps the first half of the batch in flight. The rest goes back to the queue.
func (a *appender) halve() {
	half := len(a.flight) / 2
	a.queue = append(append([]entry(nil), a.flight[half:]...), a.queue...)
	a.flight, a.raw = a.flight[:half:half], nil
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
func (a *appender) again(err error, text string) {
	err = a.claim.s.lacks(a.claim.s.writes(a.at.Topic), a.unansweredLocked(err))
	a.claim.s.metrics.retries.Inc()
	a.hinderLocked(a.sentAt, err, text)
	a.attempts++
	a.retryAt = time.Now().Add(pace.Backoff{Base: 10 * time.Millisecond, Max: time.Second}.Delay(a.attempts, 1))
}

// errNoVerdict says that the broker's answer leaves a batch out.
var errNoVerdict = errors.New("the broker's answer says nothing of it")
