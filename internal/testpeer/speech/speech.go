// Package speech is for tests: it makes real speech (with espeak-ng) and finds it again in what was heard, whatever codecs, gains and delays were
// on the way.
package speech

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"passerelle/transcode/resample"
	"passerelle/transcode/wav"
)

// Texts to say, of about ten seconds each, with few words in common.
const (
	English = "The north wind and the sun were arguing about which of them was stronger, when a traveller came along, wrapped in a warm cloak. Both agreed to test their strength on him."
	French  = "Bonjour, je vous appelle depuis la gare. Le train de huit heures vingt est en retard, je rejoindrai donc la réunion par téléphone. Est-ce que vous m'entendez bien ?"
)

// Say returns the text as mono PCM at the rate in Hz, said by a voice of espeak-ng ("en", "fr", "en+f3" …) with no silence before it. The test
// fails when that is impossible.
func Say(tb testing.TB, voice, text string, rate int) []int16 {
	tb.Helper()
	pcm, err := Make(voice, text, rate)
	if err != nil {
		tb.Fatalf("speech (make setup installs espeak-ng): %v", err)
	}
	return pcm
}

// Make is Say for programs. espeak-ng runs once for each voice and text: what it said is kept in the system's directory for temporary files.
func Make(voice, text string, rate int) ([]int16, error) {
	key := sha256.Sum256([]byte(voice + "\n" + text))
	path := filepath.Join(os.TempDir(), "passerelle-speech-"+hex.EncodeToString(key[:12])+".wav")
	b, err := os.ReadFile(path)
	if err != nil {
		if b, err = espeak(voice, text); err != nil {
			return nil, err
		}
		keep(path, b)
	}
	pcm, own, err := wav.Read(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for len(pcm) > 0 && -64 < pcm[0] && pcm[0] < 64 {
		pcm = pcm[1:]
	}
	return resample.Convert(pcm, own, rate)
}

func espeak(voice, text string) ([]byte, error) {
	cmd := exec.Command("espeak-ng", "-v", voice, "-s", "150", "--stdin", "--stdout")
	cmd.Stdin = bytes.NewReader([]byte(text))
	b, err := cmd.Output()
	if err == nil && len(b) < 1000 {
		err = errors.New("said nothing")
	}
	if err != nil {
		return nil, fmt.Errorf("espeak-ng -v %s: %w", voice, err)
	}
	return b, nil
}

// keep renames a complete file into place: tests of many packages run at once. A cache that cannot be written is no error.
func keep(path string, b []byte) {
	f, err := os.CreateTemp(filepath.Dir(path), "passerelle-speech-*.part")
	if err != nil {
		return
	}
	_, werr := f.Write(b)
	if cerr := f.Close(); werr != nil || cerr != nil || os.Rename(f.Name(), path) != nil {
		os.Remove(f.Name())
	}
}
