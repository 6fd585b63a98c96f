package connection

import (
	"strings"

	isthmusv1 "isthmus/proto/isthmus/v1"
)

// known is what is seen of one datacenter, found by what is asked of it: a member of a federation is asked about every other one, and a hub
// about the catalog of every peer.
type known struct {
	Seen
	// by the datacenter that is read or dialled.
	reads  map[string]*isthmusv1.ObservedRead
	probes map[string][]*isthmusv1.ObservedProbe
	// by Consul's name of the datacenter.
	servers map[string]servers
	// by peer, the datacenter's own being of none, and by name.
	services map[string][]*isthmusv1.CatalogService
	own      map[string]*isthmusv1.CatalogService
	// indexed: all of it is found by what is asked of it, not only the reads, which verdicts go by.
	indexed bool
}

// servers are those of a datacenter in the WAN gossip.
type servers struct{ all, alive int }

func (k *known) read() {
	k.reads = map[string]*isthmusv1.ObservedRead{}
	for _, r := range k.Federation.GetReads() {
		if k.reads[r.GetDatacenter()] == nil {
			k.reads[r.GetDatacenter()] = r
		}
	}
}

// index has everything found that evidence is made of.
func (k *known) index() *known {
	if k.indexed {
		return k
	}
	k.indexed = true
	k.probes, k.servers = map[string][]*isthmusv1.ObservedProbe{}, map[string]servers{}
	for _, p := range k.Federation.GetProbes() {
		if !strings.Contains(p.GetAddress(), "://") {
			k.probes[p.GetDatacenter()] = append(k.probes[p.GetDatacenter()], p)
		}
	}
	for _, m := range k.Federation.GetWanMembers() {
		s := k.servers[m.GetDatacenter()]
		s.all++
		if m.GetStatus() == memberAlive {
			s.alive++
		}
		k.servers[m.GetDatacenter()] = s
	}
	k.services, k.own = map[string][]*isthmusv1.CatalogService{}, map[string]*isthmusv1.CatalogService{}
	for _, s := range k.Services.GetServices() {
		if s.GetPeer() == "" {
			k.own[s.GetName()] = s
		} else {
			k.services[s.GetPeer()] = append(k.services[s.GetPeer()], s)
		}
	}
	return k
}
