package resource

import (
	"slices"
	"strings"
	"sync"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// Claim is a uniqueness beyond names: only one resource may hold a key of a scope.
type Claim struct {
	// Scope is what must be unique: peering-pair.
	Scope string
	Key   string
}

// Reference is a resource that another one names in its spec.
type Reference struct {
	Kind string
	Name string
	// Field that names it: spec.acceptor.
	Field string
}

// Kind is one row of the registry. It drives store, apply, API and CLI: a new kind is a proto file, a row here with its
// rules, and its planner.
type Kind struct {
	// Name as in manifests: PeeringGroup.
	Name string
	// Plural as in URLs and on the command line: peering-groups.
	Plural string
	// Singular as on the command line: peering-group. Short, when set, is another word for it.
	Singular string
	Short    string
	// Manifest: operators may apply it. Other kinds are made by the server only; Origin says how.
	Manifest bool
	Origin   string
	// New makes an empty one.
	New func() Object
	// Weak lets an object of the kind be found again without holding it.
	Weak func(Object) Recall
	// Default fills in what the user left out, before validation.
	Default func(Object)
	// Fixed are the fields (paths from the resource) that no update changes: see ValidateUpdate.
	Fixed []string
	// Update checks what Fixed cannot say of an update; nil: nothing more. Fields are paths from the resource.
	Update func(before, after Object) []fault.Violation
	// Validate checks the spec by itself, beyond what the proto's own rules say. Fields are paths from the resource.
	Validate func(Object) []fault.Violation
	// References are the resources that the spec names; they must exist, and cannot be deleted before.
	References func(Object) []Reference
	// Claims are the uniquenesses that it holds.
	Claims func(Object) []Claim
	// Datacenters whose plan a change of it may alter: those that it names. What a selector chooses is found by the
	// planner, for kinds that have one.
	Datacenters func(Object) []string
	// Terms are the words by which resources of the kind are found, beside their names and datacenters: see Reader. Nil: by none.
	Terms func(Object) []string
	// Columns are what a table shows after the name.
	Columns []Column
}

// Column is one column of a table of resources.
type Column struct {
	Title string
	Value func(Object) string
	// Wide: only with -o wide.
	Wide bool
}

// registry is the table of kinds, and the same by name. It is asked for with every object.
//
//nolint:gochecknoglobals // a constant, which Go can only compute: nobody changes it
var registry = sync.OnceValues(func() ([]Kind, map[string]Kind) {
	rows := []Kind{
		datacenterKind(),
		gatewayKind(),
		federationKind(),
		peeringGroupKind(),
		peeringKind(),
		serviceExportKind(),
		intentionKind(),
		trafficPolicyKind(),
		joinTokenKind(),
		agentKind(),
		apiTokenKind(),
	}
	byName := make(map[string]Kind, len(rows))
	for _, k := range rows {
		byName[k.Name] = k
	}
	return rows, byName
})

// Kinds are all kinds, in the order in which apply creates them (what is referred to comes first).
func Kinds() []Kind {
	rows, _ := registry()
	return slices.Clone(rows)
}

// KindNamed finds a kind by its name (Datacenter), plural, singular or short word, in any case.
func KindNamed(name string) (Kind, bool) {
	rows, byName := registry()
	if k, ok := byName[name]; ok {
		return k, true
	}
	for _, k := range rows {
		if equalFold(name, k.Name, k.Plural, k.Singular, k.Short) {
			return k, true
		}
	}
	return Kind{}, false
}

func equalFold(word string, others ...string) bool {
	return word != "" && slices.ContainsFunc(others, func(other string) bool { return strings.EqualFold(word, other) })
}

// KindOf is the kind of an object.
func KindOf(o Object) Kind {
	name := string(o.ProtoReflect().Descriptor().Name())
	k, ok := KindNamed(name)
	if !ok {
		panic("resource: not a kind: " + name)
	}
	return k
}

// Names of the kinds, for keys.
const (
	KindDatacenter    = "Datacenter"
	KindGateway       = "Gateway"
	KindFederation    = "Federation"
	KindPeeringGroup  = "PeeringGroup"
	KindPeering       = "Peering"
	KindServiceExport = "ServiceExport"
	KindIntention     = "Intention"
	KindTrafficPolicy = "TrafficPolicy"
	KindJoinToken     = "JoinToken"
	KindAgent         = "Agent"
	KindAPIToken      = "APIToken"
)

var (
	_ Object = (*isthmusv1.Datacenter)(nil)
	_ Object = (*isthmusv1.Gateway)(nil)
	_ Object = (*isthmusv1.Federation)(nil)
	_ Object = (*isthmusv1.PeeringGroup)(nil)
	_ Object = (*isthmusv1.Peering)(nil)
	_ Object = (*isthmusv1.ServiceExport)(nil)
	_ Object = (*isthmusv1.Intention)(nil)
	_ Object = (*isthmusv1.TrafficPolicy)(nil)
	_ Object = (*isthmusv1.JoinToken)(nil)
	_ Object = (*isthmusv1.Agent)(nil)
	_ Object = (*isthmusv1.APIToken)(nil)
)
