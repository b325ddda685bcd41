package guest

import (
	"errors"
	"io"
	"net"
	"slices"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	pion "github.com/pion/webrtc/v4"
	"golang.org/x/time/rate"

	"passerelle/bridge"
)

// How many packets a second of one stream are looked at. A browser's camera sends a few hundred, its microphone 50.
const (
	voicePackets = 400
	videoPackets = 4000
	rtcpPackets  = 200
	maxPacket    = 1600 // bytes
)

// receive reads a track of the page until it ends. pion calls it on a goroutine of its own.
func (p *peer) receive(t *pion.TrackRemote, r *pion.RTPReceiver) {
	p.run(func() { p.drain(t, r) })
	s, ok := p.section(r.RTPTransceiver().Mid())
	if !ok {
		return
	}
	switch s.use {
	case UseVoice:
		p.run(func() { p.listen(t) })
	case UseCamera, UseScreen:
		p.run(func() { p.watch(t, r, s) })
	}
}

// drain takes the reports of the page about what it sends. What of them matters, pion's interceptors have seen.
func (p *peer) drain(t *pion.TrackRemote, r *pion.RTPReceiver) {
	limit := rate.NewLimiter(rtcpPackets, rtcpPackets)
	b := make([]byte, maxPacket)
	for {
		var err error
		if rid := t.RID(); rid != "" {
			_, _, err = r.ReadSimulcast(b, rid)
		} else {
			_, _, err = r.Read(b)
		}
		if over(err) || !p.pause(limit) {
			return
		}
	}
}

// listen reads the microphone.
func (p *peer) listen(t *pion.TrackRemote) {
	p.read(t, voicePackets, func(packet *rtp.Packet) { p.leg.voice.take(packet, time.Now()) })
}

// watch reads one layer of the camera or of a shared screen.
func (p *peer) watch(t *pion.TrackRemote, r *pion.RTPReceiver, s section) {
	f := &feed{peer: p, source: bridge.Camera, ssrc: uint32(t.SSRC()), layer: max(0, slices.Index(s.rids, t.RID()))}
	if s.use == UseScreen {
		f.source = bridge.Content
	}
	for _, e := range r.GetParameters().HeaderExtensions {
		if e.URI == dependencyURI {
			f.dependency = uint8(e.ID)
		}
	}
	p.read(t, videoPackets, func(packet *rtp.Packet) {
		if pt := packet.PayloadType; f.codec == nil || pt != f.payloadType {
			c, ok := format(t.Codec())
			if !ok {
				return
			}
			f.codec, f.payloadType = &c, pt
			p.leg.appear(f)
		}
		p.leg.forward(f, packet, time.Now())
	})
	p.leg.vanish(f)
}

// read hands on the packets of a track until it ends, so many a second at most.
func (p *peer) read(t *pion.TrackRemote, most rate.Limit, each func(*rtp.Packet)) {
	limit, failures := rate.NewLimiter(most, int(most)), rate.NewLimiter(rtcpPackets, rtcpPackets)
	b := make([]byte, maxPacket)
	var packet rtp.Packet
	for {
		n, _, err := t.Read(b)
		switch {
		case over(err):
			return
		case err != nil: // of this packet: a format that was not agreed
			if !p.pause(failures) {
				return
			}
		case limit.Allow() && packet.Unmarshal(b[:n]) == nil:
			each(&packet)
		}
	}
}

// pause waits until the limit permits one more; false: the peer is closed.
func (p *peer) pause(limit *rate.Limiter) bool {
	d := limit.Reserve().Delay()
	if d == 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.done:
		return false
	}
}

// over tells whether nothing more can be read. Other errors are of one packet.
func over(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) || errors.Is(err, net.ErrClosed)
}

// goRead reads what the page reports about a track of ours.
func (p *peer) goRead(sender *pion.RTPSender, o *outlet) {
	p.run(func() {
		limit := rate.NewLimiter(rtcpPackets, rtcpPackets)
		b := make([]byte, maxPacket)
		for {
			n, attributes, err := sender.Read(b)
			if over(err) || !p.pause(limit) {
				return
			}
			if err != nil {
				continue
			}
			packets, err := attributes.GetRTCPPackets(b[:n])
			if err != nil {
				continue
			}
			for _, r := range packets {
				p.reported(o, r)
			}
		}
	})
}

// reported does what one RTCP packet about a track of ours asks for.
func (p *peer) reported(o *outlet, packet rtcp.Packet) {
	switch r := packet.(type) {
	case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
		for i, t := range p.tiles {
			if t == o {
				p.leg.lost(p, i)
			}
		}
	case *rtcp.TransportLayerCC:
		p.down.feedback(r)
	case *rtcp.ReceiverReport:
		p.reception(o, r.Reports)
	case *rtcp.SenderReport:
		p.reception(o, r.Reports)
	}
}

// reception takes what the page says of the mix.
func (p *peer) reception(o *outlet, reports []rtcp.ReceptionReport) {
	b := o.bound.Load()
	if o != p.voice || b == nil {
		return
	}
	for i := range reports {
		if reports[i].SSRC == b.ssrc {
			p.leg.voice.report(&reports[i], time.Now())
		}
	}
}
