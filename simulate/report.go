package simulate

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// The parts of a report, as places in agent.sent.
const (
	partAgent = iota
	partInventory
	partServices
	partPeerings
	partExports
	partDelivery
	partFederation
	partGateway
	partPolicy
	partEntries
	partRights
	partCount
)

// report sends the parts that are not as the server has them.
func (a *agent) report(ctx context.Context, l *link) error {
	full := a.see()
	news := &isthmusv1.ReportRequest{Clock: timestamppb.New(a.fleet.now())}
	var digests [partCount]uint64
	a.mu.Lock()
	before := a.sent
	a.mu.Unlock()
	told := map[string]string{}
	for i, part := range []struct {
		name    string
		message proto.Message
		put     func()
	}{
		partAgent:      {"agent", full.GetAgent(), func() { news.Agent = full.GetAgent() }},
		partInventory:  {"inventory", full.GetInventory(), func() { news.Inventory = full.GetInventory() }},
		partServices:   {"services", full.GetServices(), func() { news.Services = full.GetServices() }},
		partPeerings:   {"peerings", full.GetPeerings(), func() { news.Peerings = full.GetPeerings() }},
		partExports:    {"exports", full.GetExports(), func() { news.Exports = full.GetExports() }},
		partDelivery:   {"delivery", full.GetDelivery(), func() { news.Delivery = full.GetDelivery() }},
		partFederation: {"federation", full.GetFederation(), func() { news.Federation = full.GetFederation() }},
		partGateway:    {"gateway", full.GetGateway(), func() { news.Gateway = full.GetGateway() }},
		partPolicy:     {"policy", full.GetPolicy(), func() { news.Policy = full.GetPolicy() }},
		partEntries:    {"entries", full.GetEntries(), func() { news.Entries = full.GetEntries() }},
		partRights:     {"rights", full.GetRights(), func() { news.Rights = full.GetRights() }},
	} {
		digests[i] = before[i]
		if !part.message.ProtoReflect().IsValid() {
			continue
		}
		digest, err := a.fleet.digest(part.message)
		if err != nil {
			return err
		}
		if digests[i] = digest; digest != before[i] {
			part.put()
			told[part.name] = resource.Digest(part.message)
		}
	}
	if digests == before {
		return nil
	}
	if err := send(ctx, l, news); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.sent == before {
		a.sent = digests
		if a.told == nil {
			a.told = map[string]string{}
		}
		maps.Copy(a.told, told)
	}
	return nil
}

func send(ctx context.Context, l *link, r *isthmusv1.ReportRequest) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if _, err := l.sync.Report(ctx, r); err != nil {
		return answered(err, "reporting")
	}
	return nil
}

// digest tells two messages of this process apart; it is never 0.
func (f *Fleet) digest(m proto.Message) (uint64, error) {
	form, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return 0, fault.Wrap(fault.Internal, err, "encoding a report")
	}
	return max(1, maphash.Bytes(f.seed, form)), nil
}

// see is everything that an agent has to tell.
func (a *agent) see() *isthmusv1.ReportRequest {
	w := a.fleet.world
	w.mu.Lock()
	defer w.mu.Unlock()
	a.mu.Lock()
	defer a.mu.Unlock()
	own := &isthmusv1.AgentReport{
		Leader: !a.gateway, Version: version, Features: a.fleet.features, Host: a.site.host(), Epoch: a.epoch,
	}
	if a.todo == nil {
		own.AppliedDigest, own.AppliedIndex = a.digest, a.index
	}
	if a.gateway {
		return &isthmusv1.ReportRequest{Agent: own, Gateway: &isthmusv1.GatewayReport{
			LanAddress: a.site.address(lanNet), WanAddress: a.site.address(wanNet), Registered: true,
		}}
	}
	if a.site.headless {
		// What it saw last is what the server has.
		own.ErrorReason, own.Error = "NoLeader", "Consul has no cluster leader"
		return &isthmusv1.ReportRequest{Agent: own}
	}
	return &isthmusv1.ReportRequest{
		Agent: own, Inventory: w.inventory(a.site, a.fleet.config.Gateways), Services: w.catalog(a.site), Peerings: w.peerings(a.site),
		Exports: exports(a.site), Delivery: a.delivery(), Federation: w.federated(a.site),
		Policy: &isthmusv1.PolicyReport{}, Entries: &isthmusv1.EntriesReport{}, Rights: &isthmusv1.RightsReport{},
	}
}

// Of each datacenter's Consul.
const (
	// servers is how many there are.
	servers       = 3
	consulVersion = "1.20.6"
	consulDomain  = "consul"
)

func serverName(datacenter string, i int) string { return fmt.Sprintf("%s-server-%d", datacenter, i+1) }

func (s *site) host() string { return serverName(s.name, 0) }

// The networks of gateways, for others and for their own datacenter: of those that are set apart for measurements (RFC 2544).
const (
	wanNet = "198.18"
	lanNet = "198.19"
)

// address is the gateway's in a network.
func (s *site) address(network string) string {
	return fmt.Sprintf("%s.%d.%d:8443", network, s.index>>8&0xff, s.index&0xff)
}

func (w *world) inventory(s *site, gateways bool) *isthmusv1.InventoryReport {
	federated, pool := s.federation != "", w.pool(s)
	primary := cmp.Or(s.wan.primary, s.name)
	r := &isthmusv1.InventoryReport{
		ConsulDatacenter: s.name, ConsulVersion: consulVersion, Servers: servers, Leader: s.host(), Services: int32(len(s.services)),
		AclEnabled: new(true), TlsEnabled: new(true), GossipEncrypted: new(true), ConnectEnabled: new(true), PeeringEnabled: new(true),
		WanFederationEnabled: new(federated), WanMembers: int32(servers * len(pool)), TrustDomain: primary + "." + consulDomain,
		ConsulDomain: consulDomain, PrimaryDatacenter: primary, DefaultPolicy: "deny", DefaultIntentionPolicy: "deny", CaRoots: []string{w.root(s)},
	}
	for i := range servers {
		r.RaftServers = append(r.RaftServers, &isthmusv1.ObservedServer{
			Node: serverName(s.name, i), Address: fmt.Sprintf("10.0.0.%d:8300", i+1), Leader: i == 0, Voter: true,
		})
	}
	if gateways || federated {
		r.Gateways = []*isthmusv1.ObservedGateway{{
			ServiceId: "mesh-gateway", Node: s.host(), WanAddress: s.address(wanNet), LanAddress: s.address(lanNet), Health: "passing", WanFederation: federated,
		}}
	}
	return r
}

// root is the fingerprint of the mesh CA, which is the primary's in a federation.
func (w *world) root(s *site) string {
	sum := sha256.Sum256([]byte(cmp.Or(s.wan.primary, s.name)))
	return hex.EncodeToString(sum[:])
}

// catalog is the datacenter's own services and those that peers give it.
func (w *world) catalog(s *site) *isthmusv1.ServicesReport {
	r := &isthmusv1.ServicesReport{}
	for i, name := range s.services {
		n := int32(1 + (s.index+i)%3)
		r.Services = append(r.Services, &isthmusv1.CatalogService{Name: name, Instances: n, Healthy: n, Mesh: true})
	}
	for _, e := range s.sorted() {
		for _, name := range e.imported() {
			r.Services = append(r.Services, &isthmusv1.CatalogService{Name: name, Peer: e.peerName, Instances: 1, Healthy: 1, Mesh: true})
		}
	}
	return r
}

func exports(s *site) *isthmusv1.ExportsReport {
	r := &isthmusv1.ExportsReport{}
	for _, one := range s.exported {
		r.Exports = append(r.Exports, &isthmusv1.ObservedExport{Name: one.GetName(), Namespace: one.GetNamespace(), Peers: one.GetPeers(), State: "applied"})
	}
	return r
}

// peerings is what Consul shows of each end.
func (w *world) peerings(s *site) *isthmusv1.PeeringsReport {
	r := &isthmusv1.PeeringsReport{}
	for _, e := range s.sorted() {
		r.Peerings = append(r.Peerings, w.observe(e))
	}
	return r
}

func (w *world) observe(e *end) *isthmusv1.ObservedPeering {
	o := &isthmusv1.ObservedPeering{
		Uid: e.uid, PeerName: e.peerName, Role: e.role, Origin: resource.OriginOwn, Generation: e.generation, Outcome: e.outcome,
		LeaderTransfer: e.transfer,
	}
	if e.orphan {
		o.Origin = resource.OriginOrphan
	}
	if e.stream == nil || e.role == roleDialer && w.severed[e.peering] {
		o.Deleted = e.deleting
		return o
	}
	o.State, o.PeerId = e.stream.state(), e.stream.id
	if o.GetState() != stateActive {
		return o
	}
	other := e.stream.other(e)
	o.Heartbeat, o.PeerRoots = resource.HeartbeatFresh, []string{w.root(other.site)}
	exported, imported := e.exported(), e.imported()
	o.ExportedServices, o.ExportedDigest = int32(len(exported)), namesDigest(exported)
	o.ImportedServices, o.ImportedDigest = int32(len(imported)), namesDigest(imported)
	if since, hangs := w.hung[e.peering]; hangs {
		at := timestamppb.New(since)
		o.Heartbeat, o.HeartbeatTime, o.ReceiveTime, o.SendTime = resource.HeartbeatStale, at, at, at
	}
	return o
}

// exported are the services that go over the end's stream, imported those that come.
func (e *end) exported() []string { return e.site.exports[e.peerName] }

func (e *end) imported() []string {
	if e.stream == nil {
		return nil
	}
	other := e.stream.other(e)
	if other == nil || other.stream != e.stream {
		return nil
	}
	return other.exported()
}

// namesDigest is as Consul's agents tell it; empty: none.
func namesDigest(names []string) string {
	if len(names) == 0 {
		return ""
	}
	sum := sha256.Sum256([]byte(strings.Join(slices.Sorted(slices.Values(names)), "\n")))
	return hex.EncodeToString(sum[:])
}
