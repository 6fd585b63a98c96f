package explain

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Consul's kinds and names of the entries that say which protocol a service speaks, and whether its calls go through mesh gateways.
const (
	kindServiceDefaults = "service-defaults"
	kindProxyDefaults   = "proxy-defaults"
	proxyDefaults       = "global"
)

// Where calls leave a datacenter.
const (
	modeLocal  = "local"
	modeRemote = "remote"
)

// healthCritical is Consul's word for a gateway that nobody is sent to; so is maintenance.
const (
	healthCritical    = "critical"
	healthMaintenance = "maintenance"
)

// stringField is a text in an entry's JSON; empty: there is none.
func stringField(e *isthmusv1.ReportedEntry, path ...string) string {
	var value any
	if json.Unmarshal([]byte(e.GetJson()), &value) != nil {
		return ""
	}
	for _, key := range path {
		object, _ := value.(map[string]any)
		value = object[key]
	}
	text, _ := value.(string)
	return text
}

func hasField(e *isthmusv1.ReportedEntry, key string) bool {
	var object map[string]json.RawMessage
	return json.Unmarshal([]byte(e.GetJson()), &object) == nil && object[key] != nil
}

// gatewayMode is where calls of the destination leave the source's datacenter, and the entry that says so: the destination's own
// service-defaults, else the caller's, else proxy-defaults. A proxy may be registered with another one: that is not seen here.
func (w *walk) gatewayMode(entries []*isthmusv1.ReportedEntry) (mode, entry string) {
	for _, at := range []place{w.dst, w.src} {
		if e := findEntry(entries, kindServiceDefaults, at.Namespace, at.Service); e != nil {
			if mode = stringField(e, "MeshGateway", "Mode"); mode != "" {
				return mode, kindServiceDefaults + "/" + e.GetName()
			}
		}
	}
	if e := findEntry(entries, kindProxyDefaults, defaultNamespace, proxyDefaults); e != nil {
		return stringField(e, "MeshGateway", "Mode"), kindProxyDefaults + "/" + proxyDefaults
	}
	return "", ""
}

// gateway: peers reach each other's services through mesh gateways only; members of a federation as meshGatewayMode says.
func (w *walk) gateway() finding {
	here := w.src.Datacenter
	switch {
	case w.link.kind == linkSame:
		return skips(here, "sidecars of one datacenter call each other directly")
	case w.link.kind == linkNone:
		return skips(here, "no way leads there")
	case w.src.external:
		return otherOperator(here)
	}
	entries, since, problem := w.entriesOf(here)
	if problem != nil {
		return *problem
	}
	mode, entry := w.gatewayMode(entries)
	said := ""
	if entry != "" {
		said = w.seenAt(here, since, "meshGatewayMode %s, by %s", cmp.Or(mode, "none"), entry)
	}
	through := mode == modeLocal || mode == modeRemote
	switch {
	case w.link.kind == linkFederation && !through && w.link.federation.GetSpec().GetMode() == resource.ModeTraditional:
		return skips(here, "no gateway is on the way: sidecars call each other directly, as the servers of a traditional federation do").with(said)
	case w.link.kind == linkFederation && !through:
		return unknown(here, "no gateway is on the way, since meshGatewayMode is not set: sidecars of %s call those of %s directly, and nobody has tried whether they can", here, w.dst.Datacenter).
			fixed("set spec.meshGatewayMode: local in Federation %s, unless the addresses of instances are reached from everywhere", w.link.name).with(said)
	case w.dst.external:
		return otherOperator(w.dst.Datacenter).with(said)
	}
	if f := w.needsEnvoy(); f != nil {
		return f.with(said)
	}
	if mode == modeLocal {
		if f := w.leaves(); f != nil {
			return f.with(said)
		}
	}
	return w.arrives(mode).with(said)
}

// needsEnvoy: of a service with an HTTP protocol, the exporter's gateway ends TLS and looks at the requests, as Envoy does and isthmus
// gateway, which passes bytes, does not.
func (w *walk) needsEnvoy() *finding {
	at := w.dst.Datacenter
	if w.link.kind != linkPeering {
		return nil
	}
	entries, since, problem := w.entriesOf(at)
	if problem != nil {
		return problem
	}
	protocol := protocolOf(entries, w.dst)
	if !slices.Contains([]string{"http", "http2", "grpc"}, protocol) {
		return nil
	}
	envoys, own := 0, 0
	for _, g := range w.of(at).Inventory.Body.GetGateways() {
		if w.isOwn(g) {
			own++
		} else {
			envoys++
		}
	}
	if own == 0 {
		return nil
	}
	f := fails(at, "NeedsEnvoy: %s speaks %s, which Consul's gateways look into on the way between peers, and %d of the %d mesh gateways of %s are isthmus gateways, which pass bytes only",
		w.dst.Service, protocol, own, own+envoys, at).
		fixed("run consul connect envoy -gateway=mesh in %s instead of isthmus gateway, or let the protocol of %s be tcp", at, resource.ShellWord(w.dst.Service)).
		with(w.seenAt(at, since, "protocol %s", protocol))
	return &f
}

// isOwn tells that a mesh gateway in the destination's Consul is an isthmus gateway.
func (w *walk) isOwn(g *isthmusv1.ObservedGateway) bool {
	return slices.ContainsFunc(w.of(w.dst.Datacenter).Gateways, func(r *isthmusv1.GatewayReport) bool {
		return r.GetWanAddress() == g.GetWanAddress() || r.GetLanAddress() == g.GetLanAddress()
	})
}

// leaves: with meshGatewayMode local, calls leave through a gateway of their own datacenter.
func (w *walk) leaves() *finding {
	here := w.src.Datacenter
	report := w.of(here).Inventory
	f := fails(here, "calls leave %s through its own mesh gateways (meshGatewayMode: local), and none of them is healthy", here).
		fixed("start a mesh gateway in %s: isthmus gateway, or consul connect envoy -gateway=mesh -register", here)
	for _, g := range report.Body.GetGateways() {
		if usable(g) {
			return nil
		}
		f = f.with(w.gatewayLine(here, g))
	}
	if report.Body == nil {
		f = untold(here, "its gateways")
	}
	return &f
}

func usable(g *isthmusv1.ObservedGateway) bool {
	return g.GetHealth() != healthCritical && g.GetHealth() != healthMaintenance
}

func (w *walk) gatewayLine(datacenter string, g *isthmusv1.ObservedGateway) string {
	return w.seenAt(datacenter, w.of(datacenter).Inventory.Since, "gateway of %s: LAN %s, WAN %s, %s", datacenter,
		cmp.Or(g.GetLanAddress(), "-"), cmp.Or(g.GetWanAddress(), "-"), cmp.Or(g.GetHealth(), "health unknown"))
}

// arrives: calls get to the destination's datacenter through one of its gateways, at an address that the source's reaches.
func (w *walk) arrives(mode string) finding {
	here, at := w.src.Datacenter, w.dst.Datacenter
	if silence := w.silence(at); silence != nil {
		return *silence
	}
	report := w.of(at).Inventory
	if report.Body == nil {
		return untold(at, "its gateways")
	}
	var lines, reached, refused, untried []string
	for _, g := range report.Body.GetGateways() {
		lines = append(lines, w.gatewayLine(at, g))
		if !usable(g) || g.GetWanAddress() == "" {
			continue
		}
		ok, line := w.tried(g.GetWanAddress())
		lines = append(lines, line)
		switch {
		case ok == nil:
			untried = append(untried, g.GetWanAddress())
		case *ok:
			reached = append(reached, g.GetWanAddress())
		default:
			refused = append(refused, resource.ShellWord(g.GetWanAddress()))
		}
	}
	first := fmt.Sprintf("the sidecar of %s", w.src.Service)
	if mode == modeLocal {
		first = fmt.Sprintf("a mesh gateway of %s", here)
	}
	switch {
	case len(reached) > 0:
		return passes(at, "%s dials %s, which %s reaches", first, resource.Some(reached, mostNamed), here).with(lines...)
	case len(untried) > 0:
		return unknown(here, "%s dials %s, and nobody has tried that from %s", first, resource.Some(untried, mostNamed), here).with(lines...).
			fixed("wait a moment: the agent of %s tries the gateways of the members of its federation, and of its peers, when it has heard of them", here)
	case len(refused) > 0:
		return fails(here, "%s does not reach the mesh gateways of %s: %s", here, at, resource.Some(refused, mostNamed)).with(lines...).
			fixed("let hosts of %s connect to %s: routing, firewall, load balancer; or correct the WAN address of the gateway", here, resource.Some(refused, mostNamed))
	case len(lines) > 0:
		return fails(at, "no mesh gateway of %s is healthy and has a WAN address", at).with(lines...).fixed("see its checks in Consul; register it with a WAN address")
	}
	return fails(at, "%s has no mesh gateway, and calls from %s can get there through one only", at, here).
		fixed("start one in %s: isthmus gateway, or consul connect envoy -gateway=mesh -register", at)
}

// tried is whether the source's agent reached an address of the destination's datacenter, with a line that says so; nil: it has not tried.
func (w *walk) tried(address string) (*bool, string) {
	here, at := w.src.Datacenter, w.dst.Datacenter
	report := w.of(here).Federation
	for _, p := range report.Body.GetProbes() {
		if p.GetDatacenter() != at || p.GetAddress() != address {
			continue
		}
		ok := p.GetOk()
		if !ok {
			return &ok, w.seenAt(here, p.GetSince().AsTime(), "%s from %s: %s: %s", address, here, p.GetErrorReason(), p.GetError())
		}
		return &ok, w.seenAt(here, p.GetSince().AsTime(), "%s from %s: answers in %d ms", address, here, p.GetLatencyMs())
	}
	return nil, ""
}
