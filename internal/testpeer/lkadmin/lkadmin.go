// Package lkadmin makes the calls of LiveKit's API that only tests make: what a meeting's host, or Visio's backend, would do.
package lkadmin

import (
	"context"

	"passerelle/webrtc/livekit"
	"passerelle/webrtc/livekit/lksig"
)

// Admin is somebody with all rights on a LiveKit.
type Admin struct{ *livekit.Client }

// CreateDispatchRule has PIN lead to room, and returns the rule's id. LiveKit needs Redis for it.
func (a Admin) CreateDispatchRule(ctx context.Context, name, room, pin string) (string, error) {
	var rule lksig.SIPDispatchRuleInfo
	err := a.Call(ctx, "SIP/CreateSIPDispatchRule", livekit.SIPAdmin, "", &lksig.CreateSIPDispatchRuleRequest{
		Name: name,
		Rule: &lksig.SIPDispatchRule{Rule: &lksig.SIPDispatchRule_DispatchRuleDirect{
			DispatchRuleDirect: &lksig.SIPDispatchRuleDirect{RoomName: room, Pin: pin},
		}},
	}, &rule)
	return rule.GetSipDispatchRuleId(), err
}

// DeleteDispatchRule removes a rule.
func (a Admin) DeleteDispatchRule(ctx context.Context, id string) error {
	return a.Call(ctx, "SIP/DeleteSIPDispatchRule", livekit.SIPAdmin, "",
		&lksig.DeleteSIPDispatchRuleRequest{SipDispatchRuleId: id}, &lksig.SIPDispatchRuleInfo{})
}

// Rooms lists the rooms.
func (a Admin) Rooms(ctx context.Context) ([]*lksig.Room, error) {
	var answer lksig.ListRoomsResponse
	err := a.Call(ctx, "RoomService/ListRooms", livekit.RoomAdmin, "", &lksig.ListRoomsRequest{}, &answer)
	return answer.GetRooms(), err
}

// DeleteRoom ends a room for everybody in it.
func (a Admin) DeleteRoom(ctx context.Context, room string) error {
	return a.Call(ctx, "RoomService/DeleteRoom", livekit.RoomAdmin, room, &lksig.DeleteRoomRequest{Room: room}, &lksig.Empty{})
}

// Participants lists who is in a room, hidden ones too.
func (a Admin) Participants(ctx context.Context, room string) ([]*lksig.ParticipantInfo, error) {
	var answer lksig.ListParticipantsResponse
	err := a.Call(ctx, "RoomService/ListParticipants", livekit.RoomAdmin, room, &lksig.ListParticipantsRequest{Room: room}, &answer)
	return answer.GetParticipants(), err
}

// Remove throws a participant out.
func (a Admin) Remove(ctx context.Context, room, identity string) error {
	return a.Call(ctx, "RoomService/RemoveParticipant", livekit.RoomAdmin, room,
		&lksig.RoomParticipantIdentity{Room: room, Identity: identity}, &lksig.Empty{})
}

// Mute mutes a participant's track.
func (a Admin) Mute(ctx context.Context, room, identity, trackSID string, muted bool) error {
	return a.Call(ctx, "RoomService/MutePublishedTrack", livekit.RoomAdmin, room,
		&lksig.MuteRoomTrackRequest{Room: room, Identity: identity, TrackSid: trackSID, Muted: muted}, &lksig.Empty{})
}

// Update changes a participant's attributes (an empty value removes one) and, where it is not nil, what they may do.
func (a Admin) Update(ctx context.Context, room, identity string, attributes map[string]string, may *lksig.ParticipantPermission) error {
	return a.Call(ctx, "RoomService/UpdateParticipant", livekit.RoomAdmin, room,
		&lksig.UpdateParticipantRequest{Room: room, Identity: identity, Attributes: attributes, Permission: may}, &lksig.ParticipantInfo{})
}
