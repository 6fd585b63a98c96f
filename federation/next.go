package federation

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

const (
	// lostAfter is how long all agents of a datacenter that leaves may be silent before it is taken for lost: its tokens are revoked
	// without it, and a Consul that still runs there as a secondary is cut off.
	lostAfter = time.Hour
	// connecting is how long servers may take to find one another before that counts as a failure. Consul needs 8 s with an interval of 2 s
	// between attempts, and some more to have all gateways' addresses everywhere.
	connecting = 30 * time.Second
	// replicating is how long the first replication of ACLs may take.
	replicating = time.Minute
)

// Next is the status that a Federation has at a time, out of its present one, the fleet and what its members' agents say. It is f.Status
// itself, the same pointer, when nothing changes: the controller writes it only when it differs.
func Next(r resource.Reader, f *isthmusv1.Federation, e Evidence, now time.Time) *isthmusv1.FederationStatus {
	j := judgeOf(r, f, e, now)
	if f.GetDeleteTime() == nil {
		j.decidePrimary()
	}
	for _, m := range j.next.GetMembers() {
		if m.GetRole() == resource.RoleSecondary {
			j.decideSecondary(m)
		}
	}
	j.next.Members = slices.DeleteFunc(j.next.Members, func(m *isthmusv1.FederationMember) bool { return j.dropped[m.GetDatacenter()] })
	if f.GetDeleteTime() != nil {
		j.dissolve()
	}
	for _, m := range j.next.GetMembers() {
		j.forget(m)
	}
	j.trust()
	j.requests()
	j.count()
	j.next.Checks = j.checks()
	for _, c := range j.conditions() {
		j.next.Conditions = resource.SetCondition(f, j.next.GetConditions(), c, now)
	}
	if proto.Equal(f.GetStatus(), j.next) {
		return f.GetStatus()
	}
	return j.next
}

// Gone tells whether nothing is left of a deleted Federation, so that it can go: every secondary has left and the primary's hosts have
// gone back.
func Gone(f *isthmusv1.Federation) bool {
	return f.GetDeleteTime() != nil && len(f.GetStatus().GetMembers()) == 0
}

// judge is one federation while its next status is worked out.
type judge struct {
	wan
	now time.Time
	// wanted are the secondaries that it shall have.
	wanted map[string]bool
	// contested are those of them that another federation has.
	contested map[string]string
	seen      map[string]Seen
	// probes are those of whom was asked about: see probesFrom.
	probes map[string]map[string]*probed
	next   *isthmusv1.FederationStatus
	// primaryRow is the primary's in next.
	primaryRow *isthmusv1.FederationMember
	// dropped are the members of which nothing is left.
	dropped map[string]bool
}

func judgeOf(r resource.Reader, f *isthmusv1.Federation, e Evidence, now time.Time) *judge {
	j := &judge{
		wan: wanOf(r, f), now: now, wanted: map[string]bool{}, contested: map[string]string{}, seen: map[string]Seen{}, dropped: map[string]bool{},
		probes: map[string]map[string]*probed{}, next: &isthmusv1.FederationStatus{},
	}
	if f.GetStatus() != nil {
		j.next = proto.CloneOf(f.GetStatus())
	}
	for _, dc := range resource.SecondariesOf(r, f) {
		// One that is being deleted leaves before; one that is being removed when that step has come, and at once while it is not in.
		row, ok := resource.Lookup[*isthmusv1.Datacenter](r, resource.KindDatacenter, dc)
		if !ok || resource.Departed(row, resource.StepFederation) || resource.Departing(row) && !resource.Engaged(resource.MemberOf(f, dc)) {
			continue
		}
		j.wanted[dc] = true
		if m, ok := j.memberships[dc]; ok && m.Federation.GetName() != f.GetName() {
			j.contested[dc] = m.Federation.GetName()
		}
	}
	j.rows()
	for _, m := range j.next.GetMembers() {
		j.seen[m.GetDatacenter()] = e.of(m.GetDatacenter())
	}
	for _, m := range j.next.GetMembers() {
		j.look(m)
		m.Gateways = j.gateways(m)
	}
	return j
}

// rows gives each member one, the primary first.
func (j *judge) rows() {
	old := map[string]*isthmusv1.FederationMember{}
	for _, m := range j.next.GetMembers() {
		old[m.GetDatacenter()] = m
	}
	row := func(dc, role string) *isthmusv1.FederationMember {
		m := old[dc]
		if m == nil {
			m = &isthmusv1.FederationMember{Datacenter: dc}
		}
		m.Role, m.ConsulDatacenter = role, consulName(j.r, dc)
		return m
	}
	names := maps.Clone(j.wanted)
	for dc, m := range old {
		if m.GetRole() == resource.RoleSecondary && resource.Engaged(m) {
			names[dc] = true
		}
	}
	delete(names, j.primary())
	j.next.Members = nil
	// Of a deleted one that nobody has looked at yet nothing is left.
	if j.GetDeleteTime() == nil || old[j.primary()] != nil || len(names) > 0 {
		j.primaryRow = row(j.primary(), resource.RolePrimary)
		j.next.Members = append(j.next.Members, j.primaryRow)
	}
	for _, dc := range slices.Sorted(maps.Keys(names)) {
		j.next.Members = append(j.next.Members, row(dc, resource.RoleSecondary))
	}
}

// look brings what is seen of a member into its row.
func (j *judge) look(m *isthmusv1.FederationMember) {
	m.Hosts = j.hosts(m)
	m.ReadsPrimary, m.ReadByPrimary = "", ""
	if m.GetRole() == resource.RoleSecondary {
		m.ReadsPrimary, _ = j.read(m.GetDatacenter(), j.primary())
		m.ReadByPrimary, _ = j.read(j.primary(), m.GetDatacenter())
	}
}

// hosts are what the agents of a member say of their hosts. One that says nothing stays what it was while its agent is enrolled.
func (j *judge) hosts(m *isthmusv1.FederationMember) []*isthmusv1.FederationHost {
	out := map[string]*isthmusv1.FederationHost{}
	enrolled := map[string]bool{}
	for _, t := range resource.TrustedAgents(j.r, m.GetDatacenter()) {
		enrolled[t.GetAttestation().GetAgent()] = true
	}
	for _, h := range m.GetHosts() {
		out[h.GetAgent()] = h
	}
	for _, d := range j.seen[m.GetDatacenter()].Deliveries {
		enrolled[d.Agent] = true
		host := &isthmusv1.FederationHost{Agent: d.Agent, Host: d.Report.GetHost().GetHost(), State: resource.DeliveryNone}
		if d.Report.GetUid() == j.GetUid() && d.Report.GetHost() != nil {
			host = proto.CloneOf(d.Report.GetHost())
			host.Agent = d.Agent
		}
		out[d.Agent] = host
	}
	maps.DeleteFunc(out, func(agent string, _ *isthmusv1.FederationHost) bool { return !enrolled[agent] })
	return slices.SortedFunc(maps.Values(out), func(a, b *isthmusv1.FederationHost) int { return cmp.Compare(a.GetAgent(), b.GetAgent()) })
}

// read is whether one datacenter reads another, as its agent says.
func (j *judge) read(from, to string) (string, *isthmusv1.ObservedRead) {
	s := j.seen[from]
	if !s.Online {
		return resource.ReadUnknown, nil
	}
	for _, read := range s.Federation.GetReads() {
		if read.GetDatacenter() != to {
			continue
		}
		if read.GetOk() {
			return resource.ReadOK, read
		}
		return resource.ReadFailed, read
	}
	return resource.ReadUnknown, nil
}

// set is a member's phase, and why it is there.
func (j *judge) set(m *isthmusv1.FederationMember, phase string, p problem) {
	if m.GetPhase() != phase || m.GetPhaseSince() == nil {
		m.Phase, m.PhaseSince = phase, timestamppb.New(j.now)
	}
	m.Reason, m.Message = p.reason, p.message
}

// in tells whether a member has been in its phase for longer than a time.
func (j *judge) in(m *isthmusv1.FederationMember, d time.Duration) bool {
	return j.now.Sub(m.GetPhaseSince().AsTime()) > d
}

// secondaryRows are those of next.
func (j *judge) secondaryRows() []*isthmusv1.FederationMember {
	return slices.DeleteFunc(slices.Clone(j.next.GetMembers()), func(m *isthmusv1.FederationMember) bool { return m.GetRole() != resource.RoleSecondary })
}

// final tells whether the primary's agent will not make a bundle by hand, ever. Whatever else keeps it from that, a Consul or a server
// that does not answer, a gateway that is not there yet, it tries again.
func final(reason string) bool {
	return slices.Contains([]string{"RecipientNotAllowed", "NoMember", "ServerRefused", "WrongConsulName"}, reason)
}

// requests has the primary's agent's word on bundles that were asked for by hand.
func (j *judge) requests() {
	if j.GetDeleteTime() != nil {
		j.next.BundleRequests = nil
	}
	for _, request := range j.next.GetBundleRequests() {
		for _, o := range j.seen[j.primary()].Federation.GetBundles() {
			of := o.GetRecipient() == request.GetRecipient() && o.GetDatacenter() == request.GetDatacenter() &&
				o.GetRequestTime().AsTime().Equal(request.GetCreateTime().AsTime())
			if request.GetSecretDigest() == "" && of && final(o.GetErrorReason()) {
				request.Error = o.GetError()
			}
		}
	}
}

func (j *judge) count() {
	j.next.Secondaries, j.next.Joined = 0, 0
	for _, m := range j.secondaryRows() {
		if m.GetPhase() == resource.PhaseLeaving {
			continue
		}
		j.next.Secondaries++
		if m.GetPhase() == resource.PhaseJoined {
			j.next.Joined++
		}
	}
}
