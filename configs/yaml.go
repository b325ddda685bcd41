package configs

import (
	"errors"
	"fmt"
	"reflect"

	"go.yaml.in/yaml/v3"

	"passerelle/internal/yamldoc"
)

// maxFile is the most bytes that a configuration file may have.
const maxFile = 1 << 20

// readYAML turns a file's text into the values that it sets, by section. Every unknown key and every value of the wrong type is reported, with
// its line.
func readYAML(name string, b []byte) (map[string]any, error) {
	root, err := yamldoc.Parse(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if root == nil || root.Tag == "!!null" {
		return map[string]any{}, nil
	}
	r := reader{name: name}
	values := r.section(root, reflect.TypeFor[Config](), "")
	return values, errors.Join(r.problems...)
}

// reader walks the tree of a file beside the types of the structs.
type reader struct {
	name     string
	problems []error
}

func (r *reader) refuse(n *yaml.Node, path, format string, args ...any) {
	if path != "" {
		path += ": "
	}
	r.problems = append(r.problems, fmt.Errorf("%s:%d: %s%s", r.name, n.Line, path, fmt.Sprintf(format, args...)))
}

// section reads a mapping whose keys are the fields of a struct.
func (r *reader) section(n *yaml.Node, t reflect.Type, path string) map[string]any {
	values := map[string]any{}
	if n.Kind != yaml.MappingNode {
		r.refuse(n, path, "expected keys with values, each on a line of its own and indented")
		return values
	}
	fields := fieldsOf(t)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		f := find(fields, key.Value)
		if f == nil {
			r.refuse(key, "", "%s: unknown key%s", join(path, short(key.Value)), yamldoc.Hint(key.Value, names(fields)))
			continue
		}
		at := join(path, f.name)
		if _, twice := values[f.name]; twice {
			r.refuse(key, at, "this key was given before")
			continue
		}
		if value.Tag == "!!null" && f.typ.Kind() == reflect.Struct {
			continue // a section whose keys are all commented out
		}
		if v := r.value(value, f.typ, at); v != nil {
			values[f.name] = v
		}
	}
	return values
}

// value reads what stands behind a key. It returns nil when it was refused.
func (r *reader) value(n *yaml.Node, t reflect.Type, path string) any {
	switch {
	case t.Kind() == reflect.Struct:
		return r.section(n, t, path)
	case t.Kind() == reflect.Slice:
		return r.list(n, t.Elem(), path)
	case n.Kind != yaml.ScalarNode:
		r.refuse(n, path, "expected one value")
	case n.Tag == "!!null":
		r.refuse(n, path, `no value: write "" for none, or leave the key out`)
	default:
		v, err := parse(t, n.Value)
		if err == nil {
			return v
		}
		r.refuse(n, path, "%v", err)
	}
	return nil
}

// list reads a sequence of texts or of sections.
func (r *reader) list(n *yaml.Node, t reflect.Type, path string) any {
	if n.Kind != yaml.SequenceNode {
		r.refuse(n, path, "expected a list such as [a, b], or [] for none")
		return nil
	}
	texts, sections := []string{}, []any{}
	for i, item := range n.Content {
		switch v := r.value(item, t, fmt.Sprintf("%s[%d]", path, i)).(type) {
		case string:
			texts = append(texts, v)
		case map[string]any:
			sections = append(sections, v)
		}
	}
	if t.Kind() == reflect.Struct {
		return sections
	}
	return texts
}

func find(fields []field, name string) *field {
	for i := range fields {
		if fields[i].name == name {
			return &fields[i]
		}
	}
	return nil
}

func names(fields []field) []string {
	var list []string
	for _, f := range fields {
		list = append(list, f.name)
	}
	return list
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// short cuts an unknown key to what fits into an error.
func short(s string) string {
	q := quote(s)
	if plain := q[1 : len(q)-1]; plain == s && s != "" {
		return s
	}
	return q
}
