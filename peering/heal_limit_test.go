package peering_test

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"isthmus/peering"
	"isthmus/resource"
)

// hub is a datacenter that dials many, as the controller sees it, which writes whatever it decides, but for what a test has it lose.
type hub struct {
	heals *peering.Heals
	index uint64
	wards []*ward
}

func newHub(n int, mode string) *hub {
	h := &hub{heals: peering.NewHeals()}
	for i := range n {
		w := newWard(mode)
		w.p.Name, w.p.Uid = fmt.Sprint("p", i), fmt.Sprint("uid", i)
		h.wards = append(h.wards, w)
	}
	return h
}

// look is one round: every peering is judged before anything is written. lost is what is not written.
func (h *hub) look(at time.Time, lost map[string]bool) {
	for _, w := range h.wards {
		w.now = at
		w.agents()
		e := w.evidence()
		e.LastTransfer = func() time.Time { return h.heals.LastTransfer(w.p) }
		e.Earliest = func(step string) time.Time { return h.heals.Earliest(w.p, step) }
		next := peering.Next(w.p, e, w.now)
		h.heals.Decided(w.p, next, w.now)
		if next != w.p.GetStatus() && !lost[w.p.GetName()] {
			h.index++
			w.p = proto.CloneOf(w.p)
			w.p.Status, w.p.Index = next, h.index
		}
	}
}

func (h *hub) transfers() (n int) {
	for _, w := range h.wards {
		n += int(w.transferred)
	}
	return n
}

// A leader that hangs does so with all of its streams: one transfer serves them all.
func TestHealTransfersOnceForAllPeerings(t *testing.T) {
	t.Parallel()
	h := newHub(20, resource.HealAuto)
	now := h.wards[0].now
	for _, w := range h.wards {
		w.stream(resource.HeartbeatStale)
	}
	for range 90 {
		now = now.Add(time.Second)
		h.look(now, nil)
	}
	for _, w := range h.wards {
		w.want(t, "transfer-leader", "trying", 2)
	}
	if n := h.transfers(); n != 1 {
		t.Errorf("%d transfers", n)
	}
}

// What was decided and not written, since somebody was faster, is decided again at once.
func TestHealDecidesAgainWhatWasNotWritten(t *testing.T) {
	t.Parallel()
	h := newHub(1, resource.HealAuto)
	w := h.wards[0]
	now := w.now
	w.stream(resource.HeartbeatStale)
	for range 60 {
		now = now.Add(time.Second)
		h.look(now, map[string]bool{"p0": now.Second()%3 > 0})
	}
	w.want(t, "transfer-leader", "trying", 2)
	if n := h.transfers(); n != 1 {
		t.Errorf("%d transfers", n)
	}
}

// The agents of acceptors lie: their ends are deaf until the leadership of the dialer was transferred, or a token was made, and well until the ladder begins anew.
func TestHealIsBoundedWhateverAnEndSays(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		acceptors         int
		transfers, tokens int
		until             string
	}{
		{1, 2, 9, peering.StepTransferLeader},
		{1, 0, 9, peering.StepReestablish},
		{5, 4, 5 * 9, peering.StepTransferLeader},
	} {
		t.Run(fmt.Sprint(c.acceptors, c.until), func(t *testing.T) {
			t.Parallel()
			h := newHub(c.acceptors, resource.HealAuto)
			now := h.wards[0].now
			first := h.wards[0].p.GetStatus().GetToken().GetGeneration()
			lies := make([]bool, c.acceptors)
			for end := now.Add(23 * time.Hour); now.Before(end); now = now.Add(5 * time.Second) {
				for i, w := range h.wards {
					heal := w.p.GetStatus().GetHeal()
					switch {
					case heal == nil:
						lies[i] = true
					case heal.GetState() == peering.HealTrying && heal.GetStep() == c.until, heal.GetState() == peering.HealSuggested && heal.GetTried() > 0:
						lies[i] = false
					}
					w.acceptor.Report.Heartbeat = resource.HeartbeatFresh
					if lies[i] {
						w.acceptor.Report.Heartbeat = resource.HeartbeatStale
					}
				}
				h.look(now, nil)
			}
			tokens := 0
			for _, w := range h.wards {
				tokens += int(w.p.GetStatus().GetToken().GetGeneration() - first)
			}
			if n := h.transfers(); n > c.transfers || tokens > c.tokens || tokens == 0 {
				t.Errorf("%d transfers and %d tokens in a day; want %d and %d at most", n, tokens, c.transfers, c.tokens)
			}
		})
	}
}

// Who asks gets it whatever was done by itself before, but no two transfers close to each other; the request waits.
func TestHealWhenAskedWaitsForTheLastTransfer(t *testing.T) {
	t.Parallel()
	h := newHub(1, resource.HealSuggest)
	w := h.wards[0]
	now := w.now
	w.stream(resource.HeartbeatStale)
	pass := func(d time.Duration) {
		for end := now.Add(d); now.Before(end); {
			now = now.Add(time.Second)
			h.look(now, nil)
		}
	}
	ask := func() {
		t.Helper()
		status, err := peering.RequestHeal(w.p)
		if err != nil {
			t.Fatal(err)
		}
		w.p.Status = status
	}
	pass(time.Minute)
	ask()
	pass(40 * time.Second)
	ask()
	pass(70 * time.Second)
	w.want(t, "transfer-leader", "exhausted", 2)
	ask()
	pass(40 * time.Second)
	ask()
	pass(time.Minute)
	w.want(t, "transfer-leader", "suggested", 1, "it is done at ", "since the last transfer was at ")
	if w.transferred != 1 {
		t.Fatalf("%d transfers within minutes", w.transferred)
	}
	pass(4 * time.Minute)
	if w.transferred != 2 {
		t.Fatalf("%d transfers, and it was asked for a second", w.transferred)
	}
}
