package guest

import (
	"strings"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/interceptor/pkg/report"
	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/sdp/v3"
	pion "github.com/pion/webrtc/v4"

	"passerelle/bridge"
	"passerelle/transcode"
	"passerelle/webrtc"
)

// dependencyURI is the dependency descriptor of AV1 (AV1 RTP specification, appendix A). It passes as it is.
const dependencyURI = "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"

// opusLine is the line of the mix: wide enough for speech, silent where nobody speaks (RFC 7587, section 6).
const opusLine = "minptime=10;useinbandfec=1;usedtx=1"

// newEngine says what guests may send and see. Retransmissions go in the stream itself (no RTX): what a tile shows changes its format, and a stream of
// retransmissions belongs to one format.
func newEngine() (*pion.MediaEngine, error) {
	m := new(pion.MediaEngine)
	if err := m.RegisterCodec(pion.RTPCodecParameters{
		RTPCodecCapability: pion.RTPCodecCapability{MimeType: pion.MimeTypeOpus, ClockRate: transcode.Rate, Channels: 2, SDPFmtpLine: opusLine},
		PayloadType:        111,
	}, pion.RTPCodecTypeAudio); err != nil {
		return nil, err
	}
	for i, c := range bridge.VideoCodecs() {
		if err := m.RegisterCodec(pion.RTPCodecParameters{
			RTPCodecCapability: pion.RTPCodecCapability{
				MimeType: mime(c.Kind), ClockRate: bridge.VideoRate, SDPFmtpLine: c.Fmtp,
				RTCPFeedback: []pion.RTCPFeedback{
					{Type: pion.TypeRTCPFBNACK},
					{Type: pion.TypeRTCPFBNACK, Parameter: "pli"},
					{Type: pion.TypeRTCPFBCCM, Parameter: "fir"},
					{Type: pion.TypeRTCPFBTransportCC},
				},
			},
			PayloadType: pion.PayloadType(96 + i), // an offer's numbers win
		}, pion.RTPCodecTypeVideo); err != nil {
			return nil, err
		}
	}
	for _, uri := range []string{sdp.SDESMidURI, sdp.SDESRTPStreamIDURI, sdp.TransportCCURI, dependencyURI} {
		if err := m.RegisterHeaderExtension(pion.RTPHeaderExtensionCapability{URI: uri}, pion.RTPCodecTypeVideo); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// newChain makes RTCP: reports both ways, lost pictures asked for and sent again, and feedback by which a browser finds its rate.
func newChain() (*interceptor.Registry, error) {
	r := new(interceptor.Registry)
	receiver, err := report.NewReceiverInterceptor()
	if err != nil {
		return nil, err
	}
	sender, err := report.NewSenderInterceptor()
	if err != nil {
		return nil, err
	}
	generator, err := nack.NewGeneratorInterceptor(nack.GeneratorSize(256))
	if err != nil {
		return nil, err
	}
	feedback, err := twcc.NewSenderInterceptor()
	if err != nil {
		return nil, err
	}
	for _, f := range []interceptor.Factory{receiver, sender, webrtc.Resend{Packets: 512}, generator, feedback} {
		r.Add(f)
	}
	return r, nil
}

// mime is the media type of a format.
func mime(k bridge.VideoKind) string { return "video/" + string(k) }

// format is what a negotiated codec is for the bridge; false: none that it knows.
func format(c pion.RTPCodecParameters) (bridge.VideoCodec, bool) {
	for _, k := range []bridge.VideoKind{bridge.VP8, bridge.VP9, bridge.H264, bridge.AV1} {
		if strings.EqualFold(c.MimeType, mime(k)) {
			return bridge.VideoCodec{Kind: k, Fmtp: c.SDPFmtpLine}, true
		}
	}
	return bridge.VideoCodec{}, false
}
