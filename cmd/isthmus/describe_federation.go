package main

import (
	"cmp"
	"fmt"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// describeFederation shows how far each datacenter has come, on which host, through which gateways, and which
// checks do not pass.
func (p Program) describeFederation(o resource.Object) error {
	federation, ok := o.(*isthmusv1.Federation)
	if !ok || len(federation.GetStatus().GetMembers()) == 0 {
		return nil
	}
	var members, hosts, gateways [][]string
	for _, m := range federation.GetStatus().GetMembers() {
		members = append(members, []string{
			m.GetDatacenter(), dash(m.GetConsulDatacenter()), m.GetRole(), m.GetPhase(), p.when(m.GetPhaseSince()), bundleText(m.GetBundle()),
			dash(m.GetReadsPrimary()), dash(m.GetReadByPrimary()), dash(m.GetReason()), dash(m.GetMessage()),
		})
		for _, h := range m.GetHosts() {
			hosts = append(hosts, []string{
				m.GetDatacenter(), cmp.Or(h.GetHost(), h.GetAgent()), dash(h.GetState()), fmt.Sprintf("%d/%d", h.GetWritten(), h.GetApplied()),
				p.when(h.GetCertificateExpireTime()), dash(h.GetReason()), dash(h.GetMessage()),
			})
		}
		for _, g := range m.GetGateways() {
			gateways = append(gateways, []string{m.GetDatacenter(), g.GetWanAddress(), dash(g.GetLanAddress()), dash(g.GetHealth()), p.when(g.GetRetireTime())})
		}
	}
	var checks [][]string
	passed := 0
	for _, c := range federation.GetStatus().GetChecks() {
		if c.GetVerdict() == resource.CheckPass {
			passed++
			continue
		}
		checks = append(checks, []string{c.GetId(), dash(c.GetDatacenter()), dash(c.GetPeer()), c.GetVerdict(), dash(c.GetMessage()), dash(c.GetFix())})
	}
	for _, t := range []struct {
		title  string
		header []string
		rows   [][]string
	}{
		{"Members", []string{"DATACENTER", "CONSUL", "ROLE", "PHASE", "SINCE", "BUNDLE", "READS-PRIMARY", "READ-BY-PRIMARY", "REASON", "MESSAGE"}, members},
		{"Hosts", []string{"DATACENTER", "HOST", "STATE", "WRITTEN/APPLIED", "CERTIFICATE-UNTIL", "REASON", "MESSAGE"}, hosts},
		{"Gateways", []string{"DATACENTER", "WAN", "LAN", "HEALTH", "RETIRED"}, gateways},
		{"Checks", []string{"CHECK", "DATACENTER", "PEER", "VERDICT", "MESSAGE", "FIX"}, checks},
	} {
		if len(t.rows) == 0 {
			continue
		}
		if err := p.titledTable(t.title, t.header, t.rows); err != nil {
			return err
		}
	}
	if passed > 0 {
		p.printf("\n%d checks pass; isthmus get federation %s -o yaml lists them.\n", passed, federation.GetName())
	}
	return nil
}

// bundleText tells which bundle there is.
func bundleText(b *isthmusv1.BundleEntry) string {
	if b.GetGeneration() == 0 {
		return "-"
	}
	return fmt.Sprint(b.GetGeneration())
}
