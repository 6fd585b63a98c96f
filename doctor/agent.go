package doctor

import (
	"fmt"
	"strings"
	"time"

	"isthmus/inventory"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

const (
	// certificateDue is how much of an agent's certificate, which is good for a day, is left when it should long have been renewed: agents
	// do that with a third of it left.
	certificateDue = 6 * time.Hour
	// clockNear is how far an agent's clock may be from the server's: heartbeats that are 20 s old are stale.
	clockNear = 10 * time.Second
	// clockFar is what certificates and signatures allow.
	clockFar = 5 * time.Minute
	// minorsApart is how far behind the server's minor version an agent's may be.
	minorsApart = 1
)

func (x *exam) agentEnrolled() []answer {
	var out []answer
	for d := range x.datacenters() {
		n := len(x.agents(d.GetName(), resource.AgentKindAgent))
		if n == 0 {
			out = append(out, fails(d.GetName(), "no agent is enrolled for %s: nothing can be seen or done there", d.GetName()).
				fixed("isthmus join-token create --datacenter %s, then isthmus agent with it there", d.GetName()))
			continue
		}
		out = append(out, passes(d.GetName(), "%s", counted(n, "agent is", "agents are")+" enrolled"))
	}
	return out
}

// counted is a number with the word for it.
func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// eachAgent asks about each agent and gateway of datacenters that are declared.
func (x *exam) eachAgent(ask func(a *isthmusv1.Agent) (answer, bool)) []answer {
	var out []answer
	for d := range x.datacenters() {
		for _, kind := range []string{resource.AgentKindAgent, resource.AgentKindGateway} {
			for _, a := range x.agents(d.GetName(), kind) {
				if one, ok := ask(a); ok {
					out = append(out, one.of(resource.KindAgent, a.GetName()))
				}
			}
		}
	}
	return out
}

// title is what people call an agent.
func title(a *isthmusv1.Agent) string {
	text := "agent " + a.GetName()
	if a.GetSpec().GetKind() == resource.AgentKindGateway {
		text = "gateway " + a.GetName()
	}
	if host := a.GetStatus().GetHost(); host != "" {
		text += " on " + host
	}
	return text
}

func (x *exam) agentOnline() []answer {
	return x.eachAgent(func(a *isthmusv1.Agent) (answer, bool) {
		dc := a.GetSpec().GetDatacenter()
		switch a.GetStatus().GetLiveness() {
		case resource.LivenessOnline:
			return passes(dc, "%s is heard of", title(a)), true
		case resource.LivenessOffline:
			out := fails(dc, "%s is silent since %s", title(a), when(a.GetStatus().GetLivenessSince().AsTime(), x.now)).
				fixed("start isthmus %s there, and see in its log why it does not reach the server; one that is gone for good: isthmus delete agent %s",
					a.GetSpec().GetKind(), a.GetName())
			if x.others(a) {
				out = out.as(SeverityWarning)
			}
			return out, true
		}
		return unknown(dc, "%s has not been heard of since this server listens", title(a)), true
	})
}

// others tells whether another one of the same kind is heard of in the datacenter.
func (x *exam) others(a *isthmusv1.Agent) bool {
	for _, other := range x.agents(a.GetSpec().GetDatacenter(), a.GetSpec().GetKind()) {
		if other.GetName() != a.GetName() && other.GetStatus().GetLiveness() == resource.LivenessOnline {
			return true
		}
	}
	return false
}

// when is a time for people: how long ago, or ahead.
func when(at, now time.Time) string {
	d := now.Sub(at)
	if d < 0 {
		return "in " + span(-d)
	}
	return span(d) + " ago"
}

// span is a length of time for people.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= 2*day:
		return fmt.Sprintf("%d days", d/day)
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", d/time.Hour)
	case d >= 2*time.Minute:
		return fmt.Sprintf("%d minutes", d/time.Minute)
	}
	return fmt.Sprintf("%d seconds", d/time.Second)
}

func (x *exam) agentTrusted() []answer {
	return x.eachAgent(func(a *isthmusv1.Agent) (answer, bool) {
		if resource.Trusted(a) {
			return passes(a.GetSpec().GetDatacenter(), "the keys of %s are proven by the fleet key", title(a)), true
		}
		return fails(a.GetSpec().GetDatacenter(), "%s enrolled with a token that the fleet key has not signed: nobody seals anything to it, and what it reports does not count", title(a)).
			fixed("%s", inventory.FixOfTrust(a.GetName())), true
	})
}

func (x *exam) agentCertificate() []answer {
	return x.eachAgent(func(a *isthmusv1.Agent) (answer, bool) {
		end := a.GetStatus().GetCertificateExpireTime()
		if end == nil {
			return answer{}, false
		}
		dc, left := a.GetSpec().GetDatacenter(), end.AsTime().Sub(x.now)
		switch {
		case left <= 0:
			return fails(dc, "the certificate of %s ended %s", title(a), when(end.AsTime(), x.now)).
				fixed("start it: it renews its certificate by itself, up to 90 days after the end; after that enrol it with a new join token"), true
		case left < certificateDue:
			return fails(dc, "the certificate of %s ends %s, and should have been renewed hours ago", title(a), when(end.AsTime(), x.now)).
				fixed("see in its log why it cannot renew").as(SeverityWarning), true
		}
		return passes(dc, "the certificate of %s is good for %s, and is renewed before", title(a), span(left)), true
	})
}

func (x *exam) agentVersion() []answer {
	out := x.eachAgent(func(a *isthmusv1.Agent) (answer, bool) {
		dc, its := a.GetSpec().GetDatacenter(), a.GetStatus().GetVersion()
		if its == "" || x.Version == "" {
			return answer{}, false
		}
		server, okServer := minorOf(x.Version)
		agent, okAgent := minorOf(its)
		switch {
		case its == x.Version:
			return passes(dc, "%s has the server's version, %s", title(a), its), true
		case !okServer || !okAgent:
			return unknown(dc, "%s has version %s and the server %s: which of them is newer is not known", title(a), its, x.Version), true
		case agent.newer(server):
			return fails(dc, "%s has version %s, which is newer than the server's %s", title(a), its, x.Version).fixed("upgrade the servers first, then the agents"), true
		case agent.major != server.major || server.minor-agent.minor > minorsApart:
			return fails(dc, "%s has version %s: the server, which is %s, works with its own and the one before", title(a), its, x.Version).fixed("upgrade isthmus there"), true
		}
		return passes(dc, "%s has version %s, which goes with the server's %s", title(a), its, x.Version), true
	})
	for d := range x.datacenters() {
		c := resource.FindCondition(d.GetStatus().GetConditions(), inventory.ConditionAgentCurrent)
		if c.GetStatus() == resource.ConditionFalse {
			out = append(out, fails(d.GetName(), "%s: %s", d.GetName(), c.GetMessage()).fixed("upgrade the agents of %s", d.GetName()).as(SeverityError))
		}
	}
	return out
}

// release is the first two numbers of a version.
type release struct{ major, minor int }

func (r release) newer(than release) bool {
	return r.major > than.major || r.major == than.major && r.minor > than.minor
}

// minorOf reads v1.20.6, 1.20.6+ent and 0.4.0-5-gabcdef.
func minorOf(text string) (release, bool) {
	var r release
	n, err := fmt.Sscanf(strings.TrimPrefix(text, "v"), "%d.%d", &r.major, &r.minor)
	return r, err == nil && n == 2
}

func (x *exam) clockSkew() []answer {
	return x.eachAgent(func(a *isthmusv1.Agent) (answer, bool) {
		if a.GetStatus().GetLiveness() != resource.LivenessOnline {
			return answer{}, false // AgentOnline says so
		}
		dc, skew := a.GetSpec().GetDatacenter(), time.Duration(a.GetStatus().GetClockSkewSeconds())*time.Second
		way := "ahead of"
		if skew < 0 {
			way = "behind"
		}
		if skew.Abs() < clockNear {
			return passes(dc, "the clock of %s agrees with the server's", title(a)), true
		}
		out := fails(dc, "the clock of %s is %s %s the server's: ages are judged wrongly, and certificates and signatures are refused from %s on",
			title(a), span(skew.Abs()), way, span(clockFar)).fixed("set the clocks by NTP (chronyc tracking) on that host and on the server's")
		if skew.Abs() >= clockFar {
			out = out.as(SeverityError)
		}
		return out, true
	})
}

func (x *exam) heldRemovals() []answer {
	var out []answer
	for d := range x.datacenters() {
		c := resource.FindCondition(d.GetStatus().GetConditions(), inventory.ConditionRemovalsHeld)
		switch c.GetStatus() {
		case resource.ConditionTrue:
			out = append(out, fails(d.GetName(), "%s: %s", d.GetName(), c.GetMessage()).
				fixed("see what is missing and apply it again, then isthmus datacenter confirm %s", d.GetName()))
		case resource.ConditionFalse:
			out = append(out, passes(d.GetName(), "nothing waits for an operator in %s", d.GetName()))
		}
	}
	return out
}
