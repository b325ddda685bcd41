package livekit

import (
	"fmt"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/report"
	"github.com/pion/sdp/v3"
	pion "github.com/pion/webrtc/v4"

	"passerelle/bridge"
	"passerelle/transcode"
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

func mediaEngine() (*pion.MediaEngine, error) {
	m := new(pion.MediaEngine)
	if err := m.RegisterCodec(opus(), pion.RTPCodecTypeAudio); err != nil {
		return nil, err
	}
	return m, nil
}

// sendingEngine adds the level of each packet. Header extensions are numbered in the order of their registration, from 1.
func sendingEngine() (*pion.MediaEngine, error) {
	m, err := mediaEngine()
	if err != nil {
		return nil, err
	}
	return m, m.RegisterHeaderExtension(pion.RTPHeaderExtensionCapability{URI: sdp.AudioLevelURI}, pion.RTPCodecTypeAudio,
		pion.RTPTransceiverDirectionSendonly)
}

// senderReports makes RTCP sender reports, by which receivers align sound and picture.
func senderReports() (*interceptor.Registry, error) {
	f, err := report.NewSenderInterceptor()
	if err != nil {
		return nil, err
	}
	r := new(interceptor.Registry)
	r.Add(f)
	return r, nil
}

// checkLevelID makes sure that the caller's header extension is the one that was agreed.
func checkLevelID(sender *pion.RTPSender) error {
	for _, e := range sender.GetParameters().HeaderExtensions {
		if e.URI == sdp.AudioLevelURI && e.ID != bridge.AudioLevelID {
			return fmt.Errorf("audio level has id %d, not %d", e.ID, bridge.AudioLevelID)
		}
	}
	return nil
}
