package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pion/interceptor"
	pion "github.com/pion/webrtc/v4"

	"passerelle/bridge"
	"passerelle/bridge/links"
	"passerelle/configs"
	"passerelle/internal/egress"
	people "passerelle/internal/testpeer/participant"
	"passerelle/internal/testpeer/picture"
	"passerelle/transcode"
	"passerelle/webrtc"
	"passerelle/webrtc/livekit"
)

// watched is what guests by link cost: so many who hear, or see, one speaker.
type watched struct {
	name      string
	guests    int
	gateway   float64 // of a core
	sfu, self float64
	kbps      float64 // to each
	loss      float64
	joined    float64 // guests a second
	slowest   time.Duration
	delay     []time.Duration // sorted: later than at a participant of the SFU
	goal      float64         // guests a core; 0: none
	goalDelay time.Duration   // p50; 0: none
}

// guests measures guests by link: those who hear one speaker, and those who see one at about 1 Mbit/s.
func (b *bench) guests(ctx context.Context) error {
	audio, video := 150, []int{20, 100}
	if b.quick {
		audio, video = 60, video[:1]
	}
	r, err := startRig(ctx, b.gateway, b.profile("guests"))
	if err != nil {
		return err
	}
	defer r.stop()
	token, err := r.guestLink(ctx)
	if err != nil {
		return err
	}
	client, err := newClient(r)
	if err != nil {
		return err
	}
	defer client.Close()
	codec, _ := transcode.Lookup("opus", transcode.Rate)
	said, err := newSound(codec, b.clip)
	if err != nil {
		return err
	}
	speaker, err := join(ctx, client, guestRoom, "speaker", said, nil)
	if err != nil {
		return err
	}
	defer speaker.leave()
	w, err := b.watch(ctx, r, token, audio, false, nil)
	if err != nil {
		return fmt.Errorf("audio: %w", err)
	}
	w.name, w.goal = "guests who hear one speaker, one room", 300
	b.report.guests = append(b.report.guests, w)
	b.say("  %s", w)

	if b.report.passed, err = passedAudio(ctx, r, token, client, said); err != nil {
		return fmt.Errorf("passed audio: %w", err)
	}
	b.say("  audio that is passed: p50 %v p99 %v", of(b.report.passed, .5), of(b.report.passed, .99))

	clip, err := picture.Make(ctx, "speaker", bridge.VideoCodec{Kind: bridge.VP8}, 960, 640, 5*picture.Rate) // about 1 Mbit/s
	if err != nil {
		return err
	}
	shows, err := people.Join(ctx, client, guestRoom, "camera", "Camera")
	if err != nil {
		return err
	}
	defer shows.Leave()
	shown, err := shows.Show(ctx, bridge.Camera, clip)
	if err != nil {
		return err
	}
	defer shown.Stop()
	for _, n := range video {
		if w, err = b.watch(ctx, r, token, n, true, client); err != nil {
			return fmt.Errorf("video: %w", err)
		}
		w.name, w.goal, w.goalDelay = fmt.Sprintf("%d guests who see one speaker, one room", n), 100, 5*time.Millisecond
		b.report.guests = append(b.report.guests, w)
		b.say("  %s", w)
	}
	return nil
}

const guestRoom = "guests"

// guestLink makes a link for any number of guests.
func (r *rig) guestLink(ctx context.Context) (string, error) {
	cfg := configs.Defaults()
	cfg.Journal.Dir = filepath.Join(r.dir, "state")
	k, err := links.OpenFor(ctx, cfg, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		return "", err
	}
	_, token, err := k.Create(ctx, links.Wish{Room: guestRoom})
	if err != nil {
		_ = k.Close()
		return "", err
	}
	return token, k.Close()
}

// watch brings guests in by WHEP and measures what they cost. see: pictures, too, held against what a participant of the SFU gets.
func (b *bench) watch(ctx context.Context, r *rig, token string, n int, see bool, client *livekit.Client) (w watched, err error) {
	port, err := webrtc.OpenPort(ctx, egress.New(), "127.0.0.1:0", slog.New(slog.DiscardHandler))
	if err != nil {
		return w, err
	}
	t := &theatre{alone: map[string]sight{}}
	defer func() {
		t.leave()
		err = errors.Join(err, port.Close())
	}()
	if see {
		var leave func()
		for end := time.Now().Add(patience); ; time.Sleep(period) { // the picture has just begun
			if leave, err = t.sit(ctx, client); err == nil || time.Now().After(end) {
				break
			}
		}
		if err != nil {
			return w, err
		}
		defer leave()
	}
	start := time.Now()
	var slowest atomic.Int64
	errs := make(chan error, n)
	places := make(chan struct{}, 4)
	var coming sync.WaitGroup
	for i := range n {
		coming.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			began := time.Now()
			if err := t.come(ctx, r, port, token, see, see && i == 0); err != nil {
				errs <- err
				return
			}
			if d := int64(time.Since(began)); d > slowest.Load() {
				slowest.Store(d)
			}
		})
	}
	coming.Wait()
	select {
	case err := <-errs:
		return w, err
	default:
	}
	w.guests, w.joined, w.slowest = n, float64(n)/time.Since(start).Seconds(), time.Duration(slowest.Load())
	time.Sleep(4 * time.Second)
	if r.profile != "" && see { // SIGUSR1 begins, and ends, a profile
		_ = r.gateway.process.Signal(syscall.SIGUSR1)
		defer func() {
			_ = r.gateway.process.Signal(syscall.SIGUSR1)
			time.Sleep(time.Second) // until it is written
		}()
	}
	pids := [...]int{r.gateway.pid, r.sfu.Pid(), os.Getpid()}
	var used [len(pids)]time.Duration
	for i, pid := range pids {
		used[i] = cpuTime(pid)
	}
	t.compare()
	packets, bytes, at := t.packets.Load(), t.bytes.Load(), time.Now()
	time.Sleep(b.measure)
	took := time.Since(at).Seconds()
	share := func(i int) float64 { return (cpuTime(pids[i]) - used[i]).Seconds() / took }
	w.gateway, w.sfu, w.self = share(0), share(1), share(2)
	w.kbps = float64(t.bytes.Load()-bytes) * 8 / 1000 / took / float64(n)
	if !see {
		w.loss = max(0, 1-float64(t.packets.Load()-packets)/(float64(n)*took/period.Seconds()))
	}
	w.delay = t.delays()
	return w, nil
}

// theatre is all who watch.
type theatre struct {
	packets, bytes atomic.Int64

	mu    sync.Mutex
	peers []*webrtc.Peer
	alone map[string]sight // packets that only one of the two has got so far, by what is in them
	later []time.Duration
}

// sit brings a participant of the SFU in, with whom guests are compared.
func (t *theatre) sit(ctx context.Context, c *livekit.Client) (leave func(), err error) {
	session, present, err := c.Join(ctx, bridge.Join{Room: guestRoom, Identity: "viewer", Name: "Viewer", Subscribe: true})
	if err != nil {
		return nil, err
	}
	for _, p := range present {
		for _, track := range p.Tracks {
			if track.Video.Source == bridge.Camera {
				err = session.(bridge.VideoSession).Watch(track.SID, 1080, 0, t)
				go func() {
					for range session.Events() { // until Leave
					}
				}()
				return session.Leave, err
			}
		}
	}
	session.Leave()
	return nil, errors.New("nobody shows a picture")
}

// come brings a guest in, who counts what comes. compared: and holds it against what the participant gets.
func (t *theatre) come(ctx context.Context, r *rig, port *webrtc.Port, token string, see, compared bool) error {
	m := new(pion.MediaEngine)
	if err := m.RegisterDefaultCodecs(); err != nil {
		return err
	}
	chain := new(interceptor.Registry)
	if err := pion.RegisterDefaultInterceptors(m, chain); err != nil {
		return err
	}
	p, err := port.NewPeer(m, chain)
	if err != nil {
		return err
	}
	t.mu.Lock()
	t.peers = append(t.peers, p)
	t.mu.Unlock()
	heard := make(chan struct{})
	var once sync.Once
	p.OnTrack(func(track *pion.TrackRemote, _ *pion.RTPReceiver) {
		buf := make([]byte, 1600)
		for {
			n, _, err := track.Read(buf)
			if err != nil {
				return
			}
			once.Do(func() { close(heard) })
			if (track.Kind() == pion.RTPCodecTypeVideo) == see {
				t.packets.Add(1)
				t.bytes.Add(int64(n))
			}
			if compared && track.Kind() == pion.RTPCodecTypeVideo {
				t.arrived(buf[:n], true, time.Now())
			}
		}
	})
	kinds := []pion.RTPCodecType{pion.RTPCodecTypeAudio}
	if see {
		kinds = append(kinds, pion.RTPCodecTypeVideo)
	}
	for _, k := range kinds {
		if _, err := p.AddTransceiverFromKind(k, pion.RTPTransceiverInit{Direction: pion.RTPTransceiverDirectionRecvonly}); err != nil {
			return err
		}
	}
	if err := connect(ctx, p, "http://"+r.page+"/whep", token); err != nil {
		return err
	}
	select {
	case <-heard:
		return nil
	case <-time.After(patience):
		return fmt.Errorf("a guest hears nothing within %v", patience)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// connect offers a peer connection to a WHIP or WHEP address.
func connect(ctx context.Context, p *webrtc.Peer, address, token string) error {
	offer, err := p.Offer(ctx, false)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(offer))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/sdp")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusCreated {
		return fmt.Errorf("%s: %s %s %w", address, response.Status, answer, err)
	}
	return p.Accept(string(answer))
}

// WriteVideo implements bridge.VideoSink: what the participant gets.
func (t *theatre) WriteVideo(p *bridge.VideoPacket) { t.arrived(p.Payload, false, p.Arrival) }

// sight is when a packet came to the guest, or to the participant, who are compared.
type sight struct {
	guest bool
	at    time.Time
}

// arrived notes a packet by its end: what is before it may have been renumbered. Either may get it first. Pictures come round again and again, so what
// came to one alone is soon something else's.
func (t *theatre) arrived(b []byte, guest bool, at time.Time) {
	if len(b) < 200 {
		return
	}
	key := string(b[len(b)-64:])
	t.mu.Lock()
	defer t.mu.Unlock()
	other, ok := t.alone[key]
	d := at.Sub(other.at)
	if !ok || other.guest == guest || d > time.Second {
		t.alone[key] = sight{guest, at}
		return
	}
	delete(t.alone, key)
	if !guest {
		d = -d
	}
	t.later = append(t.later, d)
}

// compare forgets what came so far, while guests came in and pictures began anew for each.
func (t *theatre) compare() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.alone)
	t.later = nil
}

func (t *theatre) delays() []time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	slices.Sort(t.later)
	return t.later
}

func (t *theatre) leave() {
	var all sync.WaitGroup
	for _, p := range t.peers {
		all.Go(func() { _ = p.Close() })
	}
	all.Wait()
}

// perCore is the number of guests that a whole core would carry, by processor time.
func (w watched) perCore() float64 { return float64(w.guests) / w.gateway }

func (w watched) String() string {
	s := fmt.Sprintf("%s: %.0f a core: %d guests took %.1f%% (SFU %.0f%%, guests %.0f%%), %.0f kbit/s each, lost %.2f%%, %.0f a second came in",
		w.name, w.perCore(), w.guests, 100*w.gateway, 100*w.sfu, 100*w.self, w.kbps, 100*w.loss, w.joined)
	if len(w.delay) > 0 {
		s += fmt.Sprintf("; later than at a participant p50 %v p95 %v", of(w.delay, .5), of(w.delay, .95))
	}
	return s
}
