package bridge

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// TestFloor: the floor changes hands when somebody else has spoken for a while, sooner when its holder is silent, and not for a cough.
func TestFloor(t *testing.T) {
	start := time.Now()
	type step struct {
		at   time.Duration
		who  []SeatID
		want []SeatID // order
	}
	for name, steps := range map[string][]step{
		"the first at once": {{0, []SeatID{5}, []SeatID{5}}},
		"a cough":           {{0, []SeatID{1}, []SeatID{1}}, {5 * time.Second, []SeatID{2, 1}, []SeatID{1}}, {5*time.Second + 300*time.Millisecond, []SeatID{1}, []SeatID{1}}, {6 * time.Second, []SeatID{2, 1}, []SeatID{1}}},
		"a claim":           {{0, []SeatID{1}, []SeatID{1}}, {5 * time.Second, []SeatID{2, 1}, []SeatID{1}}, {5*time.Second + floorClaim, []SeatID{2, 1}, []SeatID{2, 1}}},
		"too soon":          {{0, []SeatID{1}, []SeatID{1}}, {100 * time.Millisecond, []SeatID{2, 1}, []SeatID{1}}, {time.Second, []SeatID{2, 1}, []SeatID{1}}, {floorHold, []SeatID{2, 1}, []SeatID{2, 1}}},
		"silence":           {{0, []SeatID{1}, []SeatID{1}}, {100 * time.Millisecond, []SeatID{2}, []SeatID{1}}, {100*time.Millisecond + floorQuick, []SeatID{2}, []SeatID{2, 1}}},
		"nobody":            {{0, []SeatID{1}, []SeatID{1}}, {time.Minute, nil, []SeatID{1}}},
		"two challengers":   {{0, []SeatID{1}, []SeatID{1}}, {5 * time.Second, []SeatID{2, 1}, []SeatID{1}}, {5*time.Second + floorClaim/2, []SeatID{3, 1}, []SeatID{1}}, {5*time.Second + floorClaim, []SeatID{2, 1}, []SeatID{1}}},
		"back":              {{0, []SeatID{1}, []SeatID{1}}, {time.Second, []SeatID{2}, []SeatID{1}}, {2 * time.Second, []SeatID{2}, []SeatID{2, 1}}, {9 * time.Second, []SeatID{1}, []SeatID{2, 1}}, {10 * time.Second, []SeatID{1}, []SeatID{1, 2}}},
	} {
		var f floor
		for i, s := range steps {
			before := slices.Clone(f.order)
			changed, next := f.heard(s.who, start.Add(s.at))
			if !slices.Equal(f.order, s.want) || changed == slices.Equal(before, f.order) {
				t.Errorf("%s, step %d: %v, want %v; changed %t", name, i, f.order, s.want, changed)
			}
			if len(s.who) > 0 && f.order[0] != s.who[0] {
				// What is promised for later happens then without anybody telling.
				if next.IsZero() || !next.After(start.Add(s.at)) {
					t.Errorf("%s, step %d: the next look is at %v", name, i, next.Sub(start))
				}
			}
		}
	}
}

// TestChoose: who is shown where.
func TestChoose(t *testing.T) {
	var seats []*seat
	for i, name := range []string{"ann", "bob", "eve", "dan", "me", "off"} {
		s := &seat{id: SeatID(i + 1), p: Participant{Identity: name, Tracks: []TrackInfo{cameraOf(name)}}}
		if name == "off" {
			s.p.Tracks[0].Muted = true
		}
		seats = append(seats, s)
	}
	share := func(i, nth int) {
		seats[i].p.Tracks = append(seats[i].p.Tracks, screenOf(seats[i].p.Identity))
		seats[i].shared = nth
	}
	base := func() *chooser {
		return &chooser{self: "me", video: true, content: true, fits: func(k VideoKind) bool { return k == VP8 }, seats: seats}
	}
	name := func(picks []pick) (list []string) {
		for _, p := range picks {
			if p.seat == nil {
				list = append(list, "")
			} else {
				list = append(list, fmt.Sprintf("%s/%s", p.seat.p.Identity, p.source))
			}
		}
		return list
	}
	check := func(what string, c *chooser, tiles []Tile, want ...string) []pick {
		t.Helper()
		picks := c.choose(tiles)
		if got := name(picks); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
		return picks
	}
	even := []Tile{{Height: 180}, {Height: 180}, {Height: 180}}
	main := []Tile{{Height: 720}, {Height: 180}, {Height: 180}}

	check("the first ones", base(), even, "ann/camera", "bob/camera", "eve/camera")
	check("more tiles than people", base(), append(append([]Tile{}, even...), even...), "ann/camera", "bob/camera", "eve/camera", "dan/camera", "", "")
	check("asked for", base(), []Tile{{Seat: 4, Height: 180}, {Height: 180}, {Height: 0}, {Height: 180}}, "dan/camera", "ann/camera", "", "bob/camera")
	check("not to be had", base(), []Tile{{Seat: 5, Height: 180}, {Seat: 6, Height: 180}, {Seat: 99, Height: 180}, {Seat: 1, Source: Content, Height: 180}}, "", "", "", "")

	// Eve, then Dan, gets the floor: in tiles of one size nobody moves who is still shown.
	c := base()
	c.before = check("before", base(), even, "ann/camera", "bob/camera", "eve/camera")
	c.seats = []*seat{seats[3], seats[2], seats[0], seats[1], seats[4]}
	c.before = check("gallery", c, even, "ann/camera", "dan/camera", "eve/camera")
	c.before = check("the speaker is large", c, main, "dan/camera", "ann/camera", "eve/camera")
	c.seats = []*seat{seats[2], seats[3], seats[0], seats[1], seats[4]}
	check("another speaker", c, main, "eve/camera", "ann/camera", "dan/camera")

	share(1, 1)
	check("a screen first", base(), main, "bob/content", "ann/camera", "bob/camera")
	share(0, 2)
	check("the latest screen first", base(), main, "ann/content", "bob/content", "ann/camera")
	check("cameras only", base(), []Tile{{Source: Camera, Height: 720}, {Height: 180}}, "ann/camera", "ann/content")
	check("content only", base(), []Tile{{Source: Content, Height: 720}, {Source: Content, Height: 180}, {Source: Content, Height: 180}}, "ann/content", "bob/content", "")
	check("whatever there is", base(), []Tile{{Seat: 1, Height: 180}, {Seat: 3, Height: 180}, {Seat: 1, Source: Camera, Height: 180}}, "ann/content", "eve/camera", "ann/camera")
	c = base()
	c.content = false
	check("no content", c, []Tile{{Seat: 1, Height: 180}, {Height: 180}}, "ann/camera", "bob/camera")
	c = base()
	c.video = false
	check("no cameras", c, []Tile{{Height: 180}, {Height: 180}, {Seat: 3, Height: 180}}, "ann/content", "bob/content", "")

	seats[2].p.Tracks[0].Encrypted = true
	seats[3].p.Tracks[0].Video.Kind = AV1
	check("encrypted, and another format", base(), []Tile{{Source: Camera, Height: 9}, {Source: Camera, Height: 9}, {Source: Camera, Height: 9}}, "ann/camera", "bob/camera", "")
	if p := base().choose([]Tile{{Seat: 4, Height: 180}}); !p[0].unfit {
		t.Error("a format that does not fit is not marked")
	}
}

// TestRenumber: formats with and without counters, from one to the other and back.
func TestRenumber(t *testing.T) {
	var ps sharedPackets
	now := time.Now()
	av1, h264 := VideoCodec{Kind: AV1}, VideoCodec{Kind: H264}
	make := func(codec *VideoCodec, number int64, timestamp uint32, payload, dependency string, at time.Duration) *shared {
		s := ps.take(&VideoPacket{
			Codec: codec, Timestamp: timestamp, Payload: unhex(t, payload), Dependency: unhex(t, dependency), Arrival: now.Add(at),
		})
		s.number = number
		return s
	}
	var r renumber
	var out VideoPacket
	var own scratch
	step := func(restart bool, p *shared, seq uint16, timestamp uint32, payload string, dependency string) {
		t.Helper()
		before := string(p.payload)
		if restart {
			r.restart(&p.packet, false)
		}
		if !r.apply(&p.packet, &out, &own) {
			t.Fatal("dropped")
		}
		if out.Sequence != seq || out.Timestamp != timestamp || string(out.Payload) != string(unhex(t, payload)) || string(out.Dependency) != string(unhex(t, dependency)) {
			t.Errorf("%d at %d: %x, %x; want %d at %d: %s %s", out.Sequence, out.Timestamp, out.Payload, out.Dependency, seq, timestamp, payload, dependency)
		}
		if string(p.payload) != before {
			t.Error("a shared packet was changed")
		}
		ps.release(p)
	}
	step(true, make(&vp8, 65535, 0xffffffff, "9080ffff00", "", 0), 65535, 0xffffffff, "9080ffff00", "")
	step(false, make(&vp8, 65536, 2999, "9080800001", "", 33*time.Millisecond), 0, 2999, "9080800001", "")
	step(true, make(&h264, 7, 0, "6742", "", 43*time.Millisecond), 1, 2999+900, "6742", "")
	step(true, make(&av1, 1<<40, 77, "1801", "c0ffff00", 53*time.Millisecond), 2, 2999+1800, "1801", "c0000200")
	step(false, make(&av1, 1<<40+1, 3077, "1001", "c0000000", 86*time.Millisecond), 3, 2999+4800, "1001", "c0000300")
	step(true, make(&vp8, 9, 9, "9080800900", "", 96*time.Millisecond), 4, 2999+5700, "9080800300", "")
	if p := make(&vp8, 8, 9, "9080800900", "", 0); r.apply(&p.packet, &out, &own) {
		t.Error("a packet from before the switch was let through")
	}
	if ps.take(&VideoPacket{Codec: &vp8, Payload: unhex(t, fmt.Sprintf("%0*d", 2*maxVideoPacket+2, 0))}) != nil {
		t.Error("a packet that is too large was taken")
	}
}
