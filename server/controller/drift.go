package controller

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/change"
	"isthmus/server/observation"
)

// maxShown bounds what of a config entry's part is shown in an entry of the audit log.
const maxShown = 512

// driftsSince are the drifts that came after the last one that is known of; drifts is newest first. An agent remembers some of them, and
// none from before its own start: which of them were told of before is known by what they are, and not by anybody's clock.
func driftsSince(last *isthmusv1.Drift, drifts []*isthmusv1.Drift) []*isthmusv1.Drift {
	for i, d := range drifts {
		if last != nil && proto.Equal(d, last) {
			return drifts[:i]
		}
	}
	return drifts
}

// driftEvents tell the audit log of changes to isthmus's part of a datacenter's config entries, the oldest first. Whoever saw one is its
// actor, and not who made it: nobody knows. Those that are more than quota allows are counted.
func (l *leader) driftEvents(o resource.Object, datacenter string, seen observation.Seen, drifts []*isthmusv1.Drift) []*isthmusv1.Event {
	author := change.Author{Actor: "agent/" + seen.Agent, Role: "agent"}
	var out []*isthmusv1.Event
	for i := range drifts {
		d := drifts[len(drifts)-1-i]
		done := "it is only reported, as the datacenter's drift says"
		if d.GetCorrected() {
			done = "it was put back"
		}
		at := ""
		if d.GetModifyIndex() > 0 {
			at = fmt.Sprintf(" (its ModifyIndex %d)", d.GetModifyIndex())
		}
		out = append(out, author.Event(resource.ActionDrift, o, fmt.Sprintf("%s: somebody changed %s in %s%s, seen at %s: %s instead of %s; %s. Consul does not tell who",
			datacenter, d.GetPart(), d.GetEntry(), at, d.GetTime().AsTime().Format(time.RFC3339), shown(d.GetFound()), shown(d.GetWanted()), done), l.now()))
	}
	return l.quota.pass(o, datacenter, out, l.now())
}

// settings are the one setting that isthmus has in a datacenter's mesh entry, and the one in proxy-defaults, with what Consul takes for them.
func settings() map[[2]string][]string {
	return map[[2]string][]string{
		{"mesh/mesh", "Peering.PeerThroughMeshGateways"}: {"", "true", "false"},
		{"proxy-defaults/global", "MeshGateway.Mode"}:    {"", `"none"`, `"local"`, `"remote"`},
	}
}

// settingDrifts are those of an agent's drifts that are of such a setting, newest first. What no setting can be is not shown: it is something else
// of the agent's.
func settingDrifts(drifts []*isthmusv1.Drift) []*isthmusv1.Drift {
	all := settings()
	var out []*isthmusv1.Drift
	for _, d := range drifts {
		words, ok := all[[2]string{d.GetEntry(), d.GetPart()}]
		if !ok {
			continue
		}
		next := proto.CloneOf(d)
		for _, value := range []*string{&next.Found, &next.Wanted} {
			if !slices.Contains(words, *value) {
				*value = "…"
			}
		}
		out = append(out, next)
	}
	return out
}

// settingEvents tell the audit log of what somebody did to the one setting that isthmus has in a datacenter's mesh entry, and to the one in
// proxy-defaults, which are no policy's, and remember the last of it in the datacenter's next status.
func (l *leader) settingEvents(d *isthmusv1.Datacenter, next *isthmusv1.DatacenterStatus) []*isthmusv1.Event {
	seen, _ := l.Observations.Get(d.GetName(), observation.PartPolicy)
	drifts := settingDrifts(seen.Policy.GetDrifts())
	last := next.GetDrift()
	if len(drifts) == 0 || proto.Equal(last, drifts[0]) {
		return nil
	}
	next.Drift = drifts[0]
	return l.driftEvents(d, d.GetName(), seen, driftsSince(last, drifts))
}

// shown is a part of a config entry as the audit log has it.
func shown(value string) string {
	return cmp.Or(resource.Cut(value, maxShown), "nothing")
}

// readyEvents tell the audit log that a condition Ready is another. What is on its way is no news before it has arrived.
func (l *leader) readyEvents(o resource.Object, before, after []*isthmusv1.Condition) []*isthmusv1.Event {
	was, is := resource.FindCondition(before, resource.ConditionReady), resource.FindCondition(after, resource.ConditionReady)
	if is.GetReason() == resource.ReasonPending || was.GetReason() == is.GetReason() && was.GetStatus() == is.GetStatus() {
		return nil
	}
	field := func(name string) string { return resource.FieldOf("conditions", resource.ConditionReady, name) }
	moved := l.moved(o, fmt.Sprintf("%s → %s: %s", orNew(was.GetReason()), is.GetReason(), is.GetMessage()),
		field("status"), was.GetStatus(), is.GetStatus(), field("reason"), was.GetReason(), is.GetReason(), field("message"), was.GetMessage(), is.GetMessage())
	return l.quota.pass(o, "", []*isthmusv1.Event{moved}, l.now())
}
