package peering_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/fault"
	"isthmus/peering"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// start is when the peerings of these tests were created; most is judged five minutes later.
var start = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

const later = 5 * time.Minute

func at(d time.Duration) *timestamppb.Timestamp { return timestamppb.New(start.Add(d)) }

// established is a peering whose first token was used, a second after it was created.
func established() *isthmusv1.Peering {
	return &isthmusv1.Peering{
		Name: "dc1-dc2", Uid: "u", CreateTime: at(0),
		Spec: &isthmusv1.PeeringSpec{Acceptor: "dc1", Dialer: "dc2", AcceptorPeerName: "dc2", DialerPeerName: "dc1"},
		Status: &isthmusv1.PeeringStatus{
			Acceptor: &isthmusv1.PeeringEnd{Datacenter: "dc1", State: "ACTIVE", Since: at(time.Second)},
			Dialer:   &isthmusv1.PeeringEnd{Datacenter: "dc2", State: "ACTIVE", Since: at(time.Second)},
			Token: &isthmusv1.TokenStatus{Generation: 1, Reason: "Created", RequestTime: at(0), Ledger: []*isthmusv1.TokenEntry{{
				Generation: 1, Attempt: 1, MadeBy: "dc1-a", MakeTime: at(time.Second), SecretDigest: "d1", Recipients: []string{"age-dc2"},
				ExpireTime: at(time.Hour), UsedBy: "dc2-a", UseTime: at(time.Second), Outcome: resource.OutcomeUsed,
			}}},
		},
	}
}

// token is the same with a first token that nobody has used yet.
func token(outcome string) change {
	return func(p *isthmusv1.Peering, _ *peering.Evidence) {
		if p.GetStatus().GetAcceptor() != nil {
			p.Status.Acceptor.State, p.Status.Dialer.State = "PENDING", ""
		}
		e := p.GetStatus().GetToken().GetLedger()[0]
		e.Outcome, e.UsedBy, e.UseTime = outcome, "", nil
		if outcome == "" {
			e.MakeTime, e.MadeBy, e.SecretDigest = nil, "", ""
		}
		if outcome == resource.OutcomeRefused {
			e.UsedBy, e.UseTime = "dc2-a", at(time.Second)
		}
	}
}

func heard(state, heartbeat string) *isthmusv1.ObservedPeering {
	return &isthmusv1.ObservedPeering{Uid: "u", State: state, Heartbeat: heartbeat, PeerId: "id-1", Generation: 1}
}

// evidence of two ends, heard of at the end of the five minutes.
func evidence(acceptor, dialer *isthmusv1.ObservedPeering) peering.Evidence {
	now := start.Add(later)
	if dialer.GetState() != "" {
		dialer.Outcome = resource.OutcomeUsed
	}
	return peering.Evidence{
		Acceptor: peering.End{Report: acceptor, HeardTime: now, Recipients: []string{"age-dc1"}},
		Dialer:   peering.End{Report: dialer, HeardTime: now, Recipients: []string{"age-dc2"}},
	}
}

type change = func(*isthmusv1.Peering, *peering.Evidence)

// none is an end that Consul does not have. (A dialer without outcome: its agent lost its memory as well, or never had any.)
func none() *isthmusv1.ObservedPeering {
	return &isthmusv1.ObservedPeering{Uid: "u", Generation: 1}
}

func active() *isthmusv1.ObservedPeering { return heard("ACTIVE", "fresh") }

// Every case of what Consul does with peerings (see the notes on measured behaviour), with the verdict on it, and whether
// it makes the controller ask for a new token.
func TestCases(t *testing.T) {
	t.Parallel()
	with := func(changes ...change) []change { return changes }
	for _, c := range []struct {
		name             string
		acceptor, dialer *isthmusv1.ObservedPeering
		also             []change
		verdict, reason  string
		raised           string
	}{
		{name: "both hear each other", acceptor: active(), dialer: active(), verdict: "healthy", reason: "Healthy"},
		{
			name: "ACTIVE at both ends, but one hears nothing", acceptor: active(), dialer: heard("ACTIVE", "stale"),
			verdict: "stale", reason: "HeartbeatMissing",
		},
		{
			name: "ACTIVE for minutes without any heartbeat", acceptor: heard("ACTIVE", "never"), dialer: active(),
			verdict: "stale", reason: "HeartbeatMissing",
		},
		{
			name: "no heartbeat in the first seconds", acceptor: active(), dialer: heard("ACTIVE", "never"),
			also:    with(func(p *isthmusv1.Peering, _ *peering.Evidence) { p.Status.Dialer.Since = at(later - time.Second) }),
			verdict: "pending", reason: "Connecting",
		},
		{
			name: "the acceptor is wiped", acceptor: none(), dialer: heard("FAILING", "stale"),
			verdict: "failing", reason: "ConnectionFailing", raised: "AcceptorWiped",
		},
		{
			name: "the acceptor is wiped, and the dialer has not noticed", acceptor: none(), dialer: active(),
			verdict: "one-sided", reason: "EndMissing", raised: "AcceptorWiped",
		},
		{
			name: "the acceptor and its agent are wiped", acceptor: &isthmusv1.ObservedPeering{Uid: "u"}, dialer: heard("FAILING", "stale"),
			verdict: "failing", reason: "ConnectionFailing", raised: "AcceptorWiped",
		},
		{
			name: "a report that was on its way when the token was made", acceptor: &isthmusv1.ObservedPeering{Uid: "u"}, dialer: none(),
			also: with(token(resource.OutcomeMade), func(p *isthmusv1.Peering, _ *peering.Evidence) {
				p.CreateTime, p.Status.Token.RequestTime = at(later-2*time.Second), at(later-2*time.Second)
				p.Status.Token.Ledger[0].MakeTime = at(later - time.Second)
			}),
			verdict: "pending", reason: "Connecting",
		},
		{
			name: "the dialer is wiped", acceptor: heard("FAILING", "stale"), dialer: none(),
			verdict: "failing", reason: "ConnectionFailing", raised: "DialerWiped",
		},
		{
			name: "the dialer is wiped, and the acceptor has not noticed", acceptor: active(), dialer: none(),
			verdict: "one-sided", reason: "EndMissing", raised: "DialerWiped",
		},
		{
			name: "the dialer and its agent are wiped", acceptor: active(), dialer: &isthmusv1.ObservedPeering{Uid: "u"},
			verdict: "one-sided", reason: "EndMissing", raised: "DialerWiped",
		},
		{
			name: "deleted by hand on the acceptor", acceptor: none(), dialer: heard("TERMINATED", "stale"),
			verdict: "failing", reason: "PeerTerminated", raised: "AcceptorWiped",
		},
		{
			name: "deleted by hand on the dialer", acceptor: heard("TERMINATED", "stale"), dialer: none(),
			verdict: "failing", reason: "PeerTerminated", raised: "DialerWiped",
		},
		{
			name: "the acceptor is told before the dialer's agent looks", acceptor: heard("TERMINATED", "stale"), dialer: active(),
			verdict: "failing", reason: "PeerTerminated", raised: "PeerTerminated",
		},
		{
			name: "the acceptor was deleted while the dialer was down, which then fails for ever", acceptor: none(), dialer: heard("FAILING", "stale"),
			verdict: "failing", reason: "ConnectionFailing", raised: "AcceptorWiped",
		},
		{
			name: "the acceptor was made anew, so the ends do not belong together", acceptor: heard("PENDING", "never"), dialer: heard("FAILING", "stale"),
			also:    with(func(_ *isthmusv1.Peering, e *peering.Evidence) { e.Acceptor.Report.PeerId = "id-2" }),
			verdict: "failing", reason: "ConnectionFailing", raised: "AcceptorWiped",
		},
		{
			name: "the dialer's Consul took the token of an acceptor's new end, and dials with the secret that it had", acceptor: heard("PENDING", "never"), dialer: heard("FAILING", "stale"),
			verdict: "failing", reason: "ConnectionFailing", raised: "TokenUnheeded",
		},
		{
			name: "… but a moment ago", acceptor: heard("PENDING", "never"), dialer: heard("FAILING", "stale"),
			also: with(func(p *isthmusv1.Peering, _ *peering.Evidence) {
				p.Status.Token.RequestTime, p.Status.Token.Ledger[0].UseTime = at(later-6*time.Second), at(later-5*time.Second)
			}),
			verdict: "failing", reason: "ConnectionFailing",
		},
		{
			name: "… but nothing answers at the addresses that it dials", acceptor: heard("PENDING", "never"), dialer: heard("FAILING", "stale"),
			also: with(func(_ *isthmusv1.Peering, e *peering.Evidence) {
				e.Dialer.Report.Dials = []*isthmusv1.ObservedProbe{{Address: "192.0.2.1:8502", ErrorReason: "Timeout"}}
			}),
			verdict: "failing", reason: "ConnectionFailing",
		},
		{
			name: "ACTIVE, but not with each other", acceptor: active(), dialer: active(),
			also:    with(func(_ *isthmusv1.Peering, e *peering.Evidence) { e.Acceptor.Report.PeerId = "id-2" }),
			verdict: "failing", reason: "PeerIDMismatch", raised: "AcceptorWiped",
		},
		{
			name: "somebody is deleting it in Consul", acceptor: heard("DELETING", ""), dialer: active(),
			verdict: "failing", reason: "DeletedInConsul",
		},
		{
			name: "the addresses of all gateways changed at once", acceptor: heard("FAILING", "stale"), dialer: heard("FAILING", "stale"),
			verdict: "failing", reason: "ConnectionFailing",
		},
		{
			name: "the token was refused: used before, or minted over", acceptor: heard("PENDING", ""), dialer: none(),
			also:    with(token(resource.OutcomeRefused)),
			verdict: "failing", reason: "TokenRefused", raised: "TokenRefused",
		},
		{
			name: "the token grew old before it was used", acceptor: heard("PENDING", ""), dialer: none(),
			also: with(token(resource.OutcomeMade), func(p *isthmusv1.Peering, _ *peering.Evidence) {
				p.Status.Token.Ledger[0].ExpireTime = at(later)
			}),
			verdict: "one-sided", reason: "EndMissing", raised: "TokenExpired",
		},
		{
			name: "the token grows old while the dialer is silent: a new one would as well", acceptor: heard("PENDING", ""), dialer: none(),
			also: with(token(resource.OutcomeMade), func(p *isthmusv1.Peering, e *peering.Evidence) {
				p.Status.Token.Ledger[0].ExpireTime = at(later)
				e.Dialer.HeardTime = start
			}),
			verdict: "unknown", reason: "AgentSilent",
		},
		{
			name: "an agent comes that cannot open the token", acceptor: heard("PENDING", ""), dialer: none(),
			also:    with(token(resource.OutcomeDelivered), func(_ *isthmusv1.Peering, e *peering.Evidence) { e.Dialer.Recipients = []string{"age-dc2", "age-new"} }),
			verdict: "one-sided", reason: "EndMissing", raised: "RecipientsChanged",
		},
		{
			name: "an agent comes after the token was used", acceptor: active(), dialer: active(),
			also:    with(func(_ *isthmusv1.Peering, e *peering.Evidence) { e.Dialer.Recipients = []string{"age-new"} }),
			verdict: "healthy", reason: "Healthy",
		},
		{
			name: "a new token is asked for", acceptor: active(), dialer: active(),
			also:    with(func(p *isthmusv1.Peering, _ *peering.Evidence) { p.Spec.TokenGeneration = 1 }),
			verdict: "healthy", reason: "Healthy", raised: "RotationRequested",
		},
		{
			name: "the name is somebody else's in Consul", acceptor: none(), dialer: none(),
			also: with(token(""), func(_ *isthmusv1.Peering, e *peering.Evidence) {
				e.Acceptor.Report.ErrorReason, e.Acceptor.Report.Error = "NameTaken", "a peering dc2 is there that isthmus did not make"
			}),
			verdict: "failing", reason: "NameTaken",
		},
		{
			name: "Consul cannot be asked: nothing is wiped because of that", acceptor: none(), dialer: active(),
			also: with(func(_ *isthmusv1.Peering, e *peering.Evidence) {
				e.Acceptor.Report.ErrorReason, e.Acceptor.Report.Error = "ConsulUnreachable", "connection refused"
			}),
			verdict: "failing", reason: "ConsulUnreachable",
		},
		{
			name: "the acceptor's agent is silent", acceptor: active(), dialer: active(),
			also: with(func(_ *isthmusv1.Peering, e *peering.Evidence) {
				e.Acceptor.HeardTime = start.Add(later - 31*time.Second)
			}),
			verdict: "unknown", reason: "AgentSilent",
		},
		{
			name: "a wipe that a silent agent saw is old news", acceptor: none(), dialer: active(),
			also: with(func(_ *isthmusv1.Peering, e *peering.Evidence) {
				e.Acceptor.HeardTime = start.Add(later - 31*time.Second)
			}),
			verdict: "unknown", reason: "AgentSilent",
		},
		{
			name: "an agent never reported", acceptor: active(), dialer: nil,
			also:    with(func(_ *isthmusv1.Peering, e *peering.Evidence) { e.Dialer.HeardTime = time.Time{} }),
			verdict: "unknown", reason: "NotReported",
		},
		{
			name: "an agent says nothing about this peering", acceptor: active(), dialer: nil,
			verdict: "unknown", reason: "NotReported",
		},
		{
			name: "the dialer cannot reach the acceptor", acceptor: heard("PENDING", ""), dialer: heard("ESTABLISHING", "never"),
			also: with(func(p *isthmusv1.Peering, _ *peering.Evidence) {
				p.Status.Acceptor.State, p.Status.Dialer.State = "PENDING", "ESTABLISHING"
			}),
			verdict: "failing", reason: "NotConnected",
		},
		{
			name: "the dialer has just begun", acceptor: heard("FAILING", "stale"), dialer: heard("ESTABLISHING", "never"),
			verdict: "failing", reason: "ConnectionFailing",
		},
		{
			name: "ESTABLISHING since a moment", acceptor: heard("ACTIVE", "stale"), dialer: heard("ESTABLISHING", "never"),
			verdict: "pending", reason: "Connecting",
		},
		{
			name: "neither end is made after minutes", acceptor: none(), dialer: none(),
			also:    with(token("")),
			verdict: "failing", reason: "NotCreated",
		},
		{
			name: "the Peering is deleted", acceptor: active(), dialer: none(),
			also:    with(func(p *isthmusv1.Peering, _ *peering.Evidence) { p.DeleteTime = at(later) }),
			verdict: "deleting", reason: "Deleting",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p, e := established(), evidence(c.acceptor, c.dialer)
			for _, change := range c.also {
				change(p, &e)
			}
			check(t, p, e, c.verdict, c.reason, c.raised)
		})
	}
}

func check(t *testing.T, p *isthmusv1.Peering, e peering.Evidence, verdict, reason, raised string) {
	t.Helper()
	before := proto.CloneOf(p)
	next := peering.Next(p, e, start.Add(later))
	if !proto.Equal(before, p) {
		t.Error("the peering that it was given changed")
	}
	if next.GetVerdict() != verdict || next.GetReason() != reason {
		t.Errorf("verdict %s, %s (%s); want %s, %s", next.GetVerdict(), next.GetReason(), next.GetMessage(), verdict, reason)
	}
	was, is := before.GetStatus().GetToken(), next.GetToken()
	switch {
	case raised == "" && is.GetGeneration() != was.GetGeneration():
		t.Errorf("a new token is asked for: %s", is.GetReason())
	case raised != "" && (is.GetGeneration() != was.GetGeneration()+1 || is.GetReason() != raised):
		t.Errorf("generation %d → %d, %s; want a new one because %s", was.GetGeneration(), is.GetGeneration(), is.GetReason(), raised)
	}
	c := resource.FindCondition(next.GetConditions(), resource.ConditionReady)
	want := map[string]string{"healthy": resource.ConditionTrue, "unknown": resource.ConditionUnknown}[verdict]
	if want == "" {
		want = resource.ConditionFalse
	}
	if c.GetStatus() != want || c.GetReason() != reason {
		t.Errorf("condition %v", c)
	}
}

// A change of the spec that moves no verdict is looked at all the same, and said to be.
func TestConditionIsOfThePresentGeneration(t *testing.T) {
	t.Parallel()
	p := established()
	e := evidence(active(), active())
	now := start.Add(later)
	for _, generation := range []int32{1, 2} {
		p.Generation = generation
		p.Status = peering.Next(p, e, now)
		c := resource.FindCondition(p.GetStatus().GetConditions(), resource.ConditionReady)
		if c.GetObservedGeneration() != generation || c.GetStatus() != resource.ConditionTrue {
			t.Errorf("of generation %d: %v", generation, c)
		}
		if peering.Next(p, e, now.Add(time.Second)) != p.Status {
			t.Error("nothing changes, and the status does")
		}
	}
	if c := p.GetStatus().GetConditions()[0]; !c.GetLastTransitionTime().AsTime().Equal(now) || !p.GetStatus().GetVerdictSince().AsTime().Equal(now) {
		t.Errorf("since %v, verdict since %v", c.GetLastTransitionTime(), p.GetStatus().GetVerdictSince())
	}
}

// What was asked for once is asked for anew only by a higher number, even if the spec fell behind what was answered.
func TestNextRequestAsksForAToken(t *testing.T) {
	t.Parallel()
	for _, spec := range []int32{0, 3, 5} {
		p := established()
		p.Spec.TokenGeneration, p.Status.Token.SpecGeneration = spec, 4
		p.Spec.TokenGeneration = peering.NextRequest(p)
		s := peering.Next(p, evidence(active(), active()), start.Add(later))
		if want := max(spec, 4) + 1; s.GetToken().GetReason() != peering.ReasonRotationRequested || s.GetToken().GetSpecGeneration() != want {
			t.Errorf("spec %d: %v; want an answer to %d", spec, s.GetToken(), want)
		}
	}
	if g := peering.NextRequest(&isthmusv1.Peering{}); g != 1 {
		t.Errorf("the first request is %d", g)
	}
}

func TestBeginning(t *testing.T) {
	t.Parallel()
	p := &isthmusv1.Peering{Name: "p", CreateTime: at(0), Spec: &isthmusv1.PeeringSpec{Acceptor: "dc1", Dialer: "dc2", TokenGeneration: 4}}
	now := start.Add(time.Second)
	e := peering.Evidence{Acceptor: peering.End{HeardTime: now, Recipients: []string{"age-dc1"}}}
	s := peering.Next(p, e, now)
	if s.GetVerdict() != "unknown" || s.GetToken().GetGeneration() != 0 {
		t.Errorf("nobody in dc2: %v", s)
	}
	e.Dialer.HeardTime = now
	s = peering.Next(p, e, now)
	if s.GetVerdict() != "pending" || s.GetReason() != peering.ReasonWaitingForAgents || !strings.Contains(s.GetMessage(), "dc2") {
		t.Errorf("nobody to trust in dc2: %v", s)
	}
	e.Dialer.Recipients = []string{"age-dc2"}
	s = peering.Next(p, e, now)
	if token := s.GetToken(); s.GetVerdict() != "pending" || token.GetGeneration() != 1 || token.GetReason() != peering.ReasonCreated || token.GetSpecGeneration() != 4 {
		t.Errorf("both are there: %v", s)
	}
	p.Status = s
	if again := peering.Next(p, e, now); again.GetToken().GetGeneration() != 1 {
		t.Errorf("twice: %v", again)
	}
}

// After a restore of the store the agents are ahead of it, and refuse to go back.
func TestGenerationAfterRestore(t *testing.T) {
	t.Parallel()
	p := established()
	p.Spec.TokenGeneration = 1
	e := evidence(active(), active())
	e.Acceptor.Report.Generation, e.Dialer.Report.Generation = 6, 7
	if g := peering.Next(p, e, start.Add(later)).GetToken().GetGeneration(); g != 8 {
		t.Errorf("generation %d; want 8", g)
	}
	e.Dialer.Report.Generation = 1<<31 - 1
	if g := peering.Next(p, e, start.Add(later)).GetToken().GetGeneration(); g != 7 {
		t.Errorf("generation %d; want 7: the other is nonsense", g)
	}
}

func TestExternalPeers(t *testing.T) {
	t.Parallel()
	outward := func(p *isthmusv1.Peering, e *peering.Evidence) {
		p.Spec.Dialer, p.Spec.ExternalDialer = "", "acme"
		p.Status.Dialer = nil
		token := p.GetStatus().GetToken().GetLedger()[0]
		token.Outcome, token.UsedBy, token.UseTime, token.ExpireTime = resource.OutcomeMade, "", nil, nil
		e.Dialer = peering.End{}
	}
	inward := func(p *isthmusv1.Peering, e *peering.Evidence) {
		p.Spec.Acceptor, p.Spec.ExternalAcceptor = "", "acme"
		p.Status.Acceptor = nil
		e.Acceptor = peering.End{}
	}
	for _, c := range []struct {
		name            string
		change          change
		report          *isthmusv1.ObservedPeering
		also            change
		verdict, reason string
		raised          string
	}{
		{name: "they dial, and hear us", change: outward, report: active(), verdict: "healthy", reason: "Healthy"},
		{name: "they have not used the token", change: outward, report: heard("PENDING", ""), verdict: "pending", reason: "WaitingForToken"},
		{
			name: "they have no token", change: outward, report: none(),
			also:    func(p *isthmusv1.Peering, _ *peering.Evidence) { p.Status.Token.Ledger = nil },
			verdict: "pending", reason: "WaitingForToken",
		},
		{name: "they are gone", change: outward, report: heard("TERMINATED", ""), verdict: "failing", reason: "PeerTerminated", raised: "PeerTerminated"},
		{name: "our acceptor is wiped", change: outward, report: none(), verdict: "failing", reason: "NotCreated", raised: "AcceptorWiped"},
		{
			name: "a new token for them", change: outward, report: active(),
			also:    func(p *isthmusv1.Peering, _ *peering.Evidence) { p.Spec.TokenGeneration = 1 },
			verdict: "healthy", reason: "Healthy", raised: "RotationRequested",
		},
		{name: "we dial, and hear them", change: inward, report: active(), verdict: "healthy", reason: "Healthy"},
		{
			name: "no token of theirs yet", change: inward, report: &isthmusv1.ObservedPeering{Uid: "u"},
			also:    func(p *isthmusv1.Peering, _ *peering.Evidence) { p.Status.Token = &isthmusv1.TokenStatus{} },
			verdict: "pending", reason: "WaitingForToken", raised: "Created",
		},
		{name: "their token was refused", change: inward, report: none(), also: token(resource.OutcomeRefused), verdict: "failing", reason: "TokenRefused"},
		{name: "they are gone, and nobody here can make a token", change: inward, report: heard("TERMINATED", ""), verdict: "failing", reason: "PeerTerminated"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := established()
			e := evidence(proto.CloneOf(c.report), proto.CloneOf(c.report))
			c.change(p, &e)
			if c.also != nil {
				c.also(p, &e)
			}
			check(t, p, e, c.verdict, c.reason, c.raised)
			if v := peering.Judge(p, e, start.Add(later)); !strings.Contains(v.Message, "only this end is seen") {
				t.Errorf("the message does not say that one end is seen: %s", v.Message)
			}
		})
	}
}

func TestStatusKeepsWhatWasSeen(t *testing.T) {
	t.Parallel()
	p := established()
	p.Status.Group = "mesh"
	e := evidence(active(), active())
	p.Status = peering.Next(p, e, start.Add(later))
	if s := p.GetStatus(); s.GetState() != "ACTIVE" || !s.GetVerdictSince().AsTime().Equal(start.Add(later)) || !s.GetAcceptor().GetSince().AsTime().Equal(start.Add(time.Second)) {
		t.Errorf("%v", s)
	}
	e.Dialer.Report = nil
	silent := peering.Next(p, e, start.Add(later+time.Minute))
	if end := silent.GetDialer(); end.GetState() != "ACTIVE" || end.GetSeen() || silent.GetVerdict() != "unknown" || silent.GetGroup() != "mesh" {
		t.Errorf("the last state is lost: %v", silent)
	}
	if !silent.GetVerdictSince().AsTime().Equal(start.Add(later + time.Minute)) {
		t.Errorf("unknown since %v", silent.GetVerdictSince())
	}
}

func TestGone(t *testing.T) {
	t.Parallel()
	deleted := func() *isthmusv1.ObservedPeering { return &isthmusv1.ObservedPeering{Uid: "u", Deleted: true} }
	p := established()
	if peering.Gone(p, evidence(deleted(), deleted())) {
		t.Error("nobody deletes it")
	}
	p.DeleteTime = at(later)
	for _, c := range []struct {
		e    peering.Evidence
		want bool
	}{
		{evidence(deleted(), deleted()), true},
		{evidence(deleted(), active()), false},
		{evidence(none(), deleted()), false},
		{peering.Evidence{}, false},
	} {
		if peering.Gone(p, c.e) != c.want {
			t.Errorf("%v: not %v", c.e, c.want)
		}
	}
	external := proto.CloneOf(p)
	external.Spec.Dialer, external.Spec.ExternalDialer = "", "acme"
	if !peering.Gone(external, evidence(deleted(), none())) {
		t.Error("the external end is waited for")
	}
	p.Status.Token.Ledger = nil
	if !peering.Gone(p, peering.Evidence{}) {
		t.Error("nothing was ever made")
	}
}

func TestLedger(t *testing.T) {
	t.Parallel()
	now := start
	token := &isthmusv1.TokenStatus{Generation: 2}
	must := func(next *isthmusv1.TokenStatus, err error) *isthmusv1.TokenStatus {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return next
	}
	refused := func(want fault.Code, err error) {
		t.Helper()
		if fault.CodeOf(err) != want {
			t.Errorf("%v; want %s", err, want)
		}
	}
	_, _, err := peering.Claimed(token, peering.Claim{Generation: 1, Agent: "a"}, now)
	refused(fault.Conflict, err)
	first, attempt, err := peering.Claimed(token, peering.Claim{Generation: 2, Agent: "a"}, now)
	if must(first, err); attempt != 1 || len(token.GetLedger()) != 0 {
		t.Errorf("attempt %d", attempt)
	}
	second, attempt, err := peering.Claimed(first, peering.Claim{Generation: 2, Agent: "b"}, now)
	if must(second, err); attempt != 2 || len(second.GetLedger()) != 1 || peering.Current(second).GetClaimedBy() != "b" {
		t.Errorf("attempt %d: %v", attempt, second)
	}
	made := peering.Token{Generation: 2, Attempt: 1, Agent: "a", SecretDigest: "da", Recipients: []string{"r"}, ExpireTime: now.Add(time.Hour)}
	_, err = peering.Made(second, made, now)
	refused(fault.Conflict, err)
	made.Attempt, made.Agent = 2, "b"
	third := must(peering.Made(second, made, now))
	if again := must(peering.Made(third, made, now)); again != third {
		t.Error("saying it twice changes something")
	}
	_, _, err = peering.Claimed(third, peering.Claim{Generation: 2, Agent: "a"}, now)
	refused(fault.Refused, err)
	other := made
	other.SecretDigest = "db"
	_, err = peering.Made(third, other, now)
	refused(fault.Conflict, err)
	if peering.Waiting(third) != "da" || !peering.Stored(third, []string{"r"}) || peering.Stored(third, []string{"r", "s"}) {
		t.Errorf("%v", third)
	}
	delivered := peering.Delivered(third, 2, "c", now)
	if e := peering.Current(delivered); e.GetOutcome() != resource.OutcomeDelivered || e.GetDeliveredTo() != "c" || peering.Delivered(delivered, 2, "d", now) != delivered {
		t.Errorf("%v", delivered)
	}
	tried := func(token *isthmusv1.TokenStatus, generation int32, outcome string) *isthmusv1.TokenStatus {
		return peering.Reported(token, &isthmusv1.ObservedPeering{Generation: generation, Outcome: outcome}, "c", now)
	}
	no := tried(delivered, 2, resource.OutcomeRefused)
	if peering.Current(no).GetOutcome() != resource.OutcomeRefused || peering.Waiting(no) != "" {
		t.Errorf("%v", no)
	}
	used := tried(no, 2, resource.OutcomeUsed)
	if peering.Current(used).GetOutcome() != resource.OutcomeUsed || tried(used, 2, resource.OutcomeRefused) != used || !peering.Stored(used, []string{"s"}) {
		t.Errorf("%v", used)
	}
	if spent := peering.Spent(delivered, used); len(spent) != 1 || spent[0] != "da" {
		t.Errorf("spent %v", spent)
	}
	if spent := peering.Spent(third, delivered); len(spent) != 0 {
		t.Errorf("spent %v", spent)
	}
	if tried(used, 9, resource.OutcomeUsed) != used || tried(third, 2, "") != third || peering.Delivered(nil, 1, "c", now) != nil {
		t.Error("a generation that there is not")
	}
}

func TestImported(t *testing.T) {
	t.Parallel()
	token := peering.Token{Generation: 1, Agent: peering.Operator, SecretDigest: "d1", Recipients: []string{"r"}}
	if peering.ImportGeneration(nil) != 1 {
		t.Error("the first import")
	}
	first, err := peering.Imported(nil, token, start)
	if err != nil || peering.Waiting(first) != "d1" || first.GetReason() != peering.ReasonImported {
		t.Fatalf("%v, %v", first, err)
	}
	if _, err := peering.Imported(first, token, start); fault.CodeOf(err) != fault.Conflict {
		t.Errorf("the same generation twice: %v", err)
	}
	token.Generation, token.SecretDigest = peering.ImportGeneration(first), "d2"
	second, err := peering.Imported(first, token, start)
	if err != nil || peering.Waiting(second) != "d2" || second.GetGeneration() != 2 || second.GetLedger()[1].GetOutcome() != resource.OutcomeSuperseded {
		t.Errorf("%v, %v", second, err)
	}
}
