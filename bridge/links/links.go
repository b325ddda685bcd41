// Package links makes and keeps the links by which guests come: a signed token (JWT, RFC 7519) that is bound to a room, a time, a name and a number of
// uses, and a record of it, by which it is listed, counted and taken back. Tokens are checked by their signature, so that whoever holds a key may make
// links without asking a node; the record begins then with the first use.
package links

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

// What is wrong with a link. A guest is told which; nothing of the token is in the error.
var (
	ErrWrong   = errors.New("this is no link of this gateway")
	ErrEarly   = errors.New("the link is not valid yet")
	ErrExpired = errors.New("the link is over")
	ErrRevoked = errors.New("the link was taken back")
	ErrUsedUp  = errors.New("the link has been used as often as it may")
)

// ErrInvalid wraps what is wrong with a link that is to be made.
var ErrInvalid = errors.New("such a link cannot be made")

// ErrUnknown tells that there is no link with an id.
var ErrUnknown = errors.New("there is no such link")

// Link is a way into one room. Times are in whole seconds.
type Link struct {
	ID       string    // public: in records, and what rules match; Kind-random, or random
	Room     string    // at the SFU
	Title    string    // of the meeting, for people; empty: none
	Name     string    // of the guest: fixed, or proposed where AskName
	AskName  bool      // the guest says a name
	Lobby    bool      // a host lets the guest in, whatever the rule says
	Language string    // of the page where the browser's is none of ours; empty: the default
	From     time.Time // valid from
	Until    time.Time // … to, exclusive; calls end then, too
	Uses     int       // how often it lets somebody in; 0: as often as they like
	Used     int       // so far
	Made     time.Time
	By       string    // who made it
	Revoked  time.Time // zero: it was not
}

// Wish says what link is to be made. Zero values: From now, Until a day later, a name that is asked for, any number of uses, no lobby.
type Wish struct {
	Kind     string // what the id begins with, for rules to match: letters, digits, dots, underscores
	Room     string // required
	Title    string
	Name     string // empty: asked for
	AskName  bool   // Name is only proposed
	Lobby    bool
	Language string
	From     time.Time
	Until    time.Time
	Uses     int
	By       string // who makes it
}

// Status says what is wrong with a link at a time; nil: it may be used.
func (l Link) Status(now time.Time) error {
	switch {
	case !l.Revoked.IsZero():
		return ErrRevoked
	case !now.Before(l.Until):
		return ErrExpired
	case now.Before(l.From):
		return ErrEarly
	case l.Uses > 0 && l.Used >= l.Uses:
		return ErrUsedUp
	}
	return nil
}

// State is the word for what a link is worth at a time: good, early, over, used_up or revoked.
func (l Link) State(now time.Time) string {
	switch err := l.Status(now); {
	case errors.Is(err, ErrRevoked):
		return "revoked"
	case errors.Is(err, ErrExpired):
		return "over"
	case errors.Is(err, ErrEarly):
		return "early"
	case errors.Is(err, ErrUsedUp):
		return "used_up"
	}
	return "good"
}

// Bounds of links.
const (
	maxText  = 255
	maxUses  = 1_000_000
	maxLife  = 366 * 24 * time.Hour
	lifetime = 24 * time.Hour      // where a wish says no end
	memory   = 90 * 24 * time.Hour // how long a link is listed after its end
)

// link makes a link of a wish, or says what is wrong with it.
func (w Wish) link(now time.Time) (Link, error) {
	l := Link{
		Room: w.Room, Title: w.Title, Name: strings.TrimSpace(w.Name), AskName: w.AskName || strings.TrimSpace(w.Name) == "", Lobby: w.Lobby,
		Language: w.Language, From: w.From, Until: w.Until, Uses: w.Uses, By: w.By, Made: now.Truncate(time.Second),
	}
	if l.From.IsZero() {
		l.From = now
	}
	if l.Until.IsZero() {
		l.Until = l.From.Add(lifetime)
	}
	l.From, l.Until = l.From.Truncate(time.Second), l.Until.Truncate(time.Second)
	var wrong string
	switch {
	case l.Room == "" || !text(l.Room):
		wrong = "the room must have a name of up to 255 characters"
	case !text(l.Title) || !text(l.By):
		wrong = "a title has up to 255 characters, all of them printable"
	case utf8.RuneCountInString(l.Name) > 60 || !text(l.Name):
		wrong = "a name has up to 60 characters, all of them printable"
	case w.Kind != "" && !regexp.MustCompile(`^[A-Za-z0-9._]{1,32}$`).MatchString(w.Kind):
		wrong = "a kind has up to 32 letters, digits, dots and underscores"
	case l.Language != "" && !regexp.MustCompile(`^[a-z]{2,3}(-[a-z0-9]{2,8})?$`).MatchString(l.Language):
		wrong = "a language is written such as fr, en or pt-br"
	case !l.Until.After(l.From) || !l.Until.After(now):
		wrong = "its end must be after its beginning, and in the future"
	case l.Until.Sub(now) > maxLife:
		wrong = "its end must be within a year"
	case l.Uses < 0 || l.Uses > maxUses:
		wrong = fmt.Sprintf("it can be used 1 to %d times, or any number of times: 0", maxUses)
	default:
		l.ID = newID(w.Kind)
		return l, nil
	}
	return Link{}, fmt.Errorf("%w: %s", ErrInvalid, wrong)
}

// text tells whether a text is short and fit to be shown.
func text(s string) bool {
	return len(s) <= maxText && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// Keeper makes, checks, lists and takes back links. Its methods may be called from any goroutine, and by several processes on one database.
type Keeper struct {
	keys  *Keys
	store store
	now   func() time.Time
}

// Open brings the table up to date and makes a keeper. Close closes the database.
func Open(ctx context.Context, db *sql.DB, d Dialect, keys *Keys, log *slog.Logger) (*Keeper, error) {
	if err := migrate(ctx, db, d, log); err != nil {
		return nil, fmt.Errorf("links: %w", err)
	}
	k := &Keeper{keys: keys, store: store{db}, now: time.Now}
	return k, k.store.forget(ctx, k.now().Add(-memory))
}

// Close closes the database.
func (k *Keeper) Close() error { return k.store.db.Close() }

// Rotate makes a new key, which signs from now on, and tells its id. Links that an older one signed stay good until its file is deleted.
func (k *Keeper) Rotate() (string, error) { return k.keys.Rotate() }

// Create makes a link and its token. Nobody can get the token a second time. The error wraps ErrInvalid where the wish is at fault.
func (k *Keeper) Create(ctx context.Context, w Wish) (Link, string, error) {
	l, err := w.link(k.now())
	if err != nil {
		return Link{}, "", err
	}
	token, err := k.keys.sign(l)
	if err != nil {
		return Link{}, "", err
	}
	return l, token, k.store.insert(ctx, l)
}

// List tells the links of a room, or of all rooms where it is empty, the latest first, 1,000 at most. Links that are over are told for 90 days.
func (k *Keeper) List(ctx context.Context, room string) ([]Link, error) {
	return k.store.list(ctx, room)
}

// Revoke takes a link back, for good: by its id, or by its token, which a link that was made elsewhere and not used yet needs. Calls that came by it end.
// It answers ErrUnknown where there is none; taking back twice is no error.
func (k *Keeper) Revoke(ctx context.Context, id string) error {
	if l, err := k.keys.read(id, k.now()); err == nil {
		id = l.ID
		if err := k.store.insert(ctx, l); err != nil {
			return err
		}
	}
	return k.store.revoke(ctx, id, k.now())
}

// Check reads a token and says which link it is. Where the error is ErrEarly, ErrExpired, ErrRevoked or ErrUsedUp the link is told, too.
func (k *Keeper) Check(ctx context.Context, token string) (Link, error) {
	l, err := k.keys.read(token, k.now())
	if err != nil {
		return Link{}, err
	}
	known, err := k.store.get(ctx, l.ID)
	switch {
	case errors.Is(err, ErrUnknown): // made elsewhere, and not used yet
		known = l
	case err != nil:
		return Link{}, err
	}
	l.Used, l.Revoked, l.Made, l.By = known.Used, known.Revoked, known.Made, known.By
	return l, l.Status(k.now())
}

// Use counts one use of a link that Check found good, and answers as Check does: another may have been quicker.
func (k *Keeper) Use(ctx context.Context, l Link) error {
	if err := l.Status(k.now()); err != nil && !errors.Is(err, ErrUsedUp) {
		return err
	}
	return k.store.use(ctx, l)
}

// Revoked lists the ids of the links that were taken back and would still be valid otherwise: whoever came by one has to go.
func (k *Keeper) Revoked(ctx context.Context) ([]string, error) { return k.store.revoked(ctx, k.now()) }
