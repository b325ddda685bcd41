package journal

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
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

// onSmallDisk runs a node in a child process, with a disk of its own.
func onSmallDisk(t *testing.T, k task) {
	t.Helper()
	k.Disk = true
	cmd, out := spawn(t, k, syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	})
	var said strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		fmt.Fprintln(&said, lines.Text())
	}
	if err := cmd.Wait(); err != nil || !strings.HasSuffix(said.String(), "done\n") {
		t.Fatalf("%v:\n%s", err, said.String())
	}
}

// fullDisk is the child of onSmallDisk.
func fullDisk(k task) error {
	if err := syscall.Mount("tmpfs", k.Dir, "tmpfs", 0, "size=48m"); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	cfg := configs.Journal{URL: k.URL, Password: configs.Secret(k.Password), Dir: k.Dir, HeadEvery: time.Hour}
	w, err := journal.Open(context.Background(), cfg, k.Node, egress.New().DialContext, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = w.Run(ctx)
	}()
	next := 0
	write := func(n int) {
		for range n {
			w.Write(journal.Entry{Kind: journal.Call, Outcome: strconv.Itoa(next), Room: strings.Repeat("r", 400)})
			next++
		}
	}
	write(10)
	if err := errors.Join(settle(w), w.Ready()); err != nil {
		return fmt.Errorf("before: %w", err)
	}
	ballast := filepath.Join(k.Dir, "ballast")
	for _, size := range []int{1 << 20, 4096} {
		for grow(ballast, size) == nil {
		}
	}
	write(500)
	if k.URL != "" { // the database is on another disk, and is enough
		if err := errors.Join(settle(w), w.Ready()); err != nil {
			return fmt.Errorf("with a database elsewhere: %w", err)
		}
		cancel()
		<-ended
		return told(cfg, next, 0)
	}
	if err := until(func() bool { return w.Ready() != nil }); err != nil {
		return fmt.Errorf("with a full disk, the journal is ready: %w", err)
	}
	fmt.Println(w.Ready())
	if settle(w) == nil {
		return errors.New("what cannot be written is acknowledged")
	}
	begin := time.Now()
	write(20_000) // more than the queue takes: they are lost, and nobody waits
	if took := time.Since(begin); w.Stats().Lost == 0 || took > 10*time.Second {
		return fmt.Errorf("%+v after %v", w.Stats(), took)
	}
	if err := os.Remove(ballast); err != nil {
		return err
	}
	if err := until(func() bool { return w.Ready() == nil && settle(w) == nil }); err != nil {
		return fmt.Errorf("with room again: %w: %w, %+v", err, w.Ready(), w.Stats())
	}
	cancel()
	<-ended
	fmt.Printf("%+v\n", w.Stats())
	return told(cfg, next, int(w.Stats().Lost))
}

// told wants each entry in the record, or told to be lost.
func told(cfg configs.Journal, written, lost int) error {
	s, err := journal.OpenStore(cfg, egress.New().DialContext)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	there, missing, last := 0, 0, -1
	for q := (journal.Query{Limit: 1000}); ; {
		page, next, err := s.Search(context.Background(), q)
		if err != nil {
			return err
		}
		for _, r := range page {
			switch n, err := strconv.Atoi(r.Outcome); {
			case r.Outcome == "lost":
				n, _ = strconv.Atoi(r.Fields["entries"])
				missing += n
			case err != nil || last >= 0 && n >= last:
				return fmt.Errorf("record %d is entry %q, before entry %d", r.Seq, r.Outcome, last)
			default:
				last = n
				there++
			}
		}
		if q.Cursor = next; next == "" {
			break
		}
	}
	if there+missing != written || missing != lost || last != 0 {
		return fmt.Errorf("%d entries are there and %d told to be lost, of %d with %d lost", there, missing, written, lost)
	}
	fmt.Println("done")
	return nil
}

// grow makes a file bigger.
func grow(path string, size int) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, size))
	return errors.Join(err, f.Close())
}

// settle waits a moment for the database to have everything.
func settle(w *journal.Writer) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	return w.Settle(ctx)
}

// until polls for 30 s.
func until(is func() bool) error {
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if is() {
			return nil
		}
	}
	return errors.New("it takes too long")
}
