package livekit

import (
	"context"

	"passerelle/webrtc/livekit/lksig"
)

// SendPacket sends a data packet as it is, as a client of somebody else's making could.
func (s *Session) SendPacket(ctx context.Context, p *lksig.DataPacket) error {
	return s.sendPacket(ctx, p)
}
