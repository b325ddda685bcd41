package configs

import (
	"time"

	"passerelle/transcode"
)

const day = 24 * time.Hour

// Defaults is the configuration of a node that nothing was said to. It reaches only this machine, knows no trunk and holds no secret: enough
// for a trial with an SFU beside it, once the SFU's secret is given.
func Defaults() Config {
	return Config{
		Log:    Log{Level: "info", Format: "text"},
		HTTP:   HTTP{Listen: "127.0.0.1:8080", Rate: 20},
		Egress: Egress{Networks: []string{}},
		LiveKit: LiveKit{
			URL:          "ws://127.0.0.1:7880",
			APIKey:       "devkey",
			UDPListen:    "127.0.0.1:0",
			JoinTimeout:  10 * time.Second,
			ReconnectFor: time.Minute,
		},
		Directory: Directory{
			LiveKit: true,
			Refresh: 2 * time.Second,
			Timeout: 10 * time.Second,
		},
		IVR: IVR{
			Language:   "fr",
			Languages:  []string{"fr", "en"},
			PINLength:  10,
			PINTries:   3,
			PINTimeout: 10 * time.Second,
			Guess:      Guess{PerSource: 30, Overall: 100, Window: 10 * time.Minute},
			EntrySound: true,
		},
		Calls: Calls{
			Max:          500,
			MaxLoad:      90,
			DrainTimeout: time.Minute,
			MediaTimeout: 30 * time.Second,
			MaxDuration:  12 * time.Hour,
		},
		Media: Media{PortMin: 20000, PortMax: 29999},
		SIP: SIP{
			UDP:           []string{"127.0.0.1:5060"},
			TCP:           []string{"127.0.0.1:5060"},
			TLS:           TLS{Listen: []string{}, MinVersion: "1.2"},
			UserAgent:     "Passerelle",
			UnknownRate:   5,
			SessionExpiry: 30 * time.Minute,
			MinSE:         90 * time.Second,
			Trunks:        []Trunk{},
		},
		Sites: []Site{},
		Rules: Rules{Running: "narrow", Service: Service{Timeout: time.Second}},
		Lobby: Lobby{
			HostAttribute: "room_role",
			HostValues:    []string{"owner", "administrator"},
			Timeout:       15 * time.Minute,
		},
		Journal: Journal{
			HeadEvery:    10 * time.Minute,
			Keep:         Keep{Calls: 365 * day, Decisions: 365 * day, Others: 365 * day},
			ShortenAfter: 30 * day,
		},
		Guests: Guests{
			Proxies:       []string{},
			Origins:       []string{},
			UDPListen:     "127.0.0.1:0",
			Advertise:     []string{},
			Networks:      []string{},
			Max:           300,
			MaxPerAddress: 20,
			Rate:          10,
			Grace:         30 * time.Second,
			Tiles:         9,
			Kbps:          4000,
		},
	}
}

// fill gives a site what its entry leaves out.
func (s *Site) fill() {
	if s.As == "" {
		s.As = "Passerelle"
	}
}

// fill gives a trunk what its entry leaves out.
func (t *Trunk) fill() {
	if t.Encryption == "" {
		t.Encryption = "prefer"
	}
	if len(t.Codecs) == 0 {
		for _, c := range transcode.Codecs() {
			if n := len(t.Codecs); n == 0 || t.Codecs[n-1] != c.Name {
				t.Codecs = append(t.Codecs, c.Name)
			}
		}
	}
	if t.Digest.User != "" && t.Digest.Realm == "" {
		t.Digest.Realm = "sip" // says nothing about who we are
	}
}
