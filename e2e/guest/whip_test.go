//go:build e2e

package guest_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"passerelle/bridge"
	"passerelle/bridge/links"
	"passerelle/configs"
	"passerelle/e2e/stack"
	"passerelle/internal/testpeer/participant"
	"passerelle/internal/testpeer/said"
	"passerelle/internal/testpeer/speech"
	"passerelle/transcode"
	"passerelle/transcode/wav"
)

// TestWHIPClient has Debian's whip-client, which is GStreamer's, publish by a link: what it plays is heard in the room, what it shows is seen there, and it
// is gone when the link is taken back. Once more it finds our TURN server by the answer's Link, and its candidates follow the offer: all goes by the relay.
func TestWHIPClient(t *testing.T) {
	if _, err := exec.LookPath("whip-client"); err != nil {
		t.Fatal("whip-client is not installed: apt-get install simple-whip-client gstreamer1.0-nice gstreamer1.0-plugins-good gstreamer1.0-plugins-bad")
	}
	page := stack.FreePort(t)
	s := stack.Start(t, stack.Options{Extra: fmt.Sprintf("guests: {listen: %q, turn_listen: %q}", page, stack.FreePort(t))})
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()

	client := s.Client(t)
	camille, err := participant.Join(ctx, client, "whip", "camille", "Camille")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(camille.Leave)

	k := keeper(t, s)
	l, token, err := k.Create(ctx, links.Wish{Room: "whip", Name: "Studio"})
	if err != nil {
		t.Fatal(err)
	}
	clip := speech.Say(t, "en", "The studio speaks to everybody in this room, and shows a ball that jumps.", transcode.Rate)
	sound := filepath.Join(t.TempDir(), "sound.wav")
	play(t, sound, slices.Repeat(clip, 10))
	environ := loadable(t)
	from := time.Now()
	publish(t, environ, "http://"+page+"/whip/whip", token, sound, "-n")

	stack.Hears(t, "what whip-client plays", clip, func() ([]int16, time.Time) { return camille.Tape.Since(from) })
	var studio bridge.Participant
	stack.Eventually(t, 20*time.Second, "the studio shows a picture", func() bool {
		p, ok := camille.Find(func(p bridge.Participant) bool { return p.Name == "Studio" })
		studio = p
		return ok && len(p.Tracks) == 2
	})
	if err := k.Revoke(ctx, l.ID); err != nil {
		t.Fatal(err)
	}
	stack.Eventually(t, 20*time.Second, "the studio is gone", func() bool {
		_, there := camille.People()[studio.Identity]
		return !there
	})

	if _, token, err = k.Create(ctx, links.Wish{Room: "whip", Name: "Relayed"}); err != nil {
		t.Fatal(err)
	}
	log := publish(t, environ, "http://"+page+"/whip", token, sound, "--follow-link", "--force-turn")
	stack.Eventually(t, 20*time.Second, "a picture by the relay", func() bool {
		p, ok := camille.Find(func(p bridge.Participant) bool { return p.Name == "Relayed" })
		return ok && len(p.Tracks) == 2
	})
	if !strings.Contains(log.String(), "turn://") || strings.Contains(log.String(), "stun://") {
		t.Errorf("whip-client was told of other servers than ours:\n%s", log)
	}
}

// publish has whip-client publish a sound and a ball that jumps, until the test ends. It answers what it says.
func publish(t *testing.T, environ []string, url, token, sound string, options ...string) *said.Text {
	t.Helper()
	log := &said.Text{}
	c := exec.Command("whip-client", append(options, "-l", "6", "-u", url, "-t", token,
		"-A", "filesrc location="+sound+" ! wavparse ! identity sync=true ! audioconvert ! audioresample ! audio/x-raw,rate=48000,channels=2 ! queue ! "+
			"opusenc frame-size=20 ! rtpopuspay pt=100 ! queue ! application/x-rtp,media=audio,encoding-name=OPUS,payload=100",
		"-V", "videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=180,framerate=15/1 ! videoconvert ! queue ! "+
			"vp8enc deadline=1 keyframe-max-dist=30 ! rtpvp8pay pt=96 ! queue ! application/x-rtp,media=video,encoding-name=VP8,payload=96")...)
	c.Env = append(os.Environ(), environ...)
	c.Stdout, c.Stderr = log, log
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_ = c.Wait()
	}()
	t.Cleanup(func() {
		_ = c.Process.Kill()
		<-gone
		if t.Failed() {
			t.Logf("whip-client %s:\n%s", strings.Join(options, " "), log)
		}
	})
	return log
}

// loadable makes Debian 12's whip-client start at all: it is linked with libsoup 2, libnice is, by way of libgupnp-igd, with libsoup 3, and the two refuse to
// live in one process. It answers the environment in which libnice finds a libgupnp-igd that knows no router, GStreamer none of its own users of libsoup 3,
// and libnice a loopback interface that looks like any other: it would not use it otherwise.
func loadable(t *testing.T) []string {
	t.Helper()
	all, err := filepath.Glob("/usr/lib/*/gstreamer-1.0/libgst*.so")
	if err != nil || len(all) == 0 {
		t.Fatalf("no plugins of GStreamer: %v", err)
	}
	dir := t.TempDir()
	for _, path := range all {
		name := filepath.Base(path)
		if slices.Contains([]string{"libgstsoup.so", "libgstadaptivedemux2.so"}, name) {
			continue
		}
		if err := os.Symlink(path, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	lib := filepath.Join(dir, "libgupnp-igd-1.0.so.4")
	c := exec.Command("gcc", "-shared", "-fPIC", "-x", "c", "-", "-o", lib)
	c.Stdin = strings.NewReader(`
		#define _GNU_SOURCE
		#include <dlfcn.h>
		#include <ifaddrs.h>
		#include <net/if.h>
		int getifaddrs(struct ifaddrs **list) {
			int (*real)(struct ifaddrs **) = dlsym(RTLD_NEXT, "getifaddrs");
			int failed = real(list);
			for (struct ifaddrs *i = failed ? 0 : *list; i; i = i->ifa_next) i->ifa_flags &= ~IFF_LOOPBACK;
			return failed;
		}
		void *gupnp_simple_igd_thread_new(void) { return 0; }
		unsigned long gupnp_simple_igd_get_type(void) { return 0; }
		void gupnp_simple_igd_add_port(void) {}
		void gupnp_simple_igd_remove_port_local(void) {}
	`)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return []string{"GST_PLUGIN_SYSTEM_PATH_1_0=" + dir, "GST_REGISTRY_1_0=" + filepath.Join(dir, "registry"), "LD_LIBRARY_PATH=" + dir, "LD_PRELOAD=" + lib}
}

// keeper opens the links of a stack's gateway, as `passerelle link` does.
func keeper(t *testing.T, s *stack.Stack) *links.Keeper {
	t.Helper()
	cfg := configs.Defaults()
	cfg.Journal.Dir = filepath.Join(s.Dir, "state")
	k, err := links.OpenFor(t.Context(), cfg, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.Close() })
	return k
}

// play writes a sound to a file.
func play(t *testing.T, path string, pcm []int16) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := wav.Write(f, pcm, transcode.Rate); err != nil {
		t.Fatal(err)
	}
}
