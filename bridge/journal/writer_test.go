package journal

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"passerelle/configs"
)

// away is a database that nobody reaches.
const away = "postgres://passerelle@192.0.2.1/journal"

func unreachable(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("nobody is there")
}

// open opens a writer that is closed with the test.
func open(t testing.TB, cfg configs.Journal, dial Dial) *Writer {
	t.Helper()
	cfg.HeadEvery = time.Hour
	w, err := Open(t.Context(), cfg, "node-1", dial, discard())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w
}

// start runs a writer until the test or stop ends it.
func start(t testing.TB, w *Writer) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	var ended atomic.Bool
	stop = func() {
		cancel()
		if !ended.Swap(true) {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(stop)
	return stop
}

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// TestWriteNeverWaits writes to a journal of which nothing runs: what the queue does not take is dropped, counted, and told by the record itself.
func TestWriteNeverWaits(t *testing.T) {
	w := open(t, configs.Journal{Dir: t.TempDir()}, nil)
	if err := w.Ready(); err == nil {
		t.Error("a journal that does not run is ready")
	}
	const extra = 1000
	for range queueEntries + extra {
		w.Write(Entry{Kind: Call})
	}
	if s := w.Stats(); s.Queued != queueEntries || s.Lost != extra {
		t.Errorf("%+v", s)
	}
	stop := start(t, w)
	eventually(t, "the entries are stored", func() bool { return w.Stats().Stored == queueEntries+1 })
	lost, _, err := w.Search(t.Context(), Query{Outcome: "lost"})
	if err != nil || len(lost) != 1 || lost[0].Kind != Node || lost[0].Fields["entries"] != "1000" {
		t.Errorf("%+v, %v", lost, err)
	}
	stop()
	w.Write(Entry{Kind: Call})
	if s := w.Stats(); s.Lost != extra+1 {
		t.Errorf("after the end: %+v", s)
	}
	if err := w.Flush(t.Context()); err == nil {
		t.Error("a closed journal acknowledges")
	}
}

// TestQueueIsBoundedInBytes writes the largest entries that there are.
func TestQueueIsBoundedInBytes(t *testing.T) {
	w := open(t, configs.Journal{Dir: t.TempDir()}, nil)
	big := Entry{Fields: map[string]string{}}
	for i := range 2 * maxFields {
		big.Fields[strings.Repeat("k", i)] = strings.Repeat("v", 2*maxText)
	}
	for range queueEntries / 2 {
		w.Write(big)
	}
	if waiting := w.waiting.Load(); waiting > queueBytes || waiting < queueBytes*9/10 || w.Stats().Lost == 0 {
		t.Errorf("%d bytes wait, %+v", waiting, w.Stats())
	}
	start(t, w)
	eventually(t, "nothing waits", func() bool { return w.waiting.Load() == 0 && w.Ready() == nil })
}

func TestWriteAllocatesLittle(t *testing.T) {
	w := open(t, configs.Journal{Dir: t.TempDir()}, nil)
	e := Entry{Time: time.Now(), Kind: Call, Call: "c", Room: "r", Caller: "+33198765432", Called: "1234", Address: "192.0.2.1"}
	if n := testing.AllocsPerRun(1000, func() { w.Write(e) }); n > 2 {
		t.Errorf("%v allocations", n)
	}
}

// TestReadyTellsBeforeTheSpillIsFull keeps the database away.
func TestReadyTellsBeforeTheSpillIsFull(t *testing.T) {
	w := open(t, configs.Journal{URL: away, Dir: t.TempDir()}, unreachable)
	w.spill.limit = 64 << 10
	start(t, w)
	eventually(t, "the journal is ready without its database", func() bool { return w.Ready() == nil })
	text := strings.Repeat("x", maxText)
	for range 1000 { // more than the spill takes
		w.Write(Entry{Kind: Call, Room: text})
		if w.Ready() != nil {
			break
		}
		if err := w.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Ready(); err == nil || !strings.Contains(err.Error(), "away for too long") {
		t.Errorf("%v, %+v", err, w.Stats())
	}
	if s := w.Stats(); s.Lost != 0 || s.Spilled < 48<<10 {
		t.Errorf("%+v", s)
	}
	for range 200 {
		w.Write(Entry{Kind: Call, Room: text})
	}
	eventually(t, "nothing more is taken", func() bool { err := w.Ready(); return err != nil && strings.Contains(err.Error(), "too much waits") })
	if s := w.Stats(); s.Spilled > 64<<10 {
		t.Errorf("%+v", s)
	}
}

// TestSealsEveryHeadInterval looks for heads while entries keep coming.
func TestSealsEveryHeadInterval(t *testing.T) {
	w := open(t, configs.Journal{Dir: t.TempDir()}, nil)
	w.cfg.HeadEvery = 10 * time.Millisecond
	start(t, w)
	var sealed uint64
	for range 3 {
		w.Write(Entry{Kind: Call})
		eventually(t, "another head is signed", func() bool { return w.Stats().Sealed > sealed })
		sealed = w.Stats().Sealed
	}
	h, err := LastHead(w.cfg)
	if err != nil || h == nil || !h.signed() || !h.Key.Equal(w.key.Public()) {
		t.Errorf("%+v, %v", h, err)
	}
}

// TestRetentionRunsByItself starts a node on records that are too old.
func TestRetentionRunsByItself(t *testing.T) {
	dir := t.TempDir()
	w := open(t, configs.Journal{Dir: dir}, nil)
	stop := start(t, w)
	old := time.Now().Add(-100 * 24 * time.Hour)
	w.Write(Entry{Time: old, Kind: Call, Caller: "+33198765432"})
	w.Write(Entry{Time: old, Kind: Decision, Caller: "+33198765432"})
	if err := w.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	stop()
	w = open(t, configs.Journal{Dir: dir, Keep: configs.Keep{Calls: 24 * time.Hour}, ShortenAfter: 24 * time.Hour}, nil)
	start(t, w)
	eventually(t, "the call is removed and the decision shortened", func() bool {
		page, _, err := w.Search(t.Context(), Query{})
		return err == nil && len(page) == 1 && page[0].Kind == Decision && page[0].Shortened
	})
	r, err := w.Store().Verify(t.Context(), []ed25519.PublicKey{w.key.Public().(ed25519.PublicKey)})
	if err != nil || !r.OK() {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestSteadyClock(t *testing.T) {
	s := steady{trust: trustIn}
	for i, c := range []struct {
		wall, counted time.Duration
		want          bool
	}{
		{0, 0, true},
		{time.Hour, time.Hour, true},
		{time.Hour + jump, time.Hour, true},
		{24 * 365 * time.Hour, time.Hour, false},
		{time.Hour, time.Hour, false},
		{-time.Hour, time.Hour, false},
	} {
		if got := s.tick(c.wall, c.counted); got != c.want {
			t.Errorf("case %d: got %v", i, got)
		}
	}
	for i := range trustIn {
		if got := s.tick(time.Hour, time.Hour); got != (i == trustIn-1) {
			t.Errorf("hour %d after a jump: %v", i+1, got)
		}
	}
}

func TestNoJournal(t *testing.T) {
	w := open(t, configs.Journal{URL: "off", Dir: filepath.Join(t.TempDir(), "not made")}, nil)
	stop := start(t, w)
	w.Write(Entry{Kind: Call})
	if err := errors.Join(w.Ready(), w.Flush(t.Context()), w.Settle(t.Context())); err != nil {
		t.Error(err)
	}
	if _, _, err := w.Search(t.Context(), Query{}); !errors.Is(err, ErrOff) {
		t.Error(err)
	}
	if _, err := os.Stat(w.cfg.Dir); err == nil {
		t.Error("a directory was made for nothing")
	}
	if w.Stats() != (Stats{}) || w.Store() != nil {
		t.Errorf("%+v", w.Stats())
	}
	stop()
}

func TestOpenRefusesWhatCannotBeUsed(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("no database, and no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	loose := filepath.Join(dir, "loose.key")
	if err := makeKey(loose); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(loose, 0o604); err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]configs.Journal{
		"a file for a directory": {Dir: file},
		"no database":            {URL: "sqlite:" + file},
		"no such directory":      {URL: "sqlite:" + filepath.Join(dir, "not", "there.db")},
		"no key":                 {KeyFile: file},
		"no such key":            {KeyFile: filepath.Join(dir, "not-there")},
		"a key for everybody":    {KeyFile: loose},
		"another kind of key":    {KeyFile: otherKey(t, dir)},
		"no URL":                 {URL: "postgres://a b/"},
	} {
		if cfg.Dir == "" {
			cfg.Dir = t.TempDir()
		}
		w, err := Open(t.Context(), cfg, "node-1", unreachable, discard())
		if err == nil {
			t.Errorf("%s: nobody minds", name)
			_ = w.Close()
		}
	}
	if _, err := Open(t.Context(), configs.Journal{Dir: dir}, "", nil, discard()); err == nil {
		t.Error("a node without a name has a journal")
	}
}

// otherKey makes a key that is not Ed25519.
func otherKey(t *testing.T, dir string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "other.key")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestKeyIsMadeOnce(t *testing.T) {
	cfg := configs.Journal{Dir: t.TempDir()}
	if _, err := LoadKey(cfg); err == nil {
		t.Error("a key was made for somebody who only asks")
	}
	w := open(t, cfg, nil)
	first := w.key
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	_ = open(t, cfg, nil)
	if again, err := LoadKey(cfg); err != nil || !again.Equal(first) {
		t.Errorf("another key, %v", err)
	}
	b, err := MarshalPublicKey(first.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(cfg.Dir, "public.pem")
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	if public, err := ReadPublicKey(path); err != nil || !public.Equal(first.Public()) {
		t.Errorf("%v, %v", public, err)
	}
	if _, err := ReadPublicKey(filepath.Join(cfg.Dir, "journal.key")); err == nil {
		t.Error("a private key was taken for a public one")
	}
}

func TestStateDir(t *testing.T) {
	home := t.TempDir()
	for _, c := range []struct{ dir, state, xdg, want string }{
		{home + "/a", home + "/b", home + "/c", home + "/a"},
		{"", home + "/b:" + home + "/d", home + "/c", home + "/b"},
		{"", "", home + "/c", home + "/c/passerelle"},
		{"", "", "", home + "/.local/state/passerelle"},
	} {
		t.Setenv("STATE_DIRECTORY", c.state)
		t.Setenv("XDG_STATE_HOME", c.xdg)
		t.Setenv("HOME", home)
		got, err := stateDir(c.dir)
		if err != nil || got != c.want {
			t.Errorf("got %s, %v, want %s", got, err, c.want)
		}
		if _, err := os.Stat(c.want); err == nil {
			t.Errorf("%s was made for somebody who only asks", c.want)
		}
		w := open(t, configs.Journal{Dir: c.dir}, nil)
		if info, err := os.Stat(c.want); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", c.want, info, err)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestTLSUnlessTheDatabaseIsHere(t *testing.T) {
	for url, tls := range map[string]bool{
		"postgres://u@db.example.org/j":                 true,
		"postgres://u@127.0.0.1/j":                      false,
		"postgres://u@[::1]:5432/j":                     false,
		"postgres://u@localhost/j":                      false,
		"postgres://u@db.example.org/j?sslmode=disable": false,
	} {
		asked := make(chan bool, 8)
		dial := func(context.Context, string, string) (net.Conn, error) {
			near, far := net.Pipe()
			go func() {
				defer func() { _ = far.Close() }()
				b := make([]byte, 8)
				_, _ = far.Read(b)
				asked <- b[4] == 0x04 && b[5] == 0xd2 // SSLRequest: 80877103
			}()
			return near, nil
		}
		s, err := OpenStore(configs.Journal{URL: url}, dial)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.write.PingContext(t.Context()); err == nil {
			t.Error("who answered?")
		}
		if got := <-asked; got != tls {
			t.Errorf("%s: TLS %v", url, got)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
