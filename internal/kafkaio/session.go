package kafkaio

import (
	"math"

	"github.com/segmentio/kafka-go"

	"paylink/internal/kafkawire"
)

// A fetchSession is what one broker remembers of our fetches (KIP-227): a request
// says only what has changed since the one before, an answer only what is new. So a
// thousand partitions in which nothing happens cost as much as one. It belongs to the
// goroutine of the broker's loop. A broker that has no room for it, or is older than
// Kafka 1.1, gives none; then every request says everything.
type fetchSession struct {
	id    int32
	epoch int32 // of the next request; 0: a new session, which is told everything
	knows map[int32]knownFetch
	round int // number of the newest request
}

// A knownFetch is from which offset the broker reads a partition, and which request
// wanted that last.
type knownFetch struct {
	from  int64
	round int
}

// newSession is the epoch of a request that asks for a new session; one with an id
// ends that one first.
const newSession = 0

// tell writes into a request what the broker does not know yet.
func (s *fetchSession) tell(req *kafkawire.FetchRequest, topic kafkawire.FetchTopic) {
	req.SessionID, req.SessionEpoch = s.id, s.epoch
	if s.epoch == newSession {
		s.knows = make(map[int32]knownFetch, len(topic.Partitions))
	}
	s.round++
	news := kafkawire.FetchTopic{Topic: topic.Topic}
	for _, p := range topic.Partitions {
		if is, ok := s.knows[p.Partition]; !ok || is.from != p.FetchOffset {
			news.Partitions = append(news.Partitions, p)
		}
		s.knows[p.Partition] = knownFetch{p.FetchOffset, s.round}
	}
	gone := kafkawire.FetchForgotten{Topic: topic.Topic}
	for p, is := range s.knows {
		if is.round != s.round {
			delete(s.knows, p)
			gone.Partitions = append(gone.Partitions, p)
		}
	}
	req.Topics, req.ForgottenTopics = nil, nil
	if len(news.Partitions) > 0 {
		req.Topics = []kafkawire.FetchTopic{news}
	}
	if len(gone.Partitions) > 0 {
		req.ForgottenTopics = []kafkawire.FetchForgotten{gone}
	}
}

// heard takes in the answer; nil: there was none. Whatever is not clear ends the
// session: nobody knows what the broker remembers then.
func (s *fetchSession) heard(res *kafkawire.FetchResponse) error {
	switch {
	case res == nil:
		s.epoch = newSession
		return nil
	case res.ErrorCode != 0:
		s.epoch = newSession
		return kafka.Error(res.ErrorCode)
	case res.SessionID == 0:
		s.id, s.epoch = 0, newSession
	case s.epoch == math.MaxInt32:
		s.epoch = newSession + 1
	default:
		s.id = res.SessionID
		s.epoch++
	}
	return nil
}
