package e2e_test

import (
	"testing"

	"isthmus/doctor"
)

// What a federation is refused for, or waits for, is named by doctor, datacenter by datacenter; when it is as doctor says it should be, that
// is well.
func TestDoctorOfWhatCannotJoin(t *testing.T) {
	f := NewFleet(t, 2)
	dc1 := f.Site("dc1", Site{Primary: true})
	dc2 := f.Site("dc2", Site{CA: dc1, NoJoin: true, Gateways: -1})
	const chosen = "labels: {join: global}\n"
	declare := func(name, more string) { f.Apply("kind: Datacenter\nname: " + name + "\n" + more) }
	declare("dc1", "spec: {runtime: vm}\n")
	declare("dc2", "spec: {runtime: vm}\n")
	f.Apply("kind: Federation\nname: global\nspec: {primary: dc1, secondarySelector: join=global}\n---\n" +
		"kind: Peering\nname: dc1-dc2\nspec: {acceptor: dc1, dialer: dc2}\n")
	f.Healthy("dc1-dc2")

	t.Log("two that are peered shall be federated")
	declare("dc2", chosen+"spec: {runtime: vm}\n")
	f.Finds("NoPeeringInside", "dc2", finds, "Peering dc1-dc2", "isthmus delete peering dc1-dc2")
	f.Must("delete", "peering", "dc1-dc2")
	f.Gone("Peering", "dc1-dc2")
	f.Passes("NoPeeringInside")

	t.Log("a partition, a name that is taken, and two who want the same one")
	declare("dc3", chosen+"spec: {runtime: vm, consulPartition: team}\n")
	f.Finds("NoPartition", "dc3", finds, "admin partition team", "default partition")
	declare("dc3", chosen+"spec: {runtime: vm, consulDatacenter: dc2}\n")
	f.Passes("NoPartition")
	f.Finds("ConsulNameUnique", "dc3", finds, "dc3 and dc2 are both called dc2", "spec.consulDatacenter")
	declare("dc3", chosen+"spec: {runtime: vm}\n")
	f.Passes("ConsulNameUnique")
	declare("dc3", "spec: {runtime: vm}\n")
	declare("dc9", "spec: {runtime: vm}\n")
	f.Apply("kind: Federation\nname: another\nspec: {primary: dc9, secondarySelector: env=test}\n")
	declare("dc2", "labels: {join: global, env: test}\nspec: {runtime: vm}\n")
	f.Finds("OneFederation", "dc2", finds, "a datacenter is in one federation", "selector")
	f.Apply("kind: Federation\nname: another\nspec: {primary: dc9, secondarySelector: env=prod}\n")
	f.Passes("OneFederation")
	f.Must("delete", "federation", "another")
	f.Gone("Federation", "another")

	t.Log("a Consul that belongs to another primary, has a domain of its own, neither TLS nor a mesh")
	dc2.switches(`{"primary_datacenter": "dc9", "acl": {"enable_token_replication": true}, "domain": "corp", "connect": {"enabled": false},
		"tls": {"defaults": {"verify_incoming": false, "verify_outgoing": false}, "internal_rpc": {"verify_server_hostname": false}}}`)
	f.Finds("OnePrimary", "dc2", finds, "a secondary of dc9", "let it leave")
	f.Finds("DomainAlike", "dc2", finds, "corp", "set the same domain")
	severity(t, f.Finds("TLSEnabled", "dc2", finds, "without TLS", "verify_outgoing"), doctor.SeverityError)
	f.Finds("ConnectEnabled", "dc2", finds, "connect.enabled = true")
	dc2.switches(`{}`)
	f.Passes("OnePrimary", "DomainAlike", "TLSEnabled", "ConnectEnabled")

	t.Log("one without ACLs, whose gossip everybody hears")
	dc2.switches(`{"acl": {"enabled": false}, "encrypt": "", "disable_keyring_file": true}`)
	f.Finds("ACLsAlike", "dc2", finds, "on in the primary dc1 and off in dc2", "acl.enabled")
	f.Finds("GossipAlike", "dc2", finds, "on in the primary dc1 and off in dc2", "encrypt")
	dc2.switches(`{}`)
	f.Passes("ACLsAlike", "GossipAlike")
}
