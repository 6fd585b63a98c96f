package peering_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"isthmus/fault"
	"isthmus/peering"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// ward is a peering whose stream hangs, or not, as the test says, and the dialer's agent, which does what it is told.
type ward struct {
	now time.Time
	p   *isthmusv1.Peering
	// acceptor and dialer are what is seen of the ends.
	acceptor, dialer peering.End
	// transferred are the transfers that the agent has done; transferError is what comes of the next ones.
	transferred   int32
	transferError string
	lastTransfer  time.Time
}

func newWard(mode string) *ward {
	w := &ward{now: start.Add(later), p: established()}
	w.p.Spec.Heal = mode
	w.p.Status.Token.SpecGeneration = 0
	w.acceptor, w.dialer = peering.End{Recipients: []string{"age-dc1"}}, peering.End{Recipients: []string{"age-dc2"}}
	w.stream(resource.HeartbeatFresh)
	w.dial(true)
	w.next()
	return w
}

// stream is how both ends hear each other from now on.
func (w *ward) stream(heartbeat string) {
	for _, e := range []*peering.End{&w.acceptor, &w.dialer} {
		var dials []*isthmusv1.ObservedProbe
		if e.Report != nil {
			dials = e.Report.GetDials()
		}
		e.Report = heard(peering.StateActive, heartbeat)
		e.Report.Dials = dials
	}
}

func (w *ward) dial(ok bool) {
	reason := ""
	if !ok {
		reason = "Timeout"
	}
	w.dialer.Report.Dials = []*isthmusv1.ObservedProbe{{Datacenter: "dc1", Address: "192.0.2.1:8443", Ok: ok, ErrorReason: reason}}
}

// next is one look of the controller, after the agents had theirs.
func (w *ward) next() *isthmusv1.HealStatus {
	w.agents()
	w.p.Status = peering.Next(w.p, w.evidence(), w.now)
	return w.p.GetStatus().GetHeal()
}

func (w *ward) evidence() peering.Evidence {
	return peering.Evidence{Acceptor: w.acceptor, Dialer: w.dialer, LastTransfer: func() time.Time { return w.lastTransfer }}
}

// agents use a token that is asked for, and transfer the leadership when they are told to.
func (w *ward) agents() {
	token := w.p.GetStatus().GetToken()
	if e := peering.Current(token); e.GetOutcome() != resource.OutcomeUsed {
		token = proto.CloneOf(token)
		token.Ledger = []*isthmusv1.TokenEntry{{
			Generation: token.GetGeneration(), Attempt: 1, MadeBy: "dc1-a", MakeTime: timestamppb.New(w.now), UsedBy: "dc2-a", UseTime: timestamppb.New(w.now),
			Outcome: resource.OutcomeUsed, Recipients: []string{"age-dc2"},
		}}
		status := proto.CloneOf(w.p.GetStatus())
		status.Token, w.p.Status = token, status
	}
	for _, e := range []*peering.End{&w.acceptor, &w.dialer} {
		e.Report.Generation, e.HeardTime, e.ReportTime = token.GetGeneration(), w.now, w.now
	}
	w.dialer.Report.Outcome = resource.OutcomeUsed
	if n := peering.LeaderTransfer(w.p); n > w.transferred {
		w.transferred = n
		w.dialer.Report.LeaderTransferError = w.transferError
	}
	w.dialer.Report.LeaderTransfer = w.transferred
}

// after lets time pass, with a look every second.
func (w *ward) after(d time.Duration) *isthmusv1.HealStatus {
	for end := w.now.Add(d); w.now.Before(end); {
		w.now = w.now.Add(time.Second)
		w.next()
	}
	return w.p.GetStatus().GetHeal()
}

func (w *ward) want(t *testing.T, step, state string, tried int32, words ...string) {
	t.Helper()
	h := w.p.GetStatus().GetHeal()
	if h.GetStep() != step || h.GetState() != state || h.GetTried() != tried {
		t.Fatalf("healing is %v; want %s %s, tried %d", h, step, state, tried)
	}
	for _, word := range words {
		if !strings.Contains(h.GetMessage(), word) {
			t.Errorf("it says %q, not %q", h.GetMessage(), word)
		}
	}
}

func TestHealClimbsTheLadderOneStepAtATime(t *testing.T) {
	t.Parallel()
	w := newWard(resource.HealAuto)
	w.want(t, "", "", 0)
	w.stream(resource.HeartbeatStale)
	w.next()
	w.want(t, "reestablish", "suggested", 0)
	w.after(11 * time.Second)
	w.want(t, "reestablish", "trying", 1)
	if token := w.p.GetStatus().GetToken(); token.GetGeneration() != 2 || token.GetReason() != peering.ReasonHealing {
		t.Fatalf("token %v", token)
	}
	w.after(28 * time.Second)
	w.want(t, "reestablish", "trying", 1)
	w.after(3 * time.Second)
	w.want(t, "transfer-leader", "trying", 2)
	if w.transferred != 1 {
		t.Fatalf("%d transfers", w.transferred)
	}
	w.stream(resource.HeartbeatFresh)
	w.after(50 * time.Second)
	w.want(t, "transfer-leader", "trying", 2)
	w.after(20 * time.Second)
	w.want(t, "transfer-leader", "helped", 2)
	// A relapse does not begin the ladder anew.
	w.stream(resource.HeartbeatStale)
	w.after(time.Minute)
	w.want(t, "transfer-leader", "exhausted", 2)
	w.after(time.Hour)
	if w.transferred != 1 || w.p.GetStatus().GetToken().GetGeneration() != 2 {
		t.Fatalf("%d transfers, token %d after an hour", w.transferred, w.p.GetStatus().GetToken().GetGeneration())
	}
	// After ten minutes of health it does.
	w.stream(resource.HeartbeatFresh)
	w.after(11 * time.Minute)
	if h := w.p.GetStatus().GetHeal(); h != nil {
		t.Fatalf("still known: %v", h)
	}
	w.stream(resource.HeartbeatStale)
	w.after(12 * time.Second)
	w.want(t, "reestablish", "trying", 1)
}

func TestHealStopsAtATransferThatCannotBe(t *testing.T) {
	t.Parallel()
	w := newWard(resource.HealAuto)
	w.transferError = `the agent's Consul token lacks the rule operator = "write"`
	w.stream(resource.HeartbeatStale)
	w.after(45 * time.Second)
	w.want(t, "transfer-leader", "exhausted", 2, `operator = "write"`, "isthmus agent policy --for heal")
}

func TestHealIsSuggestedAndDoneWhenAsked(t *testing.T) {
	t.Parallel()
	w := newWard("")
	if _, err := peering.RequestHeal(w.p); fault.CodeOf(err) != fault.Refused {
		t.Fatalf("a healthy peering is healed: %v", err)
	}
	w.stream(resource.HeartbeatStale)
	w.after(time.Hour)
	w.want(t, "reestablish", "suggested", 0, "isthmus peering heal dc1-dc2")
	for i, step := range []string{"reestablish", "transfer-leader", "reestablish"} {
		var err error
		if w.p.Status, err = peering.RequestHeal(w.p); err != nil {
			t.Fatal(err)
		}
		w.next()
		w.want(t, step, "trying", int32(i%2+1))
		w.after(2 * time.Minute)
	}
	w.want(t, "transfer-leader", "suggested", 1, "isthmus peering heal dc1-dc2")
	w.stream(resource.HeartbeatFresh)
	w.after(11 * time.Minute)
	if h := w.p.GetStatus().GetHeal(); h != nil {
		t.Fatalf("still known: %v", h)
	}
}

func TestHealDoesNothingWhereSomethingElseIsWrong(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(*ward)
		says   string
	}{
		{"no address of the acceptor can be dialled", func(w *ward) { w.dial(false) }, "dc2 cannot dial dc1 at 192.0.2.1:8443 Timeout"},
		{"an agent does not see its Consul", func(w *ward) { w.acceptor.Blind, w.acceptor.BlindMessage = "ConsulUnreachable", "no answer" }, "the agent of dc1 does not see its Consul (ConsulUnreachable)"},
		{"an end is gone", func(w *ward) { w.dialer.Report.State, w.acceptor.Report.State = "", "FAILING" }, "there is no end in dc2"},
		{
			"the dialer is another operator's", func(w *ward) { w.p.Spec.Dialer, w.p.Spec.ExternalDialer = "", "acme" },
			"the dialer is another operator's",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWard(resource.HealAuto)
			w.stream(resource.HeartbeatStale)
			c.change(w)
			generation := w.p.GetStatus().GetToken().GetGeneration()
			h := w.next()
			if h.GetState() != "" || h.GetTried() != 0 || !strings.Contains(h.GetMessage(), c.says) {
				t.Fatalf("healing is %v; want it to say %q", h, c.says)
			}
			if got := w.p.GetStatus().GetToken().GetReason(); got == peering.ReasonHealing || w.transferred != 0 {
				t.Fatalf("token %d → %v, %d transfers", generation, w.p.GetStatus().GetToken(), w.transferred)
			}
			if _, err := peering.RequestHeal(w.p); fault.CodeOf(err) != fault.Refused {
				t.Errorf("a step can be asked for: %v", err)
			}
		})
	}
	w := newWard(resource.HealOff)
	w.stream(resource.HeartbeatStale)
	if h := w.after(time.Hour); h != nil {
		t.Errorf("heal: off, and yet %v", h)
	}
}

// One transfer serves all peerings that a datacenter dials.
func TestHealWaitsForAnotherPeeringsTransfer(t *testing.T) {
	t.Parallel()
	w := newWard(resource.HealAuto)
	w.stream(resource.HeartbeatStale)
	w.after(35 * time.Second)
	w.lastTransfer = w.now
	w.after(8 * time.Second)
	w.want(t, "transfer-leader", "trying", 2, "which another peering asked for")
	if w.transferred != 0 {
		t.Errorf("%d transfers", w.transferred)
	}
}

// Whatever the ends say, in whatever order: nothing is done unless a stream hangs and nothing else explains it; one step at a time, each
// after the effect of the one before had its time; two at most until it was healthy for ten minutes; and the same evidence moves nothing
// on twice.
func TestHealLadder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		mode := rapid.SampledFrom([]string{"", resource.HealOff, resource.HealSuggest, resource.HealAuto}).Draw(t, "mode")
		w := newWard(mode)
		var last, unwell time.Time
		steps := 0
		for range rapid.IntRange(1, 40).Draw(t, "events") {
			requested := w.disturb(t)
			for range rapid.IntRange(1, 20).Draw(t, "looks") {
				w.now = w.now.Add(time.Duration(rapid.IntRange(1, 20).Draw(t, "seconds")) * time.Second)
				before, transfers := w.p, w.transferred
				w.p = proto.CloneOf(w.p)
				h := w.next()
				if again := peering.Next(w.p, w.evidence(), w.now); again.GetHeal().GetTried() != h.GetTried() || again.GetHeal().GetLeaderTransfer() != h.GetLeaderTransfer() {
					t.Fatalf("the same evidence moved it on twice: %v then %v", h, again.GetHeal())
				}
				if w.p.GetStatus().GetVerdict() != peering.VerdictHealthy {
					unwell = w.now
				}
				if w.now.Sub(unwell) >= 10*time.Minute {
					steps = 0
				}
				was := before.GetStatus().GetHeal()
				took := h.GetState() == peering.HealTrying && (was.GetState() != peering.HealTrying || was.GetTried() != h.GetTried() || !proto.Equal(was.GetTime(), h.GetTime()))
				raised := w.p.GetStatus().GetToken().GetReason() == peering.ReasonHealing &&
					w.p.GetStatus().GetToken().GetGeneration() != before.GetStatus().GetToken().GetGeneration()
				switch {
				case !took && (raised || h.GetLeaderTransfer() != was.GetLeaderTransfer() && h != nil):
					t.Fatalf("something was done without a step: %v → %v, token %v", was, h, w.p.GetStatus().GetToken())
				case !took:
					continue
				}
				w.check(t, h, raised)
				if h.GetLeaderTransfer() > max(was.GetLeaderTransfer(), transfers)+1 || w.transferred > transfers+1 {
					t.Fatalf("transfers went from %d to %d", was.GetLeaderTransfer(), h.GetLeaderTransfer())
				}
				if steps++; requested {
					steps = int(h.GetTried()) // who asks when all was tried has it begin anew
				}
				if mode != resource.HealAuto && !requested {
					t.Fatalf("heal: %q, and nobody asked for %v", mode, h)
				}
				if !last.IsZero() && w.now.Sub(last) < 30*time.Second && !requested && w.transferError == "" {
					t.Fatalf("two steps within %s", w.now.Sub(last))
				}
				if steps > 2 {
					t.Fatalf("%d steps by itself until it was healthy", steps)
				}
				last, requested = w.now, false
			}
		}
	})
}

// check is that a step may be taken now.
func (w *ward) check(t *rapid.T, h *isthmusv1.HealStatus, raised bool) {
	status := w.p.GetStatus()
	if status.GetVerdict() != peering.VerdictStale && status.GetVerdict() != peering.VerdictFailing {
		t.Fatalf("a step for a peering that is %s", status.GetVerdict())
	}
	if w.acceptor.Blind != "" || w.dialer.Blind != "" || !w.dialer.Report.GetDials()[0].GetOk() {
		t.Fatalf("a step though something else explains it: %v", h)
	}
	if raised != (h.GetStep() == peering.StepReestablish) {
		t.Fatalf("step %s, and a fresh token is wanted: %v", h.GetStep(), raised)
	}
}

// disturb changes one thing, and tells whether a step was asked for.
func (w *ward) disturb(t *rapid.T) bool {
	switch rapid.SampledFrom([]string{"hang", "hang", "well", "well", "fail", "dial", "dialled", "blind", "sees", "request", "refused transfer", "done transfer", "ten minutes"}).Draw(t, "event") {
	case "hang":
		w.stream(resource.HeartbeatStale)
	case "well":
		w.stream(resource.HeartbeatFresh)
	case "fail":
		w.stream(resource.HeartbeatStale)
		w.acceptor.Report.State, w.dialer.Report.State = peering.StateFailing, peering.StateFailing
	case "dial":
		w.dial(false)
	case "dialled":
		w.dial(true)
	case "blind":
		w.acceptor.Blind, w.acceptor.BlindTime = "NoLeader", w.now
	case "sees":
		w.acceptor.Blind = ""
	case "refused transfer":
		w.transferError = "cannot find peer"
	case "done transfer":
		w.transferError = ""
	case "ten minutes":
		w.now = w.now.Add(10 * time.Minute)
	case "request":
		if status, err := peering.RequestHeal(w.p); err == nil {
			w.p.Status = status
			return true
		}
	}
	return false
}

// An agent that was silent finds no transfer waiting for it of which nobody knows whether it would still help.
func TestTransferIsWantedWhileTheStreamHangs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		verdict, reason, state string
		want                   int32
	}{
		{peering.VerdictStale, peering.ReasonHeartbeatMissing, peering.HealTrying, 2},
		{peering.VerdictFailing, peering.ReasonConnectionFailing, peering.HealTrying, 2},
		{peering.VerdictUnknown, peering.ReasonAgentSilent, peering.HealTrying, 0},
		{peering.VerdictHealthy, peering.ReasonHealthy, peering.HealTrying, 0},
		{peering.VerdictStale, peering.ReasonHeartbeatMissing, peering.HealExhausted, 0},
	} {
		p := &isthmusv1.Peering{Status: &isthmusv1.PeeringStatus{
			Verdict: c.verdict, Reason: c.reason, Heal: &isthmusv1.HealStatus{Step: peering.StepTransferLeader, State: c.state, LeaderTransfer: 2},
		}}
		if got := peering.LeaderTransfer(p); got != c.want {
			t.Errorf("%s %s, %s: %d is wanted; want %d", c.verdict, c.reason, c.state, got, c.want)
		}
	}
}
