package webrtc

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/pion/logging"
)

// pionLog takes pion's warnings and errors to debug level: what matters of them is told again by a connection's state. The rest, which would
// speak of every packet, is dropped.
type pionLog struct {
	log   *slog.Logger
	scope string
}

// Logger takes the log of pion's other servers likewise.
func Logger(log *slog.Logger) logging.LoggerFactory { return pionLog{log: log} }

// NewLogger implements logging.LoggerFactory.
func (l pionLog) NewLogger(scope string) logging.LeveledLogger { return pionLog{l.log, scope} }

func (l pionLog) say(format string, args ...any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug("pion", "scope", l.scope, "message", fmt.Sprintf(format, args...))
	}
}

func (pionLog) Trace(string)                        {}
func (pionLog) Tracef(string, ...any)               {}
func (pionLog) Debug(string)                        {}
func (pionLog) Debugf(string, ...any)               {}
func (pionLog) Info(string)                         {}
func (pionLog) Infof(string, ...any)                {}
func (l pionLog) Warn(msg string)                   { l.say("%s", msg) }
func (l pionLog) Warnf(format string, args ...any)  { l.say(format, args...) }
func (l pionLog) Error(msg string)                  { l.say("%s", msg) }
func (l pionLog) Errorf(format string, args ...any) { l.say(format, args...) }
