package transcode

import (
	"strconv"
	"strings"
)

// Chain is the way of a sound, stage by stage, as an operator reads it: PCMA → 8 kHz → 48 kHz → mix → opus.
type Chain []string

// Then adds a stage by its name.
func (c Chain) Then(stage string) Chain { return append(c[:len(c):len(c)], stage) }

// Rate adds a sample rate in Hz, unless the sound has it already.
func (c Chain) Rate(hz int) Chain {
	stage := strconv.FormatFloat(float64(hz)/1000, 'g', -1, 64) + " kHz"
	for i := len(c) - 1; i >= 0; i-- {
		if strings.HasSuffix(c[i], " kHz") {
			if c[i] == stage {
				return c
			}
			break
		}
	}
	return c.Then(stage)
}

// String joins the stages with arrows.
func (c Chain) String() string { return strings.Join(c, " → ") }
