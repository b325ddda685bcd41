package directory

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"passerelle/bridge"
)

// fakeRules is LiveKit's list, and counts how often it is asked.
type fakeRules struct {
	mu     sync.Mutex
	list   []Rule
	err    error
	delay  time.Duration
	asked  int
	during int // listings at the same time
	worst  int
}

func (f *fakeRules) set(err error, list ...Rule) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list, f.err = list, err
}

func (f *fakeRules) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked
}

func (f *fakeRules) ListSIPDispatchRules(ctx context.Context) ([]Rule, error) {
	f.mu.Lock()
	f.asked++
	f.during++
	f.worst = max(f.worst, f.during)
	list, err, delay := f.list, f.err, f.delay
	f.mu.Unlock()
	defer func() { f.mu.Lock(); f.during--; f.mu.Unlock() }()
	select {
	case <-time.After(delay):
		return list, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func rule(pin, room string) Rule { return Rule{Name: "SIP_" + room, Room: room, PIN: pin} }

func opens(t *testing.T, d bridge.Directory, pin, want string) {
	t.Helper()
	room, err := d.Find(t.Context(), pin)
	if err != nil || room.Name != want {
		t.Fatalf("got %+v, %v, want %s", room, err, want)
	}
}

func refuses(t *testing.T, d bridge.Directory, pin string, want error) {
	t.Helper()
	room, err := d.Find(t.Context(), pin)
	if !errors.Is(err, want) || room != (bridge.RoomRef{}) {
		t.Fatalf("got %+v, %v, want %v", room, err, want)
	}
	if strings.Contains(err.Error(), pin) {
		t.Fatalf("the error tells the PIN: %v", err)
	}
}

func TestLiveKitListsNoMoreOftenThanRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, _ := recorder(t)
		f := &fakeRules{list: []Rule{rule(secretPIN, "a")}}
		l := NewLiveKit(f, 2*time.Second, 3*time.Second, log)
		opens(t, l, secretPIN, "a")
		for range 1000 {
			refuses(t, l, "1111111111", bridge.ErrBadPIN)
		}
		if n := f.count(); n != 1 {
			t.Fatalf("%d listings, want 1", n)
		}
		f.set(nil, rule("1111111111", "b"))
		time.Sleep(1999 * time.Millisecond)
		opens(t, l, secretPIN, "a")
		time.Sleep(2 * time.Millisecond)
		opens(t, l, "1111111111", "b")
		refuses(t, l, secretPIN, bridge.ErrBadPIN) // a deleted rule vanishes
		if n := f.count(); n != 2 {
			t.Fatalf("%d listings, want 2", n)
		}
	})
}

func TestLiveKitAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, lines := recorder(t)
		f := &fakeRules{err: errors.New("connection refused")}
		l := NewLiveKit(f, 2*time.Second, 3*time.Second, log)
		refuses(t, l, secretPIN, bridge.ErrDirectory)
		refuses(t, l, secretPIN, bridge.ErrDirectory)
		if n := f.count(); n != 1 {
			t.Fatalf("%d listings of a server that is away, want 1", n)
		}
		f.set(nil, rule(secretPIN, "a"))
		time.Sleep(3 * time.Second)
		opens(t, l, secretPIN, "a")
		f.set(errors.New("connection refused"))
		time.Sleep(time.Hour)
		opens(t, l, secretPIN, "a") // the last list goes on
		refuses(t, l, "1111111111", bridge.ErrDirectory)
		time.Sleep(time.Hour)
		opens(t, l, secretPIN, "a")
		f.set(nil)
		time.Sleep(3 * time.Second)
		refuses(t, l, secretPIN, bridge.ErrBadPIN)
		if n := strings.Count(lines.String(), "level=WARN"); n != 2 {
			t.Errorf("each outage is told once: %d lines\n%s", n, lines)
		}
	})
}

func TestLiveKitHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, _ := recorder(t)
		f := &fakeRules{list: []Rule{rule(secretPIN, "a")}}
		l := NewLiveKit(f, 2*time.Second, 3*time.Second, log)
		opens(t, l, secretPIN, "a")
		f.mu.Lock()
		f.delay = time.Hour
		f.mu.Unlock()
		time.Sleep(time.Minute)
		began := time.Now()
		opens(t, l, secretPIN, "a")
		if waited := time.Since(began); waited != 3*time.Second {
			t.Fatalf("waited %v for a listing that hangs, want 3s", waited)
		}
		opens(t, l, secretPIN, "a")
		if waited := time.Since(began); waited != 3*time.Second {
			t.Fatalf("the next caller waited too: %v", waited)
		}
	})
}

func TestLiveKitOneListingForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, _ := recorder(t)
		f := &fakeRules{list: []Rule{rule(secretPIN, "a")}, delay: time.Second}
		l := NewLiveKit(f, 2*time.Second, 3*time.Second, log)

		// The first caller hangs up while the list is on its way; the others are served all the same.
		first, hangUp := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := l.Find(first, secretPIN); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		})
		synctest.Wait()
		for range 50 {
			wg.Go(func() {
				if room, err := l.Find(t.Context(), secretPIN); err != nil || room.Name != "a" {
					t.Errorf("got %+v, %v", room, err)
				}
			})
		}
		synctest.Wait()
		hangUp()
		wg.Wait()
		if f.count() != 2 || f.worst != 1 {
			t.Fatalf("%d listings, %d at the same time; want the cancelled one and one more", f.count(), f.worst)
		}
	})
}

func TestLiveKitRulesThatOpenNothing(t *testing.T) {
	known, ambiguous := indexRules([]Rule{
		{Room: "no pin"},
		{Room: "trunk", PIN: "1000000001", TrunkIDs: []string{"ST_x"}},
		{PIN: "1000000002"},
		{Room: "letters", PIN: "abcdef"},
		{Room: "x", PIN: "1000000003"},
		{Room: "y", PIN: "1000000003"},
		{Room: "x", PIN: "1000000003"},
		{Room: "z", PIN: "1000000004"},
		{Room: "z", PIN: "1000000004"},
	})
	if ambiguous != 1 || len(known.rooms) != 1 {
		t.Fatalf("%d ambiguous, %+v", ambiguous, known.rooms)
	}
	if room, ok := known.find("1000000004"); !ok || room.Name != "z" {
		t.Fatalf("got %+v", room)
	}
	for _, pin := range []string{"", "abcdef", "1000000001", "1000000003"} {
		if _, ok := known.find(pin); ok {
			t.Errorf("%q opens a room", pin)
		}
	}
}

func FuzzRules(f *testing.F) {
	f.Add("SIP_a", "a", "1234567890", "")
	f.Add("", "\x00", "", "ST_1")
	f.Fuzz(func(t *testing.T, name, room, pin, trunk string) {
		r := Rule{Name: name, Room: room, PIN: pin}
		if trunk != "" {
			r.TrunkIDs = []string{trunk}
		}
		known, _ := indexRules([]Rule{r, r})
		ref, ok := known.find(pin)
		if ok && (trunk != "" || ref.Name != room || !isPIN(pin) || !isText(room)) {
			t.Fatalf("%+v opens %+v", r, ref)
		}
	})
}
