package tokens

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"passerelle/internal/yamldoc"
)

// maxTokens bounds a list of tokens: a secret is compared with each.
const maxTokens = 1000

// entry is a token as it is written.
type entry struct {
	Name    string `yaml:"name"`
	Role    string `yaml:"role"`
	Hash    string `yaml:"hash"`
	Created string `yaml:"created,omitempty"` // RFC 3339
	Expires string `yaml:"expires,omitempty"` // RFC 3339
}

// parse reads a YAML list of tokens, as a whole or not at all. Errors tell lines and keys, never hashes.
func parse(b []byte) ([]Token, error) {
	root, err := yamldoc.Parse(b)
	if err != nil {
		return nil, err
	}
	if root == nil || root.Tag == "!!null" {
		return nil, nil
	}
	if root.Kind != yaml.SequenceNode {
		return nil, &yamldoc.Error{Line: root.Line, Text: "expected a list of tokens: - name: …, role: …, hash: …"}
	}
	if len(root.Content) > maxTokens {
		return nil, fmt.Errorf("%d tokens: expected at most %d", len(root.Content), maxTokens)
	}
	list := make([]Token, 0, len(root.Content))
	for _, n := range root.Content {
		t, err := parseEntry(n)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(list, func(o Token) bool { return o.Name == t.Name || o.Hash == t.Hash }) {
			return nil, &yamldoc.Error{Line: n.Line, Text: "a name or hash for the second time"}
		}
		list = append(list, t)
	}
	return list, nil
}

func parseEntry(n *yaml.Node) (Token, error) {
	refuse := func(n *yaml.Node, text string) (Token, error) {
		return Token{}, &yamldoc.Error{Line: n.Line, Text: text}
	}
	if n.Kind != yaml.MappingNode {
		return refuse(n, "expected a token: name, role, hash and, if wanted, created and expires")
	}
	var e entry
	fields := map[string]*string{"name": &e.Name, "role": &e.Role, "hash": &e.Hash, "created": &e.Created, "expires": &e.Expires}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		to, known := fields[key.Value]
		switch {
		case !known: // it is not repeated: somebody may have put a token here
			return refuse(key, "unknown or repeated key: expected name, role, hash, created or expires, each once")
		case value.Kind != yaml.ScalarNode || value.Tag == "!!null":
			return refuse(value, key.Value+": expected a text")
		}
		*to = value.Value
		delete(fields, key.Value)
	}
	t := Token{Name: e.Name, Role: Role(e.Role), Hash: strings.ToLower(e.Hash)}
	if !IsName(t.Name) {
		return refuse(n, "name: expected up to 64 letters, digits, dots, hyphens and underscores")
	}
	if !slices.Contains(Roles(), t.Role) {
		return refuse(n, "role: expected viewer, operator or admin")
	}
	if sum, err := hex.DecodeString(t.Hash); err != nil || len(sum) != 32 {
		return refuse(n, "hash: expected the 64 hexadecimal digits that passerelle token writes")
	}
	for _, at := range [...]struct {
		key, value string
		to         *time.Time
	}{{"created", e.Created, &t.Created}, {"expires", e.Expires, &t.Expires}} {
		if at.value == "" {
			continue
		}
		when, err := time.Parse(time.RFC3339, at.value)
		if err != nil || when.IsZero() {
			return refuse(n, at.key+": expected a time such as 2027-01-31T00:00:00Z")
		}
		*at.to = when.UTC()
	}
	return t, nil
}

// text is a time as parse reads it.
func text(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
