package livekit

import (
	"fmt"

	"passerelle/bridge"
	"passerelle/webrtc/livekit/lksig"
)

// leaveError is LiveKit's request that we leave.
type leaveError struct{ request *lksig.LeaveRequest }

func (e *leaveError) Error() string {
	return fmt.Sprintf("LiveKit wants us to leave: %s, %s", e.request.GetReason(), e.request.GetAction())
}

// loss says what follows from it. What a host or the room's end caused is final; a server that leaves is not the end of a call.
func (e *leaveError) loss() loss {
	l := loss{cause: e, reason: signalLost}
	switch e.request.GetReason() {
	case lksig.DisconnectReason_ROOM_DELETED, lksig.DisconnectReason_ROOM_CLOSED:
		l.final = bridge.ErrRoomEnded
		return l
	case lksig.DisconnectReason_PARTICIPANT_REMOVED:
		l.final = bridge.ErrRemoved
		return l
	case lksig.DisconnectReason_DUPLICATE_IDENTITY:
		l.final = fmt.Errorf("%w: another participant has the same identity", bridge.ErrInternal)
		return l
	}
	l.resume = e.request.GetAction() == lksig.LeaveRequest_RESUME
	return l
}
