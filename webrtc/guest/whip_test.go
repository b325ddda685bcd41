package guest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtp"
	pion "github.com/pion/webrtc/v4"

	"passerelle/bridge"
	"passerelle/bridge/links"
	"passerelle/bridge/policy"
	"passerelle/configs"
)

// ask makes a request with a token, headers (name, value, …) and a body.
func (h *house) ask(method, path, token, body string, headers ...string) (*http.Response, string) {
	h.t.Helper()
	r, err := http.NewRequest(method, h.base+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return a, string(b)
}

// TestWHIP publishes into a room, restarts ICE and leaves.
func TestWHIP(t *testing.T) {
	t.Parallel()
	r := newRoom()
	h := open(t, func(c *configs.Guests) { c.Origins = []string{"*"} }, r.take)
	link, token := h.link(links.Wish{Name: "Studio"})
	p := &tab{t: t, h: h}
	offer := p.media(true, 0)

	a, text := h.ask("POST", "/whip/room", token, offer, "Content-Type", "application/sdp", "Origin", "https://studio.example")
	if a.StatusCode != http.StatusCreated || a.Header.Get("Content-Type") != "application/sdp" || a.Header.Get("Access-Control-Allow-Origin") != "https://studio.example" {
		t.Fatalf("%d %v %s", a.StatusCode, a.Header, text)
	}
	location, tag := a.Header.Get("Location"), a.Header.Get("ETag")
	if !strings.HasPrefix(location, "/whip/r/") || len(tag) < 10 {
		t.Fatalf("Location %q, ETag %q", location, tag)
	}
	if err := p.pc.SetRemoteDescription(pion.SessionDescription{Type: pion.SDPTypeAnswer, SDP: text}); err != nil {
		t.Fatal(err)
	}
	p.isUp()
	leg := wait(t, "leg", r.legs)
	if c := leg.Caller(); c.Protocol != "whip" || c.Name != "Studio" || c.Link != link.ID {
		t.Errorf("caller %+v", c)
	}
	audio := wait(t, "audio", r.audio)
	place := newStage()
	leg.Attach(place)
	n := uint16(0)
	until(t, "picture and sound", func() bool {
		n++
		_ = p.camera.WriteRTP(&rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: n, Timestamp: 3000 * uint32(n)}, Payload: random(200)})
		_ = p.microphone.WriteRTP(&rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: n, Timestamp: 960 * uint32(n)}, Payload: random(50)})
		return place.is(func() bool { return place.got[bridge.Camera] > 2 })() && audio.Stats().PacketsReceived > 2
	})
	leg.Attach(nil)

	t.Run("trickle", func(t *testing.T) {
		const kind = "application/trickle-ice-sdpfrag"
		fragment := transportOf(offer) + "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\na=end-of-candidates\r\n"
		for _, c := range []struct {
			path, kind, match, body string
			want                    int
		}{
			{location, kind, tag, fragment, 204},
			{location, kind, `"old", ` + tag, fragment, 204},
			{location, kind, "*", fragment, 204}, // the credentials are those of before: nothing begins anew
			{location, kind, tag, "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n", 204},
			{location, kind, "", fragment, 428},
			{location, kind, `"old"`, fragment, 412},
			{location, kind, "W/" + tag, fragment, 412},
			{location, "text/plain", tag, fragment, 415},
			{location, kind, tag, "hello", 400},
			{location, kind, tag, "a=ice-ufrag:abcd\r\n", 400},
			{location, kind, tag, strings.Repeat("a=x\n", maxFragment+1), 413},
			{location, kind, tag, strings.Repeat("a", maxBody+1), 413},
			{location, kind, "*", "a=mid:0\r\n", 400},
			{location + "x", kind, tag, fragment, 404},
		} {
			headers := []string{"Content-Type", c.kind}
			if c.match != "" {
				headers = append(headers, "If-Match", c.match)
			}
			a, text := h.ask("PATCH", c.path, token, c.body, headers...)
			if a.StatusCode != c.want || a.Header.Get("ETag") != "" {
				t.Errorf("%q %q: %d %s, want %d", c.kind, c.match, a.StatusCode, text, c.want)
			}
			if c.want >= 400 && a.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%d without a problem: %s", c.want, text)
			}
		}
	})
	t.Run("ICE restart", func(t *testing.T) {
		again := p.offer(true)
		a, fragment := h.ask("PATCH", location, token, transportOf(again), "Content-Type", "application/trickle-ice-sdpfrag", "If-Match", "*")
		if a.StatusCode != http.StatusOK || a.Header.Get("ETag") == tag || credentials(fragment) == "" || credentials(fragment) == credentials(text) {
			t.Fatalf("%d %v %s", a.StatusCode, a.Header, fragment)
		}
		if !strings.Contains(fragment, "a=candidate:") || !strings.Contains(fragment, "a=ice-lite") {
			t.Errorf("fragment %s", fragment)
		}
		f, err := readFragment(fragment)
		if err != nil {
			t.Fatal(err)
		}
		renewed := f.restarted(text)
		if err := p.pc.SetRemoteDescription(pion.SessionDescription{Type: pion.SDPTypeAnswer, SDP: strings.Replace(renewed, "a=mid:0\r\n", "a=mid:0\r\n"+candidatesOf(fragment), 1)}); err != nil {
			t.Fatal(err)
		}
		before := audio.Stats().PacketsReceived
		until(t, "sound", func() bool {
			n++
			_ = p.microphone.WriteRTP(&rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: n, Timestamp: 960 * uint32(n)}, Payload: random(50)})
			return audio.Stats().PacketsReceived > before+5
		})
		if a, _ := h.ask("PATCH", location, token, transportOf(offer), "Content-Type", "application/trickle-ice-sdpfrag", "If-Match", tag); a.StatusCode != http.StatusPreconditionFailed {
			t.Errorf("candidates of the ICE session of before: %d", a.StatusCode)
		}
	})
	if a, _ := h.ask("DELETE", location, token, ""); a.StatusCode != http.StatusOK {
		t.Errorf("DELETE: %d", a.StatusCode)
	}
	if err := wait(t, "end", r.ended); !errors.Is(err, bridge.ErrHungUp) {
		t.Errorf("ended: %v", err)
	}
	if a, _ := h.ask("DELETE", location, token, ""); a.StatusCode != http.StatusNotFound {
		t.Errorf("DELETE again: %d", a.StatusCode)
	}
}

// candidatesOf are the candidates in a fragment.
func candidatesOf(fragment string) string {
	var out strings.Builder
	for line := range strings.Lines(fragment) {
		if strings.HasPrefix(line, "a=candidate:") {
			out.WriteString(line)
		}
	}
	return out.String()
}

// TestWHEP watches a room: its mix, and who speaks.
func TestWHEP(t *testing.T) {
	t.Parallel()
	r := newRoom()
	h := open(t, nil, r.take)
	_, token := h.link(links.Wish{})
	pc := browserOf(t)
	heard := make(chan string, 10)
	pc.OnTrack(func(tr *pion.TrackRemote, _ *pion.RTPReceiver) {
		if _, _, err := tr.ReadRTP(); err == nil {
			heard <- tr.Kind().String()
		}
	})
	for _, k := range []pion.RTPCodecType{pion.RTPCodecTypeAudio, pion.RTPCodecTypeVideo} {
		if _, err := pc.AddTransceiverFromKind(k, pion.RTPTransceiverInit{Direction: pion.RTPTransceiverDirectionRecvonly}); err != nil {
			t.Fatal(err)
		}
	}
	p := &tab{t: t, h: h, pc: pc}
	a, text := h.ask("POST", "/whep", token, p.offer(false), "Content-Type", "application/sdp")
	if a.StatusCode != http.StatusCreated || !strings.HasPrefix(a.Header.Get("Location"), "/whep/r/") {
		t.Fatalf("%d %v %s", a.StatusCode, a.Header, text)
	}
	if err := pc.SetRemoteDescription(pion.SessionDescription{Type: pion.SDPTypeAnswer, SDP: text}); err != nil {
		t.Fatal(err)
	}
	leg, audio := wait(t, "leg", r.legs), wait(t, "audio", r.audio)
	place := newStage()
	leg.Attach(place)
	until(t, "view", func() bool {
		v := place.view()
		return len(v.Tiles) == 1 && v.Tiles[0] == bridge.Tile{Height: listenerHeight} && v.Kbps > 0
	})
	vp8 := bridge.VideoCodec{Kind: bridge.VP8}
	kinds, n := map[string]bool{}, uint16(0)
	until(t, "picture and sound", func() bool {
		n++
		leg.WriteVideo(0, &bridge.VideoPacket{Codec: &vp8, Sequence: n, Timestamp: 3000 * uint32(n), Payload: random(200)})
		if err := audio.WriteFrame(random(50), 960, false); err != nil {
			t.Fatal(err)
		}
		select {
		case k := <-heard:
			kinds[k] = true
		default:
		}
		return kinds["audio"] && kinds["video"]
	})
	leg.Attach(nil)
	h.end() // the server ends, and with it the call
	if err := wait(t, "end", r.ended); !errors.Is(err, bridge.ErrDraining) {
		t.Errorf("ended: %v", err)
	}
}

func browserOf(t *testing.T) *pion.PeerConnection {
	t.Helper()
	var e pion.SettingEngine
	e.SetIncludeLoopbackCandidate(true)
	e.LoggerFactory = quiet{}
	pc, err := pion.NewAPI(pion.WithSettingEngine(e)).NewPeerConnection(pion.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.GracefulClose() })
	return pc
}

// TestWHIPRefusals: each refusal is a problem, and nobody is let in.
func TestWHIPRefusals(t *testing.T) {
	r := newRoom()
	refused := policy.Decision{Rule: "no", Refusal: policy.Refusal{Reason: policy.Forbidden, Text: "No studio today"}}
	h := open(t, nil, r.take)
	_, token := h.link(links.Wish{})
	revoked, taken := h.link(links.Wish{})
	if err := h.links.Revoke(t.Context(), revoked.ID); err != nil {
		t.Fatal(err)
	}
	_, early := h.link(links.Wish{From: time.Now().Add(time.Hour), Until: time.Now().Add(2 * time.Hour)})
	pc := browserOf(t)
	if _, err := pc.AddTransceiverFromKind(pion.RTPCodecTypeAudio); err != nil {
		t.Fatal(err)
	}
	offer := (&tab{t: t, h: h, pc: pc}).offer(false)
	const sdp = "application/sdp"
	for name, c := range map[string]struct {
		path, token, kind, body string
		status                  int
		code                    string
	}{
		"no token":     {"/whip", "", sdp, offer, 401, "link_wrong"},
		"wrong token":  {"/whip", "a.b.c", sdp, offer, 401, "link_wrong"},
		"revoked":      {"/whip", taken, sdp, offer, 401, "link_revoked"},
		"too early":    {"/whep", early, sdp, offer, 403, "link_early"},
		"another room": {"/whip/other", token, sdp, offer, 403, "link_wrong"},
		"no SDP":       {"/whip", token, sdp, "hello", 400, "malformed"},
		"another kind": {"/whip", token, "text/plain", offer, 415, "malformed"},
		"two voices":   {"/whip", token, sdp, written("BUNDLE 0 1", "audio mid:0", "audio mid:1"), 400, "malformed"},
		"two pictures": {"/whip", token, sdp, written("BUNDLE 0 1", "video mid:0", "video mid:1 sendonly"), 400, "malformed"},
		"large":        {"/whip", token, sdp, strings.Repeat("a", maxSDP+1), 413, "malformed"},
		"bomb":         {"/whep", token, sdp, offer + strings.Repeat("m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n", maxTracks), 400, "malformed"},
	} {
		a, text := h.ask("POST", c.path, c.token, c.body, "Content-Type", c.kind)
		var p problem
		if err := json.Unmarshal([]byte(text), &p); err != nil || a.StatusCode != c.status || p.Code != c.code || a.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s %v", name, a.StatusCode, text, err)
		}
		if challenged := strings.HasPrefix(a.Header.Get("WWW-Authenticate"), "Bearer"); challenged != (c.status == 401 || name == "another room") {
			t.Errorf("%s: challenged: %v", name, challenged)
		}
	}
	if n := h.Legs(); n != 0 {
		t.Errorf("%d legs", n)
	}
	h.take = func(_ context.Context, l *Leg) { l.End(&bridge.Refused{Rule: refused.Rule, Refusal: refused.Refusal}) }
	a, text := h.ask("POST", "/whip", token, offer, "Content-Type", sdp)
	if a.StatusCode != http.StatusForbidden || !strings.Contains(text, "No studio today") {
		t.Errorf("%d %s", a.StatusCode, text)
	}
	if a, _ := h.ask("OPTIONS", "/whip", "", ""); a.StatusCode != http.StatusOK || a.Header.Get("Accept-Post") != sdp {
		t.Errorf("OPTIONS: %d %v", a.StatusCode, a.Header)
	}
	if a, _ := h.ask("OPTIONS", "/whep/r/x", "", ""); a.StatusCode != http.StatusOK || a.Header.Get("Accept-Patch") != typeFragment {
		t.Errorf("OPTIONS of a session: %d %v", a.StatusCode, a.Header)
	}
	for path, allowed := range map[string]string{"/whip": "POST, OPTIONS", "/whep/room": "POST, OPTIONS", "/whip/r/x": "PATCH, DELETE, OPTIONS"} {
		for _, method := range []string{"GET", "HEAD", "PUT", "PROPFIND"} {
			a, text := h.ask(method, path, token, "")
			if a.StatusCode != http.StatusMethodNotAllowed || a.Header.Get("Allow") != allowed || method != "HEAD" && !strings.Contains(text, `"method"`) {
				t.Errorf("%s %s: %d %q %s", method, path, a.StatusCode, a.Header.Get("Allow"), text)
			}
		}
	}
	if a, _ := h.ask("POST", "/whip", token, offer, "Content-Type", sdp, "Origin", "https://evil.example"); a.StatusCode != http.StatusForbidden {
		t.Errorf("another origin: %d", a.StatusCode)
	}
	until(t, "nobody", func() bool { return h.Legs() == 0 })
}

func fragments() []string {
	return []string{
		"a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n",
		"a=ice-ufrag:abcd\n", "", "\n\n", "a=ice-ufrag:\r\na=ice-pwd:\r\n", strings.Repeat("a=x\n", maxFragment+1),
	}
}

func FuzzRestarted(f *testing.F) {
	offer := written("BUNDLE 0", "audio mid:0 ice-ufrag:old ice-pwd:old candidate:1")
	for _, s := range fragments() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, fragment string) {
		read, err := readFragment(fragment)
		if err != nil || read.ufrag == "" {
			return
		}
		text := read.restarted(offer)
		if !read.same(text) {
			t.Errorf("%q is not in %q", fragment, text)
		}
		if strings.Contains(text, ":old") || strings.Contains(text, "candidate") || len(text) > len(offer)+700 {
			t.Errorf("%q gives %q", fragment, text)
		}
		if strings.Count(text, "\n") != strings.Count(offer, "\n")-1 {
			t.Errorf("%q adds lines: %q", fragment, text)
		}
	})
}
