package journal

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"passerelle/bridge/journal"
	"passerelle/configs"
	"passerelle/internal/egress"
)

// childVariable makes the test's own program a node that writes until it is killed.
const childVariable = "PASSERELLE_JOURNAL_CHILD"

func TestMain(m *testing.M) {
	if task := os.Getenv(childVariable); task != "" {
		if err := child(task); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// database is one kind of database under test.
type database interface {
	// fresh makes an empty one and returns the keys of the configuration that name it; the URL may stay empty.
	fresh(t testing.TB) configs.Journal
	// open opens what fresh made, behind the journal's back.
	open(t testing.TB, cfg configs.Journal) *sql.DB
}

// suite is what every database must pass.
func suite(t *testing.T, d database) {
	for name, test := range map[string]func(*testing.T, database){
		"keeps all of an entry":            testKeeps,
		"takes what strangers send":        testHostile,
		"searches":                         testSearch,
		"pages":                            testPages,
		"exports":                          testExport,
		"takes entries from many at once":  testMany,
		"keeps the order":                  testOrder,
		"survives kill -9":                 testKilled,
		"drops a torn tail":                testTorn,
		"shows tampering":                  testTampering,
		"shows what was fitted":            testFitted,
		"shows a cut end":                  testCut,
		"shows forged heads":               testForged,
		"notes that it was replaced":       testReplaced,
		"goes on behind tampering":         testGoesOn,
		"notes a second writer":            testSecondWriter,
		"shortens":                         testShortens,
		"removes what is old":              testRemoves,
		"removes nothing from a bad chain": testRemovesNothing,
		"signs no forged permission":       testLaunders,
		"survives clocks that jump":        testClock,
		"is verified while it is written":  testVerifyWhileWritten,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, d)
		})
	}
}

// node is one node with its journal.
type node struct {
	t    testing.TB
	d    database
	name string
	cfg  configs.Journal
	w    *journal.Writer
	stop func()
	open *handles
}

// handles are what tests look into the database by. They are opened once.
type handles struct {
	store *journal.Store
	db    *sql.DB
}

// newNode makes a node with an empty database.
func newNode(t testing.TB, d database) *node {
	t.Helper()
	cfg := d.fresh(t)
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	cfg.HeadEvery = time.Hour
	n := &node{t: t, d: d, name: "node-1", cfg: cfg, open: &handles{}}
	t.Cleanup(func() {
		var err error
		if n.open.store != nil {
			err = n.open.store.Close()
		}
		if n.open.db != nil {
			err = errors.Join(err, n.open.db.Close())
		}
		if err != nil {
			t.Error(err)
		}
	})
	return n
}

// beside makes another node on the same database.
func (n *node) beside(name string) *node {
	other := *n
	other.name, other.cfg.Dir, other.w = name, n.t.TempDir(), nil
	return &other
}

// run starts the node's journal. It ends with the test, or with stop.
func (n *node) run() *node {
	n.t.Helper()
	w, err := journal.Open(n.t.Context(), n.cfg, n.name, egress.New().DialContext, discard())
	if err != nil {
		n.t.Fatal(err)
	}
	n.w = w
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := w.Run(ctx); err != nil {
			n.t.Error(err)
		}
	}()
	n.stop = func() {
		cancel()
		<-done
	}
	n.t.Cleanup(n.stop)
	return n
}

// write writes entries and waits until the database has them.
func (n *node) write(entries ...journal.Entry) {
	n.t.Helper()
	for _, e := range entries {
		n.w.Write(e)
	}
	n.settle()
}

func (n *node) settle() {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), 30*time.Second)
	defer cancel()
	if err := n.w.Settle(ctx); err != nil {
		n.t.Fatalf("the database does not have the entries: %v (%+v)", err, n.w.Stats())
	}
}

// store is the database as an auditor or an admin opens it.
func (n *node) store() *journal.Store {
	n.t.Helper()
	if n.open.store == nil {
		s, err := journal.OpenStore(n.cfg, egress.New().DialContext)
		if err != nil {
			n.t.Fatal(err)
		}
		n.open.store = s
	}
	return n.open.store
}

// database is the same behind the journal's back.
func (n *node) database() *sql.DB {
	n.t.Helper()
	if n.open.db == nil {
		n.open.db = n.d.open(n.t, n.cfg)
	}
	return n.open.db
}

func (n *node) key() ed25519.PrivateKey {
	n.t.Helper()
	key, err := journal.LoadKey(n.cfg)
	if err != nil {
		n.t.Fatal(err)
	}
	return key
}

func (n *node) public() ed25519.PublicKey { return n.key().Public().(ed25519.PublicKey) }

// verify verifies the journal with the node's own key.
func (n *node) verify(known ...journal.Head) journal.Report {
	n.t.Helper()
	r, err := n.store().Verify(n.t.Context(), []ed25519.PublicKey{n.public()}, known...)
	if err != nil {
		n.t.Fatal(err)
	}
	return r
}

// holds wants a journal in which nothing is wrong, and returns the report of the node's own chain.
func (n *node) holds(known ...journal.Head) journal.ChainReport {
	n.t.Helper()
	r := n.verify(known...)
	for _, c := range r.Chains {
		if c.Problem != nil {
			n.t.Fatalf("the chain of %s does not hold at %d: %s", c.Node, c.Problem.Seq, c.Problem.Why)
		}
	}
	i := slices.IndexFunc(r.Chains, func(c journal.ChainReport) bool { return c.Node == n.name })
	if i < 0 {
		n.t.Fatalf("there is no chain of %s", n.name)
	}
	return r.Chains[i]
}

// all are the records of the database, the newest first.
func (n *node) all(q journal.Query) []journal.Record {
	n.t.Helper()
	var all []journal.Record
	s := n.store()
	for {
		page, next, err := s.Search(n.t.Context(), q)
		if err != nil {
			n.t.Fatal(err)
		}
		all = append(all, page...)
		if q.Cursor = next; next == "" {
			return all
		}
	}
}

// sql does something to the database behind the journal's back, as somebody would who wants to hide something.
func (n *node) sql(statements ...string) {
	n.t.Helper()
	all := strings.Join(statements, ";\n")
	if _, err := n.database().ExecContext(n.t.Context(), all); err != nil {
		n.t.Fatalf("%s: %v", all, err)
	}
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// noon is when the tests' entries begin.
func noon() time.Time { return time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC) }

// calls makes entries of n calls, a second apart.
func calls(n int) []journal.Entry {
	list := make([]journal.Entry, n)
	for i := range list {
		list[i] = journal.Entry{
			Time: noon().Add(time.Duration(i) * time.Second), Kind: journal.Call, Call: "call-" + strconv.Itoa(i), Room: "council", Rule: "trunk",
			Outcome: "hung_up", Caller: "+331987654" + strconv.Itoa(10+i%90), Called: "1234", Address: "192.0.2." + strconv.Itoa(1+i%250),
			Fields: map[string]string{"bytes_in": strconv.Itoa(i), "encryption": "SRTP"},
		}
	}
	return list
}
