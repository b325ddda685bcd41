//go:build !linux

package mix

import "time"

func sleepUntil(t time.Time) { time.Sleep(time.Until(t)) }
