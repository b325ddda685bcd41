package browser

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"passerelle/e2e/stack"
)

// OpenParticipant opens a browser with LiveKit's own web client in it, as Visio's users have it: participant.html.
func OpenParticipant(t *testing.T, o Options) *Page {
	t.Helper()
	files := http.NewServeMux()
	for address, path := range map[string]string{"/": "participant.html", "/livekit-client.js": "node_modules/livekit-client/dist/livekit-client.umd.js"} {
		files.HandleFunc(address, func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, filepath.Join(directory(), path)) })
	}
	server := httptest.NewServer(files)
	t.Cleanup(server.Close)
	o.Sound = true
	p := Open(t, o)
	p.Open(server.URL)
	stack.Eventually(t, 20*time.Second, "the participant's page is there", func() bool { return p.Is("typeof enter === 'function'") })
	return p
}

// Enter brings a participant's page into a room of the stack, with a token as Visio's backend makes it for a host, and opens its microphone.
func (p *Page) Enter(s *stack.Stack, room, identity, name string) {
	p.T.Helper()
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"iss": stack.Key, "sub": identity, "name": name, "exp": time.Now().Add(time.Hour).Unix(),
		"attributes": map[string]string{"color": "hsl(210, 60%, 40%)", "room_role": "owner", "is_authenticated": "true"},
		"video": map[string]any{
			"room": room, "roomJoin": true, "canSubscribe": true, "canPublish": true, "canPublishData": true,
			"canPublishSources": []string{"camera", "microphone", "screen_share", "screen_share_audio"},
		},
	}).SignedString([]byte(stack.Secret))
	if err != nil {
		p.T.Fatal(err)
	}
	arguments, err := json.Marshal([]string{s.SFU.URL(), token})
	if err != nil {
		p.T.Fatal(err)
	}
	p.Eval(fmt.Sprintf("enter(...%s)", arguments))
}

// Person is another participant as a participant's page sees them.
type Person struct {
	Identity, Name, Kind string
	Attributes           map[string]string
	Speaking             bool
	Tracks               []Track
}

// Track is what somebody publishes: Kind is "audio" or "video".
type Track struct {
	Kind, SID         string
	Muted, Subscribed bool
}

// People are the others whom a participant's page sees.
func (p *Page) People() (all []Person) { p.T.Helper(); p.Get(&all, "people()"); return all }
