//go:build unix

package netns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

const (
	// rigs is how many may be there at once, on one machine.
	rigs = 64
	// where ip keeps what names a namespace.
	nameDir = "/var/run/netns"
)

// Rig is a set of datacenters' networks.
type Rig struct {
	t      testing.TB
	number int
	// Spaces by name.
	Spaces map[string]*Space
}

// Space is the network of one datacenter. It is a consulrun.Network.
type Space struct {
	t    testing.TB
	name string
	// Servers are private addresses for Consul servers, Gateways for mesh gateways: the same in every Space.
	Servers, Gateways []string
	// WAN are its addresses on the network that all share: one for each of Gateways.
	WAN []string
}

// New builds networks for datacenters of these names. They are gone when the test ends. Where namespaces cannot be made the test is
// skipped with the reason, but for CI (CI=true), where it fails.
func New(t testing.TB, names ...string) *Rig {
	t.Helper()
	if reason := Missing(); reason != "" {
		if os.Getenv("CI") == "true" {
			t.Fatal(reason)
		}
		t.Skip(reason)
	}
	r := &Rig{t: t, number: claim(t), Spaces: map[string]*Space{}}
	r.remove() // what was left by a process that died
	t.Cleanup(r.remove)
	r.build(names)
	return r
}

// Missing says why there can be no namespaces; empty when there can.
func Missing() string {
	if runtime.GOOS != "linux" {
		return "network namespaces are Linux's"
	}
	if os.Geteuid() != 0 {
		return "network namespaces need root"
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return "network namespaces need ip (Debian package iproute2)"
	}
	return ""
}

// claim takes a number that nobody has, until the test ends. Its lock is gone with the process, however that ends.
func claim(t testing.TB) int {
	t.Helper()
	for number := 1; number <= rigs; number++ {
		file, err := os.OpenFile(filepath.Join(os.TempDir(), fmt.Sprintf("isthmus-netns-%d.lock", number)), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			t.Cleanup(func() {
				if err := file.Close(); err != nil {
					t.Error(err)
				}
			})
			return number
		}
		if err := errors.Join(file.Close(), unlessBusy(err)); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatalf("%d rigs are in use", rigs)
	return 0
}

func unlessBusy(err error) error {
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil
	}
	return err
}

// Host is the address at which the datacenters reach this process.
func (r *Rig) Host() string { return r.wan(1) }

func (r *Rig) wan(host int) string      { return fmt.Sprintf("198.18.%d.%d", r.number, host) }
func (r *Rig) named(part string) string { return fmt.Sprintf("isthmus-%d-%s", r.number, part) }

// uplink is the interface of this process's network.
func (r *Rig) uplink() string { return fmt.Sprintf("isthmus%d", r.number) }

func (r *Rig) build(names []string) {
	r.t.Helper()
	bridge := r.named("wan")
	r.ip("netns", "add", bridge)
	r.ip("-n", bridge, "link", "add", "br0", "type", "bridge")
	r.ip("-n", bridge, "link", "set", "br0", "up")
	r.ip("link", "add", r.uplink(), "type", "veth", "peer", "name", "host", "netns", bridge)
	r.plug(bridge, "host")
	r.ip("addr", "add", r.Host()+"/24", "dev", r.uplink())
	r.ip("link", "set", r.uplink(), "up")
	for i, name := range names {
		s := &Space{
			t: r.t, name: r.named(name),
			Servers: []string{"10.0.0.10", "10.0.0.11", "10.0.0.12"}, Gateways: []string{"10.0.0.20", "10.0.0.21"},
			WAN: []string{r.wan(11 + i), r.wan(111 + i)},
		}
		r.Spaces[name] = s
		r.ip("netns", "add", s.name)
		r.ip("-n", s.name, "link", "set", "lo", "up")
		// A bridge without ports is a network of one machine; not every kernel has the dummy device.
		r.ip("-n", s.name, "link", "add", "priv0", "type", "bridge")
		r.ip("-n", s.name, "link", "add", "wan0", "type", "veth", "peer", "name", "to"+name, "netns", bridge)
		for _, address := range append(append([]string{}, s.Servers...), s.Gateways...) {
			r.ip("-n", s.name, "addr", "add", address+"/24", "dev", "priv0")
		}
		for _, address := range s.WAN {
			r.ip("-n", s.name, "addr", "add", address+"/24", "dev", "wan0")
		}
		r.ip("-n", s.name, "link", "set", "priv0", "up")
		r.ip("-n", s.name, "link", "set", "wan0", "up")
		r.plug(bridge, "to"+name)
	}
}

func (r *Rig) plug(bridge, port string) {
	r.t.Helper()
	r.ip("-n", bridge, "link", "set", port, "master", "br0")
	r.ip("-n", bridge, "link", "set", port, "up")
}

// remove takes away everything that has our number.
func (r *Rig) remove() {
	if _, err := net.InterfaceByName(r.uplink()); err == nil {
		r.ip("link", "del", r.uplink())
	}
	left, err := filepath.Glob(filepath.Join(nameDir, r.named("*")))
	if err != nil {
		r.t.Error(err)
	}
	for _, path := range left {
		r.ip("netns", "del", filepath.Base(path))
	}
}

func (r *Rig) ip(args ...string) {
	r.t.Helper()
	if out, err := exec.CommandContext(context.Background(), "ip", args...).CombinedOutput(); err != nil {
		r.t.Errorf("ip %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// Command runs a program in the namespace. It is the same process: ip only moves it there.
func (s *Space) Command(binary string, args []string) (string, []string) {
	return "ip", append([]string{"netns", "exec", s.name, binary}, args...)
}

// Dial connects to an address, not a name, from within the namespace.
func (s *Space) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return within(s.name, func() (net.Conn, error) { return new(net.Dialer).DialContext(ctx, network, address) })
}

// Listen listens at an address, not a name, of the namespace.
func (s *Space) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	return within(s.name, func() (net.Listener, error) { return new(net.ListenConfig).Listen(ctx, network, address) })
}

// within makes a socket in a namespace, where it stays: it belongs to that of the thread that made it.
func within[T any](name string, do func() (T, error)) (made T, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		// Never unlocked: the thread, which is in the wrong namespace now, ends with the goroutine.
		runtime.LockOSThread()
		if err = enter(name); err == nil {
			made, err = do()
		}
	}()
	<-done
	return made, err
}

// Disconnect takes the datacenter off the shared network; Reconnect puts it back.
func (s *Space) Disconnect() { s.set("down") }

// Reconnect undoes Disconnect.
func (s *Space) Reconnect() { s.set("up") }

// Lose has whatever the datacenter sends to an address vanish on the way, as a broken route does: connections hang, and nobody is told.
// What comes from there still arrives. Find undoes it.
func (s *Space) Lose(address string) { s.route("add", address) }

// Find undoes Lose.
func (s *Space) Find(address string) { s.route("del", address) }

func (s *Space) route(do, address string) {
	s.t.Helper()
	out, err := exec.CommandContext(s.t.Context(), "ip", "-n", s.name, "route", do, "blackhole", address+"/32").CombinedOutput()
	if err != nil {
		s.t.Fatalf("ip route %s blackhole %s in %s: %v\n%s", do, address, s.name, err, out)
	}
}

func (s *Space) set(state string) {
	s.t.Helper()
	out, err := exec.CommandContext(s.t.Context(), "ip", "-n", s.name, "link", "set", "wan0", state).CombinedOutput()
	if err != nil {
		s.t.Fatalf("setting wan0 of %s %s: %v\n%s", s.name, state, err, out)
	}
}
