// Package kafkawire holds the bytes of the Kafka protocol that kafka-go v0.4.51
// gets wrong or lacks:
//
//   - record batches with a producer id, epoch and sequence, which kafka-go
//     always writes as -1 (AppendBatch);
//   - fetched record sets as they came over the wire, so that checksums are
//     verified, control records hidden and aborted transactions filtered, none
//     of which kafka-go does (FetchRequest, NextBatch, Filter);
//   - heartbeats and leave-group requests that report errors: kafka-go declares
//     the fields of both answers in the wrong order and sends the first to a
//     random broker (Heartbeat, Leave; segmentio/kafka-go pull request 1371);
//   - the ids of topics, which Metadata has from version 10 on, and kafka-go ends
//     at 8 (TopicIDs).
//
// It knows bytes, not policy: what to do about an error is kafkaio's business.
// Importing it replaces kafka-go's own codecs of Fetch, Heartbeat and
// LeaveGroup for the whole process, so kafka.Client's methods Fetch, Heartbeat
// and LeaveGroup must not be used beside it. (kafka.Reader and kafka.Conn have
// codecs of their own and are not affected.)
package kafkawire

import "github.com/segmentio/kafka-go/protocol"

// init is the one in this program: kafka-go keeps its codecs in a global table
// that is read without a lock by every connection, so a later time is too late.
func init() {
	protocol.Register(&FetchRequest{}, &FetchResponse{})
	protocol.Register(&HeartbeatRequest{}, &HeartbeatResponse{})
	protocol.Register(&LeaveRequest{}, &LeaveResponse{})
}
