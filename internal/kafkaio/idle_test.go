package kafkaio

import (
	"testing"

	"github.com/segmentio/kafka-go"
)

// TestAFetchThatBringsNothingWakesNobody: of a thousand partitions in which nothing
// happens each would be woken ten times a second.
func TestAFetchThatBringsNothingWakesNobody(t *testing.T) {
	c := &claim{ctx: t.Context(), input: input{ready: make(chan struct{}, 1), next: 5, polled: 5}}
	c.fetched(5, nil, 5, 0)
	c.unchanged(5, c.input.told)
	if len(c.input.ready) != 0 {
		t.Error("a poll was woken, and there is nothing to take")
	}
	c.fetched(5, nil, 8, 0) // offsets were passed that hold nothing: the watermark may rise
	if len(c.input.ready) != 1 {
		t.Error("no poll was woken, and offsets were passed")
	}
}

// TestALargeAnswerWakesThePollThatWantsIt: only a poll that waits has it fetched.
func TestALargeAnswerWakesThePollThatWantsIt(t *testing.T) {
	c := &claim{ctx: t.Context(), input: input{ready: make(chan struct{}, 1), next: 5, polled: 5}}
	c.setLarge()
	c.fetched(5, nil, 5, 0)
	if len(c.input.ready) != 1 {
		t.Error("no poll was woken")
	}
}

func ledBy(leaders ...int) *kafka.MetadataResponse {
	topic := kafka.Topic{Name: "intents"}
	for p, leader := range leaders {
		is := kafka.Partition{ID: p}
		if leader >= 0 {
			is.Leader = kafka.Broker{Host: "h", ID: leader}
		}
		topic.Partitions = append(topic.Partitions, is)
	}
	return &kafka.MetadataResponse{Topics: []kafka.Topic{topic}}
}

// TestMetadataThatSayNothingNewAreSeen, and whatever is new is.
func TestMetadataThatSayNothingNewAreSeen(t *testing.T) {
	r := &routes{topics: []string{"intents"}, counts: map[string]int{"intents": 3}, nodes: map[TopicPartition]int32{
		{"intents", 0}: 1, {"intents", 1}: 2,
	}}
	failed := ledBy(1, 2, -1)
	failed.Topics[0].Error = kafka.TopicAuthorizationFailed
	for _, tt := range []struct {
		name string
		md   *kafka.MetadataResponse
		want bool
	}{
		{"the same", ledBy(1, 2, -1), true},
		{"a leader moved", ledBy(1, 1, -1), false},
		{"a leader is there", ledBy(1, 2, 2), false},
		{"a leader is gone", ledBy(1, -1, -1), false},
		{"a partition was added", ledBy(1, 2, -1, 1), false},
		{"a topic is denied", failed, false},
		{"a topic is gone", &kafka.MetadataResponse{}, false},
	} {
		if got := r.isAsBefore(tt.md); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// TestWhatIsNotCommittedIsLookedAtAgain: also what is to be committed later once more.
func TestWhatIsNotCommittedIsLookedAtAgain(t *testing.T) {
	s := &Source{}
	s.member = newMember(s)
	c := &claim{s: s, done: progress{settled: -1, committed: -1}}
	c.startAt(7)
	if c.isUncommitted() || s.member.uncommitted.Load() {
		t.Error("nothing was settled, and there is something to commit")
	}
	c.Commit(9)
	if !c.isUncommitted() || !s.member.uncommitted.Load() {
		t.Error("settled up to 9, and nothing to commit")
	}
	o, _ := c.uncommitted()
	c.wasCommitted(o, c.input.told)
	if c.isUncommitted() {
		t.Error("committed, and still something to commit")
	}
	c.setNote(fenceNote{producer: 3})
	if o, ok := c.uncommitted(); !ok || !c.isUncommitted() || o.Metadata != c.note.String() {
		t.Errorf("a new note: %q to commit, %v", o.Metadata, ok)
	}
}
