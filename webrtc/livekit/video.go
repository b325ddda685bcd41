package livekit

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/sdp/v3"
	pion "github.com/pion/webrtc/v4"

	"passerelle/bridge"
	"passerelle/webrtc/livekit/lksig"
)

// shows is what a session was joined to show.
type shows struct{ camera, content bool }

func (s shows) any() bool { return s.camera || s.content }

// VideoTrack is a published picture. It implements bridge.VideoTrack. It stays the same when the session is resumed or the room is joined anew.
type VideoTrack struct {
	published
	wish   bridge.Publication
	codec  pion.RTPCodecCapability
	tr     *pion.RTPTransceiver             // in the publisher; of run only
	locals []*pion.TrackLocalStaticRTP      // of run only
	out    atomic.Pointer[[]*outgoingLayer] // nil while nothing can go out
}

// outgoingLayer sends the packets of one layer.
type outgoingLayer struct {
	local      *pion.TrackLocalStaticRTP
	packet     rtp.Packet
	dependency uint8 // id of the header extension; 0: the server does not take it
}

// PublishVideo implements bridge.VideoSession. The error wraps bridge.ErrForbidden when the room does not let us show it, bridge.ErrNoCodec when
// LiveKit or this room takes no such format, and bridge.ErrBusy after too many publications.
func (s *Session) PublishVideo(ctx context.Context, p bridge.Publication) (bridge.VideoTrack, error) {
	t, err := s.newVideo(p)
	if err != nil {
		return nil, fmt.Errorf("publish %s: %w", p.Source, err)
	}
	s.poke()
	if err := s.await(ctx, func() (bool, error) { return t.up, t.refused }); err != nil {
		t.Unpublish()
		return nil, fmt.Errorf("publish %s: %w", p.Source, err)
	}
	return t, nil
}

func (s *Session) newVideo(p bridge.Publication) (*VideoTrack, error) {
	codec, ok := findCodec(p.Codec)
	if !ok {
		return nil, fmt.Errorf("%w: %s %s", bridge.ErrNoCodec, p.Codec.Kind, p.Codec.Fmtp)
	}
	if n := len(p.Layers); n == 0 || n > bridge.MaxLayers {
		return nil, fmt.Errorf("%d layers", n)
	}
	t := &VideoTrack{published: published{s: s, name: p.Name, source: lksourceOf(p.Source)}, wish: p, codec: codec}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case t.source == lksig.TrackSource_UNKNOWN:
		return nil, fmt.Errorf("unknown source %q", p.Source)
	case !s.may(t.source):
		return nil, bridge.ErrForbidden
	case !slices.ContainsFunc(s.codecs, p.Codec.Same):
		return nil, fmt.Errorf("%w: the room does not take %s %s", bridge.ErrNoCodec, p.Codec.Kind, p.Codec.Fmtp)
	case s.videos[p.Source] != nil:
		return nil, fmt.Errorf("there is one already")
	}
	s.videos[p.Source] = t
	return t, nil
}

// Unpublish implements bridge.VideoTrack.
func (t *VideoTrack) Unpublish() {
	s := t.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.videos[t.wish.Source] != t {
		return
	}
	delete(s.videos, t.wish.Source)
	unpublish(t)
	s.dropped = append(s.dropped, &t.published)
	s.poke()
}

func (t *VideoTrack) request() *lksig.AddTrackRequest {
	layers := lklayersOf(t.wish.Layers)
	top := layers[len(layers)-1]
	return &lksig.AddTrackRequest{
		Cid: t.cid, Name: t.name, Type: lksig.TrackType_VIDEO, Source: t.source, Muted: t.muted, Width: top.GetWidth(), Height: top.GetHeight(),
		Layers: layers,
		SimulcastCodecs: []*lksig.SimulcastCodec{{
			Codec: codecName(t.wish.Codec.Kind), Cid: t.cid, Layers: layers, VideoLayerMode: lksig.VideoLayer_ONE_SPATIAL_LAYER_PER_STREAM,
		}},
	}
}

// attach puts the layers into the publisher, as encodings of one track.
func (t *VideoTrack) attach(p *publisher) error {
	t.locals = nil
	for i := range t.wish.Layers {
		var rid []func(*pion.TrackLocalStaticRTP)
		if len(t.wish.Layers) > 1 {
			rid = append(rid, pion.WithRTPStreamID(layerRID(i)))
		}
		local, err := pion.NewTrackLocalStaticRTP(t.codec, t.cid, streamID, rid...)
		if err != nil {
			return err
		}
		t.locals = append(t.locals, local)
	}
	tr, err := p.AddTransceiverFromTrack(t.locals[0], pion.RTPTransceiverInit{Direction: pion.RTPTransceiverDirectionSendonly})
	if err != nil {
		return err
	}
	t.tr, t.sender = tr, tr.Sender()
	for _, local := range t.locals[1:] {
		if err := t.sender.AddEncoding(local); err != nil {
			return err
		}
	}
	for i := range t.locals {
		t.s.tracks.Go(func() { t.readFeedback(tr.Sender(), i) })
	}
	return nil
}

// flows opens the way out. The section and the layer are told in each packet, because sections are not told apart by SSRC.
func (t *VideoTrack) flows() {
	agreed := t.sender.GetParameters().HeaderExtensions
	mid, rid := extensionID(agreed, sdp.SDESMidURI), extensionID(agreed, sdp.SDESRTPStreamIDURI)
	dependency := extensionID(agreed, dependencyURI)
	layers := make([]*outgoingLayer, 0, len(t.locals))
	for _, local := range t.locals {
		l := &outgoingLayer{local: local, dependency: dependency}
		if mid != 0 {
			_ = l.packet.Header.SetExtension(mid, []byte(t.tr.Mid()))
		}
		if rid != 0 && local.RID() != "" {
			_ = l.packet.Header.SetExtension(rid, []byte(local.RID()))
		}
		layers = append(layers, l)
	}
	t.out.Store(&layers)
	for i := range layers {
		t.wish.WantKeyframe(i) // whatever went before was lost
	}
}

func (t *VideoTrack) detach() { t.out.Store(nil) }

// readFeedback takes the server's requests for keyframes of one layer, until the sender ends.
func (t *VideoTrack) readFeedback(sender *pion.RTPSender, layer int) {
	b := make([]byte, maxPacket)
	for {
		var n int
		var err error
		if rid := layerRID(layer); len(t.wish.Layers) > 1 {
			n, _, err = sender.ReadSimulcast(b, rid)
		} else {
			n, _, err = sender.Read(b)
		}
		if err != nil {
			return
		}
		if asksForKeyframe(b[:n]) {
			t.wish.WantKeyframe(layer)
		}
	}
}

// asksForKeyframe tells whether a compound of RTCP packets holds a PLI (RFC 4585, section 6.3.1) or a FIR (RFC 5104, section 4.3.1).
func asksForKeyframe(b []byte) bool {
	packets, err := rtcp.Unmarshal(b)
	if err != nil {
		return false
	}
	for _, p := range packets {
		switch p.(type) {
		case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
			return true
		}
	}
	return false
}

// WriteVideo implements bridge.VideoTrack.
func (t *VideoTrack) WriteVideo(layer int, p *bridge.VideoPacket) error {
	layers := t.out.Load()
	if layers == nil {
		return nil
	}
	if layer < 0 || layer >= len(*layers) {
		return fmt.Errorf("there is no layer %d", layer)
	}
	return (*layers)[layer].write(p)
}

func (l *outgoingLayer) write(p *bridge.VideoPacket) error {
	h := &l.packet.Header
	h.Version, h.SequenceNumber, h.Timestamp, h.Marker = 2, p.Sequence, p.Timestamp, p.Marker
	if l.dependency != 0 {
		h.ExtensionProfile = rtp.ExtensionProfileOneByte
		switch n := len(p.Dependency); {
		case n == 0:
			_ = h.DelExtension(l.dependency) // the error says that there was none
		case n <= 255:
			if n > 16 {
				h.ExtensionProfile = rtp.ExtensionProfileTwoByte
			}
			if err := h.SetExtension(l.dependency, p.Dependency); err != nil {
				return err
			}
		}
	}
	l.packet.Payload = p.Payload
	return l.local.WriteRTP(&l.packet)
}
