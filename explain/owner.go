package explain

import (
	"cmp"
	"encoding/json"
	"strings"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Who wrote something in Consul.
const (
	bySomebody   = "written in Consul by somebody else"
	byKubernetes = "managed by Kubernetes: a custom resource"
)

// metaSource says in an entry's Meta who manages it; consul-k8s writes sourceKubernetes there.
const (
	metaSource       = "external-source"
	sourceKubernetes = "kubernetes"
)

// ownerOf is whose a config entry (kind/name) of a datacenter is: the policies that want something in it, or somebody else.
func (w *walk) ownerOf(datacenter, entry string) string { return w.ownerOfPart(datacenter, entry, "") }

// ownerOfPart is whose one part of a config entry is; all of its parts when key is empty. A part that stands in Consul with another content
// than the policies want is somebody else's: the agent says so.
func (w *walk) ownerOfPart(datacenter, entry, key string) string {
	kind, name, _ := strings.Cut(entry, "/")
	if managed(findEntry(w.of(datacenter).Entries.Body.GetEntries(), kind, defaultNamespace, name)) {
		return byKubernetes
	}
	var policies []string
	for _, e := range w.entriesWanted(datacenter).GetEntries() {
		if e.GetKind() != kind || !strings.EqualFold(e.GetName(), name) {
			continue
		}
		for _, p := range e.GetParts() {
			if (key == "" || p.GetKey() == key) && !w.contested(datacenter, entry, p.GetKey()) {
				policies = append(policies, p.GetPolicies()...)
			}
		}
	}
	if len(policies) == 0 {
		return bySomebody
	}
	return resource.Some(sortedOnce(policies), mostNamed)
}

// contested tells that a part is not as isthmus wants it.
func (w *walk) contested(datacenter, entry, key string) bool {
	for _, e := range w.of(w.home(datacenter)).Policy.Body.GetEntries() {
		if !strings.EqualFold(e.GetKind()+"/"+e.GetName(), entry) {
			continue
		}
		for _, p := range e.GetParts() {
			if p.GetKey() == key && p.GetState() != resource.PolicyApplied {
				return true
			}
		}
	}
	return false
}

// managed tells that Kubernetes has an entry: isthmus writes nothing there.
func managed(e *isthmusv1.ReportedEntry) bool {
	var head struct{ Meta map[string]string }
	return e != nil && json.Unmarshal([]byte(e.GetJson()), &head) == nil && head.Meta[metaSource] == sourceKubernetes
}

// handOf is what to do with an entry by hand.
func handOf(datacenter, entry string) string {
	kind, name, _ := strings.Cut(entry, "/")
	return "in " + datacenter + ": consul config read -kind " + resource.ShellWord(kind) + " -name " + resource.ShellWord(cmp.Or(name, "default")) + ", and consul config write"
}
