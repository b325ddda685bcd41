//go:build e2e

package guest_test

import (
	"fmt"
	"image"
	"math"
	"net"
	"net/netip"
	"testing"

	"passerelle/e2e/browser"
	"passerelle/e2e/stack"
	"passerelle/internal/testpeer/speech"
	"passerelle/transcode"
)

// tone is what Firefox's own microphone of tests hears, in Hz.
const tone = 440

// TestFirefox has a guest come by Firefox: it hears and sees the room, is heard and seen there, and asks nothing of anybody else.
func TestFirefox(t *testing.T) {
	t.Parallel()
	own := ownAddress(t)
	g := openGate(t, "", fmt.Sprintf(", udp_listen: %q, networks: [%s]", netip.AddrPortFrom(own, 0), netip.PrefixFrom(own, own.BitLen())))
	french := speech.Say(t, "fr", speech.French, transcode.Rate)
	camille := g.camille(french, green)
	address, _ := g.link(map[string]any{"name": "Anna Lindqvist"})
	anna := browser.Open(t, browser.Options{Engine: browser.Firefox, Name: "anna", Tone: tone, Scripts: []string{"ears.js"}})
	anna.Open(address)
	anna.Wait(".preview-ask .button")
	anna.Click(".preview-ask .button")
	anna.Wait(".preview video:not([hidden])")
	agree(anna)
	anna.Click("button[type=submit]")
	anna.Wait(".meeting")
	stack.Eventually(t, patience, "Anna hears something", func() bool { return anna.Is("window.firstSound") })

	if anna.Is("document.querySelector('.blocked:not([hidden])')") {
		t.Error("Firefox plays the meeting only after one more click")
	}
	anna.Eval("record()")
	hears(anna, "Anna hears Camille", french, "recorded()")
	green.moves(anna, "Anna sees Camille's camera move", tile("Camille"))

	camille.Eval("record()")
	stack.Eventually(t, patience, "Camille hears Anna's tone", func() bool {
		pcm, _ := camille.Recorded(heard)
		return len(pcm) > transcode.Rate && purity(pcm[len(pcm)-transcode.Rate/2:], tone) > 0.8
	})
	turns(camille, "Camille sees the colours of Anna's camera turn", `video[data-who="Anna Lindqvist"]`)

	anna.Press("m")
	stack.Eventually(t, patience, "Camille sees Anna's microphone closed", func() bool {
		return camille.Is(`people().find(p => p.name === 'Anna Lindqvist').tracks.find(t => t.kind === 'audio').muted`)
	})
	anna.Press("v")
	stack.Eventually(t, patience, "and her camera", func() bool {
		return camille.Is(`people().find(p => p.name === 'Anna Lindqvist').tracks.find(t => t.kind === 'video')?.muted ?? true`)
	})
	anna.Press("v")
	turns(camille, "Camille sees Anna's camera again", `video[data-who="Anna Lindqvist"]`)

	anna.Reload()
	anna.Wait(".meeting")
	green.moves(anna, "Anna sees Camille after a reload", tile("Camille"))
	turns(camille, "Camille sees Anna after a reload", `video[data-who="Anna Lindqvist"]`)

	anna.Click(".tool.leave")
	anna.Wait(".notice")
	if h := anna.Heading(); h != "You have left the meeting" {
		t.Errorf("after leaving the page says %q", h)
	}
	onlyOurs(t, g, anna)
	for _, stray := range anna.Strays() {
		t.Errorf("Firefox wanted %s", stray)
	}
}

// ownAddress is an address of this machine besides 127.0.0.1: Firefox has no candidate there. What goes to it does not leave the machine, either.
func ownAddress(t *testing.T) netip.Addr {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() && !p.Addr().IsLoopback() && !p.Addr().IsLinkLocalUnicast() {
			return p.Addr()
		}
	}
	t.Fatal("Firefox wants an address for media that is not a loopback one, and this machine has none")
	return netip.Addr{}
}

// purity is the share of a sound's power that is at a frequency, by Goertzel's algorithm: 1 for a sine of a whole number of waves, 0 for silence.
func purity(pcm []int16, hertz float64) float64 {
	turn := 2 * math.Cos(2*math.Pi*hertz/transcode.Rate)
	var before, last, power float64
	for _, v := range pcm {
		x := float64(v)
		before, last = last, x+turn*last-before
		power += x * x
	}
	if power == 0 {
		return 0
	}
	return 2 * (before*before + last*last - turn*before*last) / float64(len(pcm)) / power
}

// turns waits until an element shows the picture of Firefox's camera of tests, one colour that turns, in three colours.
func turns(b *browser.Page, what, on string) {
	b.T.Helper()
	colours := map[int]bool{}
	stack.Eventually(b.T, patience, what, func() bool {
		if degrees, ok := hue(b.Picture(on)); ok {
			colours[int(degrees/20)] = true
		}
		return len(colours) >= 3
	})
}

// hue is the colour in the middle of a picture, in degrees; false: it has none.
func hue(i image.Image) (degrees float64, ok bool) {
	if i == nil {
		return 0, false
	}
	bounds := i.Bounds()
	r, g, b, _ := i.At((bounds.Min.X+bounds.Max.X)/2, (bounds.Min.Y+bounds.Max.Y)/2).RGBA()
	R, G, B := float64(r>>8), float64(g>>8), float64(b>>8)
	degrees = math.Atan2(math.Sqrt(3)*(G-B), 2*R-G-B) * 180 / math.Pi
	return degrees + 180, max(R, G, B)-min(R, G, B) > 40
}
