package directory

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"passerelle/bridge"
	"passerelle/configs"
	"passerelle/internal/egress"
)

// source answers always the same. With hang, it waits for the end of the look-up.
type source struct {
	room  string
	err   error
	hang  bool
	asked int
}

func (s *source) Find(ctx context.Context, _ string) (bridge.RoomRef, error) {
	s.asked++
	if s.hang {
		<-ctx.Done()
		return bridge.RoomRef{}, ctx.Err()
	}
	return bridge.RoomRef{Name: s.room}, s.err
}

func TestChain(t *testing.T) {
	unknown := func() *source { return &source{err: bridge.ErrBadPIN} }
	away := func() *source { return &source{err: errors.New("away")} }
	knows := func(room string) *source { return &source{room: room} }
	for name, c := range map[string]struct {
		sources []*source
		room    string
		err     error
		asked   int
	}{
		"first":               {[]*source{knows("a"), knows("b")}, "a", nil, 1},
		"second":              {[]*source{unknown(), knows("b")}, "b", nil, 2},
		"second, first away":  {[]*source{away(), knows("b")}, "b", nil, 2},
		"nobody":              {[]*source{unknown(), unknown()}, "", bridge.ErrBadPIN, 2},
		"one away":            {[]*source{away(), unknown()}, "", bridge.ErrDirectory, 2},
		"last away":           {[]*source{unknown(), away()}, "", bridge.ErrDirectory, 2},
		"first takes forever": {[]*source{{hang: true}, knows("b")}, "", bridge.ErrDirectory, 1},
		"last takes forever":  {[]*source{unknown(), {hang: true}}, "", bridge.ErrDirectory, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var list []bridge.Directory
				for _, s := range c.sources {
					list = append(list, s)
				}
				room, err := NewChain(10*time.Second, list...).Find(t.Context(), secretPIN)
				if room.Name != c.room || !errors.Is(err, c.err) {
					t.Errorf("got %+v, %v, want %q, %v", room, err, c.room, c.err)
				}
				if c.err == bridge.ErrDirectory && errors.Is(err, bridge.ErrBadPIN) {
					t.Errorf("a caller is blamed: %v", err)
				}
				asked := 0
				for _, s := range c.sources {
					asked += s.asked
				}
				if asked != c.asked {
					t.Errorf("%d asked, want %d", asked, c.asked)
				}
			})
		})
	}
}

func TestChainAsksNobodyForWhatIsNoPIN(t *testing.T) {
	s := &source{room: "a"}
	for _, pin := range []string{"", "123", "12345a", "１２３４５", "123456789012345678901234567890123"} {
		if _, err := NewChain(time.Second, s).Find(t.Context(), pin); !errors.Is(err, bridge.ErrBadPIN) {
			t.Errorf("%q: %v", pin, err)
		}
	}
	if s.asked != 0 {
		t.Errorf("asked %d times", s.asked)
	}
}

func TestNewBuildsWhatIsConfigured(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rooms.yaml")
	if err := os.WriteFile(path, []byte("- {pin: 1234, room: a}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	log, _ := recorder(t)
	cfg := configs.Defaults().Directory
	cfg.File = path
	cfg.Roomkit = configs.Roomkit{URL: "https://192.0.2.1/", Token: token}
	c, err := New(cfg, &fakeRules{list: []Rule{rule(secretPIN, "b")}}, egress.New().DialContext, log)
	if err != nil {
		t.Fatal(err)
	}
	opens(t, c, "1234", "a")
	opens(t, c, secretPIN, "b")
	refuses(t, c, "1111111111", bridge.ErrDirectory) // roomkit cannot be reached
	cfg.Roomkit.CAFile = path
	if _, err := New(cfg, &fakeRules{}, egress.New().DialContext, log); err == nil {
		t.Error("rooms were taken for certificates")
	}
}
