package explain

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// source: who calls has to be there, and in the mesh; its own health does not keep it from calling.
func (w *walk) source() finding {
	if w.src.external {
		return otherOperator(w.src.Datacenter)
	}
	found, problem := w.registered(w.src)
	if problem != nil {
		return *problem
	}
	return passes(w.src.Datacenter, "%s is registered in %s, and in the mesh", w.src.Service, w.src.Datacenter).with(w.instances(w.src, found))
}

// destination has to be healthy as well. A virtual service has no instances: what it leads to counts.
func (w *walk) destination() finding {
	var via []string
	for _, a := range w.aliases {
		via = append(via, fmt.Sprintf("%s is a virtual service: %s (%s) leads to %s, which the rest is about", a.from, a.entry, a.owner, a.to))
	}
	if w.dst.external {
		return w.imported().with(via...)
	}
	found, problem := w.registered(w.dst)
	if problem != nil {
		return problem.with(via...)
	}
	at := w.dst.Datacenter
	if found.GetHealthy() == 0 {
		return fails(at, "no instance of %s in %s is healthy: Consul sends no calls to it", w.dst.Service, at).
			fixed("see why its checks fail: in %s, GET %s", at, resource.ShellWord("/v1/health/checks/"+url.PathEscape(w.dst.Service))).with(via...).with(w.instances(w.dst, found))
	}
	return passes(at, "%s is registered in %s, healthy, and in the mesh", w.dst.Service, at).with(via...).with(w.instances(w.dst, found))
}

func (w *walk) instances(at place, found *isthmusv1.CatalogService) string {
	word := "instances"
	if found.GetInstances() == 1 {
		word = "instance"
	}
	return w.seenAt(at.Datacenter, w.of(at.Datacenter).Services.Since, "%d %s of %s, %d healthy", found.GetInstances(), word, found.GetName(), found.GetHealthy())
}

// registered finds a service in its own datacenter's catalog, and in the mesh; else what stands against that.
func (w *walk) registered(at place) (*isthmusv1.CatalogService, *finding) {
	if silence := w.silence(at.Datacenter); silence != nil {
		if found := w.service(at.Datacenter, at.Service, ""); found != nil {
			*silence = silence.with(w.instances(at, found))
		}
		return nil, silence
	}
	s := w.of(at.Datacenter)
	if s.Services.Body == nil {
		f := untold(at.Datacenter, "its services")
		return nil, &f
	}
	if f := w.namespace(at); f != nil {
		return nil, f
	}
	found := w.service(at.Datacenter, at.Service, "")
	switch {
	case found == nil:
		f := w.unregistered(at)
		return nil, &f
	case !found.GetMesh() && s.Entries.Body == nil: // an agent that does not tell of entries does not tell of the mesh either
		f := untold(at.Datacenter, "which services are in the mesh")
		return nil, &f
	case !found.GetMesh():
		f := fails(at.Datacenter, "%s is registered in %s, but not in the mesh: it has no sidecar proxy, and is not Connect-native", at.Service, at.Datacenter).
			fixed("in %s, register it with connect { sidecar_service {} }, and run its proxy: consul connect envoy -sidecar-for %s", at.Datacenter, resource.ShellWord(at.Service)).
			with(w.instances(at, found))
		return nil, &f
	}
	return found, nil
}

// namespace: agents see the namespace default only, and there is no other one in Consul's Community Edition.
func (w *walk) namespace(at place) *finding {
	if at.Namespace == defaultNamespace {
		return nil
	}
	f := unknown(at.Datacenter, "isthmus's agents see the services of the namespace default only, not of %s", at.Namespace)
	if version := w.of(at.Datacenter).Inventory.Body.GetConsulVersion(); version != "" && !strings.Contains(version, "+ent") {
		f = fails(at.Datacenter, "%s runs Consul's Community Edition (%s), which has no namespace %s", at.Datacenter, version, at.Namespace).
			fixed("leave the namespace out: isthmus explain names the service as %s", resource.ShellWord(at.Service+"@"+at.Datacenter))
	}
	return &f
}

// service is what a datacenter's catalog has of a service, of a peer unless that is empty; nil: nothing.
func (w *walk) service(datacenter, name, peer string) *isthmusv1.CatalogService {
	for _, s := range w.of(datacenter).Services.Body.GetServices() {
		// Consul finds services without regard to case.
		if strings.EqualFold(s.GetName(), name) && s.GetPeer() == peer {
			return s
		}
	}
	return nil
}

// unregistered is that a datacenter's catalog lacks a service. Without the right to see it, Consul shows agents an empty list.
func (w *walk) unregistered(at place) finding {
	s := w.of(at.Datacenter)
	for _, m := range s.Rights.Body.GetMissing() {
		if strings.HasPrefix(m.GetRule(), "service") || strings.HasPrefix(m.GetRule(), "node") {
			return unknown(at.Datacenter, "%s is not among the services that the agent of %s sees, but its Consul token may not see all of them", at.Service, at.Datacenter).
				fixed("give the agent's token the rules that isthmus agent policy prints, and no others").with("its agent says that it lacks " + m.GetRule())
		}
	}
	var names, peers []string
	for _, known := range s.Services.Body.GetServices() {
		if known.GetPeer() == "" {
			names = append(names, known.GetName())
		} else if strings.EqualFold(known.GetName(), at.Service) {
			peers = append(peers, known.GetPeer())
		}
	}
	f := fails(at.Datacenter, "%s is not registered in %s%s", at.Service, at.Datacenter, near(at.Service, names)).
		fixed("register %s in %s, or name a service that is there: isthmus services --datacenter %s", resource.ShellWord(at.Service), at.Datacenter, at.Datacenter)
	if len(peers) > 0 {
		slices.Sort(peers)
		f = f.with(fmt.Sprintf("%s has one of that name imported from its peer %s", at.Datacenter, resource.Some(peers, mostNamed)))
	}
	return f.with(w.seenAt(at.Datacenter, s.Services.Since, "%d services in its catalog", len(names)))
}

// imported is all that is known of a service of another operator's: what the caller's datacenter imports.
func (w *walk) imported() finding {
	at := w.src.Datacenter
	if silence := w.silence(at); silence != nil {
		return *silence
	}
	found := w.service(at, w.dst.Service, w.link.peerOfDestination)
	switch {
	case w.link.kind != linkPeering:
		return otherOperator(w.dst.Datacenter)
	case found == nil:
		return fails(at, "%s imports no %s from its peer %s", at, w.dst.Service, w.link.peerOfDestination).
			fixed("ask the operator of %s to register it there, and to export it to you", w.dst.Datacenter)
	case found.GetHealthy() == 0:
		return fails(at, "no instance of %s that %s imports from its peer %s is healthy", w.dst.Service, at, w.link.peerOfDestination).
			fixed("ask the operator of %s why its checks fail", w.dst.Datacenter)
	}
	return passes(at, "%s imports %s from its peer %s, healthy", at, w.dst.Service, w.link.peerOfDestination).
		with(w.seenAt(at, w.of(at).Services.Since, "%d instances, %d healthy", found.GetInstances(), found.GetHealthy()))
}
