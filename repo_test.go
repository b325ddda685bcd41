// Package passerelle_test keeps the promises of this repository that a machine can check: who imports whom, where sockets are opened, and how
// code and documents are written. docs/adr and CONTRIBUTING.md say why.
package passerelle_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// source is one Go file of the module that is not generated.
type source struct {
	path string // slash-separated, from the root
	dir  string
	test bool
	file *ast.File
}

// sources parses every Go file of the main module.
func sources(t *testing.T) ([]source, *token.FileSet) {
	t.Helper()
	set := token.NewFileSet()
	var all []source
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil && path != "." {
				return filepath.SkipDir
			}
			if name := d.Name(); path != "." && (name == "node_modules" || name == "testdata" || strings.HasPrefix(name, ".")) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, ".pb.go") {
			return nil
		}
		f, err := parser.ParseFile(set, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		path = filepath.ToSlash(path)
		all = append(all, source{path: path, dir: filepath.ToSlash(filepath.Dir(path)), test: strings.HasSuffix(path, "_test.go"), file: f})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("only %d Go files found: is this the root of the repository?", len(all))
	}
	return all, set
}

// within tells whether a directory is one of the rooms, or below one.
func within(dir string, rooms ...string) bool {
	for _, r := range rooms {
		if dir == r || strings.HasPrefix(dir, r+"/") {
			return true
		}
	}
	return false
}

// TestImports keeps the arrows of the architecture pointing one way.
func TestImports(t *testing.T) {
	protocols := []string{"sip", "h323", "webrtc", "admin"}
	forbidden := func(from, to string) string {
		switch {
		case within(from, "cmd", "e2e", "internal/testpeer"):
			return ""
		case within(to, "cmd", "e2e", "internal/testpeer", "internal/sfuproc"):
			return "the product does not import programs and test helpers"
		case within(from, "bridge") && within(to, protocols...):
			return "bridge imports no protocol"
		case within(from, "media", "transcode") && within(to, append(protocols, "bridge")...):
			return "media and transcode know neither calls nor protocols"
		case within(from, "transcode") && within(to, "media") && !within(from, "transcode/playout"):
			return "codecs and mixer know no packets"
		case within(from, "configs") && within(to, append(protocols, "bridge", "media")...):
			return "configs is imported, and imports only the names of codecs"
		}
		for _, p := range protocols {
			if within(from, p) && !within(to, p) && within(to, protocols...) {
				return "a protocol never imports another"
			}
		}
		return ""
	}
	all, _ := sources(t)
	for _, s := range all {
		if s.test {
			continue
		}
		for _, i := range s.file.Imports {
			path, _ := strconv.Unquote(i.Path.Value)
			to, ours := strings.CutPrefix(path, "passerelle/")
			if !ours {
				continue
			}
			if why := forbidden(s.dir, to); why != "" {
				t.Errorf("%s imports %s: %s", s.path, path, why)
			}
		}
	}
}

// TestHabits checks package comments, init functions, exported globals, and that an interface says who implements it.
func TestHabits(t *testing.T) {
	all, set := sources(t)
	commented := map[string]bool{}
	for _, s := range all {
		if !s.test && s.file.Doc != nil {
			commented[s.dir] = true
		}
	}
	for _, s := range all {
		if s.test {
			continue
		}
		if !commented[s.dir] {
			t.Errorf("%s: package %s has no package comment", s.dir, s.file.Name.Name)
			commented[s.dir] = true
		}
		for _, d := range s.file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil && d.Name.Name == "init" {
					t.Errorf("%s: an init function", set.Position(d.Pos()))
				}
			case *ast.GenDecl:
				habits(t, set, d)
			}
		}
	}
}

// habits checks one declaration of a file.
func habits(t *testing.T, set *token.FileSet, d *ast.GenDecl) {
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.ValueSpec:
			for _, name := range spec.Names {
				if d.Tok == token.VAR && name.IsExported() && !strings.HasPrefix(name.Name, "Err") {
					t.Errorf("%s: %s is an exported variable", set.Position(name.Pos()), name.Name)
				}
			}
		case *ast.TypeSpec:
			i, ok := spec.Type.(*ast.InterfaceType)
			if !ok || !spec.Name.IsExported() {
				continue
			}
			if n := len(i.Methods.List); n > 5 {
				t.Errorf("%s: interface %s has %d methods, five at most", set.Position(spec.Pos()), spec.Name, n)
			}
			doc := spec.Doc
			if doc == nil {
				doc = d.Doc
			}
			if doc == nil || !strings.Contains(strings.ReplaceAll(strings.ToLower(doc.Text()), "\n", " "), "implemented by") {
				t.Errorf("%s: the comment of interface %s does not say who implements it", set.Position(spec.Pos()), spec.Name)
			}
		}
	}
}

// TestDocuments checks that every relative link leads somewhere, and that CI runs what the README says and nothing else.
func TestDocuments(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#\s]+)[^)]*\)`)
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".md") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), m[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", path, m[1])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	ci, err := os.ReadFile(".ci/run")
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"make demo", "make test"} {
		if !strings.Contains(string(readme), command) {
			t.Errorf("README.md does not name %q", command)
		}
	}
	if !strings.HasSuffix(strings.TrimSpace(string(ci)), "\nexec make test") {
		t.Error(".ci/run does not run the README's test command, or more than it")
	}
}
