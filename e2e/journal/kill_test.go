package journal

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"passerelle/bridge/journal"
	"passerelle/configs"
	"passerelle/internal/egress"
)

// task is what a child process does: it writes entries from First on, a handful at a time, and says on standard output up to which one they are safe.
type task struct {
	Node, URL, Password, Dir string
	First                    int
	Disk                     bool // see full_test.go
}

func child(text string) error {
	var k task
	if err := json.Unmarshal([]byte(text), &k); err != nil {
		return err
	}
	if k.Disk {
		return fullDisk(k)
	}
	cfg := configs.Journal{URL: k.URL, Password: configs.Secret(k.Password), Dir: k.Dir, HeadEvery: time.Hour}
	ctx := context.Background()
	w, err := journal.Open(ctx, cfg, k.Node, egress.New().DialContext, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	go func() { _ = w.Run(ctx) }()
	for i := k.First; ; i++ {
		w.Write(journal.Entry{Kind: journal.Call, Outcome: strconv.Itoa(i)})
		if i%7 == 0 {
			if err := w.Flush(ctx); err != nil {
				return err
			}
			fmt.Println(i)
		}
	}
}

// spawn starts this program again, as a child that does a task.
func spawn(t *testing.T, k task, attributes syscall.SysProcAttr) (*exec.Cmd, io.Reader) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	attributes.Pdeathsig = syscall.SIGKILL
	cmd.SysProcAttr = &attributes
	cmd.Env = append(os.Environ(), childVariable+"="+string(b))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	err = cmd.Start()
	if attributes.Cloneflags != 0 && errors.Is(err, syscall.EPERM) {
		t.Skip("this machine gives nobody a file system of their own: user namespaces are forbidden")
	}
	if err != nil {
		t.Fatal(err)
	}
	return cmd, out
}

// testKilled kills nodes at any moment: what they said was safe is there when they come back, once and in order.
func testKilled(t *testing.T, d database) {
	n := newNode(t, d)
	next := 0
	for _, after := range []int{1, 40, 300} { // acknowledgements
		cmd, out := spawn(t, task{Node: n.name, URL: n.cfg.URL, Password: n.cfg.Password.Reveal(), Dir: n.cfg.Dir, First: next}, syscall.SysProcAttr{})
		said := bufio.NewScanner(out)
		safe := -1
		for i := 0; i < after && said.Scan(); i++ {
			safe = number(t, said.Text())
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for said.Scan() { // what it said before it died counts
			safe = number(t, said.Text())
		}
		_ = cmd.Wait()
		if safe < 0 {
			t.Fatal("the child acknowledged nothing")
		}
		n.run()
		n.settle()
		n.stop()
		list := n.all(journal.Query{Limit: 1000, Kinds: []journal.Kind{journal.Call}})
		bySeq(t, list, len(list))
		if len(list) <= safe {
			t.Fatalf("%d entries are there, and %d were acknowledged", len(list), safe+1)
		}
		next = len(list)
		n.holds()
	}
}

func number(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// testTorn leaves behind what a power cut in the middle of a write would.
func testTorn(t *testing.T, d database) {
	n := newNode(t, d)
	cmd, out := spawn(t, task{Node: n.name, URL: n.cfg.URL, Password: n.cfg.Password.Reveal(), Dir: n.cfg.Dir}, syscall.SysProcAttr{})
	said := bufio.NewScanner(out)
	for i := 0; i < 20 && said.Scan(); i++ {
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	files, err := filepath.Glob(filepath.Join(n.cfg.Dir, "*.spill"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	f, err := os.OpenFile(files[len(files)-1], os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte{0, 0, 0, 90, 1, 2, 3, 4, 'h', 'a', 'l', 'f'}); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	n.run()
	n.write(journal.Entry{Kind: journal.Admin, Outcome: "behind"})
	n.stop()
	calls := n.all(journal.Query{Limit: 1000, Kinds: []journal.Kind{journal.Call}})
	if len(calls) < 7*19 {
		t.Errorf("%d entries", len(calls))
	}
	bySeq(t, calls, len(calls))
	if damaged := n.all(journal.Query{Outcome: "damaged"}); len(damaged) != 1 || damaged[0].Fields["bytes"] != "12" {
		t.Errorf("the torn tail is told by %+v", damaged)
	}
	if behind := n.all(journal.Query{Outcome: "behind"}); len(behind) != 1 {
		t.Error("what came behind is not there")
	}
	n.holds()
}
