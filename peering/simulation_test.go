package peering_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"isthmus/peering"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// world is two Consul clusters, their agents and the controller, as far as a peering's life depends on them.
type world struct {
	t   failer
	now time.Time
	p   *isthmusv1.Peering

	acceptor, dialer side
	// tokens that were minted, by their sealed digest.
	tokens map[string]*minted
	serial int
	// raises by the controller for other reasons than an operator's wish.
	raises int
}

// side is one cluster and its agent.
type side struct {
	// id of the peering in Consul; 0: there is none. terminated: Consul was told that the other end went.
	id         int
	terminated bool
	// established: this end was connected once.
	established bool
	// generation and outcome are the agent's memory.
	generation int32
	outcome    string
	online     bool
	recipients []string
	heard      time.Time
	report     *isthmusv1.ObservedPeering
}

type minted struct {
	id     int
	serial int
	valid  bool
}

// failer is a test, or one try of a property.
type failer interface {
	Fatalf(format string, args ...any)
}

func newWorld(t failer) *world {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	w := &world{
		t: t, now: now, tokens: map[string]*minted{},
		p: &isthmusv1.Peering{
			Name: "a-b", Uid: "u", CreateTime: timestamppb.New(now),
			Spec: &isthmusv1.PeeringSpec{Acceptor: "a", Dialer: "b", AcceptorPeerName: "b", DialerPeerName: "a"},
		},
	}
	w.acceptor = side{online: true, recipients: []string{"age-a"}}
	w.dialer = side{online: true, recipients: []string{"age-b"}}
	return w
}

func (w *world) token() *isthmusv1.TokenStatus { return w.p.GetStatus().GetToken() }

func (w *world) setToken(token *isthmusv1.TokenStatus) {
	status := &isthmusv1.PeeringStatus{}
	if w.p.GetStatus() != nil {
		status = proto.CloneOf(w.p.GetStatus())
	}
	status.Token = token
	w.p.Status = status
}

// accept is one round of the acceptor's agent. It may crash at any point: crash counts down.
func (w *world) accept(crash int) {
	s := &w.acceptor
	token := w.token()
	if !s.online || token.GetGeneration() == 0 || peering.Stored(token, w.dialer.recipients) || len(w.dialer.recipients) == 0 {
		return
	}
	next, attempt, err := peering.Claimed(token, peering.Claim{Generation: token.GetGeneration(), Agent: "a1"}, w.now)
	if err != nil {
		return
	}
	w.setToken(next)
	if crash == 1 {
		return
	}
	if s.terminated {
		s.id, s.terminated = 0, false
	}
	if s.id == 0 {
		w.serial++
		s.id, s.established = w.serial, false
	}
	for _, t := range w.tokens {
		t.valid = false
	}
	w.serial++
	digest := fmt.Sprintf("digest-%d", w.serial)
	w.tokens[digest] = &minted{id: s.id, serial: w.serial, valid: true}
	if crash == 2 {
		return
	}
	next, err = peering.Made(w.token(), peering.Token{
		Generation: token.GetGeneration(), Attempt: attempt, Agent: "a1", SecretDigest: digest,
		Recipients: slices.Clone(w.dialer.recipients), ExpireTime: w.now.Add(time.Hour),
	}, w.now)
	if err != nil {
		return
	}
	w.setToken(next)
	if crash == 3 {
		return
	}
	s.generation = token.GetGeneration()
}

// dial is one round of the dialer's agent.
func (w *world) dial(crash int) {
	s := &w.dialer
	token := w.token()
	digest := peering.Waiting(token)
	if !s.online || digest == "" || s.generation >= token.GetGeneration() {
		return
	}
	// It cannot open what expired, or was sealed to others only.
	current := peering.Current(token)
	if !w.now.Before(current.GetExpireTime().AsTime()) || !slices.Contains(current.GetRecipients(), s.recipients[0]) {
		return
	}
	w.setToken(peering.Delivered(token, token.GetGeneration(), "b1", w.now))
	if crash == 1 {
		return
	}
	t := w.tokens[digest]
	outcome := resource.OutcomeRefused
	if t.valid && w.acceptor.id == t.id && !w.acceptor.terminated {
		t.valid = false
		outcome = resource.OutcomeUsed
		s.id, s.terminated, s.established = t.id, false, true
		w.acceptor.established = true
	}
	if crash == 2 {
		// It established, and forgot: the next try is refused, and the mark in Consul tells it no outcome.
		return
	}
	s.generation, s.outcome = token.GetGeneration(), outcome
}

// observe is what the agents see and report.
func (w *world) observe() {
	connected := w.acceptor.id != 0 && w.acceptor.id == w.dialer.id
	for _, s := range []*side{&w.acceptor, &w.dialer} {
		if !s.online {
			continue
		}
		r := &isthmusv1.ObservedPeering{Uid: "u", Generation: s.generation, Outcome: s.outcome}
		switch {
		case s.id == 0:
		case s.terminated:
			r.State = peering.StateTerminated
		case connected && s.established:
			r.State, r.Heartbeat = peering.StateActive, resource.HeartbeatFresh
		case s.established:
			r.State, r.Heartbeat = peering.StateFailing, resource.HeartbeatStale
		default:
			r.State = peering.StatePending
		}
		if s.id != 0 {
			r.PeerId = fmt.Sprint(s.id)
		}
		s.report, s.heard = r, w.now
	}
	if w.dialer.online && w.token() != nil {
		w.setToken(peering.Reported(w.token(), w.dialer.report, "b1", w.now))
	}
}

// control is one round of the controller.
func (w *world) control() {
	e := peering.Evidence{
		Acceptor: peering.End{Report: w.acceptor.report, HeardTime: w.acceptor.heard, Recipients: w.acceptor.recipients},
		Dialer:   peering.End{Report: w.dialer.report, HeardTime: w.dialer.heard, Recipients: w.dialer.recipients},
	}
	before := w.token()
	next := peering.Next(w.p, e, w.now)
	after := next.GetToken()
	switch after.GetGeneration() - before.GetGeneration() {
	case 0:
	case 1:
		if after.GetReason() != peering.ReasonRotationRequested {
			w.raises++
		}
	default:
		w.t.Fatalf("generation moved from %d to %d", before.GetGeneration(), after.GetGeneration())
	}
	if len(after.GetLedger()) > 8 {
		w.t.Fatalf("a ledger of %d", len(after.GetLedger()))
	}
	w.p.Status = next
	again := peering.Next(w.p, e, w.now)
	if after.GetGeneration() != again.GetToken().GetGeneration() {
		w.t.Fatalf("the same evidence moved generation %d on twice: %s", after.GetGeneration(), again.GetToken().GetReason())
	}
	w.p.Status = again
	if third := peering.Next(w.p, e, w.now); third != again {
		w.t.Fatalf("no rest: %v then %v", again, third)
	}
}

func (w *world) round(crashA, crashD int) {
	w.now = w.now.Add(time.Second)
	w.accept(crashA)
	w.dial(crashD)
	w.observe()
	w.control()
}

// disturb is one thing that goes wrong.
func (w *world) disturb(what string) {
	switch what {
	case "acceptor wiped":
		w.acceptor.id, w.acceptor.terminated, w.acceptor.established = 0, false, false
	case "acceptor and its agent wiped":
		w.acceptor.id, w.acceptor.terminated, w.acceptor.established, w.acceptor.generation = 0, false, false, 0
	case "dialer wiped":
		w.dialer.id, w.dialer.terminated, w.dialer.established = 0, false, false
	case "dialer and its agent wiped":
		w.serial++
		w.dialer = side{online: true, recipients: []string{fmt.Sprintf("age-b%d", w.serial)}, heard: w.dialer.heard, report: w.dialer.report}
	case "acceptor deleted by hand":
		if w.dialer.id == w.acceptor.id && w.dialer.id != 0 {
			w.dialer.terminated = true
		}
		w.acceptor.id, w.acceptor.terminated, w.acceptor.established = 0, false, false
	case "dialer deleted by hand":
		if w.dialer.id == w.acceptor.id && w.dialer.id != 0 {
			w.acceptor.terminated = true
		}
		w.dialer.id, w.dialer.terminated, w.dialer.established = 0, false, false
	case "acceptor another":
		w.serial++
		w.acceptor.id, w.acceptor.terminated, w.acceptor.established = w.serial, false, false
	case "acceptor silent":
		w.acceptor.online = false
	case "dialer silent":
		w.dialer.online = false
	case "both back":
		w.acceptor.online, w.dialer.online = true, true
	case "rotation":
		w.p.Spec.TokenGeneration++
	case "another agent at the dialer":
		w.dialer.recipients = append(w.dialer.recipients, fmt.Sprintf("age-b%d", w.now.Unix()))
	case "two hours":
		w.now = w.now.Add(2 * time.Hour)
	}
}

func disturbances() []string {
	return []string{
		"nothing", "nothing", "nothing", "acceptor wiped", "acceptor and its agent wiped", "dialer wiped", "dialer and its agent wiped",
		"acceptor deleted by hand", "dialer deleted by hand", "acceptor another", "acceptor silent", "dialer silent", "both back",
		"rotation", "another agent at the dialer", "two hours",
	}
}

// Whatever happens to Consul, agents and tokens: when it stops happening, the peering becomes healthy by itself, and stays
// so; generations only grow, by one at a time; and tokens are not minted faster than the delays allow.
func TestConverges(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		crash := rapid.IntRange(0, 6)
		start := w.now
		for range rapid.IntRange(0, 40).Draw(t, "rounds") {
			w.disturb(rapid.SampledFrom(disturbances()).Draw(t, "disturbance"))
			for range rapid.IntRange(1, 5).Draw(t, "for") {
				w.round(crash.Draw(t, "acceptor crashes"), crash.Draw(t, "dialer crashes"))
			}
		}
		w.disturb("both back")
		healthy := 0
		for rounds := 0; rounds < 1200 && (healthy < 60 || w.token().GetRaises() > 0); rounds++ {
			w.round(0, 0)
			healthy++
			if w.p.GetStatus().GetVerdict() != peering.VerdictHealthy {
				healthy = 0
			}
		}
		if healthy < 60 {
			t.Fatalf("not healthy for long: %v", w.p.GetStatus())
		}
		if e := peering.Current(w.token()); e.GetOutcome() != resource.OutcomeUsed {
			t.Fatalf("healthy with a token that is %q", e.GetOutcome())
		}
		if raises := w.token().GetRaises(); raises != 0 {
			t.Fatalf("%d raises are not forgotten", raises)
		}
		// At most one raise in the first delay of every trouble; every one starts anew only after being healthy.
		if most := int(w.now.Sub(start)/(5*time.Second)) + 2; w.raises > most {
			t.Fatalf("%d raises in %s", w.raises, w.now.Sub(start))
		}
	})
}

// A peering that somebody takes away whenever it is there asks for tokens ever more seldom.
func TestRaisesSlowDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 3600 {
		w.round(0, 0)
		w.disturb([]string{"dialer wiped", "acceptor another"}[i%2])
	}
	// After 5, 10, 20, 40, 80 and 160 s, then every 5 minutes.
	if most := 6 + 3600/300 + 2; w.raises < 8 || w.raises > most {
		t.Fatalf("%d tokens in an hour; want 8 to %d", w.raises, most)
	}
}
