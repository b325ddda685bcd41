// Package directory finds the room that a PIN opens: in a file of the admin's, in LiveKit's dispatch rules as Visio writes them, and through
// Visio's roomkit for a room that has not started.
//
// PINs are secrets: they are kept as keyed hashes, and neither logs nor errors hold one.
package directory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"passerelle/bridge"
	"passerelle/configs"
)

// Chain asks several directories, one after the other.
type Chain struct {
	sources []bridge.Directory
	visio   *Visio // nil: nobody says who enters without waiting
	timeout time.Duration
}

// New makes the chain that the configuration describes: file, LiveKit, roomkit. One listing of rules, one request to roomkit and one for the access
// level may each take a third of the time that a look-up has, so that one which hangs leaves time for the others.
func New(cfg configs.Directory, rules Rules, dial Dial, log *slog.Logger) (*Chain, error) {
	var sources []bridge.Directory
	if cfg.File != "" {
		f, err := NewFile(cfg.File, log)
		if err != nil {
			return nil, err
		}
		sources = append(sources, f)
	}
	if cfg.LiveKit {
		l := NewLiveKit(rules, cfg.Refresh, cfg.Timeout/3, log)
		sources = append(sources, l)
		if cfg.Roomkit.URL != "" {
			r, err := NewRoomkit(cfg.Roomkit, l, dial, cfg.Timeout/3)
			if err != nil {
				return nil, err
			}
			sources = append(sources, r)
		}
	}
	c := NewChain(cfg.Timeout, sources...)
	if cfg.Visio.URL != "" {
		var err error
		if c.visio, err = NewVisio(cfg.Visio, dial, cfg.Timeout/3, log); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// NewChain asks the sources in their order and takes timeout at most.
func NewChain(timeout time.Duration, sources ...bridge.Directory) *Chain {
	return &Chain{sources: sources, timeout: timeout}
}

// Find answers with the first source that knows the PIN. It is unknown (bridge.ErrBadPIN) only if every source says so; where one could not
// say and none knew it, the error is bridge.ErrDirectory, so that no caller is blamed for our trouble. Who enters without waiting is Visio's to say,
// where it is asked: see Visio.Access.
func (c *Chain) Find(ctx context.Context, pin string) (bridge.RoomRef, error) {
	if !isPIN(pin) {
		return bridge.RoomRef{}, bridge.ErrBadPIN
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var failed []error
	for _, s := range c.sources {
		room, err := s.Find(ctx, pin)
		if err == nil {
			if c.visio != nil {
				room.Access = c.visio.Access(ctx, room.Name)
			}
			return room, nil
		}
		if !errors.Is(err, bridge.ErrBadPIN) {
			failed = append(failed, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	switch err := errors.Join(failed...); {
	case ctx.Err() != nil && err == nil: // the time was over before all were asked
		return bridge.RoomRef{}, fmt.Errorf("%w: %w", bridge.ErrDirectory, context.Cause(ctx))
	case err == nil:
		return bridge.RoomRef{}, bridge.ErrBadPIN
	case errors.Is(err, bridge.ErrDirectory):
		return bridge.RoomRef{}, err
	default:
		return bridge.RoomRef{}, fmt.Errorf("%w: %w", bridge.ErrDirectory, err)
	}
}
