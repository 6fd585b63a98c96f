package datacenterstate

import (
	"slices"
	"strconv"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// The entries that Consul has once, the settings in them that isthmus may want, and the marks that its agents leave.
const (
	nameMesh         = "mesh/mesh"
	partMesh         = "PeerThroughMeshGateways"
	nameDefaults     = "proxy-defaults/global"
	partDefaults     = "MeshGateway.Mode"
	metaSource       = "external-source"
	sourceKubernetes = "kubernetes"
	metaMesh         = "isthmus-through-gateways"
	// reasonByHand is what agents say of a setting that somebody else made.
	reasonByHand = "ConfigEntryByHand"
)

// setting is one setting in such an entry.
type setting struct {
	// wanted and found are JSON; found is empty where the entry says nothing of it.
	wanted, found string
	// known: what is found is known.
	known bool
	// managed: Kubernetes manages the entry. ours: isthmus made the setting as it is wanted once.
	managed, ours bool
	// trouble and message are what the agent says stands against it; empty: nothing.
	trouble, message string
}

// mesh enters the one switch that isthmus has in the mesh entry.
func (l *look) mesh(i *isthmusv1.DesiredItem) {
	s := setting{wanted: strconv.FormatBool(i.GetMesh().GetPeerThroughMeshGateways())}
	body, known := l.reported("mesh", "mesh")
	s.known = known
	if peering, ok := body["Peering"].(map[string]any); ok {
		through, _ := peering[partMesh].(bool)
		s.found = strconv.FormatBool(through) // Consul leaves false out
	}
	meta, _ := body["Meta"].(map[string]any)
	s.managed, s.ours = meta[metaSource] == sourceKubernetes, meta[metaMesh] == s.wanted
	if r := l.speaker().Report; r.GetErrorReason() == reasonByHand || r.GetErrorReason() == reasonKubernetes {
		s.trouble, s.message = r.GetErrorReason(), r.GetError()
	}
	var wanting []string
	for _, name := range l.e.MeshPeerings {
		wanting = append(wanting, resource.KindPeering+"/"+name)
	}
	l.setting(i, nameMesh, partMesh, wanting, s)
}

// proxyDefaults enters the one setting that isthmus has in the proxy-defaults entry. Its Meta is not reported: what else is in that entry may be
// secret.
func (l *look) proxyDefaults(i *isthmusv1.DesiredItem) {
	s := setting{wanted: quoted(i.GetProxyDefaults().GetMeshGatewayMode())}
	body, known := l.reported("proxy-defaults", "global")
	s.known = known
	if gateway, ok := body["MeshGateway"].(map[string]any); ok {
		mode, _ := gateway["Mode"].(string)
		s.found = quoted(mode)
	}
	if r := l.e.Federation.Body; r.GetErrorReason() == reasonByHand || r.GetErrorReason() == reasonKubernetes {
		s.trouble, s.message = r.GetErrorReason(), r.GetError()
		s.managed = r.GetErrorReason() == reasonKubernetes
	}
	s.ours = slices.ContainsFunc(l.e.Policy.Body.GetDrifts(), func(d *isthmusv1.Drift) bool {
		return d.GetEntry() == nameDefaults && d.GetPart() == partDefaults && !d.GetCorrected()
	})
	var wanting []string
	if m, ok := resource.MembershipOf(l.r, l.datacenter); ok {
		wanting = append(wanting, resource.KindFederation+"/"+m.Federation.GetName())
	}
	l.setting(i, nameDefaults, partDefaults, wanting, s)
}

func (l *look) setting(i *isthmusv1.DesiredItem, name, part string, wanting []string, s setting) {
	item := &isthmusv1.ItemState{Id: i.GetId(), Type: i.GetType(), Name: name, WantedBy: wanting}
	if s.known && s.found != s.wanted {
		item.Differences = []*isthmusv1.FieldChange{differs(part, s.found, s.wanted)}
	}
	l.add(item, i.GetType(), s.known, l.e.Entries.Heard, func() verdict { return s.judge(name, part) })
}

func (s setting) judge(name, part string) verdict {
	switch {
	case s.found == s.wanted, s.found == "" && s.wanted == "false":
		return applied()
	case s.managed:
		return verdict{
			state: Managed, reason: reasonKubernetes, message: "Kubernetes manages " + name,
			fix: "set " + part + " to " + s.wanted + " in the custom resource that it comes from",
		}
	case s.ours && s.trouble != "":
		return verdict{state: Drifted, message: "somebody changed " + part + " in " + name + ", and drift is only reported", fix: "set it to " + s.wanted + ", or let drift be corrected: spec.drift of the Datacenter"}
	case s.trouble != "":
		return verdict{state: Conflict, reason: s.trouble, message: s.message, fix: "set " + part + " in " + name + " to " + s.wanted + ", or change what wants it"}
	}
	return pending(ReasonNotWritten, "%s in %s is not yet as it is wanted", part, name)
}
