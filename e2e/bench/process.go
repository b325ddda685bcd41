package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The cores of what is measured, and of all else.
const (
	measuredCore = 0
	otherCore    = 1
)

// pinned tells whether there are cores enough to keep apart what is measured.
func pinned() bool { return runtime.NumCPU() > 1 || onOtherCore() }

func onOtherCore() bool {
	var set unix.CPUSet
	return unix.SchedGetaffinity(0, &set) == nil && set.IsSet(otherCore)
}

// moveAside pins this process, and what it starts from now on, to the other core.
func moveAside() error {
	if !pinned() {
		return nil
	}
	var set unix.CPUSet
	set.Set(otherCore)
	for range 2 { // a second time for threads that were begun meanwhile
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, t := range threads {
			if id, err := strconv.Atoi(t.Name()); err == nil {
				_ = unix.SchedSetaffinity(id, &set) // one that has ended needs none
			}
		}
	}
	runtime.GOMAXPROCS(1)
	return nil
}

// measured makes a command that runs on the measured core, and that ends with this process.
func measured(name string, args ...string) *exec.Cmd {
	if pinned() {
		name, args = "taskset", append([]string{"-c", strconv.Itoa(measuredCore), name}, args...)
	}
	cmd := exec.Command(name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	return cmd
}

// child is a started command.
type child struct {
	pid  int
	gone chan struct{} // closed when it has ended

	process *os.Process
}

// begin starts what measured has made.
func begin(cmd *exec.Cmd) (*child, error) {
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{pid: cmd.Process.Pid, gone: make(chan struct{}), process: cmd.Process}
	go func() {
		_ = cmd.Wait()
		close(c.gone)
	}()
	return c, nil
}

// end stops it: a signal, another, and then the one that cannot be ignored.
func (c *child) end() {
	for _, sig := range [...]struct {
		signal syscall.Signal
		wait   time.Duration
	}{{syscall.SIGTERM, 200 * time.Millisecond}, {syscall.SIGTERM, 5 * time.Second}, {syscall.SIGKILL, time.Minute}} {
		_ = c.process.Signal(sig.signal)
		select {
		case <-c.gone:
			return
		case <-time.After(sig.wait):
		}
	}
	<-c.gone
}

// cpuTime is the processor time that a process has used, user and system (proc(5), stat).
func cpuTime(pid int) time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:]) // from the third field on
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(string(f[11]))
	system, _ := strconv.Atoi(string(f[12]))
	return time.Duration(user+system) * 10 * time.Millisecond // USER_HZ is 100 wherever Linux runs Go
}

// resident is the memory of a process in bytes.
func resident(pid int) float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	f := bytes.Fields(b)
	pages, _ := strconv.Atoi(string(f[1]))
	return float64(pages * os.Getpagesize())
}

// drops counts the packets that the kernel had no room for in sockets with these local ports (/proc/net/udp).
func drops(low, high int) (n uint64) {
	b, err := os.ReadFile("/proc/net/udp")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 13 || !strings.Contains(f[1], ":") {
			continue
		}
		_, hex, _ := strings.Cut(f[1], ":")
		port, err := strconv.ParseUint(hex, 16, 16)
		if err != nil || int(port) < low || int(port) > high {
			continue
		}
		d, _ := strconv.ParseUint(f[len(f)-1], 10, 64)
		n += d
	}
	return n
}

// machine describes where this runs.
func machine() string {
	model := "unknown CPU"
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
				model = strings.TrimSpace(v)
				break
			}
		}
	}
	var u unix.Utsname
	_ = unix.Uname(&u)
	where := fmt.Sprintf("%d CPUs, all of them shared by everything: not pinned", runtime.NumCPU())
	if pinned() {
		where = fmt.Sprintf("%d CPUs; what is measured has CPU %d alone, load generator and SFU share CPU %d", cpus(), measuredCore, otherCore)
	}
	return fmt.Sprintf("%s, %s; Linux %s, %s", model, where, unix.ByteSliceToString(u.Release[:]), runtime.Version())
}

// cpus counts the processors of the machine: this process may be on one only.
func cpus() int {
	found, _ := filepath.Glob("/sys/devices/system/cpu/cpu[0-9]*")
	return max(len(found), 1)
}
