package ivr

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"passerelle/transcode"
	"passerelle/transcode/resample"
	"passerelle/transcode/wav"
)

// longest is how long a recording may be.
const longest = time.Minute

//go:embed prompts/*/*.wav
var builtIn embed.FS

// Prompts are the spoken prompts of some languages, ready to be played. They do not change: a clip may be played to many callers at once.
type Prompts struct {
	languages []string
	clips     map[string]map[Name][]int16
}

// Load reads the prompts of the given languages, the default one first. A recording dir/<language>/<name>.wav, mono or not, of any sample rate,
// takes the place of the built-in one; a language that is not built in needs all of them. Notices of the admin's own (see IsNotice) come besides them,
// and need to be there in all languages. dir may be empty.
func Load(dir string, languages []string) (*Prompts, error) {
	if len(languages) == 0 {
		return nil, errors.New("prompts: no language")
	}
	if dir != "" {
		if _, err := os.Stat(dir); err != nil {
			return nil, fmt.Errorf("prompts: %w", err)
		}
	}
	p := &Prompts{clips: make(map[string]map[Name][]int16)}
	for _, l := range languages {
		language, err := ParseLanguage(l)
		if err != nil {
			return nil, err
		}
		if p.clips[language], err = loadLanguage(dir, language); err != nil {
			return nil, err
		}
		if !slices.Contains(p.languages, language) {
			p.languages = append(p.languages, language)
		}
		if err := p.complete(dir, language); err != nil {
			return nil, err
		}
	}
	if err := p.completeNotices(dir); err != nil {
		return nil, err
	}
	return p, nil
}

// Languages lists what was loaded, the default one first.
func (p *Prompts) Languages() []string { return slices.Clone(p.languages) }

// Clip is a prompt as PCM at transcode.Rate, in whole frames, not to be written to. A language that was not loaded falls back to its first part (fr
// for fr-be), then to the default one.
func (p *Prompts) Clip(language string, name Name) []int16 {
	return p.clips[p.match(language)][name]
}

func (p *Prompts) match(language string) string {
	language, _ = ParseLanguage(language)
	base, _, _ := strings.Cut(language, "-")
	for _, l := range [...]string{language, base} {
		if slices.Contains(p.languages, l) {
			return l
		}
	}
	return p.languages[0]
}

// loadLanguage reads what there is of one language: first what is built in, then the admin's own over it.
func loadLanguage(dir, language string) (map[Name][]int16, error) {
	clips := make(map[Name][]int16)
	ours, err := list(builtIn, path.Join("prompts", language))
	if err != nil {
		return nil, err
	}
	var own []Name
	if dir != "" {
		if own, err = list(os.DirFS(dir), language); err != nil {
			return nil, fmt.Errorf("prompts: %s: %w", filepath.Join(dir, language), err)
		}
	}
	for _, name := range ours {
		if slices.Contains(own, name) {
			continue
		}
		if clips[name], err = readClip(builtIn, path.Join("prompts", language, string(name)+".wav")); err != nil {
			return nil, fmt.Errorf("built-in prompt %s/%s: %w", language, name, err)
		}
	}
	for _, name := range own {
		file := filepath.Join(dir, language, string(name)+".wav")
		if !known(name) && !IsNotice(name) {
			return nil, fmt.Errorf("prompt %s: no prompt is called %q; notices of your own are called notice_…", file, name)
		}
		if clips[name], err = readClip(os.DirFS(dir), path.Join(language, string(name)+".wav")); err != nil {
			return nil, fmt.Errorf("prompt %s: %w", file, err)
		}
	}
	return clips, nil
}

// list names the recordings in a directory, which need not exist.
func list(files fs.FS, dir string) ([]Name, error) {
	entries, err := fs.ReadDir(files, dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var names []Name
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".wav"); ok && !e.IsDir() {
			names = append(names, Name(name))
		}
	}
	return names, nil
}

func readClip(files fs.FS, file string) ([]int16, error) {
	b, err := fs.ReadFile(files, file)
	if err != nil {
		return nil, err
	}
	pcm, rate, err := wav.Read(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	if len(pcm) == 0 {
		return nil, errors.New("it is empty")
	}
	if length := time.Duration(len(pcm)) * time.Second / time.Duration(rate); length > longest {
		return nil, fmt.Errorf("it takes %s, at most %s is allowed", length.Round(time.Second), longest)
	}
	if pcm, err = resample.Convert(pcm, rate, transcode.Rate); err != nil {
		return nil, err
	}
	return wholeFrames(pcm), nil
}

// wholeFrames appends silence up to a multiple of 20 ms.
func wholeFrames(pcm []int16) []int16 {
	frames := (len(pcm) + transcode.FrameSamples - 1) / transcode.FrameSamples
	return append(pcm, make([]int16, frames*transcode.FrameSamples-len(pcm))...)
}

func known(name Name) bool {
	_, isNumber := name.number()
	return isNumber || slices.Contains(Names(), name)
}

// complete tells what a language lacks.
func (p *Prompts) complete(dir, language string) error {
	missing := func(name Name) error {
		return fmt.Errorf("prompt %s: there is no such recording, and none is built in", filepath.Join(dir, language, string(name)+".wav"))
	}
	for _, name := range Names() {
		if p.clips[language][name] == nil {
			return missing(name)
		}
	}
	for n := range MaxNumber + 1 {
		if _, unsayable := p.compose(language, n); unsayable >= 0 {
			return missing(numberName(unsayable))
		}
	}
	return nil
}
