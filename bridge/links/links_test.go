package links

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener")) // ends with Close, a moment later
}

const secret = "0123456789abcdef0123456789abcdef"

// open makes a keeper whose clock stands at noon.
func open(t testing.TB, dir, secrets string) (*Keeper, *time.Time) {
	t.Helper()
	db, err := OpenFile(filepath.Join(dir, "links.db"))
	if err != nil {
		t.Fatal(err)
	}
	return openOn(t, db, SQLite, dir, secrets)
}

func openOn(t testing.TB, db *sql.DB, d Dialect, dir, secrets string) (*Keeper, *time.Time) {
	t.Helper()
	t.Cleanup(func() { _ = db.Close() })
	keys, err := OpenKeys(filepath.Join(dir, "links"), secrets)
	if err != nil {
		t.Fatal(err)
	}
	k, err := Open(t.Context(), db, d, keys, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	k.now = func() time.Time { return now }
	return k, &now
}

func create(t testing.TB, k *Keeper, w Wish) (Link, string) {
	t.Helper()
	l, token, err := k.Create(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	return l, token
}

// TestLife follows links of both kinds of keys through what can happen to them.
func TestLife(t *testing.T) {
	for name, secrets := range map[string]string{"ed25519": "", "hs256": secret} {
		t.Run(name, func(t *testing.T) {
			k, now := open(t, t.TempDir(), secrets)
			live(t, k, now)
		})
	}
}

func live(t *testing.T, k *Keeper, now *time.Time) {
	ctx := t.Context()
	l, token := create(t, k, Wish{
		Kind: "acme", Room: "room", Title: "Revue", Name: "Ana", Lobby: true, Language: "fr", Uses: 2, By: "test",
		From: now.Add(time.Hour), Until: now.Add(2 * time.Hour),
	})
	if !strings.HasPrefix(l.ID, "acme-") {
		t.Errorf("id %q", l.ID)
	}
	if _, err := k.Check(ctx, token); !errors.Is(err, ErrEarly) {
		t.Errorf("before its beginning: %v", err)
	}
	*now = now.Add(time.Hour)
	for range l.Uses {
		got, err := k.Check(ctx, token)
		if err != nil {
			t.Fatal(err)
		}
		want := l
		want.Used = got.Used
		got.From, got.Until = got.From.UTC(), got.Until.UTC()
		if got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if err := k.Use(ctx, got); err != nil {
			t.Error(err)
		}
	}
	if _, err := k.Check(ctx, token); !errors.Is(err, ErrUsedUp) {
		t.Errorf("after all uses: %v", err)
	}
	if err := k.Use(ctx, l); !errors.Is(err, ErrUsedUp) {
		t.Errorf("one use more: %v", err)
	}
	for range 2 {
		if err := k.Revoke(ctx, l.ID); err != nil {
			t.Error(err)
		}
	}
	if _, err := k.Check(ctx, token); !errors.Is(err, ErrRevoked) {
		t.Errorf("taken back: %v", err)
	}
	if err := k.Use(ctx, l); !errors.Is(err, ErrRevoked) {
		t.Errorf("used although taken back: %v", err)
	}
	if ids, err := k.Revoked(ctx); err != nil || len(ids) != 1 || ids[0] != l.ID {
		t.Errorf("revoked: %v %v", ids, err)
	}
	list, err := k.List(ctx, "room")
	if err != nil || len(list) != 1 || list[0].Used != 2 || !errors.Is(list[0].Status(*now), ErrRevoked) {
		t.Errorf("list: %+v %v", list, err)
	}
	if list, err := k.List(ctx, "other"); err != nil || len(list) != 0 {
		t.Errorf("list of another room: %+v %v", list, err)
	}
	*now = now.Add(time.Hour)
	if ids, err := k.Revoked(ctx); err != nil || len(ids) != 0 {
		t.Errorf("revoked, when over: %v %v", ids, err)
	}
	_, over := create(t, k, Wish{Room: "room", Until: now.Add(time.Minute)})
	*now = now.Add(time.Minute)
	if _, err := k.Check(ctx, over); !errors.Is(err, ErrExpired) {
		t.Errorf("when over: %v", err)
	}
	if err := k.Revoke(ctx, "nobody"); !errors.Is(err, ErrUnknown) {
		t.Errorf("revoke nobody's: %v", err)
	}
}

// TestQuick: of many who are equally quick, as many get in as there are uses.
func TestQuick(t *testing.T) {
	k, _ := open(t, t.TempDir(), "")
	hurry(t, k)
}

func hurry(t *testing.T, k *Keeper) {
	l, _ := create(t, k, Wish{Room: "room", Uses: 3})
	var in, out atomic.Int32
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			switch err := k.Use(context.Background(), l); {
			case err == nil:
				in.Add(1)
			case errors.Is(err, ErrUsedUp):
				out.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if in.Load() != 3 || out.Load() != 17 {
		t.Errorf("%d got in, %d did not", in.Load(), out.Load())
	}
}

// TestForged: what others sign, change or leave out is no link.
func TestForged(t *testing.T) {
	dir := t.TempDir()
	k, now := open(t, dir, "")
	_, good := create(t, k, Wish{Room: "room"})
	own, _ := k.keys.signer()
	shared, _ := open(t, t.TempDir(), secret)
	_, stranger, _ := ed25519.GenerateKey(rand.Reader)
	body := func(change func(c *claims)) claims {
		c := claims{Room: "room", RegisteredClaims: jwt.RegisteredClaims{
			ID: "id", Audience: jwt.ClaimStrings{"guest"}, ExpiresAt: jwt.NewNumericDate(now.Add(time.Hour)),
		}}
		if change != nil {
			change(&c)
		}
		return c
	}
	sign := func(m jwt.SigningMethod, key any, kid string, c jwt.Claims) string {
		token := jwt.NewWithClaims(m, c)
		token.Header["kid"] = kid
		s, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	parts := strings.Split(good, ".")
	other, _ := json.Marshal(body(func(c *claims) { c.Room = "another" }))
	for name, c := range map[string]struct {
		keeper *Keeper
		token  string
	}{
		"nothing":                {k, ""},
		"noise":                  {k, "a.b.c"},
		"long":                   {k, good + strings.Repeat("a", maxToken)},
		"stranger's key":         {k, sign(jwt.SigningMethodEdDSA, stranger, own.id, body(nil))},
		"unknown key":            {k, sign(jwt.SigningMethodEdDSA, own.private, "0123456789ab", body(nil))},
		"none":                   {k, sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, own.id, body(nil))},
		"public key as a secret": {k, sign(jwt.SigningMethodHS256, []byte(own.public.(ed25519.PublicKey)), own.id, body(nil))},
		"another payload":        {k, parts[0] + "." + base64.RawURLEncoding.EncodeToString(other) + "." + parts[2]},
		"no end":                 {k, sign(jwt.SigningMethodEdDSA, own.private, own.id, body(func(c *claims) { c.ExpiresAt = nil }))},
		"far end":                {k, sign(jwt.SigningMethodEdDSA, own.private, own.id, body(func(c *claims) { c.ExpiresAt.Time = now.AddDate(9, 0, 0) }))},
		"no room":                {k, sign(jwt.SigningMethodEdDSA, own.private, own.id, body(func(c *claims) { c.Room = "" }))},
		"no id":                  {k, sign(jwt.SigningMethodEdDSA, own.private, own.id, body(func(c *claims) { c.ID = "" }))},
		"another audience":       {k, sign(jwt.SigningMethodEdDSA, own.private, own.id, body(func(c *claims) { c.Audience[0] = "admin" }))},
		"unprintable":            {k, sign(jwt.SigningMethodEdDSA, own.private, own.id, body(func(c *claims) { c.Name = "a\x00" }))},
		"another secret":         {shared, sign(jwt.SigningMethodHS256, []byte(secret+"x"), "", body(nil))},
		"another method":         {shared, sign(jwt.SigningMethodHS512, []byte(secret), "", body(nil))},
	} {
		if _, err := c.keeper.Check(t.Context(), c.token); !errors.Is(err, ErrWrong) {
			t.Errorf("%s: %v", name, err)
		}
	}
	elsewhere := sign(jwt.SigningMethodHS256, []byte(secret), "", body(nil))
	l, err := shared.Check(t.Context(), elsewhere)
	if err != nil || l.Room != "room" || !l.AskName {
		t.Fatalf("made elsewhere: %+v %v", l, err)
	}
	if err := shared.Revoke(t.Context(), elsewhere); err != nil {
		t.Error(err)
	}
	if _, err := shared.Check(t.Context(), elsewhere); !errors.Is(err, ErrRevoked) {
		t.Errorf("made elsewhere, taken back: %v", err)
	}
}

// TestRotate: a new key signs, an old one is still known, a deleted one is not, and another process learns of all this.
func TestRotate(t *testing.T) {
	dir := t.TempDir()
	node, _ := open(t, dir, "")
	line, _ := open(t, dir, "")
	first, _ := node.keys.signer()
	_, old := create(t, node, Wish{Room: "room"})
	id, err := line.keys.Rotate()
	if err != nil {
		t.Fatal(err)
	}
	_, young := create(t, line, Wish{Room: "room"})
	node.keys.looked = time.Time{}
	for _, token := range []string{old, young} {
		if _, err := node.Check(t.Context(), token); err != nil {
			t.Error(err)
		}
	}
	if now, _ := node.keys.signer(); now.id != id || now.id == first.id {
		t.Errorf("%s signs, not %s", now.id, id)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "links", "*"+first.id+".pem"))
	if len(files) != 1 {
		t.Fatalf("files %v", files)
	}
	if i, err := os.Stat(files[0]); err != nil || i.Mode().Perm() != 0o600 {
		t.Errorf("mode %v %v", i.Mode(), err)
	}
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	node.keys.looked = time.Time{}
	if _, err := node.Check(t.Context(), old); !errors.Is(err, ErrWrong) {
		t.Errorf("signed with a deleted key: %v", err)
	}
	if _, err := node.Check(t.Context(), young); err != nil {
		t.Error(err)
	}
	if _, err := OpenKeys(dir, "short"); err == nil {
		t.Error("took a short secret")
	}
}

func TestWish(t *testing.T) {
	k, now := open(t, t.TempDir(), "")
	for name, w := range map[string]Wish{
		"no room":        {},
		"long room":      {Room: strings.Repeat("r", 256)},
		"room of two":    {Room: "a\nb"},
		"long name":      {Room: "r", Name: strings.Repeat("é", 61)},
		"kind":           {Room: "r", Kind: "a-b"},
		"language":       {Room: "r", Language: "French"},
		"backwards":      {Room: "r", From: now.Add(2 * time.Hour), Until: now.Add(time.Hour)},
		"over":           {Room: "r", From: now.Add(-2 * time.Hour), Until: now.Add(-time.Hour)},
		"long":           {Room: "r", Until: now.AddDate(2, 0, 0)},
		"uses":           {Room: "r", Uses: -1},
		"title, no text": {Room: "r", Title: "\xff"},
	} {
		if _, _, err := k.Create(t.Context(), w); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	l, token := create(t, k, Wish{Room: "r"})
	if !l.AskName || l.Until.Sub(l.From) != lifetime || l.Uses != 0 {
		t.Errorf("defaults: %+v", l)
	}
	if s := Short(token); len(s) > 12 || !strings.HasSuffix(token, strings.TrimPrefix(s, "…")) {
		t.Errorf("short: %q", s)
	}
	if s := Short("secret"); strings.Contains(s, "secret") {
		t.Errorf("short: %q", s)
	}
}

// TestForget: links that were over long ago are dropped when a keeper is opened.
func TestForget(t *testing.T) {
	dir := t.TempDir()
	k, now := open(t, dir, "")
	*now = time.Now().AddDate(0, -6, 0)
	create(t, k, Wish{Room: "old"})
	*now = time.Now()
	create(t, k, Wish{Room: "new"})
	k, _ = open(t, dir, "")
	if list, err := k.List(t.Context(), ""); err != nil || len(list) != 1 || list[0].Room != "new" {
		t.Errorf("%+v %v", list, err)
	}
}

func FuzzCheck(f *testing.F) {
	k, now := open(f, f.TempDir(), secret)
	token, err := k.keys.sign(Link{ID: "id", Room: "room", Name: "Ana", From: *now, Until: now.Add(time.Hour)}) // the same in every process
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token)
	f.Add(token[:len(token)-3] + "\n" + token[len(token)-3:])
	f.Add(token + "\r")
	f.Add("")
	f.Add("..")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Fuzz(func(t *testing.T, s string) {
		l, err := k.Check(context.Background(), s)
		if s != token && err == nil {
			t.Errorf("%q is %+v", s, l)
		}
	})
}
