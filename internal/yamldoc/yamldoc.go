// Package yamldoc reads one YAML document into its tree of nodes, with the bounds that a file from outside needs. Its errors say the line and
// never repeat what stands there, which may be a secret.
package yamldoc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// maxDepth is far more than any file of ours needs, and keeps those who walk the tree off the end of their stack.
const maxDepth = 32

// Error is what is wrong with a document, and where.
type Error struct {
	Line   int // from 1; 0: unknown
	Column int // from 1; 0: unknown
	Text   string
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return e.Text
	}
	return fmt.Sprintf("line %d: %s", e.Line, e.Text)
}

// ReadFile reads a file of at most limit bytes.
func ReadFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s: longer than %d bytes", path, limit)
	}
	return b, nil
}

// Parse returns the root node of the only document in b, or nil where b holds nothing but comments. Anchors and aliases are refused: they
// would let a small file stand for a huge tree.
func Parse(b []byte) (*yaml.Node, error) {
	d := yaml.NewDecoder(bytes.NewReader(b))
	var doc yaml.Node
	if err := d.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, syntax(err)
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, &Error{Text: "more than one YAML document"}
	}
	root := doc.Content[0]
	if err := plain(root, 0); err != nil {
		return nil, err
	}
	return root, nil
}

// plain refuses what our files have no use for.
func plain(n *yaml.Node, depth int) error {
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		return &Error{n.Line, n.Column, "anchors (&) and aliases (*) are not supported; put text that begins so in quotes"}
	}
	if depth > maxDepth {
		return &Error{n.Line, n.Column, "nested too deeply"}
	}
	for _, c := range n.Content {
		if err := plain(c, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// syntax keeps the line of the parser's error and drops its words, which may quote the file.
func syntax(err error) error {
	e := &Error{Text: "not valid YAML: look at the indentation, colons and quotes here and just above"}
	if m := regexp.MustCompile(`line (\d+)`).FindStringSubmatch(err.Error()); m != nil {
		e.Line, _ = strconv.Atoi(m[1])
	}
	return e
}
