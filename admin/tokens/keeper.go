package tokens

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"os"
	"sync"

	"passerelle/internal/stamp"
)

// Keeper knows the tokens of a file as it is now: every question looks whether the file changed. While there is no file, or one that cannot
// be used, nobody is known: a token that was to be removed must not live on because of a slip of the pen. Its methods may be called from any
// goroutine.
type Keeper struct {
	path string
	told func(News)

	mu   sync.Mutex
	seen stamp.Stamp
	err  error // why there are no tokens
	list []Token
}

// News is what came of a file that was read.
type News struct {
	Tokens int
	Hash   string // SHA-256 of the file, hex
	Err    error  // why it was not taken: nobody is known then
}

// NewKeeper reads the file for the first time. A file that is not there yet is no error, one that cannot be used is. told hears, from any
// goroutine and one after the other, each time that the file was read or is gone; it must not ask the keeper.
func NewKeeper(path string, told func(News)) (*Keeper, error) {
	k := &Keeper{path: path, told: told}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.refresh()
	if k.err != nil && !errors.Is(k.err, os.ErrNotExist) {
		return nil, k.err
	}
	return k, nil
}

// Find answers the token that a secret belongs to. It takes the same time for every secret of the right form.
func (k *Keeper) Find(secret string) (Token, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.refresh()
	if !isSecret(secret) {
		return Token{}, false
	}
	sum, found := []byte(hash(secret)), -1
	for i := range k.list {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(sum, []byte(k.list[i].Hash)), i, found)
	}
	if found < 0 {
		return Token{}, false
	}
	return k.list[found], true
}

// Has tells whether a token that was found is still there, and still the same.
func (k *Keeper) Has(t Token) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.refresh()
	for _, o := range k.list {
		if o == t {
			return true
		}
	}
	return false
}

// refresh reads the file again if it is not the one that was seen last.
func (k *Keeper) refresh() {
	now, err := stamp.Of(k.path)
	switch {
	case err != nil && k.err != nil && k.err.Error() == err.Error(): // still gone
		return
	case err == nil && now.Same(k.seen):
		return
	}
	k.seen, k.err, k.list = now, err, nil
	var sum [sha256.Size]byte
	if err == nil {
		var b []byte
		k.list, b, k.err = read(k.path, now.Mode())
		sum = sha256.Sum256(b)
	}
	news := News{Tokens: len(k.list), Err: k.err}
	if k.err == nil {
		news.Hash = hex.EncodeToString(sum[:])
	}
	k.told(news)
}
