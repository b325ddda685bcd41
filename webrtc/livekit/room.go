package livekit

import (
	"cmp"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	"passerelle/bridge"
	"passerelle/webrtc/livekit/lksig"
)

// What a server may say about one room is bounded.
const (
	maxParticipants = 10_000
	maxTracks       = 64
	maxAttributes   = 128
)

// settle takes over the state of a room that we have just joined, and asks for what we want in it.
func (s *Session) settle(l *link, j *lksig.JoinResponse) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sid = j.GetParticipant().GetSid()
	s.link = l
	s.whole = false
	s.silent = s.self != nil
	before := s.room
	s.room = make(map[string]*lksig.ParticipantInfo, len(j.GetOtherParticipants()))
	for _, p := range j.GetOtherParticipants() {
		if s.hears && len(s.room) < maxParticipants && p.GetState() != lksig.ParticipantInfo_DISCONNECTED {
			s.room[p.GetIdentity()] = p
		}
	}
	clear(s.speakers)
	s.codecs = enabledCodecs(j.GetEnabledPublishCodecs())
	if s.self == nil {
		s.recording = j.GetRoom().GetActiveRecording() // an answer of Join, and no event
	}
	s.takeRecording(j.GetRoom())
	s.takeSelf(j.GetParticipant())
	for identity, old := range before {
		now := s.room[identity]
		s.prune(old, now)
		if now == nil {
			s.gone = append(s.gone, old)
		}
	}
	s.notify()
	return s.subscribeAll(l)
}

// retell tells everybody's state after we came back. s.mu is held.
func (s *Session) retell() {
	for _, p := range s.gone {
		if s.room[p.GetIdentity()] == nil {
			s.events.put(bridge.SessionEvent{Kind: bridge.ParticipantLeft, Participant: participant(p)})
		}
	}
	s.gone, s.silent = nil, false
	for _, p := range s.room {
		s.events.put(bridge.SessionEvent{Kind: bridge.ParticipantChanged, Participant: participant(p)})
	}
	s.events.put(bridge.SessionEvent{Kind: bridge.SpeakersChanged, Speakers: s.loudest()})
}

// everybody lists the others.
func (s *Session) everybody() []bridge.Participant {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]bridge.Participant, 0, len(s.room))
	for _, p := range s.room {
		all = append(all, participant(p))
	}
	return all
}

// onUpdate takes in participants who came, left or changed.
func (s *Session) onUpdate(list []*lksig.ParticipantInfo) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range list {
		old := s.room[p.GetIdentity()]
		switch {
		case p.GetSid() == s.sid:
			if p.GetState() != lksig.ParticipantInfo_DISCONNECTED {
				s.takeSelf(p)
			}
		case p.GetIdentity() == s.join.Identity: // our own earlier stay
		case !s.hears: // who hears nobody needs not know who is there: in a large room that would be most of what a phone costs
		case p.GetState() == lksig.ParticipantInfo_DISCONNECTED:
			if old != nil && old.GetSid() == p.GetSid() { // else an earlier stay of somebody who is back
				delete(s.room, p.GetIdentity())
				s.prune(old, nil)
				s.tell(bridge.ParticipantLeft, old)
			}
		case old == nil && len(s.room) >= maxParticipants:
		default:
			s.room[p.GetIdentity()] = p
			s.prune(old, p)
			if old == nil || !same(old, p) {
				s.tell(bridge.ParticipantChanged, p)
			}
		}
	}
	s.notify()
}

// tell puts a participant's event, unless everything is told again soon. s.mu is held.
func (s *Session) tell(kind bridge.SessionEventKind, p *lksig.ParticipantInfo) {
	if !s.silent {
		s.events.put(bridge.SessionEvent{Kind: kind, Participant: participant(p)})
	} else if kind == bridge.ParticipantLeft {
		s.gone = append(s.gone, p)
	}
}

// prune forgets the subscriptions to tracks that were there and are not any more. s.mu is held.
func (s *Session) prune(old, now *lksig.ParticipantInfo) {
	for _, t := range old.GetTracks() {
		if !slices.ContainsFunc(now.GetTracks(), func(o *lksig.TrackInfo) bool { return o.GetSid() == t.GetSid() }) {
			if w := s.wanted[t.GetSid()]; w != nil {
				w.end()
				delete(s.wanted, t.GetSid())
			}
		}
	}
}

// takeSelf takes in what the room says about us. s.mu is held.
func (s *Session) takeSelf(p *lksig.ParticipantInfo) {
	var before bridge.Participant
	if s.self != nil {
		before = participant(s.self)
	}
	s.self = p
	now := participant(p)
	s.join.Name, s.join.Attributes = now.Name, now.Attributes
	if perm := p.GetPermission(); perm != nil {
		s.join.Publish, s.join.Subscribe = now.CanPublish, perm.GetCanSubscribe()
		s.join.Camera, s.join.Content = s.shows.camera && now.CanShow, s.shows.content && now.CanShare
	}
	for _, t := range p.GetTracks() {
		if own := s.find(func(o *published) bool { return o.sid != "" && o.sid == t.GetSid() }); own != nil {
			own.common().told(t.GetMuted())
		}
	}
	if now.CanPublish && !before.CanPublish || now.CanShow && !before.CanShow || now.CanShare && !before.CanShare {
		for _, t := range s.ours() {
			if s.may(t.common().source) {
				t.common().refused = nil
			}
		}
		s.poke()
	}
	if before.Identity != "" && (before.Name != now.Name || before.CanPublish != now.CanPublish ||
		before.CanShow != now.CanShow || before.CanShare != now.CanShare || !maps.Equal(before.Attributes, now.Attributes)) {
		s.events.put(bridge.SessionEvent{Kind: bridge.SelfChanged, Participant: now})
	}
}

// onSpeakers takes in whose level changed, and tells who is heard now, the loudest first.
func (s *Session) onSpeakers(changed []*lksig.SpeakerInfo) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range changed {
		if !c.GetActive() {
			delete(s.speakers, c.GetSid())
		} else if len(s.speakers) < maxParticipants {
			s.speakers[c.GetSid()] = c.GetLevel()
		}
	}
	s.events.put(bridge.SessionEvent{Kind: bridge.SpeakersChanged, Speakers: s.loudest()})
}

func (s *Session) loudest() []bridge.Speaker {
	list := make([]bridge.Speaker, 0, len(s.speakers))
	for sid, level := range s.speakers {
		list = append(list, bridge.Speaker{SID: sid, Level: level})
	}
	slices.SortFunc(list, func(a, b bridge.Speaker) int { return cmp.Compare(b.Level, a.Level) })
	return list
}

// same says whether two states of a participant look the same to bridge. Without it, every count of versions would be an event.
func same(a, b *lksig.ParticipantInfo) bool {
	p, q := proto.CloneOf(a), proto.CloneOf(b)
	for _, x := range [...]*lksig.ParticipantInfo{p, q} {
		x.Version, x.State, x.IsPublisher = 0, 0, false
	}
	return proto.Equal(p, q)
}

// participant is p as bridge knows it.
func participant(p *lksig.ParticipantInfo) bridge.Participant {
	perm := p.GetPermission()
	b := bridge.Participant{
		SID: p.GetSid(), Identity: p.GetIdentity(), Name: p.GetName(),
		Phone: p.GetKind() == lksig.ParticipantInfo_SIP,
		Hidden: perm.GetHidden() || perm.GetAgent() || perm.GetRecorder() ||
			p.GetKind() == lksig.ParticipantInfo_AGENT || p.GetKind() == lksig.ParticipantInfo_EGRESS,
		CanPublish:    mayPublish(perm, lksig.TrackSource_MICROPHONE),
		CanShow:       mayPublish(perm, lksig.TrackSource_CAMERA),
		CanShare:      mayPublish(perm, lksig.TrackSource_SCREEN_SHARE),
		MayChangeSelf: perm.GetCanUpdateMetadata(),
	}
	for k, v := range p.GetAttributes() {
		if b.Attributes == nil {
			b.Attributes = make(map[string]string, len(p.GetAttributes()))
		}
		if len(b.Attributes) < maxAttributes {
			b.Attributes[k] = v
		}
	}
	for i, t := range p.GetTracks() {
		if i == maxTracks {
			break
		}
		b.Tracks = append(b.Tracks, bridge.TrackInfo{
			SID: t.GetSid(), Audio: t.GetType() == lksig.TrackType_AUDIO, Muted: t.GetMuted(), Encrypted: t.GetEncryption() != 0, Video: videoInfo(t),
		})
	}
	return b
}

// mayPublish tells whether a permission covers a source. No list of sources covers all.
func mayPublish(p *lksig.ParticipantPermission, source lksig.TrackSource) bool {
	return p.GetCanPublish() && (len(p.GetCanPublishSources()) == 0 || slices.Contains(p.GetCanPublishSources(), source))
}
