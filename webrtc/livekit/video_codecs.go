package livekit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pion/sdp/v3"
	pion "github.com/pion/webrtc/v4"

	"passerelle/bridge"
	"passerelle/webrtc/livekit/lksig"
)

// dependencyURI is the header extension that describes how AV1's packets depend on each other
// (https://aomediacodec.github.io/av1-rtp-spec, appendix A).
const dependencyURI = "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"

// resendable is how many packets of each layer are kept to be sent again: a second of a good picture.
const resendable = 256

// videoCodecs are bridge.VideoCodecs with payload types and without retransmission formats: lost packets are sent again as they were (RFC 4585,
// NACK), because between a node and its SFU little is lost.
func videoCodecs() []pion.RTPCodecParameters {
	feedback := []pion.RTCPFeedback{{Type: "ccm", Parameter: "fir"}, {Type: "nack"}, {Type: "nack", Parameter: "pli"}}
	codecs := bridge.VideoCodecs()
	list := make([]pion.RTPCodecParameters, 0, len(codecs))
	for i, c := range codecs {
		list = append(list, pion.RTPCodecParameters{
			RTPCodecCapability: pion.RTPCodecCapability{
				MimeType: mimeType(c.Kind), ClockRate: bridge.VideoRate, SDPFmtpLine: c.Fmtp, RTCPFeedback: feedback,
			},
			PayloadType: pion.PayloadType(96 + i),
		})
	}
	return list
}

// findCodec is the format of ours that a far end's is.
func findCodec(c bridge.VideoCodec) (pion.RTPCodecCapability, bool) {
	for i, ours := range bridge.VideoCodecs() {
		if ours.Same(c) {
			return videoCodecs()[i].RTPCodecCapability, true
		}
	}
	return pion.RTPCodecCapability{}, false
}

// VideoCodecs implements bridge.Taker.
func (s *Session) VideoCodecs() []bridge.VideoCodec {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.codecs)
}

// enabledCodecs are those of ours that a server takes. One that names no video at all does not tell.
func enabledCodecs(list []*lksig.Codec) (enabled []bridge.VideoCodec) {
	told := false
	for _, c := range bridge.VideoCodecs() {
		if slices.ContainsFunc(list, func(e *lksig.Codec) bool {
			kind := kindOf(e.GetMime())
			told = told || strings.HasPrefix(strings.ToLower(e.GetMime()), "video/")
			return kind == c.Kind && (e.GetFmtpLine() == "" || c.Same(bridge.VideoCodec{Kind: kind, Fmtp: e.GetFmtpLine()}))
		}) {
			enabled = append(enabled, c)
		}
	}
	if !told {
		return bridge.VideoCodecs()
	}
	return enabled
}

func mimeType(k bridge.VideoKind) string { return "video/" + string(k) }

// codecName is what LiveKit calls a format in requests.
func codecName(k bridge.VideoKind) string { return strings.ToLower(string(k)) }

// kindOf is the format of a MIME type; empty: none of ours.
func kindOf(mime string) bridge.VideoKind {
	name, ok := strings.CutPrefix(strings.ToUpper(mime), "VIDEO/")
	switch k := bridge.VideoKind(name); {
	case ok && (k == bridge.VP8 || k == bridge.VP9 || k == bridge.H264 || k == bridge.AV1):
		return k
	}
	return ""
}

// extensionID finds a header extension that was agreed; 0: it was not.
func extensionID(list []pion.RTPHeaderExtensionParameter, uri string) uint8 {
	for _, e := range list {
		if e.URI == uri {
			return uint8(e.ID)
		}
	}
	return 0
}

// checkLevelID makes sure that the caller's header extension is the one that was agreed.
func checkLevelID(sender *pion.RTPSender) error {
	if id := extensionID(sender.GetParameters().HeaderExtensions, sdp.AudioLevelURI); id != 0 && id != bridge.AudioLevelID {
		return fmt.Errorf("audio level has id %d, not %d", id, bridge.AudioLevelID)
	}
	return nil
}
