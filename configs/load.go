package configs

import (
	_ "embed"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/providers/structs"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"

	"passerelle/internal/yamldoc"
)

// Prefix begins the name of every environment variable that is read. What follows is the key in capitals with _ for each dot:
// livekit.api_secret is PASSERELLE_LIVEKIT_API_SECRET. A list is written a,b,c. Trunks and sites are set in a file only.
const Prefix = "PASSERELLE_"

// FileVariable names the configuration file where no flag does.
const FileVariable = Prefix + "CONFIG"

//go:embed passerelle.yaml
var sample string

// Sample is the commented configuration file. It says what the defaults say.
func Sample() string { return sample }

// Source is where a configuration comes from. A later field outdoes an earlier one.
type Source struct {
	File    string         // YAML; empty: what FileVariable says in Environ, and none where it says nothing
	Environ []string       // as os.Environ gives it
	Flags   *pflag.FlagSet // flags that Flags added; only those that were given count. May be nil.
}

// Load puts a configuration together: defaults, file, environment, flags. Then it reads the files of secrets and fills in what trunks and sites leave
// out. It reports all that it cannot read at once, but does not judge the values: see Validate.
func Load(s Source) (Config, error) {
	file, environ, err := fromEnviron(s.Environ)
	if s.File == "" {
		s.File = file
	}
	values := map[string]any{}
	if s.File != "" {
		b, errRead := yamldoc.ReadFile(s.File, maxFile)
		if errRead == nil {
			values, errRead = readYAML(s.File, b)
		}
		err = errors.Join(errRead, err)
	}
	if err != nil {
		return Config{}, err
	}
	k := koanf.New(".")
	layers := []koanf.Provider{
		structs.Provider(Defaults(), "koanf"),
		confmap.Provider(values, ""),
		environ,
	}
	if s.Flags != nil {
		layers = append(layers, posflag.ProviderWithFlag(s.Flags, ".", nil, func(f *pflag.Flag) (string, any) {
			if _, ours := f.Annotations[annotation]; !ours {
				return "", nil
			}
			return f.Name, posflag.FlagVal(s.Flags, f)
		}))
	}
	for _, l := range layers {
		if err := k.Load(l, nil); err != nil {
			return Config{}, err
		}
	}
	var c Config
	if err := k.Unmarshal("", &c); err != nil {
		return Config{}, errors.New("configuration: a value has the wrong type") // mapstructure's own words would quote it
	}
	for i := range c.SIP.Trunks {
		c.SIP.Trunks[i].fill()
	}
	for i := range c.Sites {
		c.Sites[i].fill()
	}
	return c, c.readSecrets()
}

// fromEnviron finds the configuration file's name and the keys that the environment sets.
func fromEnviron(environ []string) (file string, values koanf.Provider, err error) {
	keys := map[string]field{}
	known := []string{FileVariable}
	for _, f := range leaves() {
		v := Prefix + strings.ToUpper(strings.ReplaceAll(f.name, ".", "_"))
		keys[v] = f
		known = append(known, v)
	}
	var problems []error
	transform := func(name, text string) (string, any) {
		f, ok := keys[name]
		switch {
		case name == FileVariable:
			file = text
		case !ok:
			problems = append(problems, fmt.Errorf("environment: %s: unknown variable%s", short(name), yamldoc.Hint(name, known)))
		case f.typ == reflect.TypeFor[[]string]():
			return f.name, parseList(text)
		case f.typ.Kind() == reflect.Slice:
			problems = append(problems, fmt.Errorf("environment: %s: %s is set in the configuration file only", name, f.name))
		default:
			v, err := parse(f.typ, text)
			if err == nil {
				return f.name, v
			}
			problems = append(problems, fmt.Errorf("environment: %s: %w", name, err))
		}
		return "", nil
	}
	set, err := env.Provider(".", env.Opt{Prefix: Prefix, TransformFunc: transform, EnvironFunc: func() []string {
		return slices.Sorted(slices.Values(environ))
	}}).Read()
	return file, confmap.Provider(set, ""), errors.Join(append(problems, err)...)
}
