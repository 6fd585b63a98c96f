package agent

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"isthmus/agent/consul"
	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

const (
	// maxFound bounds what is told of one part, in bytes of JSON.
	maxFound = 4 << 10
	// maxParts bounds the parts that are told of one entry.
	maxParts = 50
	// maxReported bounds what is told of everybody's entries, in bytes of JSON.
	maxReported = 2 << 20
	// censusCalm is the least time between two of them.
	censusCalm = time.Second
)

// shown is JSON for a report; empty for nothing.
func shown(value any) string {
	if value == nil {
		return ""
	}
	text := encode(resource.Masked(value))
	if len(text) > maxFound {
		return encode("… " + encode(len(text)) + " bytes of JSON")
	}
	return text
}

// observeEntry is what a report says of one entry; nil when there is nothing to tell: what nobody wants is gone.
func observeEntry(j *job) *isthmusv1.ObservedEntry {
	o := &isthmusv1.ObservedEntry{
		Kind: j.wish.kind, Name: j.wish.name, Namespace: cmp.Or(j.wish.namespace, defaultNamespace), WantedDigest: j.wish.digest, State: resource.PolicyApplied,
	}
	if j.err != nil {
		reason, message, fix := refusalOf(j.err)
		o.State, o.Reason, o.Message = resource.PolicyFailed, reason, message
		here := partsIn(j.wish.kind, j.entry.Body)
		for _, p := range j.wish.parts {
			if found := here[p.key]; len(o.GetParts()) < maxParts && (found == nil || !same(p.key, p.value, found)) {
				o.Parts = append(o.Parts, &isthmusv1.ObservedPart{Key: p.key, State: o.GetState(), Reason: reason, Message: message, Found: shown(found), Fix: fix})
			}
		}
		return o
	}
	if j.wish.digest == "" && len(j.merge.states) == 0 {
		return nil
	}
	for _, s := range j.merge.states {
		if s.state == resource.PolicyApplied {
			continue
		}
		if worse(s.state, o.GetState()) {
			o.State, o.Reason, o.Message = s.state, s.reason, s.message
		}
		if len(o.GetParts()) < maxParts {
			o.Parts = append(o.Parts, &isthmusv1.ObservedPart{
				Key: s.key, State: s.state, Reason: s.reason, Message: s.message, Found: shown(s.found), Fix: s.fix,
			})
		}
	}
	return o
}

// worse tells which of two states an entry has.
func worse(a, b string) bool {
	order := []string{resource.PolicyApplied, resource.PolicyManaged, resource.PolicyDrifted, resource.PolicyConflict, resource.PolicyFailed}
	return slices.Index(order, a) > slices.Index(order, b)
}

// census tells of everybody's entries, made anew only when one changed.
type census struct {
	shelf *shelf
	now   func() time.Time

	mu      sync.Mutex
	version uint64
	last    *isthmusv1.EntriesReport
	taken   time.Time
}

// take is what Consul's config entries say about who may call whom, and where calls go.
func (c *census) take(ctx context.Context) *isthmusv1.EntriesReport {
	c.mu.Lock()
	defer c.mu.Unlock()
	calm := c.now().Sub(c.taken) < censusCalm // it may be large, and entries may change all the time
	if c.last != nil && c.last.GetErrorReason() == "" && (calm || c.version == c.shelf.now()) {
		return c.last
	}
	c.taken = c.now()
	version := c.shelf.now()
	report := &isthmusv1.EntriesReport{}
	size := 0
	for _, kind := range reportedKinds() {
		list, err := c.shelf.list(ctx, kind)
		if err == nil && list.Filtered {
			err = because(fault.Denied, string(consul.RuleMissing),
				"reading config entries %s: the Consul token may not see all of them (isthmus agent policy says which rules it needs)", kind)
		}
		if err != nil && report.GetErrorReason() == "" {
			report.ErrorReason, report.Error = reasonOf(err), messageOf(err)
		}
		for _, e := range list.Entries {
			said := reduced(e)
			if said == nil {
				continue
			}
			one := &isthmusv1.ReportedEntry{Kind: kind, Name: e.Name, Namespace: cmp.Or(e.Namespace, defaultNamespace), Json: encode(said)}
			if size += len(one.GetJson()) + len(one.GetName()); size > maxReported {
				report.Truncated = true
				break
			}
			report.Entries = append(report.Entries, one)
		}
	}
	slices.SortFunc(report.Entries, func(a, b *isthmusv1.ReportedEntry) int {
		return cmp.Or(cmp.Compare(a.GetKind(), b.GetKind()), cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
	})
	c.version, c.last = version, report
	return report
}

// reportedKinds are in the order of what counts most, should there be more than fits.
func reportedKinds() []string {
	return []string{
		consul.KindMesh, consul.KindProxyDefaults, consul.KindIntentions, consul.KindResolver, consul.KindSplitter, consul.KindRouter,
		consul.KindExportedServices, consul.KindServiceDefaults,
	}
}

// reduced is what is told of an entry; nil: nothing. What defaults say beside the protocol and the gateway mode is nobody's business, and may be
// secret.
func reduced(e consul.Entry) map[string]any {
	switch e.Kind {
	case consul.KindServiceDefaults, consul.KindProxyDefaults:
	default:
		body, _ := resource.Masked(e.Body).(map[string]any)
		return body
	}
	out := map[string]any{}
	if protocol := text(e.Body["Protocol"]); e.Kind == consul.KindServiceDefaults {
		out["Protocol"] = protocol // an entry without one counts as tcp, whatever proxy-defaults says
	}
	config, _ := e.Body["Config"].(map[string]any)
	if protocol := text(config["protocol"]); e.Kind == consul.KindProxyDefaults && protocol != "" {
		out["Config"] = map[string]any{"protocol": protocol}
	}
	if mode := gatewayMode(e.Body); mode != "" {
		out[fieldMeshGateway] = map[string]any{fieldMode: mode}
	}
	if len(out) == 0 {
		return nil
	}
	out["Kind"], out["Name"] = e.Kind, e.Name
	return out
}

// cloneJSON copies a decoded JSON value.
func cloneJSON(value any) any {
	switch v := value.(type) {
	case map[string]any:
		out := maps.Clone(v)
		for field, inner := range out {
			out[field] = cloneJSON(inner)
		}
		return out
	case []any:
		out := slices.Clone(v)
		for i, inner := range out {
			out[i] = cloneJSON(inner)
		}
		return out
	}
	return value
}
