package guest

import (
	"encoding/binary"
	"sync/atomic"

	"github.com/pion/rtp"
	"github.com/pion/sdp/v3"
	pion "github.com/pion/webrtc/v4"

	"passerelle/bridge"
)

// outlet is a track towards the page: the mix, or a tile. It sends each packet in the format that the packet has. It implements pion.TrackLocal.
type outlet struct {
	id    string
	mid   string // of a tile
	kind  pion.RTPCodecType
	link  *downlink // notes what is sent, and when; nil: nobody wants to know
	bound atomic.Pointer[binding]

	// write's own: it is for one goroutine.
	header rtp.Header
	twcc   [2]byte
	last   *bridge.VideoCodec
	lastPT uint8
}

// binding is what was agreed for an outlet. It does not change.
type binding struct {
	stream     pion.TrackLocalWriter
	ssrc       uint32
	codecs     []pion.RTPCodecParameters
	twcc       uint8 // ids of header extensions; 0: not agreed
	dependency uint8
}

// Bind implements pion.TrackLocal. It answers the codec by which feedback is decided, which all formats of video have alike.
func (o *outlet) Bind(c pion.TrackLocalContext) (pion.RTPCodecParameters, error) {
	codecs := c.CodecParameters()
	if len(codecs) == 0 {
		return pion.RTPCodecParameters{}, pion.ErrUnsupportedCodec
	}
	b := &binding{stream: c.WriteStream(), ssrc: uint32(c.SSRC()), codecs: codecs}
	for _, e := range c.HeaderExtensions() {
		switch e.URI {
		case sdp.TransportCCURI:
			b.twcc = uint8(e.ID)
		case dependencyURI:
			b.dependency = uint8(e.ID)
		}
	}
	o.bound.Store(b)
	return codecs[0], nil
}

// Unbind implements pion.TrackLocal.
func (o *outlet) Unbind(pion.TrackLocalContext) error {
	o.bound.Store(nil)
	return nil
}

// ID implements pion.TrackLocal.
func (o *outlet) ID() string { return o.id }

// RID implements pion.TrackLocal: what we send has one layer.
func (o *outlet) RID() string { return "" }

// StreamID implements pion.TrackLocal. Nothing that we send is in lip sync with anything else by RTCP: the mix is of many.
func (o *outlet) StreamID() string { return o.id }

// Kind implements pion.TrackLocal.
func (o *outlet) Kind() pion.RTPCodecType { return o.kind }

// voice sends a packet of the mix.
func (o *outlet) voice(payload []byte, sequence uint16, timestamp uint32, marker bool) error {
	b := o.bound.Load()
	if b == nil {
		return nil
	}
	o.header = rtp.Header{
		Version: 2, SSRC: b.ssrc, PayloadType: uint8(b.codecs[0].PayloadType), SequenceNumber: sequence, Timestamp: timestamp, Marker: marker,
	}
	_, err := b.stream.WriteRTP(&o.header, payload)
	return err
}

// video sends a packet of a picture. What the page did not agree to is dropped.
func (o *outlet) video(p *bridge.VideoPacket) error {
	b := o.bound.Load()
	if b == nil {
		return nil
	}
	if p.Codec != o.last {
		pt, ok := b.payloadType(*p.Codec)
		if !ok {
			return nil
		}
		o.last, o.lastPT = p.Codec, pt
	}
	o.header = rtp.Header{
		Version: 2, SSRC: b.ssrc, PayloadType: o.lastPT, SequenceNumber: p.Sequence, Timestamp: p.Timestamp, Marker: p.Marker,
		Extensions: o.header.Extensions[:0],
	}
	// Two-byte form, which RFC 8285 lets mix with the other: a dependency descriptor may be longer than 16 bytes.
	if b.dependency != 0 && len(p.Dependency) > 0 && len(p.Dependency) < 256 {
		if len(p.Dependency) > 16 {
			o.header.Extension, o.header.ExtensionProfile = true, rtp.ExtensionProfileTwoByte
		}
		if err := o.header.SetExtension(b.dependency, p.Dependency); err != nil {
			return err
		}
	}
	if b.twcc != 0 && o.link != nil {
		binary.BigEndian.PutUint16(o.twcc[:], o.link.sent(len(p.Payload)))
		if err := o.header.SetExtension(b.twcc, o.twcc[:]); err != nil {
			return err
		}
	}
	_, err := b.stream.WriteRTP(&o.header, p.Payload)
	return err
}

// payloadType is the number that was agreed for a format.
func (b *binding) payloadType(c bridge.VideoCodec) (uint8, bool) {
	for _, agreed := range b.codecs {
		if f, ok := format(agreed); ok && f.Same(c) {
			return uint8(agreed.PayloadType), true
		}
	}
	return 0, false
}

// formats are those that were agreed, in order of preference.
func (b *binding) formats() []bridge.VideoCodec {
	var list []bridge.VideoCodec
	for _, c := range b.codecs {
		if f, ok := format(c); ok {
			list = append(list, f)
		}
	}
	return list
}
