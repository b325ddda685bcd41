package livekit

import (
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	pion "github.com/pion/webrtc/v4"

	"passerelle/bridge"
	"passerelle/webrtc"
	"passerelle/webrtc/livekit/lksig"
)

// Watch implements bridge.VideoSession. The track may not be known yet, and the SFU may be away: the wish is kept, until the participant takes the
// track away. One packet may still be under way when a sink is taken off.
func (s *Session) Watch(trackSID string, height, rate int, sink bridge.VideoSink) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sink == nil {
		s.forgo(trackSID)
		return nil
	}
	w, had, err := s.want(trackSID)
	if err != nil {
		return err
	}
	w.video.Store(&sink)
	if had && w.height == height && w.rate == rate {
		return nil
	}
	w.height, w.rate = height, rate
	s.tryToSend(func(l *link) error {
		if err := sendSize(l, trackSID, height, rate); err != nil || had {
			return err
		}
		return sendSubscription(l, true, trackSID)
	})
	return nil
}

// sendSize says how large a picture is wanted, and how often. LiveKit looks at the height, and for tracks that do not tell their layers also at the width; of
// a track with temporal layers it sends as many as make the rate, rather one too many, and of others all.
func sendSize(l *link, sid string, height, rate int) error {
	height, rate = max(height, 0), max(rate, 0)
	return l.send(&lksig.SignalRequest{Message: &lksig.SignalRequest_TrackSetting{TrackSetting: &lksig.UpdateTrackSettings{
		TrackSids: []string{sid}, Disabled: height == 0, Width: uint32(height * 16 / 9), Height: uint32(height), Fps: uint32(rate),
	}}})
}

// sizes says it for all that are watched. s.mu is held.
func (s *Session) sizes(l *link) error {
	for sid, w := range s.wanted {
		if w.video.Load() != nil {
			if err := sendSize(l, sid, w.height, w.rate); err != nil {
				return err
			}
		}
	}
	return nil
}

// WantKeyframe implements bridge.VideoSession. Of a track that has not come yet the SFU asks for one by itself.
func (s *Session) WantKeyframe(trackSID string) {
	s.mu.Lock()
	w := s.wanted[trackSID]
	var peer *webrtc.Peer
	var remote *pion.TrackRemote
	if w != nil {
		peer, remote = w.peer, w.remote
	}
	s.mu.Unlock()
	if remote != nil {
		_ = peer.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: uint32(remote.SSRC())}}) // a closed connection wants none
	}
}

// see hands a track's packets to its sink. One that nobody wants is read and dropped until the server ends it.
func (s *Session) see(peer *webrtc.Peer, t *pion.TrackRemote, r *pion.RTPReceiver) {
	sid := t.ID()
	var (
		b   = make([]byte, maxPacket)
		w   *subscription
		p   rtp.Packet
		out bridge.VideoPacket
		pt  pion.PayloadType
		dep = extensionID(r.GetParameters().HeaderExtensions, dependencyURI)
	)
	for {
		n, _, err := t.Read(b)
		if err != nil {
			return
		}
		if w == nil || w.video.Load() == nil {
			if w = s.found(sid, peer, t); w == nil {
				continue
			}
		}
		sink := w.video.Load()
		if sink == nil || p.Unmarshal(b[:n]) != nil {
			continue
		}
		if now := t.PayloadType(); now != pt || out.Codec == nil {
			pt = now
			out.Codec = &bridge.VideoCodec{Kind: kindOf(t.Codec().MimeType), Fmtp: t.Codec().SDPFmtpLine}
		}
		if out.Codec.Kind == "" {
			continue
		}
		out.Payload, out.Sequence, out.Timestamp, out.Marker = unpadded(&p), p.SequenceNumber, p.Timestamp, p.Marker
		out.Dependency = nil
		if dep != 0 {
			out.Dependency = p.GetExtension(dep)
		}
		out.Arrival = time.Now()
		(*sink).WriteVideo(&out)
	}
}

// unpadded is a packet's payload. LiveKit fills packets that are only there to be counted twice: once as a payload that looks like padding.
func unpadded(p *rtp.Packet) []byte {
	if n := len(p.Payload); p.Header.Padding && n > 0 && int(p.Payload[n-1]) == n {
		return nil
	}
	return p.Payload
}

// found ties a track that has come to the wish for it.
func (s *Session) found(sid string, peer *webrtc.Peer, t *pion.TrackRemote) *subscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.wanted[sid]
	if w != nil {
		w.peer, w.remote = peer, t
	}
	return w
}
