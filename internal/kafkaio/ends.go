package kafkaio

import (
	"context"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/segmentio/kafka-go"

	"paylink/internal/metric"
)

// Fetches tell where a partition ends. While none is made, because nothing more is
// read for a while, or none is answered, the end is asked for by itself.
const (
	endsEvery = 5 * time.Second
	endKnown  = 30 * time.Second // for how long an end that was told counts as known
)

// watchEnds asks for the ends of partitions that nothing was heard of lately.
func (s *Source) watchEnds(ctx context.Context) {
	for Sleep(ctx, endsEvery) {
		s.askEnds(ctx)
	}
}

// askEnds asks for all of them in one request, which kafka-go sends to each leader. What
// fails is asked again at the next turn: until then the age of the end says so.
func (s *Source) askEnds(ctx context.Context) {
	due := map[int32]*claim{}
	var which []kafka.OffsetRequest
	for _, c := range s.member.running() {
		if time.Since(c.lag().told) >= endsEvery {
			due[c.partition] = c
			which = append(which, kafka.LastOffsetOf(int(c.partition)))
		}
	}
	if len(due) == 0 {
		return
	}
	ends, err := call(ctx, endsEvery, func(ctx context.Context) (*kafka.ListOffsetsResponse, error) {
		return s.client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{s.cfg.IntentTopic: which}})
	})
	if err != nil {
		return
	}
	for _, end := range ends.Topics[s.cfg.IntentTopic] {
		if c := due[int32(end.Partition)]; c != nil && end.Error == nil && end.LastOffset >= 0 {
			c.seen(end.LastOffset, 0)
		}
	}
}

// running returns the claims whose intents are read.
func (m *member) running() (out []*claim) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.claims {
		if !c.isLost() && c.lag().began {
			out = append(out, c)
		}
	}
	return out
}

// outside is for how long the group has given us nothing, perhaps because no broker
// answers; 0: it has.
func (m *member) outside(now time.Time) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.membership.Joined:
		return 0
	case m.membership.Since.IsZero():
		return now.Sub(m.s.began)
	}
	return now.Sub(m.membership.Since)
}

// A lag is what a claim has not fetched.
type lag struct {
	began     bool      // it is known where to read from
	next, end int64     // to fetch from; of the log, -1: not known
	told      time.Time // when a broker last told the end; before that, when the claim began
}

func (c *claim) lag() lag {
	c.mu.Lock()
	defer c.mu.Unlock()
	return lag{began: c.stage == Running, next: c.input.next, end: c.input.end, told: c.input.told}
}

// records is how many are not fetched; NaN: not known.
func (l lag) records(now time.Time) float64 {
	if l.end < 0 || now.Sub(l.told) > endKnown {
		return math.NaN()
	}
	return float64(max(0, l.end-l.next))
}

// A lagCollector tells scrapers how far the partitions are behind, as of now.
type lagCollector struct {
	s            *Source
	records, age *prometheus.Desc
}

func newLag(s *Source) lagCollector {
	return lagCollector{s: s, records: metric.Desc("paylink_kafka_lag_records"), age: metric.Desc("paylink_kafka_end_age_seconds")}
}

// Describe implements prometheus.Collector.
func (l lagCollector) Describe(to chan<- *prometheus.Desc) { to <- l.records; to <- l.age }

// Collect implements prometheus.Collector.
func (l lagCollector) Collect(to chan<- prometheus.Metric) {
	now := time.Now()
	age := l.s.member.outside(now)
	for _, c := range l.s.member.running() {
		is := c.lag()
		to <- prometheus.MustNewConstMetric(l.records, prometheus.GaugeValue, is.records(now), label(c.partition))
		age = max(age, now.Sub(is.told))
	}
	to <- prometheus.MustNewConstMetric(l.age, prometheus.GaugeValue, age.Seconds())
}
