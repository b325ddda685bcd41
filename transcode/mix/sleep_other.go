//go:build !linux

package mix

import "time"

type alarm struct{}

func newAlarm() *alarm { return &alarm{} }

func (*alarm) sleep(until time.Time) { time.Sleep(time.Until(until)) }

func (*alarm) close() {}
