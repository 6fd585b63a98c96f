package federation

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Plan is what a Federation, as it is or would be, means for each datacenter: what it loses, what is restarted, what it becomes, and
// what stands against that. deleting: what its deletion would mean.
func Plan(r resource.Reader, f *isthmusv1.Federation, e Evidence, deleting bool) *isthmusv1.FederationPlan {
	if deleting && f.GetDeleteTime() == nil {
		f = resource.Clone(f)
		f.DeleteTime = timestamppb.New(time.Unix(0, 0))
	}
	j := judgeOf(r, f, e, time.Unix(0, 0))
	out := &isthmusv1.FederationPlan{Federation: f.GetName()}
	for _, m := range j.next.GetMembers() {
		out.Members = append(out.Members, j.plan(m))
	}
	return out
}

func (j *judge) plan(m *isthmusv1.FederationMember) *isthmusv1.MemberPlan {
	dc := m.GetDatacenter()
	out := &isthmusv1.MemberPlan{Datacenter: dc, Known: j.known(m)}
	switch {
	case m.GetRole() == resource.RolePrimary && j.GetDeleteTime() != nil:
		out.Action = ActionLeave
		out.Restarts = []string{"its Consul servers, one at a time, when the last secondary has left"}
		out.Becomes = []string{"a datacenter of its own, with all ACLs, config entries and the mesh CA that it has; services of the others are no longer seen from it"}
	case m.GetRole() == resource.RolePrimary:
		j.planPrimary(m, out)
	case m.GetPhase() == resource.PhaseLeaving || !j.wanted[dc]:
		out.Action = ActionLeave
		j.planLeave(m, out)
	case j.otherMode(m):
		out.Action = ActionChangeMode
		out.Restarts = []string{"all its Consul servers, one at a time: the federation does not work while some have changed and others have not"}
		out.Becomes = []string{"a secondary in mode " + j.GetSpec().GetMode() + j.modeMeans()}
		out.Blocked = j.against(m)
	case delivers(m) || j.follows(m):
		out.Action = ActionNone
		out.Becomes = []string{"it stays a secondary of " + j.primary()}
	default:
		out.Action = ActionJoin
		j.planJoin(m, out)
	}
	return out
}

// known: somebody has told what the datacenter has, or that it has nothing.
func (j *judge) known(m *isthmusv1.FederationMember) bool {
	s := j.seen[m.GetDatacenter()]
	if m.GetRole() == resource.RolePrimary {
		return s.Inventory != nil
	}
	if s.Inventory == nil {
		return len(s.Deliveries) > 0
	}
	return j.follows(m) || s.Federation.GetLoss() != nil
}

func (j *judge) planPrimary(m *isthmusv1.FederationMember, out *isthmusv1.MemberPlan) {
	out.Action = ActionPrimary
	mode := j.GetSpec().GetMode()
	if j.runsAsPrimary(m) != yes {
		out.Restarts = []string{"its Consul servers, one at a time, to run as the primary in mode " + mode}
		if i := j.seen[m.GetDatacenter()].Inventory; i.GetWanFederationEnabled() && mode == resource.ModeTraditional {
			out.Action = ActionChangeMode
		}
	}
	out.Becomes = []string{"the primary: its ACLs, config entries and mesh CA are those of all" + j.modeMeans()}
	if mode := j.GetSpec().GetMeshGatewayMode(); mode != "" {
		out.Becomes = append(out.Becomes, "proxy-defaults/global has MeshGateway mode "+mode)
	}
	out.Becomes = append(out.Becomes, "it holds a replication token for each secondary; whoever has one is an administrator of it")
	out.Blocked = j.against(m)
}

func (j *judge) modeMeans() string {
	if j.GetSpec().GetMode() == resource.ModeTraditional {
		return "; its servers have to be reached by all other servers directly"
	}
	return "; only its mesh gateways have to be reached by others"
}

func (j *judge) planLeave(m *isthmusv1.FederationMember, out *isthmusv1.MemberPlan) {
	out.Restarts = []string{"its Consul servers, one at a time"}
	out.Becomes = []string{
		"a datacenter of its own, which keeps a copy of the ACL policies, global tokens and config entries that it had from " + j.primary() + "; what changes there later does not arrive",
		"its mesh gets a CA of its own: all sidecars get new certificates, and a new trust domain is possible",
		"its services are no longer seen by the others, and theirs no longer in it",
		"the tokens that it was given (replication, agent, isthmus, gateway) are revoked in " + j.primary() + ", and its servers are removed from the WAN pool",
	}
	if m.GetPhase() == resource.PhaseLeaving && m.GetMessage() != "" {
		out.Blocked = []string{m.GetMessage()}
	}
}

func (j *judge) planJoin(m *isthmusv1.FederationMember, out *isthmusv1.MemberPlan) {
	dc := m.GetDatacenter()
	out.Becomes = []string{
		"a secondary: its ACLs, config entries, intentions and mesh CA are those of " + j.primary() + ", and are changed there" + j.modeMeans(),
		"it cannot export services to peers",
	}
	if names := j.exportsOf(dc); len(names) > 0 {
		out.Becomes = append(out.Becomes, "ServiceExports that choose it no longer export from it: "+strings.Join(names, ", "))
	}
	if j.fresh(m) {
		out.Becomes = append(out.Becomes, "its Consul does not exist yet: it starts with what it is given")
	} else {
		out.Restarts = []string{"all its Consul servers, one at a time, with the same data"}
		loss := j.seen[dc].Federation.GetLoss()
		out.Losses, out.LossCount = loss.GetItems(), loss.GetCount()
		if len(out.GetLosses()) > MaxLosses {
			out.Losses = out.GetLosses()[:MaxLosses]
		}
		if digest, known := j.lossDigest(m); known && j.GetUid() != "" {
			out.Digest, out.Accepted = digest, j.accepts(dc, digest)
		}
		own, primary := j.authorities(dc), j.authorities(j.primary())
		if len(own) > 0 && len(primary) > 0 && !own.within(primary) {
			out.Becomes = append(out.Becomes, "its servers get certificates of another CA; before, the servers of all members trust both (a reload)")
		}
	}
	out.Blocked = j.against(m)
}

// exportsOf are the ServiceExports whose selectors choose a datacenter.
func (j *judge) exportsOf(datacenter string) []string {
	dc, ok := resource.Lookup[*isthmusv1.Datacenter](j.r, resource.KindDatacenter, datacenter)
	if !ok {
		return nil
	}
	var out []string
	for export := range resource.All[*isthmusv1.ServiceExport](j.r, resource.KindServiceExport) {
		if resource.Chooses(export.GetSpec().GetDatacenters(), export.GetSpec().GetSelector())(dc) {
			out = append(out, export.GetName())
		}
	}
	return out
}

// against are all the sentences that stand against a member as it is.
func (j *judge) against(m *isthmusv1.FederationMember) []string {
	var out []string
	add := func(p problem) {
		if p.message != "" && !slices.Contains(out, p.message) {
			out = append(out, p.message)
		}
	}
	for _, r := range slices.Concat(places(), facts()) {
		if a, p := r.judge(j, m); a == no {
			add(p)
		}
	}
	s := j.seen[m.GetDatacenter()]
	add(j.awaited(m, s))
	if m.GetRole() == resource.RolePrimary {
		return out
	}
	if len(s.Deliveries) > 0 {
		add(j.forbidden(m, s))
	}
	if name := j.peeringInside(m, func(*isthmusv1.Peering) bool { return true }); name != "" {
		add(because("", "Peering %s connects it to another member and is deleted before", name))
	}
	switch digest, known := j.lossDigest(m); {
	case !known:
		add(because("", "its agent has not told yet what joining would destroy"))
	case digest != "" && j.GetUid() == "":
		add(because("", "what is destroyed has to be accepted once the Federation is there: its digest depends on that"))
	case digest != "" && !j.accepts(m.GetDatacenter(), digest):
		add(because("", "%s", fmt.Sprintf("what is destroyed is not accepted: acceptDataLoss: [{datacenter: %s, planDigest: %s}]", m.GetDatacenter(), digest)))
	}
	return out
}
