// Package postgres runs a real PostgreSQL server for tests: on loopback, in a directory of its own, with a password, as an unprivileged user where the
// test is root. It can be stopped, crashed, frozen and started again.
package postgres

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// startTime is how long the server may take to answer, and to end.
const startTime = 30 * time.Second

// User is the only user of a server.
const User = "passerelle"

// Server is a PostgreSQL server. Its methods are for one goroutine.
type Server struct {
	Password string

	settings  []string
	dir       string
	programs  string
	port      int
	owner     *syscall.Credential // nil: we are nobody special ourselves
	databases atomic.Int64
	cmd       *exec.Cmd
	exited    chan struct{}
}

// Start makes a server and starts it, with settings such as fsync=on. It ends with the test, or with the process. Without that setting, what it
// committed survives its own death, but not that of the machine.
func Start(t testing.TB, settings ...string) *Server {
	t.Helper()
	s := &Server{Password: rand.Text(), settings: append([]string{"fsync=off", "max_connections=50"}, settings...)}
	t.Cleanup(func() {
		s.Stop(t, syscall.SIGQUIT)
		if err := os.RemoveAll(s.dir); err != nil {
			t.Error(err)
		}
	})
	if err := s.make(); err != nil {
		t.Fatalf("PostgreSQL (make setup-test installs it): %v", err)
	}
	s.Run(t)
	return s
}

// make prepares the directory of the databases.
func (s *Server) make() (err error) {
	if s.programs, err = programs(); err != nil {
		return err
	}
	if s.owner, err = owner(); err != nil {
		return err
	}
	if s.dir, err = os.MkdirTemp("", "passerelle-postgres-"); err != nil {
		return err
	}
	password := filepath.Join(s.dir, "password")
	if err := os.WriteFile(password, []byte(s.Password+"\n"), 0o600); err != nil {
		return err
	}
	for _, path := range []string{s.dir, password} {
		if s.owner != nil {
			if err := os.Chown(path, int(s.owner.Uid), int(s.owner.Gid)); err != nil {
				return err
			}
		}
	}
	cmd := s.command("initdb", "-D", s.data(), "-U", User, "--auth=scram-sha-256", "--pwfile="+password, "-E", "UTF8", "--locale=C", "--no-sync")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.port = l.Addr().(*net.TCPAddr).Port
	return l.Close()
}

// programs is the directory of the newest initdb.
func programs() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the pattern is good
	best, version := "", 0
	for _, path := range found {
		dir := filepath.Dir(path)
		if n, err := strconv.Atoi(filepath.Base(filepath.Dir(dir))); err == nil && n > version {
			best, version = dir, n
		}
	}
	if best != "" {
		return best, nil
	}
	path, err := exec.LookPath("initdb")
	return filepath.Dir(path), err
}

// owner is whom the server runs as: it refuses to be root.
func owner() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, errUID := strconv.ParseUint(u.Uid, 10, 32)
	gid, errGID := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(errUID, errGID)
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.programs, name), args...)
	cmd.Dir = s.dir
	cmd.Env = []string{"LC_ALL=C", "PATH=/usr/bin:/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.owner, Pdeathsig: syscall.SIGQUIT}
	return cmd
}

// Run starts a server that was stopped, and returns when it answers.
func (s *Server) Run(t testing.TB) {
	t.Helper()
	var said bytes.Buffer
	args := []string{"-D", s.data(), "-c", "listen_addresses=127.0.0.1", "-c", "port=" + strconv.Itoa(s.port), "-c", "unix_socket_directories="}
	for _, setting := range s.settings {
		args = append(args, "-c", setting)
	}
	cmd := s.command("postgres", args...)
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	s.cmd, s.exited = cmd, exited
	go func() {
		defer close(exited)
		_ = cmd.Wait()
	}()
	db := s.open(t, "postgres")
	defer func() { _ = db.Close() }()
	for end := time.Now().Add(startTime); ; {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		err := db.PingContext(ctx)
		cancel()
		if err == nil {
			return
		}
		select {
		case <-exited:
			t.Fatalf("PostgreSQL ended at once: %s", said.String())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(end) {
			t.Fatalf("PostgreSQL does not answer: %v", err)
		}
	}
}

// Stop ends the server and returns when it is gone: os.Interrupt ends it in good order, SIGQUIT as a crash would. One that does not run is left alone.
func (s *Server) Stop(t testing.TB, signal syscall.Signal) {
	t.Helper()
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(signal)
	select {
	case <-s.exited:
	case <-time.After(startTime):
		_ = s.cmd.Process.Kill()
		<-s.exited
		t.Error("PostgreSQL did not end")
	}
	s.cmd = nil
}

// Freeze stops every process of the server where it is: connections stay and nobody answers. The returned function lets them go on.
func (s *Server) Freeze(t testing.TB) (thaw func()) {
	t.Helper()
	pids := append(children(t, s.cmd.Process.Pid), s.cmd.Process.Pid)
	send := func(signal syscall.Signal) {
		for _, pid := range pids {
			_ = syscall.Kill(pid, signal) // some may have ended
		}
	}
	send(syscall.SIGSTOP)
	return func() { send(syscall.SIGCONT) }
}

// children lists the processes that a process started.
func children(t testing.TB, parent int) []int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", parent, parent))
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, s := range strings.Fields(string(b)) {
		if pid, err := strconv.Atoi(s); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// Database makes an empty database and returns its URL, without the password.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	name := "test" + strconv.FormatInt(s.databases.Add(1), 10)
	db := s.open(t, "postgres")
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("postgres://%s@127.0.0.1:%d/%s", User, s.port, name)
}

// Open opens a database by its URL, for the test to look into.
func (s *Server) Open(t testing.TB, url string) *sql.DB {
	t.Helper()
	return s.open(t, url[strings.LastIndex(url, "/")+1:])
}

func (s *Server) open(t testing.TB, name string) *sql.DB {
	t.Helper()
	c, err := pgx.ParseConfig(fmt.Sprintf("postgres://%s:%s@127.0.0.1:%d/%s?sslmode=disable", User, s.Password, s.port, name))
	if err != nil {
		t.Fatal(err)
	}
	return stdlib.OpenDB(*c)
}
