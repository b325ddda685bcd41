package passerelle_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"regexp"
	"strconv"
	"testing"
)

// opens are the names that open a socket, or ask a name server, without the guard.
func opens() map[string][]string {
	return map[string][]string{
		"net": {
			"Listen", "ListenTCP", "ListenUDP", "ListenPacket", "ListenIP", "ListenUnix", "ListenUnixgram", "ListenMulticastUDP", "ListenConfig",
			"Dial", "DialTimeout", "DialTCP", "DialUDP", "DialIP", "DialUnix", "Dialer", "FileConn", "FileListener", "FilePacketConn",
			"Resolver", "DefaultResolver", "LookupHost", "LookupIP", "LookupAddr", "LookupCNAME", "LookupMX", "LookupNS", "LookupSRV", "LookupTXT",
			"ResolveTCPAddr", "ResolveUDPAddr", "ResolveIPAddr",
		},
		"crypto/tls":                   {"Dial", "DialWithDialer", "Dialer", "Listen"},
		"net/http":                     {"Get", "Post", "PostForm", "Head", "DefaultClient", "DefaultTransport", "ListenAndServe", "ListenAndServeTLS"},
		"github.com/gorilla/websocket": {"DefaultDialer", "NewClient"},
		"github.com/pion/ice/v4":       {"NewAgent", "NewAgentWithOptions", "NewMultiUDPMuxFromPort", "NewUniversalUDPMuxDefault"},
		"github.com/pion/webrtc/v4":    {"NewPeerConnection"},
		"github.com/jackc/pgx/v5":      {"Connect", "ConnectConfig", "ConnectWithOptions"},
		"golang.org/x/sys/unix":        {"Socket", "Connect", "Bind", "Sendto", "Sendmsg"},
		"syscall":                      {"Socket", "Connect", "Bind", "Sendto", "Sendmsg", "RawSyscall", "Syscall"},
	}
}

// closed are packages that open sockets, or start programs, by themselves: nothing imports them.
func closed() []string {
	return []string{
		"net/smtp", "net/rpc", "net/rpc/jsonrpc", "log/syslog", "os/exec", "golang.org/x/net/proxy", "golang.org/x/net/websocket", "golang.org/x/net/icmp",
		"github.com/emiago/sipgo", "github.com/jackc/pgx/v5/pgxpool", "github.com/pion/turn/v4", "github.com/pion/mdns/v2",
	}
}

// needs are the fields without which a value would dial by itself, and those with which it would lead around the guard.
func needs() map[string]map[string]field {
	return map[string]map[string]field{
		"net/http":                     {"Client": {has: "Transport"}, "Transport": {has: "DialContext", not: "Proxy"}},
		"github.com/gorilla/websocket": {"Dialer": {has: "NetDialContext", not: "Proxy"}},
		"github.com/pion/webrtc/v4":    {"Configuration": {not: "ICEServers"}},
	}
}

type field struct{ has, not string }

// TestSockets proves that nothing but internal/egress opens a socket or asks a name server. Programs that tests start, and the tests themselves, are
// not the product.
func TestSockets(t *testing.T) {
	all, set := sources(t)
	for _, s := range all {
		if s.test || within(s.dir, "internal/egress", "internal/testpeer", "internal/sfuproc", "e2e") {
			continue
		}
		for _, w := range unguarded(s.file, set) {
			t.Errorf("%s outside internal/egress", w)
		}
	}
}

// unguarded lists what a file does around the guard.
func unguarded(file *ast.File, set *token.FileSet) (found []string) {
	say := func(at token.Pos, what string) { found = append(found, set.Position(at).String()+": "+what) }
	imports := map[string]string{} // path by name
	version := regexp.MustCompile(`^v\d+$`)
	for _, i := range file.Imports {
		p, _ := strconv.Unquote(i.Path.Value)
		for _, c := range closed() {
			if p == c {
				say(i.Pos(), "imports "+p+", which opens what nobody checks,")
			}
		}
		name := path.Base(p)
		if version.MatchString(name) {
			name = path.Base(path.Dir(p))
		}
		if i.Name != nil {
			name = i.Name.Name
		}
		if _, watched := opens()[p]; watched && name == "." {
			say(i.Pos(), "imports the names of "+p)
		}
		imports[name] = p
	}
	// of answers the package and the name of an expression such as net.Dial.
	of := func(e ast.Expr) (pkg, name string) {
		if sel, ok := e.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok && x.Obj == nil {
				return imports[x.Name], sel.Sel.Name
			}
		}
		return "", ""
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			pkg, name := of(n)
			for _, banned := range opens()[pkg] {
				if name == banned {
					say(n.Pos(), pkg+"."+name+" opens a socket")
				}
			}
			if n.Sel.Name == "ListenAndServe" || n.Sel.Name == "ListenAndServeTLS" {
				say(n.Pos(), n.Sel.Name+" opens a socket")
			}
		case *ast.CompositeLit:
			pkg, name := of(n.Type)
			if f, ok := needs()[pkg][name]; ok && (f.has != "" && !sets(n, f.has) || f.not != "" && sets(n, f.not)) {
				say(n.Pos(), pkg+"."+name+" finds its own way")
			}
		case *ast.CallExpr:
			if pkg, name := of(n.Fun); pkg == "database/sql" && name == "Open" && !isText(n.Args[0], "sqlite3") {
				say(n.Pos(), "a database is connected to")
			}
			if f, ok := n.Fun.(*ast.Ident); ok && f.Name == "new" && len(n.Args) == 1 {
				if pkg, name := of(n.Args[0]); needs()[pkg][name].has != "" {
					say(n.Pos(), "new("+name+") finds its own way")
				}
			}
		}
		return true
	})
	return found
}

// sets tells whether a literal has a field.
func sets(lit *ast.CompositeLit, field string) bool {
	for _, e := range lit.Elts {
		if kv, ok := e.(*ast.KeyValueExpr); ok {
			if key, ok := kv.Key.(*ast.Ident); ok && key.Name == field {
				return true
			}
		}
	}
	return false
}

func isText(e ast.Expr, want string) bool {
	lit, ok := e.(*ast.BasicLit)
	return ok && lit.Value == strconv.Quote(want)
}

// TestUnguarded shows that TestSockets would see each way around the guard.
func TestUnguarded(t *testing.T) {
	for code, want := range map[string]int{
		`import "net"; var x, _ = net.Dial("tcp", "a:1")`:                                                               1,
		`import n "net"; var x n.Dialer`:                                                                                1,
		`import . "net"; var x Dialer`:                                                                                  1,
		`import "net"; var x = net.DefaultResolver`:                                                                     1,
		`import "net"; var x net.Conn`:                                                                                  0,
		`import "net/http"; var x = http.Client{}`:                                                                      1,
		`import "net/http"; var x = new(http.Client)`:                                                                   1,
		`import "net/http"; var x = &http.Client{Transport: y}`:                                                         0,
		`import "net/http"; var x = http.Transport{Proxy: p, DialContext: d}`:                                           1,
		`import "net/http"; var x = http.Transport{MaxIdleConns: 1}`:                                                    1,
		`import "net/http"; func f(s *http.Server) { s.ListenAndServe() }`:                                              1,
		`import "net/http"; func f(s *http.Server) { s.Serve(l) }`:                                                      0,
		`import "github.com/gorilla/websocket"; var x = websocket.Dialer{}`:                                             1,
		`import pion "github.com/pion/webrtc/v4"; var x, _ = pion.NewPeerConnection(pion.Configuration{ICEServers: s})`: 2,
		`import "github.com/pion/webrtc/v4"; var x = webrtc.Configuration{}`:                                            0,
		`import "github.com/jackc/pgx/v5"; var x, _ = pgx.Connect(c, u)`:                                                1,
		`import "database/sql"; var x, _ = sql.Open("pgx", u)`:                                                          1,
		`import "database/sql"; var x, _ = sql.Open("sqlite3", u)`:                                                      0,
		`import "os/exec"`: 1,
	} {
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, "x.go", "package x; "+code, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := unguarded(file, set); len(got) != want {
			t.Errorf("%s: found %q, want %d", code, got, want)
		}
	}
}
