package configs

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"go.uber.org/goleak"
	"go.yaml.in/yaml/v3"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func write(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestNothingSaidIsDefaults(t *testing.T) {
	c, err := Load(Source{})
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(c, Defaults()) {
		t.Fatalf("got\n%+v\nwant\n%+v", c, Defaults())
	}
}

func TestSampleEqualsDefaults(t *testing.T) {
	values, err := readYAML("passerelle.yaml", []byte(Sample()))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range leaves() {
		var v any = values
		for name := range strings.SplitSeq(f.name, ".") {
			section, _ := v.(map[string]any)
			v = section[name]
		}
		if v == nil {
			t.Errorf("%s is not in the sample", f.name)
		}
	}
	c, err := Load(Source{File: "passerelle.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(c, Defaults()) {
		t.Fatalf("got\n%s\nwant\n%s", c.Dump(), Defaults().Dump())
	}
}

func TestSampleExplainsEveryKey(t *testing.T) {
	texts := comments()
	for path := range texts {
		if texts[path] == "" {
			t.Errorf("%s has no comment", path)
		}
	}
	for _, f := range leaves() {
		if texts[f.name] == "" {
			t.Errorf("%s has no comment", f.name)
		}
	}
}

// The sample's trunk is a comment. It must be a good one, and show every key of a trunk, when its # is taken away.
func TestSampleTrunk(t *testing.T) {
	_, commented, _ := strings.Cut(Sample(), "  trunks: []\n")
	text := "sip:\n  trunks:\n" + strings.ReplaceAll("\n"+commented, "\n  #", "\n   ")
	values, err := readYAML("sample", []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	trunk := values["sip"].(map[string]any)["trunks"].([]any)[0].(map[string]any)
	for _, f := range fieldsOf(reflect.TypeFor[Trunk]()) {
		if trunk[f.name] == nil {
			t.Errorf("%s is not in the sample's trunk", f.name)
		}
	}
}

func TestLayers(t *testing.T) {
	file := write(t, `
log: {level: debug}
calls:
  max: 7
  max_duration: 1h
sip:
  udp: [192.0.2.1:5060, "[2001:db8::1]:5060"]
  tcp: []
  user_agent: 0123
  trunks:
    - name: pbx
      addresses: [192.0.2.7]
      digest: {user: u, password: 00123}
http:
`, 0o644)
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	Flags(fs)
	fs.String("config", "", "not a key")
	if err := fs.Parse([]string{"--calls.max=9", "--config=x", "--sip.tcp=127.0.0.1:1,127.0.0.1:2"}); err != nil {
		t.Fatal(err)
	}
	c, err := Load(Source{Flags: fs, Environ: []string{
		"HOME=/root", "PASSERELLE_CONFIG=" + file, "PASSERELLE_CALLS_MAX=8", "PASSERELLE_CALLS_DRAIN_TIMEOUT=5s",
		"PASSERELLE_LIVEKIT_API_SECRET=s=e,c", "PASSERELLE_DIRECTORY_LIVEKIT=false", "PASSERELLE_IVR_LANGUAGES= en, fr,",
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := Defaults()
	want.Log.Level = "debug"
	want.Calls.Max = 9
	want.Calls.MaxDuration = time.Hour
	want.Calls.DrainTimeout = 5 * time.Second
	want.LiveKit.APISecret = "s=e,c"
	want.Directory.LiveKit = false
	want.IVR.Languages = []string{"en", "fr"}
	want.SIP.UDP = []string{"192.0.2.1:5060", "[2001:db8::1]:5060"}
	want.SIP.TCP = []string{"127.0.0.1:1", "127.0.0.1:2"}
	want.SIP.UserAgent = "0123" // text stays text, even where YAML sees a number
	want.SIP.Trunks = []Trunk{{
		Name: "pbx", Addresses: []string{"192.0.2.7"}, Encryption: "prefer",
		Codecs: []string{"opus", "G722", "PCMA", "PCMU", "L16"},
		Digest: Digest{User: "u", Password: "00123", Realm: "sip"},
	}}
	if !reflect.DeepEqual(c, want) {
		t.Fatalf("got\n%+v\nwant\n%+v", c, want)
	}
}

func TestRefused(t *testing.T) {
	for _, c := range []struct {
		name, file string
		environ    []string
		want       []string
	}{
		{"unknown section", "sipp:\n  udp: []\n", nil, []string{":1: sipp: unknown key; did you mean sip?"}},
		{"unknown key", "log:\n  level: info\n  formatt: text\n", nil, []string{":3: log.formatt: unknown key; did you mean format?"}},
		{"unknown key of a trunk", "sip:\n  trunks:\n    - name: a\n      adresses: []\n", nil, []string{":4: sip.trunks[0].adresses: unknown key; did you mean addresses?"}},
		{"far from any key", "xyzzyxyzzy: 1\n", nil, []string{"xyzzyxyzzy: unknown key; known here: node, log"}},
		{"all at once", "calls:\n  max: many\n  max_duration: 30\nhttp:\n  listen: [a]\n", nil, []string{
			`:2: calls.max: "many": expected a whole number`, `:3: calls.max_duration: "30": expected a duration`, ":5: http.listen: expected one value",
		}},
		{"secret of the wrong kind", "livekit:\n  api_secret: [hunter2]\n", nil, []string{"livekit.api_secret: expected one value"}},
		{"section that is a value", "livekit: hunter2\n", nil, []string{":1: livekit: expected keys"}},
		{"no value", "http:\n  listen:\n", nil, []string{":2: http.listen: no value"}},
		{"twice", "log:\n  level: info\n  level: warn\n", nil, []string{":3: log.level: this key was given before"}},
		{"not a list", "sip:\n  udp: 127.0.0.1:5060\n", nil, []string{":2: sip.udp: expected a list"}},
		{"list of lists", "sip:\n  udp: [[a]]\n", nil, []string{"sip.udp[0]: expected one value"}},
		{"not a mapping", "- a\n", nil, []string{":1: expected keys"}},
		{"syntax", "log:\n  level: hunter2: x\n", nil, []string{"line 2: not valid YAML"}},
		{"unknown variable", "", []string{"PASSERELLE_LIVEKIT_APISECRET=hunter2"}, []string{"PASSERELLE_LIVEKIT_APISECRET: unknown variable; did you mean PASSERELLE_LIVEKIT_API_SECRET?"}},
		{"variable of the wrong kind", "", []string{"PASSERELLE_CALLS_MAX=x"}, []string{`PASSERELLE_CALLS_MAX: "x": expected a whole number`}},
		{"trunks as a variable", "", []string{"PASSERELLE_SIP_TRUNKS=x"}, []string{"in the configuration file only"}},
		{"no such secret", "livekit:\n  api_secret_file: /nowhere\n", nil, []string{"livekit.api_secret_file: stat /nowhere"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Load(Source{File: write(t, c.file, 0o600), Environ: c.environ})
			if err == nil {
				t.Fatal("no error")
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("got  %v\nwant %s", err, w)
				}
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error tells a secret: %v", err)
			}
		})
	}
}

func TestSecretFiles(t *testing.T) {
	load := func(path string) (Config, error) {
		return Load(Source{Environ: []string{"PASSERELLE_LIVEKIT_API_SECRET_FILE=" + path}})
	}
	for text, want := range map[string]Secret{"abc": "abc", "abc\n": "abc", "abc\r\n": "abc", " a c \n\n": " a c \n"} {
		c, err := load(write(t, text, 0o640))
		if err != nil || c.LiveKit.APISecret != want {
			t.Errorf("%q: got %q, %v", text, c.LiveKit.APISecret.Reveal(), err)
		}
	}
	for name, path := range map[string]string{
		"readable by all": write(t, "hunter2", 0o644), "empty": write(t, "\n", 0o600), "directory": t.TempDir(),
		"huge": write(t, strings.Repeat("x", maxSecret+1), 0o600),
	} {
		if _, err := load(path); err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "livekit.api_secret_file") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	c, err := Load(Source{Environ: []string{"PASSERELLE_LIVEKIT_API_SECRET=a", "PASSERELLE_LIVEKIT_API_SECRET_FILE=/nowhere"}})
	if err != nil || c.LiveKit.APISecret != "a" {
		t.Errorf("the secret itself goes before its file: %v", err)
	}
}

// Names of variables join section and key with the character that keys hold themselves, so two keys could share one.
func TestVariablesAreUnambiguous(t *testing.T) {
	seen := map[string]string{}
	for _, f := range leaves() {
		v := strings.ReplaceAll(f.name, ".", "_")
		if seen[v] != "" {
			t.Errorf("%s and %s are the same variable", seen[v], f.name)
		}
		seen[v] = f.name
	}
}

func TestNoFlagForSecrets(t *testing.T) {
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	Flags(fs)
	for _, name := range []string{"livekit.api_secret", "directory.roomkit.token", "sip.trunks"} {
		if fs.Lookup(name) != nil {
			t.Errorf("--%s exists", name)
		}
	}
	if f := fs.Lookup("livekit.url"); f == nil || f.Usage != "ws:// or wss://" {
		t.Errorf("--livekit.url: %+v", f)
	}
}

func TestDumpHidesSecretsAndLoads(t *testing.T) {
	c := Defaults()
	c.LiveKit.APISecret = "hunter2"
	c.Directory.Roomkit.Token = "hunter2"
	c.SIP.Trunks = []Trunk{{Name: "true", Addresses: []string{"::1"}, Digest: Digest{User: "0123", Password: "hunter2"}, CallRate: 0.5}}
	c.SIP.Trunks[0].fill()
	dump := c.Dump()
	if strings.Contains(string(dump), "hunter2") {
		t.Fatalf("a secret is in the dump:\n%s", dump)
	}
	back, err := Load(Source{File: write(t, string(dump), 0o600)})
	if err != nil {
		t.Fatal(err)
	}
	if string(back.Dump()) != string(dump) {
		t.Fatalf("got\n%s\nwant\n%s", back.Dump(), dump)
	}
	if err := back.Validate(); err == nil || !strings.Contains(err.Error(), "not what a dump shows") {
		t.Fatalf("the hidden secrets of a dump were taken for secrets: %v", err)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(Sample()))
	for _, s := range []string{
		"", "a", "a: 1", "sip: {trunks: [{name: a, codecs: [b]}, {}]}", "sip:\n  trunks:\n    - ", "log: {level: !!int x}", "? [a]\n: b", "<<: {a: b}",
		"calls: {max: 9223372036854775808}", "sip: {unknown_rate: NaN}", "livekit: {url: \"ws://%zz\"}", "http: !!binary aGk=",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		values, err := readYAML("f", b)
		if err != nil {
			return
		}
		if _, err := yaml.Marshal(values); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Load(Source{File: path})
		if err != nil {
			if strings.Contains(err.Error(), "wrong type") {
				t.Fatalf("what the reader lets through must fit: %v", err)
			}
			return
		}
		_ = c.Validate()
		dump := c.Dump()
		var n yaml.Node
		if err := yaml.Unmarshal(dump, &n); err != nil {
			t.Fatalf("the dump is not YAML: %v\n%s", err, dump)
		}
	})
}

// The sample's site is a comment, too: a good one, with every key.
func TestSampleSite(t *testing.T) {
	_, commented, _ := strings.Cut(Sample(), "sites: []\n")
	commented, _, _ = strings.Cut(commented, "\n\n")
	text := "sites:\n" + strings.ReplaceAll("\n"+commented, "\n#", "\n ")
	values, err := readYAML("sample", []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	site := values["sites"].([]any)[0].(map[string]any)
	for _, f := range fieldsOf(reflect.TypeFor[Site]()) {
		if site[f.name] == nil {
			t.Errorf("%s is not in the sample's site", f.name)
		}
	}
}
