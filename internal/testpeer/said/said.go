// Package said keeps what a program or a logger says, to be read while more is being said.
package said

import (
	"strings"
	"sync"
)

// Text is all that was said so far. The zero value is empty. Its methods may be called from any goroutine.
type Text struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write is io.Writer.
func (t *Text) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.Write(b)
}

// String is the text so far.
func (t *Text) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}
