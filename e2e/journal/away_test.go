//go:build e2e

package journal

import (
	"crypto/ed25519"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"passerelle/bridge/journal"
	"passerelle/configs"
	"passerelle/internal/egress"
)

// entries writes n entries that count on from next.
func (n *node) entries(next *int, count int) {
	for range count {
		n.w.Write(journal.Entry{Kind: journal.Call, Outcome: strconv.Itoa(*next), Caller: "+33198765432"})
		*next++
	}
}

// flushed wants everything on a disk soon.
func (n *node) flushed() {
	n.t.Helper()
	if err := until(func() bool { return n.w.Flush(n.t.Context()) == nil }); err != nil {
		n.t.Fatal(err)
	}
}

// testAway has the database crash, stay away through a restart of the node, and come back; then stop answering in the middle of the work.
func testAway(t *testing.T, s server) {
	n := newNode(t, s).run()
	next := 0
	n.entries(&next, 100)
	n.settle()

	s.Stop(t, syscall.SIGQUIT)
	n.entries(&next, 3000)
	n.flushed()
	if err := n.w.Ready(); err != nil {
		t.Errorf("while the database is away, entries wait: %v", err)
	}
	if _, _, err := n.w.Search(t.Context(), journal.Query{}); err == nil {
		t.Error("a database that is away is searched")
	}
	n.stop()
	n.run() // without a database
	n.entries(&next, 500)
	n.flushed()
	s.Run(t)
	n.entries(&next, 100)
	n.settle()

	for range 5 { // wherever the work stands when it freezes
		n.entries(&next, 400)
		thaw := s.Freeze(t)
		n.entries(&next, 400)
		n.flushed()
		thaw()
	}
	for range 3 {
		n.entries(&next, 400)
		s.Stop(t, syscall.SIGQUIT)
		n.entries(&next, 400)
		n.flushed()
		s.Run(t)
	}
	n.settle()
	n.stop()
	bySeq(t, n.all(journal.Query{Limit: 1000}), next)
	if st := n.w.Stats(); st.Lost != 0 {
		t.Errorf("%+v", st)
	}
	n.holds()
}

// testLostAnswer cuts the connection just before the answer to a commit: the batch is stored, and must not be stored again.
func testLostAnswer(t *testing.T, s server) {
	n := newNode(t, s)
	p := newProxy(t, host(t, n.cfg.URL))
	direct := n.cfg.URL
	n.cfg.URL = strings.Replace(direct, host(t, direct), p.address(), 1)
	n.run()
	next := 0
	n.entries(&next, 1)
	n.settle()
	for range 5 {
		p.loseAnswerTo("commit")
		n.entries(&next, 20)
		n.settle()
	}
	if p.lost.Load() != 5 {
		t.Fatalf("%d answers were lost, want 5: nothing was tested", p.lost.Load())
	}
	n.stop()
	bySeq(t, n.all(journal.Query{Limit: 1000}), next)
	if list := n.all(journal.Query{Kinds: []journal.Kind{journal.Node}}); len(list) != 0 {
		t.Errorf("%+v", list)
	}
	n.holds()
}

func host(t *testing.T, s string) string {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

// testTwoNodes has two nodes write to one database: each has a chain of its own, and the heads of each vouch for the other's, too.
func testTwoNodes(t *testing.T, s server) {
	a := newNode(t, s)
	b := a.beside("node-2")
	a.run() // both make the tables, if need be
	b.run()
	for range 200 {
		a.w.Write(calls(1)[0])
		b.w.Write(calls(1)[0])
	}
	a.settle()
	b.settle()
	b.stop()
	a.stop() // its last head knows the end of b's chain
	keys := []ed25519.PublicKey{a.public(), b.public()}
	r, err := a.store().Verify(t.Context(), keys)
	if err != nil || !r.OK() || len(r.Chains) != 2 || r.Chains[0].Records != 200 || r.Chains[1].Records != 200 {
		t.Fatalf("%+v, %v", r, err)
	}
	if r, err := a.store().Verify(t.Context(), keys[:1]); err != nil || r.OK() || r.Chains[1].Problem == nil || r.Chains[0].Problem != nil {
		t.Errorf("without b's key: %+v, %v", r, err)
	}
	if len(a.all(journal.Query{Node: "node-2", Limit: 1000})) != 200 || len(a.all(journal.Query{Limit: 1000})) != 400 {
		t.Error("a search does not find the records of both")
	}
	// Everything of b is removed, or its end is: a's head tells.
	const ofB = " WHERE node = 'node-2'"
	a.sql("DELETE FROM journal_records"+ofB+" AND seq > 150", "DELETE FROM journal_heads"+ofB+" AND seq > 150",
		"UPDATE journal_chains SET seq = 150, hash = (SELECT hash FROM journal_records"+ofB+" AND seq = 150)"+ofB)
	b.wrongWith(keys, 151, "of the node node-1 knows records up to 200")
	for _, table := range tables() {
		a.sql("DELETE FROM " + table + ofB)
	}
	b.wrongWith(keys, 1, "of the node node-1 knows records up to 200")
}

// wrongWith is wrong, with the given keys.
func (n *node) wrongWith(keys []ed25519.PublicKey, seq uint64, words string) {
	n.t.Helper()
	r, err := n.store().Verify(n.t.Context(), keys)
	if err != nil {
		n.t.Fatal(err)
	}
	for _, c := range r.Chains {
		if c.Node == n.name && c.Problem != nil && c.Problem.Seq == seq && strings.Contains(c.Problem.Why, words) {
			return
		}
	}
	n.t.Errorf("want %d, %q: got %+v", seq, words, r)
}

// testRefused wants a node not to start where the database says no.
func testRefused(t *testing.T, s server) {
	for name, change := range map[string]func(*configs.Journal){
		"wrong password":   func(c *configs.Journal) { c.Password = "wrong" },
		"no such database": func(c *configs.Journal) { c.URL += "x" },
		"TLS":              func(c *configs.Journal) { c.URL += "?sslmode=maybe" },
	} {
		n := newNode(t, s)
		change(&n.cfg)
		w, err := journal.Open(t.Context(), n.cfg, n.name, egress.New().DialContext, discard())
		if err == nil {
			t.Errorf("%s: nobody minds", name)
			_ = w.Close()
		} else if strings.Contains(err.Error(), s.Password) || strings.Contains(err.Error(), "wrong@") {
			t.Errorf("%s: the error shows a password: %v", name, err)
		}
	}
}

// testAwayAtStart wants a node to start where the database does not answer, and what is written before it runs to be kept.
func testAwayAtStart(t *testing.T, s server) {
	n := newNode(t, s)
	s.Stop(t, syscall.SIGINT)
	w, err := journal.Open(t.Context(), n.cfg, n.name, egress.New().DialContext, discard())
	if err != nil {
		t.Fatal(err)
	}
	w.Write(calls(1)[0]) // before anything runs
	if w.Ready() == nil {
		t.Error("a journal that does not run is ready")
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(n.cfg.Dir, "*.spill")); len(left) != 1 {
		t.Errorf("what was written is not kept: %v", left)
	}
	s.Run(t)
	n.run()
	n.settle()
	if list := n.all(journal.Query{}); len(list) != 1 {
		t.Errorf("%d records", len(list))
	}
}
