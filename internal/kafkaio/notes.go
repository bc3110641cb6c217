package kafkaio

import (
	"encoding/json"

	"github.com/segmentio/kafka-go"
)

// Members and the group's leader tell each other more than Kafka's consumer
// protocol has fields for; it travels as the user data of subscriptions and
// assignments, as JSON, so that whoever describes the group can read it.

// A joinNote goes with a subscription.
type joinNote struct {
	Partitions int `json:"partitions"` // of the intent topic, as far as the member knows

	// After is the generation that the member belonged to before. It makes every
	// subscription differ from the one before, because brokers leave a stable group
	// alone when a member joins again that says nothing new.
	After int32 `json:"after"`
}

// A syncNote goes with an assignment.
type syncNote struct {
	Partitions int     `json:"partitions"`          // of the intent topic, that were given out
	HandOver   []int32 `json:"hand_over,omitempty"` // what the member is to let go, and then to join again
}

// An assignment is what the group gives a member.
type assignment struct {
	parts []int32
	note  syncNote
}

func (a *assignment) read(topic string, from kafka.GroupProtocolAssignment) {
	a.parts = numbers[int32](from.AssignedPartitions[topic])
	a.note = decodeNote[syncNote](from.UserData)
}

func (a assignment) write(topic string) kafka.GroupProtocolAssignment {
	return kafka.GroupProtocolAssignment{
		AssignedPartitions: map[string][]int{topic: numbers[int](a.parts)},
		UserData:           encodeNote(a.note),
	}
}

func encodeNote(note any) []byte {
	b, _ := json.Marshal(note) // numbers only: it cannot fail
	return b
}

// decodeNote reads a note; none, or one that is not ours, says nothing.
func decodeNote[T any](b []byte) (note T) {
	if err := json.Unmarshal(b, &note); err != nil {
		return *new(T)
	}
	return note
}

// numbers converts partition numbers, which kafka-go has as int.
func numbers[To, From int | int32](from []From) []To {
	to := make([]To, 0, len(from))
	for _, p := range from {
		to = append(to, To(p))
	}
	return to
}
