//go:build e2e

package guest_test

import (
	"fmt"
	"slices"
	"testing"

	"passerelle/e2e/browser"
	"passerelle/e2e/stack"
	"passerelle/internal/testpeer/lkadmin"
	"passerelle/internal/testpeer/speech"
	"passerelle/transcode"
	"passerelle/webrtc/livekit/lksig"
)

const (
	settingsButton   = ".bar-tools .plain-button:nth-of-type(3)"
	peopleButton     = ".bar-tools .plain-button:nth-of-type(2)"
	viewButton       = ".bar-tools .plain-button:nth-of-type(1)"
	microphoneButton = ".bar.bottom .tool:nth-of-type(1)"
	cameraButton     = ".bar.bottom .tool:nth-of-type(2)"
)

// host is somebody with LiveKit's API.
func (g *gate) host() lkadmin.Admin {
	g.Helper()
	return lkadmin.Admin{Client: g.Client(g.T)}
}

// stay is Anna's time in the meeting, with Camille who sees and hears her.
type stay struct {
	*testing.T
	g             *gate
	anna, camille *browser.Page
}

// until waits for something.
func (s *stay) until(what string, holds func() bool) {
	s.Helper()
	stack.Eventually(s.T, patience, what, holds)
}

// told waits until a word is on the page, and takes it away.
func (s *stay) told(text string) {
	s.Helper()
	s.until("the page says "+text, func() bool {
		return s.anna.Is(fmt.Sprintf("[...document.querySelectorAll('.toast')].some(e => e.textContent === %q)", text))
	})
	s.anna.Eval("document.getElementById('toasts').replaceChildren()")
}

// sends is the sender of a kind in the page.
func sends(kind string) string {
	return fmt.Sprintf("connections.at(-1).getSenders().find(s => s.track?.kind === %q)", kind)
}

// seen waits until Camille sees new pictures of Anna.
func (s *stay) seen(what string) {
	s.Helper()
	const frames = `(document.querySelector('video[data-who="Anna Lindqvist"]')?.getVideoPlaybackQuality().totalVideoFrames ?? 0)`
	s.camille.Eval("window.before = " + frames)
	s.until("Camille sees Anna "+what, func() bool { return s.camille.Is(frames + " > before + 10") })
}

// heard waits until Camille hears Anna's microphone.
func (s *stay) heard(what string) {
	s.Helper()
	s.camille.Eval("record()")
	s.until("Camille hears Anna "+what, func() bool { return s.camille.Is("loudest() > 0.03") })
}

// open waits until Camille sees Anna's microphone or camera open, or closed.
func (s *stay) open(kind string, yes bool, what string) {
	s.Helper()
	s.until("Camille sees: "+what, func() bool {
		return s.camille.Is(fmt.Sprintf("(people().find(p => p.name === 'Anna Lindqvist')?.tracks.find(t => t.kind === %q)?.muted ?? true) === %v", kind, !yes))
	})
}

// TestChanges is a meeting in which much changes for a guest: devices, what a host permits, and the tab.
func TestChanges(t *testing.T) {
	t.Parallel()
	s := &stay{T: t, g: openGate(t, "", "")}
	s.camille = s.g.camille(speech.Say(t, "fr", speech.French, transcode.Rate), green)
	s.camille.Eval("room.localParticipant.setMicrophoneEnabled(false)") // who speaks is Anna, by each of her microphones
	words := speech.Say(t, "en", speech.English, transcode.Rate)
	s.anna = browser.Open(t, browser.Options{Name: "anna", Words: words[:sentence], Cameras: 3, Scripts: []string{"ears.js", "plugs.js"}})
	address, _ := s.g.link(map[string]any{"name": "Anna Lindqvist"})
	join(s.anna, address)
	s.seen("first")
	s.heard("first")
	s.devices()
	s.camera()
	s.microphone()
	s.host()
	s.tabs()
}

// devices has Anna choose another microphone, camera and loudspeaker.
func (s *stay) devices() {
	s.Helper()
	s.anna.Click(settingsButton)
	for i, kind := range []string{"audio", "video"} {
		list := fmt.Sprintf(".panel-body > .field:nth-of-type(%d) select", i+1)
		s.anna.Eval("window.old = " + sends(kind) + ".track; null")
		other := s.other(list)
		s.anna.Choose(list, other)
		s.until("another device is in use: "+kind, func() bool {
			return s.anna.Is(fmt.Sprintf("old.readyState === 'ended' && %s?.track.readyState === 'live' && %s.track.getSettings().deviceId === %q", sends(kind), sends(kind), other))
		})
		s.until("the settings say so", func() bool { return s.anna.Is(fmt.Sprintf("document.querySelector(%q).value === %q", list, other)) })
	}
	s.seen("by another camera")
	s.heard("by another microphone")
	list := ".panel-body > .field:nth-of-type(3) select"
	other := s.other(list)
	s.anna.Choose(list, other)
	s.until("the meeting is heard elsewhere", func() bool { return s.anna.Is(fmt.Sprintf("window.sink === %q", other)) })
	s.anna.Press("Escape")
}

// other is the last device of a list; it is not the one in use.
func (s *stay) other(list string) (device string) {
	s.Helper()
	s.until("there is a choice in "+list, func() bool { return s.anna.Is(fmt.Sprintf("document.querySelector(%q)?.options.length > 1", list)) })
	s.anna.Get(&device, fmt.Sprintf("document.querySelector(%q).options[document.querySelector(%q).options.length - 1].value", list, list))
	if s.anna.Is(fmt.Sprintf("document.querySelector(%q).value === %q", list, device)) {
		s.Fatalf("%s: the last device is in use before it was chosen", list)
	}
	return device
}

// camera has Anna's cameras pulled out: the meeting goes on without, and with one again when there is one.
func (s *stay) camera() {
	s.Helper()
	s.anna.Eval("unplug('video')")
	s.told("Your camera is gone. The others do not see you.")
	s.open("video", false, "no picture of Anna")
	s.heard("without a camera")
	if label := s.label(cameraButton); label != "Switch your camera on" {
		s.Errorf("the camera's button says %q", label)
	}
	s.anna.Click(cameraButton)
	s.told("No camera was found. You can join without one.")
	s.anna.Eval("plug()")
	s.anna.Click(cameraButton)
	s.open("video", true, "a picture of Anna again")
	s.seen("again")
}

// microphone has Anna's microphone pulled out: another one takes its place, until there is none.
func (s *stay) microphone() {
	s.Helper()
	s.anna.Eval("window.old = " + sends("audio") + ".track; unplug(old.getSettings().deviceId)")
	s.until("another microphone takes its place", func() bool {
		return s.anna.Is(fmt.Sprintf("old.readyState === 'ended' && %s?.track.readyState === 'live'", sends("audio")))
	})
	s.heard("by the microphone that is left")
	s.anna.Eval("unplug('audio')")
	s.told("Your microphone is gone. Choose another one in the settings.")
	s.open("audio", false, "Anna's microphone closed")
	s.anna.Eval("plug()")
	s.anna.Click(settingsButton)
	list := ".panel-body > .field:nth-of-type(1) select"
	s.until("there is a choice again", func() bool { return s.anna.Is(fmt.Sprintf("document.querySelector(%q)?.options.length > 1", list)) })
	var device string
	s.anna.Get(&device, fmt.Sprintf("document.querySelector(%q).options[1].value", list))
	s.anna.Choose(list, device)
	s.open("audio", true, "Anna's microphone open")
	s.heard("by the microphone that she chose")
	s.anna.Press("Escape")
}

// label is what a screen reader says of an element.
func (s *stay) label(on string) (label string) {
	s.Helper()
	s.anna.Get(&label, fmt.Sprintf("document.querySelector(%q).getAttribute('aria-label')", on))
	return label
}

// host has a host close Anna's microphone: first so that she may open it again, then not, and then again.
func (s *stay) host() {
	s.Helper()
	host := s.g.host()
	people := s.camille.People()
	anna := people[slices.IndexFunc(people, func(p browser.Person) bool { return p.Name == "Anna Lindqvist" })]
	track := anna.Tracks[slices.IndexFunc(anna.Tracks, func(t browser.Track) bool { return t.Kind == "audio" })]
	if err := host.Mute(s.Context(), room, anna.Identity, track.SID, true); err != nil {
		s.Fatal(err)
	}
	s.told("A host closed your microphone.")
	s.open("audio", false, "Anna's microphone closed by a host")
	if !s.anna.Is(sends("audio") + ".track.enabled === false") {
		s.Error("the page sends what the microphone hears, though a host closed it")
	}
	s.anna.Press("m")
	s.open("audio", true, "Anna's microphone opened by herself")
	s.heard("after a host closed her microphone")

	may := func(sources ...lksig.TrackSource) {
		err := host.Update(s.Context(), room, anna.Identity, nil, &lksig.ParticipantPermission{
			CanPublish: true, CanPublishSources: sources, CanPublishData: true, CanUpdateMetadata: true,
		})
		if err != nil {
			s.Fatal(err)
		}
	}
	may(lksig.TrackSource_CAMERA, lksig.TrackSource_SCREEN_SHARE)
	s.told("A host closed your microphone.")
	s.until("it cannot be opened", func() bool { return s.anna.Is(fmt.Sprintf("document.querySelector(%q).disabled", microphoneButton)) })
	if label := s.label(microphoneButton); label != "A host closed your microphone" {
		s.Errorf("the microphone's button says %q", label)
	}
	s.anna.Press("m")
	s.told("A host closed your microphone.")
	s.anna.Eval("document.activeElement.blur()") // or the key is the button's
	s.anna.Down(" ")
	s.told("A host closed your microphone.")
	s.anna.Up(" ")
	if !s.anna.Is(sends("audio") + ".track.enabled === false") {
		s.Error("the page opened a microphone that only a host may open")
	}
	s.seen("though her microphone is closed")

	may(lksig.TrackSource_CAMERA, lksig.TrackSource_SCREEN_SHARE, lksig.TrackSource_MICROPHONE)
	s.told("You may open your microphone again.")
	s.until("it can be opened, and was not", func() bool {
		return s.anna.Is(fmt.Sprintf("document.querySelector(%q).matches('.off:enabled')", microphoneButton)) && s.anna.Is(sends("audio")+".track.enabled === false")
	})
	s.anna.Click(microphoneButton)
	s.open("audio", true, "Anna's microphone open again")
	s.heard("after a host permitted it")
}

// tabs has Anna open the page in a second tab: it takes over, the first one says so, and the room loses nobody.
func (s *stay) tabs() {
	s.Helper()
	s.camille.Eval(`window.left = 0; room.on('participantDisconnected', () => window.left++); null`)
	first := s.anna
	s.anna = first.Duplicate()
	s.anna.Wait(".meeting")
	stack.Eventually(s.T, patience, "the first tab says that the meeting goes on elsewhere", func() bool { return first.Heading() == "The meeting goes on elsewhere" })
	if !first.Is(sends("audio") + " === undefined || connections.at(-1).connectionState === 'closed'") {
		s.Error("the first tab goes on sending")
	}
	s.seen("by the second tab")
	s.heard("by the second tab")
	if s.camille.Is("window.left > 0") {
		s.Error("the room has lost the guest meanwhile")
	}
}
