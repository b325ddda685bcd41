package ivr

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"passerelle/transcode"
	"passerelle/transcode/g711"
	"passerelle/transcode/resample"
	keypad "passerelle/transcode/tone"
	"passerelle/transcode/wav"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var loadOnce = sync.OnceValues(func() (*Prompts, error) { return Load("", []string{"fr", "EN"}) })

func builtInPrompts(t *testing.T) *Prompts {
	t.Helper()
	p, err := loadOnce()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// dBFS are the root mean square and the peak of a clip.
func dBFS(pcm []int16) (rms, peak float64) {
	var sum, most float64
	for _, v := range pcm {
		sum += float64(v) * float64(v)
		most = max(most, math.Abs(float64(v)))
	}
	db := func(v float64) float64 { return 20 * math.Log10(v/math.MaxInt16) }
	return db(math.Sqrt(sum / float64(len(pcm)))), db(most)
}

func seconds(pcm []int16) float64 { return float64(len(pcm)) / transcode.Rate }

// The committed files are what make.sh makes: one for each line of the table, of the right form, length and level.
func TestBuiltIn(t *testing.T) {
	var size int64
	for _, language := range []string{"fr", "en"} {
		table, err := os.ReadFile("prompts/" + language + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		var names []Name
		for line := range strings.Lines(string(table)) {
			name, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
			names = append(names, Name(name))
			file := filepath.Join("prompts", language, name+".wav")
			if !known(Name(name)) || strings.TrimSpace(text) == "" {
				t.Errorf("%s.txt: %q with text %q", language, name, text)
			}
			b, err := os.ReadFile(file)
			if err != nil {
				t.Error(err)
				continue
			}
			size += int64(len(b))
			pcm, rate, err := wav.Read(bytes.NewReader(b))
			if err != nil || rate != 16000 {
				t.Errorf("%s: %d Hz, %v: want 16000 Hz", file, rate, err)
				continue
			}
			// People speak 9 to 25 letters a second, slower where they say one word only.
			length, letters := float64(len(pcm))/float64(rate), float64(len(text))
			if length < letters/30 || length > 0.8+letters/9 {
				t.Errorf("%s: %.2f s for %q", file, length, text)
			}
			if rms, peak := dBFS(pcm); rms < -25 || rms > -19.5 || peak > -2.9 {
				t.Errorf("%s: %.1f dBFS RMS, %.1f dBFS peak: want about -20 and at most -3", file, rms, peak)
			}
			// Silence is cut off: the first and last 200 ms hold some speech.
			edge := min(len(pcm), rate/5)
			for where, part := range map[string][]int16{"begins": pcm[:edge], "ends": pcm[len(pcm)-edge:]} {
				if _, peak := dBFS(part); peak < -40 {
					t.Errorf("%s %s with silence", file, where)
				}
			}
		}
		files, err := list(os.DirFS("prompts"), language)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range slices.Concat(files, Names()) {
			if !slices.Contains(names, n) {
				t.Errorf("%s.txt has no line %s", language, n)
			}
		}
	}
	if size > 12<<20 {
		t.Errorf("the prompts take %d bytes, at most 12 MiB are wanted", size)
	}
}

// Whoever changes a text or the script must run the script.
func TestMadeFrom(t *testing.T) {
	sums, err := os.ReadFile("prompts/made-from.sha256")
	if err != nil {
		t.Fatal(err)
	}
	files := 0
	for line := range strings.Lines(string(sums)) {
		sum, file, _ := strings.Cut(strings.TrimSpace(line), "  ")
		b, err := os.ReadFile(filepath.Join("prompts", file))
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%x", sha256.Sum256(b)); got != sum {
			t.Errorf("%s was changed and the prompts were not: run prompts/make.sh", file)
		}
		files++
	}
	if files != 3 {
		t.Errorf("%d files are checked, want make.sh and two tables", files)
	}
}

func TestLoad(t *testing.T) {
	p := builtInPrompts(t)
	if got := p.Languages(); !slices.Equal(got, []string{"fr", "en"}) {
		t.Errorf("languages %q", got)
	}
	for _, language := range p.Languages() {
		for _, name := range Names() {
			clip := p.Clip(language, name)
			if len(clip) == 0 || len(clip)%transcode.FrameSamples != 0 {
				t.Errorf("%s/%s has %d samples, want whole frames", language, name, len(clip))
			}
			if rms, peak := dBFS(clip); rms < -26 || peak > -1.5 {
				t.Errorf("%s/%s: %.1f dBFS RMS, %.1f peak after resampling", language, name, rms, peak)
			}
		}
	}
	same := func(a, b []int16) bool { return &a[0] == &b[0] }
	for _, c := range []struct{ asked, got string }{
		{"en", "en"}, {"en-GB", "en"}, {"fr", "fr"}, {"de", "fr"}, {"", "fr"}, {"../en", "fr"},
	} {
		if !same(p.Clip(c.asked, Welcome), p.Clip(c.got, Welcome)) {
			t.Errorf("a caller of language %q does not hear %s", c.asked, c.got)
		}
	}
	if p.Clip("fr", "no such") != nil {
		t.Error("a clip that there is not")
	}
}

// tone makes a WAVE file of a second at rate.
func tone(t *testing.T, rate int) []byte {
	t.Helper()
	pcm := make([]int16, rate)
	for i := range pcm {
		pcm[i] = int16(8000 * math.Sin(2*math.Pi*440*float64(i)/float64(rate)))
	}
	var b bytes.Buffer
	if err := wav.Write(&b, pcm, rate); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func put(t *testing.T, dir, name string, content []byte) {
	t.Helper()
	file := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestLoadOwn(t *testing.T) {
	for _, rate := range []int{8000, 44100} {
		dir := t.TempDir()
		put(t, dir, "fr/welcome.wav", tone(t, rate))
		put(t, dir, "fr/readme.txt", []byte("not a recording"))
		p, err := Load(dir, []string{"fr", "en"})
		if err != nil {
			t.Fatal(err)
		}
		got := p.Clip("fr", Welcome)
		if math.Abs(seconds(got)-1) > 0.02 {
			t.Errorf("%d Hz: %.3f s, want the admin's second", rate, seconds(got))
		}
		if rms, _ := dBFS(got); math.Abs(rms+15.26) > 0.5 { // 8000 / √2
			t.Errorf("%d Hz: %.1f dBFS, want -15.3", rate, rms)
		}
		if builtIn := builtInPrompts(t); !slices.Equal(p.Clip("en", Welcome), builtIn.Clip("en", Welcome)) || !slices.Equal(p.Clip("fr", Goodbye), builtIn.Clip("fr", Goodbye)) {
			t.Error("the other prompts changed")
		}
	}
}

// Notices of an admin's own come besides what is built in, in all languages or not at all.
func TestLoadNotices(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "fr/notice_ministry_2.wav", tone(t, 8000))
	if _, err := Load(dir, []string{"fr", "en"}); err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "en", "notice_ministry_2.wav")) {
		t.Errorf("%v, want an error that names the file that lacks", err)
	}
	put(t, dir, "en/notice_ministry_2.wav", tone(t, 16000))
	p, err := Load(dir, []string{"fr", "en"})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range p.Languages() {
		if got := seconds(p.Clip(l, "notice_ministry_2")); math.Abs(got-1) > 0.02 {
			t.Errorf("%s: the notice takes %.2f s, want its second", l, got)
		}
	}
	for name, want := range map[Name]bool{
		"notice_ministry_2": true, ForeignNoticeCaller: true, ForeignNoticeRoom: true, "notice_other": false, "": false, "../en/welcome": false,
	} {
		if p.Has(name) != want {
			t.Errorf("Has(%q) is %t", name, !want)
		}
	}
	for i := range maxNotices {
		put(t, dir, fmt.Sprintf("fr/notice_%d.wav", i), tone(t, 8000)[:200])
	}
	if _, err := Load(dir, []string{"fr"}); err == nil || !strings.Contains(err.Error(), "more than 64") {
		t.Error("any number of notices is taken")
	}
}

func TestIsNotice(t *testing.T) {
	for name, want := range map[Name]bool{
		"notice_a": true, "notice_a-1": true, Name("notice_" + strings.Repeat("x", 57)): true, Name("notice_" + strings.Repeat("x", 58)): false,
		"notice_": false, "notice_A": false, "notice_é": false, "notice_a/b": false, "notice_a.wav": false, "a_notice_b": false, "notice_a\n": false,
	} {
		if IsNotice(name) != want {
			t.Errorf("IsNotice(%q) is %t", name, !want)
		}
	}
}

// Another language is another directory.
func TestLoadOther(t *testing.T) {
	dir := t.TempDir()
	clip := tone(t, 8000)
	for _, n := range Names() {
		put(t, dir, "de/"+string(n)+".wav", clip)
	}
	for n := range 100 { // German says the ones first: it needs all of them
		put(t, dir, "de/"+string(numberName(n))+".wav", clip)
	}
	if _, err := Load(dir, []string{"fr", "de"}); err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "de", "n100.wav")) {
		t.Errorf("%v, want an error that names n100.wav", err)
	}
	for n := 100; n <= 900; n += 100 {
		put(t, dir, "de/"+string(numberName(n))+".wav", clip)
	}
	p, err := Load(dir, []string{"fr", "de"})
	if err != nil {
		t.Fatal(err)
	}
	if got := seconds(p.Number("de", 42)); math.Abs(got-1) > 0.02 {
		t.Errorf("42 takes %.2f s, want its one recording", got)
	}
}

func TestLoadErrors(t *testing.T) {
	for name, c := range map[string]struct {
		file      string
		content   []byte
		languages []string
		want      string
	}{
		"no language":       {"", nil, nil, "no language"},
		"not a language":    {"", nil, []string{"fr/../.."}, `language "fr/../.."`},
		"nothing built in":  {"", nil, []string{"de"}, filepath.Join("de", "welcome.wav") + ": there is no such recording"},
		"not a WAVE file":   {"fr/muted.wav", []byte("MP3"), []string{"fr"}, filepath.Join("fr", "muted.wav")},
		"empty":             {"fr/muted.wav", tone(t, 8000)[:44], []string{"fr"}, filepath.Join("fr", "muted.wav") + ": it is empty"},
		"misspelt":          {"fr/muted2.wav", tone(t, 8000), []string{"fr"}, `no prompt is called "muted2"`},
		"number too high":   {"fr/n1000.wav", tone(t, 8000), []string{"fr"}, `no prompt is called "n1000"`},
		"number with zero":  {"fr/n07.wav", tone(t, 8000), []string{"fr"}, `no prompt is called "n07"`},
		"a minute and more": {"fr/muted.wav", bytes.Clone(long(t)), []string{"fr"}, "at most 1m0s is allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if c.file != "" {
				put(t, dir, c.file, c.content)
			}
			if _, err := Load(dir, c.languages); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want an error with %q", err, c.want)
			}
		})
	}
	if _, err := Load(filepath.Join(t.TempDir(), "nowhere"), []string{"fr"}); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("%v, want an error that names the directory", err)
	}
	file := filepath.Join(t.TempDir(), "fr")
	put(t, filepath.Dir(file), "fr", nil)
	if _, err := Load(filepath.Dir(file), []string{"fr"}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("%v, want an error that names the file where a directory should be", err)
	}
}

func long(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := wav.Write(&b, make([]int16, 8000*61), 8000); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestSounds(t *testing.T) {
	for name, c := range map[string]struct {
		pcm      []int16
		length   time.Duration
		min, max float64 // dBFS RMS
	}{
		"entry":     {EntryChime(), 400 * time.Millisecond, -32, -22},
		"exit":      {ExitChime(), 400 * time.Millisecond, -32, -22},
		"comfort":   {ComfortTone(), 6 * time.Second, -42, -38},
		"music":     {WaitingMusic(), 16 * time.Second, -32, -29},
		"reconnect": {ReconnectTone(), 2 * time.Second, -40, -30},
	} {
		if want := samples(c.length); len(c.pcm) != want || want%transcode.FrameSamples != 0 {
			t.Errorf("%s has %d samples, want %d in whole frames", name, len(c.pcm), want)
		}
		rms, peak := dBFS(c.pcm)
		if rms < c.min || rms > c.max || peak > -6 {
			t.Errorf("%s: %.1f dBFS RMS, %.1f dBFS peak, want %.0f to %.0f and at most -6", name, rms, peak, c.min, c.max)
		}
		// It begins and ends in silence, and nowhere jumps: no click, also when it is played again and again. A sine of 1 kHz at the peak
		// goes 0.13 of it from one sample to the next.
		var step, before int16
		for _, v := range slices.Concat(c.pcm, c.pcm) {
			step = max(step, v-before, before-v)
			before = v
		}
		if most := math.Pow(10, peak/20) * math.MaxInt16 * 0.15; float64(step) > most {
			t.Errorf("%s jumps by %d of %.0f, it clicks", name, step, most)
		}
	}
	if slices.Equal(EntryChime(), ExitChime()) {
		t.Error("coming and going sound the same")
	}
}

// Who waits hears the music over G.711 as it was made, again and again, and no key is taken to be pressed where it comes back as an echo.
func TestWaitingMusic(t *testing.T) {
	pcm := WaitingMusic()
	narrow, err := resample.Convert(slices.Concat(pcm, pcm), transcode.Rate, 8000)
	if err != nil {
		t.Fatal(err)
	}
	wide, _ := dBFS(pcm)
	if left, _ := dBFS(narrow); math.Abs(left-wide) > 0.3 {
		t.Errorf("%.1f dBFS are left of %.1f: there is sound that a telephone does not carry", left, wide)
	}
	encoder, decoder, keys := g711.NewEncoder(g711.ALaw), g711.NewDecoder(g711.ALaw), keypad.NewDetector(8000)
	var signal, noise float64
	payload, heard := make([]byte, 160), make([]int16, 160)
	for i := 0; i+160 <= len(narrow); i += 160 {
		said := narrow[i : i+160]
		if _, err := encoder.Encode(payload, said); err != nil {
			t.Fatal(err)
		}
		if _, err := decoder.Decode(heard, payload); err != nil {
			t.Fatal(err)
		}
		for k, v := range said {
			signal += float64(v) * float64(v)
			noise += float64(v-heard[k]) * float64(v-heard[k])
		}
		if digit, ok := keys.Detect(heard); ok {
			t.Errorf("key %c in the music", digit)
		}
	}
	if snr := 10 * math.Log10(signal/noise); snr < 25 {
		t.Errorf("G.711 leaves %.1f dB between the music and its noise, want 25", snr)
	}
	if again := WaitingMusic(); &again[0] != &pcm[0] {
		t.Error("it is made anew for each caller")
	}
}
