package ivr

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// texts are what the recordings of a language say.
func texts(t *testing.T, language string) map[Name]string {
	t.Helper()
	table, err := os.ReadFile("prompts/" + language + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	said := make(map[Name]string)
	for line := range strings.Lines(string(table)) {
		name, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		said[Name(name)] = text
	}
	return said
}

// words is a number as the recordings say it.
func words(t *testing.T, p *Prompts, language string, n int) string {
	t.Helper()
	clips, missing := p.compose(language, n)
	if missing >= 0 {
		t.Fatalf("%s cannot say %d: no n%d", language, n, missing)
	}
	said := texts(t, language)
	var words []string
	for _, clip := range clips {
		for name, c := range p.clips[language] {
			if &c[0] == &clip[0] {
				words = append(words, said[name])
			}
		}
	}
	return strings.Join(words, " ")
}

func TestNumber(t *testing.T) {
	p := builtInPrompts(t)
	for _, c := range []struct {
		language string
		n        int
		want     string
	}{
		{"fr", 0, "zéro"},
		{"fr", 1, "un"},
		{"fr", 16, "seize"},
		{"fr", 17, "dix-sept"},
		{"fr", 20, "vingt"},
		{"fr", 21, "vingt et un"},
		{"fr", 22, "vingt-deux"},
		{"fr", 31, "trente et un"},
		{"fr", 45, "quarante cinq"},
		{"fr", 59, "cinquante neuf"},
		{"fr", 61, "soixante et un"},
		{"fr", 69, "soixante neuf"},
		{"fr", 70, "soixante dix"},
		{"fr", 71, "soixante et onze"},
		{"fr", 72, "soixante douze"},
		{"fr", 79, "soixante dix-neuf"},
		{"fr", 80, "quatre-vingts"},
		{"fr", 81, "quatre-vingts un"},
		{"fr", 90, "quatre-vingts dix"},
		{"fr", 91, "quatre-vingts onze"},
		{"fr", 99, "quatre-vingts dix-neuf"},
		{"fr", 100, "cent"},
		{"fr", 171, "cent soixante et onze"},
		{"fr", 200, "deux cents"},
		{"fr", 999, "neuf cents quatre-vingts dix-neuf"},
		{"en", 0, "zero"},
		{"en", 13, "thirteen"},
		{"en", 21, "twenty one"},
		{"en", 70, "seventy"},
		{"en", 75, "seventy five"},
		{"en", 100, "one hundred"},
		{"en", 101, "one hundred one"},
		{"en", 110, "one hundred ten"},
		{"en", 999, "nine hundred ninety nine"},
	} {
		if got := words(t, p, c.language, c.n); got != c.want {
			t.Errorf("%s %d: %q, want %q", c.language, c.n, got, c.want)
		}
	}
	for _, language := range p.Languages() {
		for n := range MaxNumber + 1 {
			if len(p.Number(language, n)) == 0 {
				t.Errorf("%s does not say %d", language, n)
			}
		}
		if !slices.Equal(p.Number(language, -1), p.Number(language, 0)) || !slices.Equal(p.Number(language, 1000), p.Number(language, MaxNumber)) {
			t.Errorf("%s: numbers out of bounds are not said as the nearest", language)
		}
	}
}

func TestNumberMissing(t *testing.T) {
	p := &Prompts{languages: []string{"en"}, clips: map[string]map[Name][]int16{"en": maps.Clone(builtInPrompts(t).clips["en"])}}
	for _, c := range []struct{ without, n, missing int }{
		{5, 25, 5}, {5, 205, 5}, {200, 299, 200}, {0, 0, 0}, {20, 21, 21},
	} {
		clips := p.clips["en"]
		kept := clips[numberName(c.without)]
		delete(clips, numberName(c.without))
		// Without n20, 21 would be "ten eleven": a language that has no tens of its own for it has none below either.
		if c.without == 20 {
			delete(clips, "n10")
		}
		if got, missing := p.compose("en", c.n); missing != c.missing {
			t.Errorf("%d without n%d: %d recordings, missing %d, want %d", c.n, c.without, len(got), missing, c.missing)
		}
		clips[numberName(c.without)] = kept
	}
}

func TestCount(t *testing.T) {
	p := builtInPrompts(t)
	for _, language := range p.Languages() {
		if !slices.Equal(p.Count(language, 1), p.Clip(language, CountOne)) {
			t.Errorf("%s: one participant is not said as one", language)
		}
		for _, n := range []int{0, 2, 99} {
			want := slices.Concat(p.Clip(language, CountBefore), p.Number(language, n), p.Clip(language, CountAfter))
			if !slices.Equal(p.Count(language, n), want) {
				t.Errorf("%s: %d participants", language, n)
			}
		}
	}
}

func TestParseLanguage(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"fr", "fr"},
		{"EN", "en"},
		{"fr-BE", "fr-be"},
		{"pt_BR", "pt-br"},
		{"nds", "nds"},
		{"de-CH-1996", "de-ch-1996"},
		{"", ""},
		{"f", ""},
		{"french", ""},
		{"fr-", ""},
		{"fr--be", ""},
		{"..", ""},
		{"fr/..", ""},
		{"fr be", ""},
		{"été", ""},
		{"fr-be-be-be-be", ""},
		{"fr-abcdefghi", ""},
	} {
		if got, err := ParseLanguage(c.in); got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q: %q, %v, want %q", c.in, got, err, c.want)
		}
	}
}

func FuzzParseLanguage(f *testing.F) {
	for _, s := range []string{"fr", "pt_BR", "..", "de-CH-1996", "fr/../../etc"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		language, err := ParseLanguage(s)
		if err != nil {
			return
		}
		if strings.ContainsAny(language, "./\\ \x00") || len(language) > 3+3*9 {
			t.Errorf("%q is accepted as %q", s, language)
		}
		if again, err := ParseLanguage(language); again != language || err != nil {
			t.Errorf("%q becomes %q, %v", language, again, err)
		}
	})
}
