package livekit

import (
	"context"
	"fmt"

	"passerelle/webrtc/livekit/lksig"
)

// SendData sends data into a room as the server itself: to those with the given identities, or to everybody where there are none. They get it reliably,
// under topic, from nobody: LiveKit writes a participant's own identity and SID into whatever a participant sends, so that no participant can send the
// like. Errors of the server are *APIError: of status 404 where there is no such room.
//
// Who is not there gets nothing, and nobody says so.
func (c *Client) SendData(ctx context.Context, room, topic string, data []byte, to []string) error {
	if len(data) > maxPayload {
		return fmt.Errorf("send: %d bytes, %d is the most", len(data), maxPayload)
	}
	return c.Call(ctx, "RoomService/SendData", RoomAdmin, room, &lksig.SendDataRequest{
		Room: room, Data: data, Kind: lksig.DataKind_RELIABLE, Topic: &topic, DestinationIdentities: to,
	}, &lksig.Empty{})
}
