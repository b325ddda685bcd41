//go:build e2e

package rules_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"passerelle/e2e/stack"
)

// The world of a capture: the gateway's machine and everybody else, with one cable between them. All that is not the gateway's own network is behind
// its default route.
const (
	gateway  = "10.77.0.1"
	router   = "10.77.0.2"
	desk     = "10.77.0.3"    // a national telephone
	names    = "10.77.0.53"   // a national name server
	abroad   = "198.51.100.7" // foreign, and sometimes granted
	stranger = "203.0.113.7"  // foreign, and never granted
	trap     = "203.0.113.66"
	trap6    = "2001:db8:2::66"
	offshore = "203.0.113.53" // a foreign name server
	cable    = "gw0"          // the gateway's end
)

// nationalNetworks are those of the world above, with the addresses that the kernel's own neighbour discovery uses.
func nationalNetworks() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("10.77.0.0/24"), netip.MustParsePrefix("fd77::/64"), netip.MustParsePrefix("fe80::/10")}
}

// othersEnv names the namespace of everybody else, in the environment of a test that runs in the gateway's.
const othersEnv = "CAPTURE_OTHERS" // not PASSERELLE_…, which the gateway would take for its own

// inNamespaces runs the test that calls it once more, in a network namespace of its own, and tells its outcome. Inside, others is the name of the
// namespace where everybody else is, and ok is true.
func inNamespaces(t *testing.T) (others string, inside bool) {
	t.Helper()
	if others = os.Getenv(othersEnv); others != "" {
		return others, true
	}
	if os.Geteuid() != 0 {
		t.Fatal("this test makes network namespaces (ip netns) and records packets (tcpdump): run it as root")
	}
	stack.Build(t) // inside, it is there already
	id := fmt.Sprintf("passerelle-%d-%05x", os.Getpid(), rand.N(1<<20))
	here, elsewhere := id+"-g", id+"-o"
	t.Cleanup(func() {
		for _, n := range []string{here, elsewhere} { // the cable goes with them
			if err := exec.Command("ip", "netns", "del", n).Run(); err != nil {
				t.Errorf("ip netns del %s: %v", n, err)
			}
		}
		_ = os.RemoveAll(filepath.Join("/etc/netns", here))
	})
	build(t, here, elsewhere)
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Minute)
	defer stop()
	args := []string{"netns", "exec", here, os.Args[0], "-test.run", "^" + t.Name() + "$", "-test.v", "-test.timeout", "4m"}
	cmd := exec.CommandContext(ctx, "ip", args...)
	cmd.Env = append(os.Environ(), othersEnv+"="+elsewhere)
	out, err := cmd.CombinedOutput()
	if t.Logf("%s", out); err != nil {
		t.Errorf("in the namespace: %v", err)
	}
	return "", false
}

// build makes the two namespaces and the cable.
func build(t *testing.T, here, others string) {
	t.Helper()
	// The first name server is a national one. The second is asked when the first does not answer, if anybody lets it.
	etc := filepath.Join("/etc/netns", here)
	if err := os.MkdirAll(etc, 0o755); err != nil {
		t.Fatal(err)
	}
	resolv := fmt.Sprintf("nameserver %s\nnameserver %s\noptions timeout:1 attempts:1\n", names, offshore)
	if err := os.WriteFile(filepath.Join(etc, "resolv.conf"), []byte(resolv), 0o644); err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf(`
netns add %[1]s
netns add %[2]s
link add %[3]s netns %[1]s type veth peer name others0 netns %[2]s
-n %[1]s addr add %[4]s/24 dev %[3]s
-n %[1]s addr add fd77::1/64 dev %[3]s nodad
-n %[2]s addr add %[5]s/24 dev others0
-n %[2]s addr add fd77::2/64 dev others0 nodad
`, here, others, cable, gateway, router)
	for _, a := range []string{desk, names} {
		script += fmt.Sprintf("-n %s addr add %s/24 dev others0\n", others, a)
	}
	for _, a := range []string{abroad, stranger, trap, offshore} {
		script += fmt.Sprintf("-n %s addr add %s/32 dev others0\n", others, a)
	}
	script += fmt.Sprintf(`
-n %[2]s addr add %[6]s/128 dev others0 nodad
-n %[1]s link set lo up
-n %[2]s link set lo up
-n %[2]s link set others0 up
-n %[1]s link set %[3]s up
-n %[1]s route add default via %[5]s
-n %[1]s -6 route add default via fd77::2
`, here, others, cable, gateway, router, trap6)
	for line := range strings.Lines(script) {
		if args := strings.Fields(line); len(args) > 0 {
			if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
				t.Fatalf("ip %s: %v\n%s", strings.Join(args, " "), err, out)
			}
		}
	}
}

// among runs f in another network namespace: the sockets that it opens are there and stay there, and so are the programs that it starts.
func among(t *testing.T, namespace string, f func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	open := func(path string) int {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		return fd
	}
	own, other := open("/proc/thread-self/ns/net"), open(filepath.Join("/run/netns", namespace))
	defer func() { _ = unix.Close(own) }()
	defer func() { _ = unix.Close(other) }()
	if err := unix.Setns(other, unix.CLONE_NEWNET); err != nil {
		t.Fatalf("enter %s: %v", namespace, err)
	}
	defer func() {
		if err := unix.Setns(own, unix.CLONE_NEWNET); err != nil {
			panic(err) // this thread must not be used for anything else
		}
	}()
	f()
}
