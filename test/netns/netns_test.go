//go:build unix

package netns_test

import (
	"net"
	"os/exec"
	"strings"
	"testing"

	"isthmus/test/netns"
)

// Two networks have the same private addresses, and reach each other at the others only.
func TestOverlappingNetworks(t *testing.T) {
	t.Parallel()
	r := netns.New(t, "dc1", "dc2")
	dc1, dc2 := r.Spaces["dc1"], r.Spaces["dc2"]
	ctx := t.Context()
	// Who listens on a private address of dc1 is found in dc1, and not in dc2.
	listen(t, dc1, dc1.Servers[0], "9001")
	listen(t, dc1, dc1.WAN[0], "9002")
	for _, test := range []struct {
		from    *netns.Space
		address string
		reached bool
	}{
		{dc1, dc1.Servers[0] + ":9001", true},
		{dc2, dc2.Servers[0] + ":9001", false},
		{dc1, dc1.WAN[0] + ":9002", true},
		{dc2, dc1.WAN[0] + ":9002", true},
	} {
		conn, err := test.from.Dial(ctx, "tcp", test.address)
		if err == nil {
			_ = conn.Close()
		}
		if (err == nil) != test.reached {
			t.Errorf("%s: %v, want reached %v", test.address, err, test.reached)
		}
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", r.Host()+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := dc2.Dial(ctx, "tcp", l.Addr().String())
	if err != nil {
		t.Fatalf("this process is not reached: %v", err)
	}
	_ = conn.Close()
	// What dc2 sends to dc1 is lost, until it is found again.
	dc2.Lose(dc1.WAN[0])
	if conn, err := dc2.Dial(ctx, "tcp", dc1.WAN[0]+":9002"); err == nil {
		_ = conn.Close()
		t.Error("dc1 is reached over a lost route")
	}
	dc2.Find(dc1.WAN[0])
	if conn, err = dc2.Dial(ctx, "tcp", dc1.WAN[0]+":9002"); err != nil {
		t.Fatalf("dc1 is not reached any more: %v", err)
	}
	_ = conn.Close()
}

// listen listens in a namespace for the length of the test: a socket made there stays there.
func listen(t *testing.T, s *netns.Space, host, port string) {
	t.Helper()
	l, err := s.Listen(t.Context(), "tcp", net.JoinHostPort(host, port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
}

func TestNothingStays(t *testing.T) {
	t.Parallel()
	if reason := netns.Missing(); reason != "" {
		t.Skip(reason)
	}
	var name string
	t.Run("rig", func(t *testing.T) {
		r := netns.New(t, "dc1")
		_, args := r.Spaces["dc1"].Command("true", nil)
		name = args[2]
	})
	out, err := exec.CommandContext(t.Context(), "ip", "netns", "list").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Fields(line)[0] == name {
			t.Errorf("%s is still there", name)
		}
	}
}
