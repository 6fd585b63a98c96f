package agent_test

import (
	"testing"

	"isthmus/agent"
	"isthmus/fault"
)

// A gateway or an agent follows with one call, polls at a server that is too old for it, and goes on at one that is not any more.
func TestFollowerOfAnOldServer(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.edit(func() { h.old = true })
	h.want("dc1", routes("192.0.2.1:8443"))
	f := h.follower(t.TempDir(), nil)
	f.gets(t, "192.0.2.1:8443")
	h.want("dc1", routes("192.0.2.2:8443"))
	f.gets(t, "192.0.2.2:8443")

	h.stop()
	h.edit(func() { h.old = false })
	h.want("dc1", routes("192.0.2.3:8443"))
	h.start(h.addr)
	f.gets(t, "192.0.2.3:8443")
	calls := func() int {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.follows
	}
	before := calls()
	for _, address := range []string{"192.0.2.4:8443", "192.0.2.5:8443", "192.0.2.6:8443"} {
		h.want("dc1", routes(address))
		f.gets(t, address)
	}
	if again := calls() - before; again != 0 {
		t.Errorf("it followed anew %d times", again)
	}
}

// A server that ends the call, with an error or without an answer, is asked again.
func TestFollowerIsCutOff(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.want("dc1", routes("192.0.2.1:8443"))
	f := h.follower(t.TempDir(), nil)
	f.gets(t, "192.0.2.1:8443")
	h.edit(func() { h.refuse = fault.New(fault.Busy, "come again") })
	h.want("dc1", routes("192.0.2.2:8443"))
	eventually(t, "refused", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.follows > 1
	})
	h.edit(func() { h.refuse, h.mute = nil, 2 })
	f.gets(t, "192.0.2.2:8443")
	h.edit(func() {})
	h.want("dc1", routes("192.0.2.3:8443"))
	f.gets(t, "192.0.2.3:8443")
	select {
	case err := <-f.done:
		t.Errorf("it ended: %d, %v", agent.ExitCode(err), err)
	default:
	}
}
