package lab

import (
	"encoding/binary"
	"slices"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// asRealCoordinator makes kfake treat a static member that comes back as Apache
// Kafka does. In a stable group a real coordinator gives it the assignment it had,
// without a rebalance, whatever its new metadata says (KIP-345); kfake only does
// so if the metadata is what it was. So it is told what it was.
func (s *scene) asRealCoordinator(frame []byte) []byte {
	if len(frame) < 14 || kmsg.Key(binary.BigEndian.Uint16(frame[4:])) != kmsg.JoinGroup {
		return frame
	}
	r := kbin.Reader{Src: frame[4:]}
	req := kmsg.NewPtrJoinGroupRequest()
	r.Int16()
	req.SetVersion(r.Int16())
	corr, client := r.Int32(), r.NullableString()
	if req.IsFlexible() {
		kmsg.SkipTags(&r)
	}
	if err := req.ReadFrom(r.Src); err != nil || req.InstanceID == nil {
		return frame
	}
	group := s.brokers.GroupInfo(req.Group)
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.joins[*req.InstanceID]
	returns := req.MemberID == "" && old != nil && group != nil && group.State == "Stable" &&
		slices.EqualFunc(old, req.Protocols, func(a, b kmsg.JoinGroupRequestProtocol) bool { return a.Name == b.Name })
	if !returns {
		s.joins[*req.InstanceID] = req.Protocols
		return frame
	}
	req.Protocols = old
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID(*client)).AppendRequest(nil, req, corr)
}
