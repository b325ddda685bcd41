package livekit

import (
	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/report"
	"github.com/pion/sdp/v3"
	pion "github.com/pion/webrtc/v4"

	"passerelle/transcode"
	"passerelle/webrtc"
)

// opus is the one format on the SFU side. It is offered without RED, NACK and transport-wide congestion control: a lost 20 ms frame is concealed
// sooner than it is sent again, and there is no rate to adapt.
func opus() pion.RTPCodecParameters {
	return pion.RTPCodecParameters{
		RTPCodecCapability: pion.RTPCodecCapability{
			MimeType: pion.MimeTypeOpus, ClockRate: transcode.Rate, Channels: 2, SDPFmtpLine: "minptime=10;useinbandfec=1;usedtx=1",
		},
		PayloadType: 111,
	}
}

// mediaEngine knows the formats; most sessions have no pictures, and need not pay for them.
func mediaEngine(pictures bool) (*pion.MediaEngine, error) {
	m := new(pion.MediaEngine)
	if err := m.RegisterCodec(opus(), pion.RTPCodecTypeAudio); err != nil {
		return nil, err
	}
	if !pictures {
		return m, nil
	}
	for _, c := range videoCodecs() {
		if err := m.RegisterCodec(c, pion.RTPCodecTypeVideo); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// sendingEngine adds header extensions: the level of each packet of sound, and which section and layer of ours a packet of video belongs to. They are
// numbered in the order of their registration, from 1.
func sendingEngine(pictures bool) (*pion.MediaEngine, error) {
	m, err := mediaEngine(pictures)
	if err != nil {
		return nil, err
	}
	if err := m.RegisterHeaderExtension(pion.RTPHeaderExtensionCapability{URI: sdp.AudioLevelURI}, pion.RTPCodecTypeAudio,
		pion.RTPTransceiverDirectionSendonly); err != nil || !pictures {
		return m, err
	}
	for _, uri := range [...]string{sdp.SDESMidURI, sdp.SDESRTPStreamIDURI, dependencyURI} {
		if err := m.RegisterHeaderExtension(pion.RTPHeaderExtensionCapability{URI: uri}, pion.RTPCodecTypeVideo,
			pion.RTPTransceiverDirectionSendonly); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// receivingEngine takes all that a room may have.
func receivingEngine() (*pion.MediaEngine, error) {
	m, err := mediaEngine(true)
	if err != nil {
		return nil, err
	}
	return m, m.RegisterHeaderExtension(pion.RTPHeaderExtensionCapability{URI: dependencyURI}, pion.RTPCodecTypeVideo,
		pion.RTPTransceiverDirectionRecvonly)
}

// sendingChain makes RTCP sender reports, by which receivers align sound and picture, and sends lost packets of video again.
func sendingChain(pictures bool) (*interceptor.Registry, error) {
	r := new(interceptor.Registry)
	reports, err := report.NewSenderInterceptor(report.SenderInterval(reportEvery))
	if err != nil {
		return nil, err
	}
	r.Add(reports)
	if pictures {
		r.Add(webrtc.Resend{Packets: resendable})
	}
	return r, nil
}

// receivingChain reports how well we hear and see, and asks for lost packets of video.
func receivingChain() *interceptor.Registry {
	r := new(interceptor.Registry)
	r.Add(receiverReports{})
	r.Add(lossNotices{})
	return r
}
