package kafkawire

import (
	"context"
	"net"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
)

// A HeartbeatRequest says that a member is alive, versions 0 to 4.
type HeartbeatRequest struct {
	_ struct{} `kafka:"min=v4,max=v4,tag"`

	GroupID         string `kafka:"min=v0,max=v3|min=v4,max=v4,compact"`
	GenerationID    int32  `kafka:"min=v0,max=v4"`
	MemberID        string `kafka:"min=v0,max=v3|min=v4,max=v4,compact"`
	GroupInstanceID string `kafka:"min=v3,max=v3,nullable|min=v4,max=v4,nullable,compact"`
}

// ApiKey implements protocol.Message.
func (*HeartbeatRequest) ApiKey() protocol.ApiKey { return protocol.Heartbeat }

// Group routes the request to the group's coordinator.
func (r *HeartbeatRequest) Group() string { return r.GroupID }

// A HeartbeatResponse answers a HeartbeatRequest.
type HeartbeatResponse struct {
	_ struct{} `kafka:"min=v4,max=v4,tag"`

	ThrottleTimeMs int32 `kafka:"min=v1,max=v4"`
	ErrorCode      int16 `kafka:"min=v0,max=v4"`
}

// ApiKey implements protocol.Message.
func (*HeartbeatResponse) ApiKey() protocol.ApiKey { return protocol.Heartbeat }

// A LeaveRequest takes members out of a group, versions 3 and 4.
type LeaveRequest struct {
	_ struct{} `kafka:"min=v4,max=v4,tag"`

	GroupID string        `kafka:"min=v3,max=v3|min=v4,max=v4,compact"`
	Members []LeaveMember `kafka:"min=v3,max=v4"`
}

// A LeaveMember is one member that leaves.
type LeaveMember struct {
	_ struct{} `kafka:"min=v4,max=v4,tag"`

	MemberID        string `kafka:"min=v3,max=v3|min=v4,max=v4,compact"`
	GroupInstanceID string `kafka:"min=v3,max=v3,nullable|min=v4,max=v4,nullable,compact"`
}

// ApiKey implements protocol.Message.
func (*LeaveRequest) ApiKey() protocol.ApiKey { return protocol.LeaveGroup }

// Group routes the request to the group's coordinator.
func (r *LeaveRequest) Group() string { return r.GroupID }

// A LeaveResponse answers a LeaveRequest.
type LeaveResponse struct {
	_ struct{} `kafka:"min=v4,max=v4,tag"`

	ThrottleTimeMs int32               `kafka:"min=v3,max=v4"`
	ErrorCode      int16               `kafka:"min=v3,max=v4"`
	Members        []LeaveMemberResult `kafka:"min=v3,max=v4"`
}

// A LeaveMemberResult says how it went for one member.
type LeaveMemberResult struct {
	_ struct{} `kafka:"min=v4,max=v4,tag"`

	MemberID        string `kafka:"min=v3,max=v3|min=v4,max=v4,compact"`
	GroupInstanceID string `kafka:"min=v3,max=v3,nullable|min=v4,max=v4,nullable,compact"`
	ErrorCode       int16  `kafka:"min=v3,max=v4"`
}

// ApiKey implements protocol.Message.
func (*LeaveResponse) ApiKey() protocol.ApiKey { return protocol.LeaveGroup }

// A Member is a member of a consumer group in one generation.
type Member struct {
	Group      string
	Generation int32
	ID         string
	InstanceID string // empty: a dynamic member
}

// Heartbeat tells the coordinator that the member is alive. It returns nil, a
// kafka.Error (RebalanceInProgress, UnknownMemberId, …) or a transport error.
func Heartbeat(ctx context.Context, tr kafka.RoundTripper, addr net.Addr, m Member) error {
	res, err := tr.RoundTrip(ctx, addr, &HeartbeatRequest{
		GroupID: m.Group, GenerationID: m.Generation, MemberID: m.ID, GroupInstanceID: m.InstanceID,
	})
	if err != nil {
		return err
	}
	return asError(res.(*HeartbeatResponse).ErrorCode)
}

// Leave takes the member out of its group; errors are as those of Heartbeat.
func Leave(ctx context.Context, tr kafka.RoundTripper, addr net.Addr, m Member) error {
	msg, err := tr.RoundTrip(ctx, addr, &LeaveRequest{
		GroupID: m.Group, Members: []LeaveMember{{MemberID: m.ID, GroupInstanceID: m.InstanceID}},
	})
	if err != nil {
		return err
	}
	res := msg.(*LeaveResponse)
	if res.ErrorCode == 0 && len(res.Members) > 0 {
		return asError(res.Members[0].ErrorCode)
	}
	return asError(res.ErrorCode)
}

func asError(code int16) error {
	if code == 0 {
		return nil
	}
	return kafka.Error(code)
}
