//go:build e2e

package visio_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"passerelle/e2e/stack"
	"passerelle/internal/testpeer/lkadmin"
)

// token is what the gateway shows at roomkit.
const token = "server-to-server-token-of-visio"

// entryToken stands for the token that Visio gives to everybody who looks at a public room. It is none of the gateway's business.
const entryToken = "token-to-enter-a-public-room"

// pinLength is that of Visio (ROOM_TELEPHONY_PIN_LENGTH).
const pinLength = 10

// backend does what Visio's backend does for telephones: it keeps a dispatch rule at LiveKit for every room that has started, as LiveKit's webhooks
// tell it, and prepares one that has not when roomkit is asked for its PIN.
type backend struct {
	t       *testing.T
	roomkit *httptest.Server // https
	hooks   *httptest.Server // http, as LiveKit calls it on this machine

	mu    sync.Mutex
	admin lkadmin.Admin
	rooms map[string]string           // PIN → room: what the database knows
	rules map[string]string           // room → id of its rule at LiveKit
	odd   map[string]http.HandlerFunc // PIN → how roomkit answers instead
	asked map[string]int              // PIN → how often roomkit was asked
	pins  []string                    // all that were given out
	level map[string]string           // room → who enters without waiting; empty: its settings cannot be had now
	seen  map[string]int              // room → how often its settings were asked for
	over  bool                        // LiveKit ends, and its rooms with it
}

func newBackend(t *testing.T) *backend {
	t.Helper()
	b := &backend{t: t, rooms: map[string]string{}, rules: map[string]string{}, odd: map[string]http.HandlerFunc{}, asked: map[string]int{}, level: map[string]string{}, seen: map[string]int{}}
	roomkit, hooks := http.NewServeMux(), http.NewServeMux()
	roomkit.HandleFunc("POST /api/v1.0/roomkit/join/", b.join)
	roomkit.HandleFunc("GET /api/v1.0/rooms/{id}/", b.settings)
	hooks.HandleFunc("POST /webhook", b.hook)
	b.roomkit, b.hooks = httptest.NewTLSServer(roomkit), httptest.NewServer(hooks)
	t.Cleanup(b.roomkit.Close)
	t.Cleanup(b.hooks.Close)
	return b
}

// newPIN is a PIN that was not given out before, and leads nowhere.
func (b *backend) newPIN() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		n, err := rand.Int(rand.Reader, big.NewInt(1e10))
		if err != nil {
			panic(err) // it never fails
		}
		pin := fmt.Sprintf("%0*d", pinLength, n)
		if _, ok := b.asked[pin]; !ok {
			b.asked[pin] = 0
			b.pins = append(b.pins, pin)
			return pin
		}
	}
}

// newRoom makes a room that has not started and that everybody may enter.
func (b *backend) newRoom() (room, pin string) { return b.newRoomFor("public") }

// newRoomFor makes a room of an access level. One without a level is in the database, and its settings cannot be had.
func (b *backend) newRoomFor(level string) (room, pin string) {
	room, pin = uuid.NewString(), b.newPIN()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rooms[pin], b.level[room] = room, level
	return room, pin
}

// newOddPIN is a PIN to which roomkit answers so.
func (b *backend) newOddPIN(answer http.HandlerFunc) string {
	pin := b.newPIN()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.odd[pin] = answer
	return pin
}

// forget removes a room from the database.
func (b *backend) forget(pin string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.rooms, pin)
}

// rule tells whether LiveKit has a rule for the room, as far as the backend knows.
func (b *backend) rule(room string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rules[room] != ""
}

// retire keeps the backend from doing anything more.
func (b *backend) retire() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
}

// requests is how often roomkit was asked for a PIN.
func (b *backend) requests(pin string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.asked[pin]
}

// prepare makes the rule of a room, unless there is one. b.mu is held.
func (b *backend) prepare(room, pin string) error {
	if b.rules[room] != "" {
		return nil
	}
	ctx, stop := context.WithTimeout(context.Background(), 5*time.Second)
	defer stop()
	id, err := b.admin.CreateDispatchRule(ctx, "SIP_"+room, room, pin)
	if err == nil {
		b.rules[room] = id
	}
	return err
}

// join is roomkit's one endpoint.
func (b *backend) join(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+token {
		answer(w, http.StatusUnauthorized, "detail", "Invalid token.")
		return
	}
	var request struct {
		PIN string `json:"pin_code"`
	}
	if json.NewDecoder(r.Body).Decode(&request) != nil || len(request.PIN) != pinLength {
		answer(w, http.StatusBadRequest, "pin_code", "A valid PIN is required.")
		return
	}
	b.mu.Lock()
	b.asked[request.PIN]++
	odd := b.odd[request.PIN]
	b.mu.Unlock()
	if odd != nil {
		odd(w, r)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	room, ok := b.rooms[request.PIN]
	if !ok {
		answer(w, http.StatusNotFound, "detail", "No room has this PIN.")
		return
	}
	if err := b.prepare(room, request.PIN); err != nil {
		b.t.Errorf("LiveKit does not take the rule: %v", err)
		answer(w, http.StatusInternalServerError, "detail", "LiveKit failed.")
		return
	}
	answer(w, http.StatusOK, "status", "success")
}

func answer(w http.ResponseWriter, status int, key, value string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{key: value})
}

// settings answers what anybody may know of a room: for a public one, that is its PIN and a token to enter by, too.
func (b *backend) settings(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	room := r.PathValue("id")
	b.seen[room]++
	level, ok := b.level[room]
	switch {
	case !ok:
		answer(w, http.StatusNotFound, "detail", "No Room matches the given query.")
		return
	case level == "":
		http.Error(w, "no database", http.StatusInternalServerError)
		return
	}
	all := map[string]any{"id": room, "name": "Room", "slug": "room-" + room[:8], "access_level": level, "configuration": map[string]any{}}
	if level == "public" {
		for pin, has := range b.rooms {
			if has == room {
				all["pin_code"] = pin
			}
		}
		all["livekit"] = map[string]string{"url": "wss://livekit.example.org", "room": room, "token": entryToken}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(all)
}

// looks is how often the settings of a room were asked for.
func (b *backend) looks(room string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.seen[room]
}

// hook is told by LiveKit when rooms start and end.
func (b *backend) hook(_ http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		b.t.Error(err)
		return
	}
	var signed struct {
		jwt.RegisteredClaims
		SHA256 string `json:"sha256"`
	}
	sum := sha256.Sum256(body)
	_, err = jwt.ParseWithClaims(r.Header.Get("Authorization"), &signed, func(*jwt.Token) (any, error) { return []byte(stack.Secret), nil })
	if err != nil || signed.SHA256 != base64.StdEncoding.EncodeToString(sum[:]) {
		b.t.Errorf("a webhook that LiveKit has not signed: %v", err)
		return
	}
	var event struct {
		Event string
		Room  struct{ Name string }
	}
	if err := json.Unmarshal(body, &event); err != nil {
		b.t.Error(err)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over {
		return
	}
	switch event.Event {
	case "room_started":
		for pin, room := range b.rooms {
			if room == event.Room.Name {
				err = b.prepare(room, pin)
			}
		}
	case "room_finished":
		if id := b.rules[event.Room.Name]; id != "" {
			delete(b.rules, event.Room.Name)
			err = b.admin.DeleteDispatchRule(r.Context(), id)
		}
	}
	if err != nil {
		b.t.Errorf("%s: %v", event.Event, err)
	}
}
