package configs

import (
	"reflect"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"passerelle/internal/yamldoc"
)

// annotation marks the flags that set a key.
const annotation = "passerelle/key"

// Flags adds one flag for every key that is neither a secret nor a list of trunks or sites: --sip.udp sets sip.udp. Secrets have none because every user
// of the machine can read a command line. The help text is the sample file's comment.
func Flags(fs *pflag.FlagSet) {
	help := comments()
	for _, f := range leaves() {
		switch f.typ {
		case reflect.TypeFor[string]():
			fs.String(f.name, "", help[f.name])
		case reflect.TypeFor[bool]():
			fs.Bool(f.name, false, help[f.name])
		case reflect.TypeFor[int]():
			fs.Int(f.name, 0, help[f.name])
		case reflect.TypeFor[float64]():
			fs.Float64(f.name, 0, help[f.name])
		case reflect.TypeFor[time.Duration]():
			fs.Duration(f.name, 0, help[f.name])
		case reflect.TypeFor[[]string]():
			fs.StringSlice(f.name, nil, help[f.name])
		default:
			continue
		}
		flag := fs.Lookup(f.name)
		flag.DefValue = "" // the zero values above are not the defaults
		flag.Annotations = map[string][]string{annotation: nil}
	}
}

// comments returns the comment of each key of the sample file, as one line.
func comments() map[string]string {
	texts := map[string]string{}
	if root, err := yamldoc.Parse([]byte(sample)); err == nil && root != nil {
		collect(root, "", texts)
	}
	return texts
}

func collect(n *yaml.Node, path string, texts map[string]string) {
	if n.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := join(path, key.Value)
		var words []string
		for line := range strings.Lines(key.HeadComment + "\n" + key.LineComment + "\n" + value.LineComment) {
			words = append(words, strings.Fields(strings.TrimLeft(line, "# "))...)
		}
		texts[at] = strings.Join(words, " ")
		collect(value, at, texts)
	}
}
