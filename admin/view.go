package admin

import (
	"time"

	"passerelle/bridge"
	"passerelle/bridge/journal"
)

// callView is a call as it is shown in lists and events.
type callView struct {
	ID        string    `json:"id"`
	State     string    `json:"state"`
	Protocol  string    `json:"protocol"`
	Transport string    `json:"transport"`
	Trunk     string    `json:"trunk"`
	Source    string    `json:"source"` // IP address; its network where it is masked
	Name      string    `json:"name"`
	Number    string    `json:"number"`
	Called    string    `json:"called"`
	Room      string    `json:"room"`
	Rule      string    `json:"rule"`
	Foreign   bool      `json:"foreign"`
	Began     time.Time `json:"began"`
	Muted     bool      `json:"muted"`
	Held      bool      `json:"held"`
	Hand      bool      `json:"hand"`
}

// viewCall shows a call; full: with the address and all numbers as far as the node tells them.
func viewCall(c bridge.CallInfo, full bool) callView {
	v := callView{
		ID: c.ID, State: c.State, Protocol: c.Protocol, Transport: c.Transport, Trunk: c.Trunk, Source: address(c.Source), Name: c.Name,
		Number: c.Number, Called: c.Called, Room: c.Room, Rule: c.Rule, Foreign: c.Foreign, Began: c.Began.UTC(), Muted: c.Muted, Held: c.Held, Hand: c.Hand,
	}
	if !full {
		v.Source, v.Name, v.Number, v.Called = journal.Network(c.Source), mask(c.Name), mask(c.Number), mask(c.Called)
	}
	return v
}

// callDetail is a call with its quality.
type callDetail struct {
	callView
	Media mediaView `json:"media"`
}

// mediaView is the quality of a call so far. Of packets, "sent" is what this node sent, "far" is what the far end reports of it.
type mediaView struct {
	Codec           string  `json:"codec"`
	Encryption      string  `json:"encryption"`
	Chain           string  `json:"chain"`
	PacketsReceived uint64  `json:"packets_received"`
	PacketsSent     uint64  `json:"packets_sent"`
	BytesReceived   uint64  `json:"bytes_received"`
	BytesSent       uint64  `json:"bytes_sent"`
	Lost            uint64  `json:"lost"`
	Late            uint64  `json:"late"`
	Duplicate       uint64  `json:"duplicate"`
	Invalid         uint64  `json:"invalid"`
	ForeignSource   uint64  `json:"foreign_source"`
	Flooded         uint64  `json:"flooded"`
	JitterMS        float64 `json:"jitter_ms"`
	FarLost         uint32  `json:"far_lost"`
	FarJitterMS     float64 `json:"far_jitter_ms"`
	RoundTripMS     float64 `json:"round_trip_ms"` // 0: not known yet
}

func viewMedia(c bridge.CallInfo) mediaView {
	s := c.Stats
	return mediaView{
		Codec: c.Codec, Encryption: c.Encryption, Chain: c.Chain, PacketsReceived: s.PacketsReceived, PacketsSent: s.PacketsSent,
		BytesReceived: s.BytesReceived, BytesSent: s.BytesSent, Lost: s.Lost, Late: s.Late, Duplicate: s.Duplicate, Invalid: s.Invalid,
		ForeignSource: s.Foreign, Flooded: s.Flooded, JitterMS: milliseconds(s.Jitter), FarLost: s.FarLost, FarJitterMS: milliseconds(s.FarJitter),
		RoundTripMS: milliseconds(s.RoundTrip),
	}
}

// milliseconds is a duration to the microsecond.
func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// roomView is a room in which calls of this node are.
type roomView struct {
	Name    string `json:"name"`
	People  int    `json:"people"`
	Calls   int    `json:"calls"`
	Waiting int    `json:"waiting"`
	Hosts   int    `json:"hosts"`
	Away    bool   `json:"away"`
}

func viewRoom(r bridge.RoomInfo) roomView {
	return roomView{Name: r.Name, People: r.People, Calls: r.Calls, Waiting: r.Waiting, Hosts: r.Hosts, Away: r.Away}
}
