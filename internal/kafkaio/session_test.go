package kafkaio

import (
	"math"
	"reflect"
	"slices"
	"testing"

	"github.com/segmentio/kafka-go"

	"paylink/internal/kafkawire"
)

// saidIn returns what a session says in a request for partitions at offsets.
func saidIn(s *fetchSession, want map[int32]int64) (req kafkawire.FetchRequest, news map[int32]int64, gone []int32) {
	topic := kafkawire.FetchTopic{Topic: "intents"}
	for p, from := range want {
		topic.Partitions = append(topic.Partitions, kafkawire.FetchPartition{Partition: p, FetchOffset: from})
	}
	s.tell(&req, topic)
	news = map[int32]int64{}
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			news[p.Partition] = p.FetchOffset
		}
	}
	for _, t := range req.ForgottenTopics {
		gone = append(gone, t.Partitions...)
	}
	slices.Sort(gone)
	return req, news, gone
}

// TestARequestSaysOnlyWhatHasChanged, as long as the broker remembers.
func TestARequestSaysOnlyWhatHasChanged(t *testing.T) {
	s := &fetchSession{}
	ok := &kafkawire.FetchResponse{SessionID: 5}
	for i, step := range []struct {
		want   map[int32]int64
		id     int32
		epoch  int32
		news   map[int32]int64
		gone   []int32
		answer *kafkawire.FetchResponse
	}{
		{map[int32]int64{0: 10, 1: 20, 2: 30}, 0, 0, map[int32]int64{0: 10, 1: 20, 2: 30}, nil, ok},
		{map[int32]int64{0: 10, 1: 20, 2: 30}, 5, 1, map[int32]int64{}, nil, ok},
		{map[int32]int64{0: 10, 1: 25, 2: 30}, 5, 2, map[int32]int64{1: 25}, nil, ok},
		{map[int32]int64{1: 25, 3: 1}, 5, 3, map[int32]int64{3: 1}, []int32{0, 2}, ok},
		{map[int32]int64{0: 10, 1: 25, 3: 1}, 5, 4, map[int32]int64{0: 10}, nil, nil}, // no answer: who knows
		{map[int32]int64{0: 10, 1: 25, 3: 1}, 5, 0, map[int32]int64{0: 10, 1: 25, 3: 1}, nil, ok},
		{map[int32]int64{0: 10}, 5, 1, map[int32]int64{}, []int32{1, 3}, &kafkawire.FetchResponse{ErrorCode: 70}},
		{map[int32]int64{0: 10}, 5, 0, map[int32]int64{0: 10}, nil, &kafkawire.FetchResponse{}}, // has no room for it
		{map[int32]int64{0: 10}, 0, 0, map[int32]int64{0: 10}, nil, ok},
	} {
		req, news, gone := saidIn(s, step.want)
		if req.SessionID != step.id || req.SessionEpoch != step.epoch || !reflect.DeepEqual(news, step.news) || !slices.Equal(gone, step.gone) {
			t.Errorf("step %d: session %d/%d says %v, forgets %v; want %d/%d, %v, %v",
				i, req.SessionID, req.SessionEpoch, news, gone, step.id, step.epoch, step.news, step.gone)
		}
		wantErr := step.answer != nil && step.answer.ErrorCode != 0
		if err := s.heard(step.answer); (err != nil) != wantErr || wantErr && Code(err) != kafka.Error(70) {
			t.Errorf("step %d: error %v", i, err)
		}
	}
	s.epoch = math.MaxInt32
	if s.heard(ok); s.epoch != 1 {
		t.Errorf("the epoch after the last is %d, want 1", s.epoch)
	}
}
