package datacenterstate

import (
	"encoding/json"
	"slices"
	"strconv"

	"isthmus/peering"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// reasonNameTaken is what an agent says when Consul has somebody else's peering of that name.
const reasonNameTaken = "NameTaken"

// reasonRotating: the end works, and the next token is on its way.
const reasonRotating = "Rotating"

// wantedEnd is one end of a peering as the desired state has it.
type wantedEnd struct {
	uid, peering, peerName string
	generation             int32
	remove                 bool
	// awaits is what the end needs before it can be made; empty: nothing.
	awaits verdict
}

func (l *look) acceptor(i *isthmusv1.DesiredItem) {
	a := i.GetPeeringAcceptor()
	w := wantedEnd{uid: a.GetUid(), peering: a.GetPeering(), peerName: a.GetPeerName(), generation: a.GetGeneration(), remove: a.GetDelete()}
	if a.GetGeneration() == 0 {
		w.awaits = pending(peering.ReasonWaitingForAgents, "no token has been asked for yet: both ends need an agent that is trusted")
	}
	l.end(i, w)
}

func (l *look) dialer(i *isthmusv1.DesiredItem) {
	d := i.GetPeeringDialer()
	w := wantedEnd{uid: d.GetUid(), peering: d.GetPeering(), peerName: d.GetPeerName(), generation: d.GetGeneration(), remove: d.GetDelete()}
	if d.GetSecretDigest() == "" {
		w.awaits = pending(peering.ReasonWaitingForToken, "its token is not there yet")
	}
	l.end(i, w)
}

func (l *look) end(i *isthmusv1.DesiredItem, w wantedEnd) {
	report := l.e.Peerings.Body
	var seen *isthmusv1.ObservedPeering
	if at := slices.IndexFunc(report.GetPeerings(), func(o *isthmusv1.ObservedPeering) bool { return o.GetUid() == w.uid }); at >= 0 {
		seen = report.GetPeerings()[at]
	}
	item := &isthmusv1.ItemState{
		Id: i.GetId(), Type: i.GetType(), Name: w.peerName, WantedBy: []string{resource.KindPeering + "/" + w.peering}, Differences: w.differences(seen),
	}
	l.add(item, i.GetType(), report != nil, l.e.Peerings.Heard, func() verdict { return l.judgeEnd(w, seen) })
}

func (w wantedEnd) differences(seen *isthmusv1.ObservedPeering) []*isthmusv1.FieldChange {
	if seen == nil {
		return nil
	}
	var out []*isthmusv1.FieldChange
	wanted := peering.StateActive
	if w.remove {
		wanted = ""
	}
	if seen.GetState() != wanted {
		out = append(out, differs("state", quoted(seen.GetState()), quoted(wanted)))
	}
	if !w.remove && seen.GetGeneration() != w.generation {
		out = append(out, differs("tokenGeneration", number(seen.GetGeneration()), number(w.generation)))
	}
	if seen.GetState() == peering.StateActive && deaf(seen) && !w.remove {
		out = append(out, differs("heartbeat", quoted(seen.GetHeartbeat()), quoted(resource.HeartbeatFresh)))
	}
	return out
}

// quoted is a word of Consul's as JSON; nothing for nothing.
func quoted(word string) string {
	if word == "" {
		return ""
	}
	out, err := json.Marshal(word)
	if err != nil {
		return ""
	}
	return string(out)
}

func number(n int32) string { return strconv.Itoa(int(n)) }

func deaf(seen *isthmusv1.ObservedPeering) bool {
	return seen.GetHeartbeat() == resource.HeartbeatStale
}

// judgeEnd tells whether an end is there and works, by its own agent's word alone; whether both do is the Peering's verdict.
func (l *look) judgeEnd(w wantedEnd, seen *isthmusv1.ObservedPeering) verdict {
	switch {
	case seen == nil:
		return pending(ReasonNotReported, "the agent of %s has told nothing of it yet", l.datacenter)
	case seen.GetErrorReason() == reasonNameTaken:
		return verdict{
			state: Conflict, reason: reasonNameTaken, message: seen.GetError(),
			fix: "delete the other one in Consul, or make Peering " + w.peering + " anew with another name for its peer",
		}
	case seen.GetErrorReason() != "":
		return failed(seen.GetErrorReason(), "%s", seen.GetError())
	case w.remove && seen.GetDeleted():
		return verdict{state: Applied, reason: "Removed", message: "it is gone"}
	case w.remove:
		return pending(ReasonRemoving, "it is being removed from Consul")
	case seen.GetOutcome() == resource.OutcomeRefused && seen.GetGeneration() == w.generation:
		v := failed(peering.ReasonTokenRefused, "its token was refused")
		v.fix = "wait for the next token, or isthmus peering rotate " + w.peering
		return v
	}
	v := l.judgeConnection(w, seen)
	if v.state == Failed {
		v.fix = "see what both ends say: isthmus connections --kind peering --name " + resource.ShellWord(w.peering) + " -o wide"
	}
	return v
}

// judgeConnection is about an end that nothing keeps from being made.
func (l *look) judgeConnection(w wantedEnd, seen *isthmusv1.ObservedPeering) verdict {
	switch seen.GetState() {
	case "":
		if w.awaits.state != "" {
			return w.awaits
		}
		return pending(peering.ReasonNotCreated, "it is not in Consul yet")
	case peering.StateTerminated:
		return failed(peering.ReasonPeerTerminated, "the other end was deleted")
	case peering.StateDeleting:
		return failed(peering.ReasonDeletedInConsul, "somebody deletes it in Consul")
	case peering.StateFailing:
		if l.healthy(w.peering) {
			return applied() // a stream that is found to flow although Consul says otherwise: see peering
		}
		return failed(peering.ReasonConnectionFailing, "it has lost the connection to its peer")
	case peering.StateActive:
	default:
		return pending(peering.ReasonConnecting, "it is not connected yet")
	}
	switch {
	case deaf(seen):
		return failed(peering.ReasonHeartbeatMissing, "it hears nothing of the other end")
	case seen.GetGeneration() < w.generation:
		return pending(reasonRotating, "it works with the token of generation %d; the next one is on its way", seen.GetGeneration())
	}
	return applied()
}

func (l *look) healthy(name string) bool {
	p, ok := resource.Lookup[*isthmusv1.Peering](l.r, resource.KindPeering, name)
	return ok && p.GetStatus().GetVerdict() == peering.VerdictHealthy
}
