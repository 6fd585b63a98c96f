package agent_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"isthmus/agent"
	"isthmus/agent/consul"
	"isthmus/fault"
)

// entry is the shared entry as a human and isthmus see it in turn. It models Consul: what is written is what is read.
type entry struct{ e consul.Entry }

func newEntry(kind string) *entry { return &entry{consul.Entry{Kind: kind, Body: map[string]any{}}} }

// copy is what a read gives.
func (x *entry) read(t rapid.TB) consul.Entry {
	text, err := json.Marshal(x.e.Body)
	if err != nil {
		t.Fatal(err)
	}
	out := x.e
	out.Body = map[string]any{}
	if err := json.Unmarshal(text, &out.Body); err != nil {
		t.Fatal(err)
	}
	return out
}

func (x *entry) write(next consul.Entry, write, remove bool) {
	switch {
	case remove:
		x.e = consul.Entry{Kind: x.e.Kind, Body: map[string]any{}}
	case write:
		x.e = next
		x.e.Index++
	}
}

// pairs are the exports in the entry.
func (x *entry) pairs(t *rapid.T) map[agent.Export]bool {
	out := map[agent.Export]bool{}
	services, _ := x.read(t).Body["Services"].([]any)
	for _, s := range services {
		fields := s.(map[string]any) //nolint:forcetypeassert // the test's own
		consumers := fields["Consumers"].([]any)
		if len(consumers) == 0 {
			t.Fatalf("a service without consumers, which Consul refuses: %v", fields)
		}
		for _, c := range consumers {
			peer, _ := c.(map[string]any)["Peer"].(string) //nolint:forcetypeassert // the test's own
			if peer == "" {
				continue
			}
			x := agent.Export{Namespace: "default", Service: fields["Name"].(string), Peer: peer}
			if out[x] {
				t.Fatalf("%v twice", x)
			}
			out[x] = true
		}
	}
	return out
}

func anyExport(t *rapid.T) agent.Export {
	return agent.Export{
		Namespace: "default",
		Service:   rapid.SampledFrom([]string{"web", "api", "db", "*"}).Draw(t, "service"),
		Peer:      rapid.SampledFrom([]string{"east", "west", "north"}).Draw(t, "peer"),
	}
}

// humanAdds and humanRemoves edit the entry as somebody with an editor would.
func (x *entry) humanAdds(t *rapid.T, e agent.Export) {
	body := x.read(t).Body
	services, _ := body["Services"].([]any)
	services = append(services, map[string]any{"Name": e.Service, "Consumers": []any{
		map[string]any{"Peer": e.Peer}, map[string]any{"Partition": "team"},
	}})
	body["Services"] = services
	x.e.Body = body
	x.e.Index++
}

func (x *entry) humanRemoves(t *rapid.T, e agent.Export) {
	body := x.read(t).Body
	services, _ := body["Services"].([]any)
	var kept []any
	for _, s := range services {
		fields := s.(map[string]any) //nolint:forcetypeassert // the test's own
		var consumers []any
		for _, c := range fields["Consumers"].([]any) { //nolint:forcetypeassert // the test's own
			if fields["Name"] != e.Service || c.(map[string]any)["Peer"] != e.Peer { //nolint:forcetypeassert // the test's own
				consumers = append(consumers, c)
			}
		}
		if len(consumers) > 0 {
			fields["Consumers"] = consumers
			kept = append(kept, fields)
		}
	}
	if len(kept) == 0 {
		x.e = consul.Entry{Kind: x.e.Kind, Body: map[string]any{}}
		return
	}
	body["Services"] = kept
	x.e.Body = body
	x.e.Index++
}

// Whatever a human does to the entry meanwhile, isthmus's exports are there, and nothing of the human's ever goes.
func TestExportsMergeNeverTakesWhatIsNotOurs(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		x := newEntry("exported-services")
		human := map[agent.Export]bool{}
		want := map[agent.Export]bool{}
		merge := func(correct bool) {
			next, write, remove, err := agent.MergeExports(x.read(t), want, correct)
			if err != nil {
				t.Fatal(err)
			}
			x.write(next, write, remove)
			if _, write, remove, err = agent.MergeExports(x.read(t), want, correct); err != nil || write || remove && x.e.Index > 0 {
				t.Fatalf("a second merge is not idle: write %v, remove %v, %v", write, remove, err)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"human adds": func(t *rapid.T) {
				e := anyExport(t)
				// Who takes one of ours out and puts it back before isthmus looks has changed nothing.
				if !x.pairs(t)[e] && !agent.ReadOwnership(x.e.Meta())[e] {
					human[e] = true
					x.humanAdds(t, e)
				}
			},
			"human removes own": func(t *rapid.T) {
				e := anyExport(t)
				if human[e] {
					delete(human, e)
					x.humanRemoves(t, e)
				}
			},
			"human removes ours": func(t *rapid.T) {
				if e := anyExport(t); !human[e] {
					x.humanRemoves(t, e)
				}
			},
			"isthmus wants": func(t *rapid.T) {
				want = map[agent.Export]bool{}
				for range rapid.IntRange(0, 5).Draw(t, "exports") {
					want[anyExport(t)] = true
				}
				merge(true)
			},
			"isthmus looks": func(*rapid.T) { merge(true) },
			"": func(t *rapid.T) {
				have := x.pairs(t)
				for e := range human {
					if !have[e] {
						t.Fatalf("the human's %v is gone", e)
					}
				}
				owned := agent.ReadOwnership(x.e.Meta())
				for e := range owned {
					if human[e] {
						t.Fatalf("isthmus takes the human's %v for its own", e)
					}
				}
			},
		})
		merge(true)
		all := maps.Clone(human)
		maps.Copy(all, want)
		if diff := cmp.Diff(all, x.pairs(t)); diff != "" {
			t.Fatalf("exports (-want +got):\n%s", diff)
		}
		want = map[agent.Export]bool{}
		merge(true)
		if diff := cmp.Diff(human, x.pairs(t)); diff != "" {
			t.Fatalf("without isthmus (-want +got):\n%s", diff)
		}
	})
}

func TestExportsDriftIsReportedWhenAsked(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		x := newEntry("exported-services")
		e := agent.Export{Namespace: "default", Service: "web", Peer: "west"}
		want := map[agent.Export]bool{e: true}
		for range 2 {
			next, write, remove, err := agent.MergeExports(x.read(t), want, false)
			if err != nil || remove {
				t.Fatalf("merge: %v", err)
			}
			x.write(next, write, remove)
		}
		x.humanAdds(t, agent.Export{Namespace: "default", Service: "api", Peer: "west"})
		x.humanRemoves(t, e)
		next, write, remove, err := agent.MergeExports(x.read(t), want, false)
		if err != nil || write || remove {
			t.Fatalf("drift was corrected: %v, %v, %v", next.Body, write, err)
		}
		next, write, remove, err = agent.MergeExports(x.read(t), want, true)
		if err != nil {
			t.Fatal(err)
		}
		x.write(next, write, remove)
		if !x.pairs(t)[e] {
			t.Fatal("drift was not corrected")
		}
	})
}

func TestOwnershipFitsIntoMetaAndComesBack(t *testing.T) {
	t.Parallel()
	for _, size := range []struct{ services, peers int }{{0, 0}, {1, 1}, {3, 2}, {50, 99}, {200, 500}} {
		owned := map[agent.Export]bool{}
		for s := range size.services {
			for p := range size.peers {
				namespace := "default"
				if s%7 == 3 {
					namespace = "team"
				}
				owned[agent.Export{Namespace: namespace, Service: fmt.Sprintf("service-%d", s), Peer: fmt.Sprintf("datacenter-%d", p)}] = true
			}
		}
		meta := map[string]string{"owner": "human", "isthmus-exports-03": "stale"}
		if err := agent.WriteOwnership(meta, owned); err != nil {
			t.Fatal(err)
		}
		for k, v := range meta {
			if len(v) > 512 || len(meta) > 64 {
				t.Fatalf("%d values, %s has %d bytes", len(meta), k, len(v))
			}
		}
		if meta["owner"] != "human" {
			t.Fatal("the human's meta is gone")
		}
		if diff := cmp.Diff(owned, agent.ReadOwnership(meta)); diff != "" {
			t.Fatalf("%d×%d (-want +got):\n%s", size.services, size.peers, diff)
		}
	}
	different := map[agent.Export]bool{}
	for i := range 100_000 {
		different[agent.Export{Namespace: "default", Service: fmt.Sprintf("%x", i*2654435761), Peer: fmt.Sprintf("%x", i*40503)}] = true
	}
	if err := agent.WriteOwnership(map[string]string{}, different); fault.CodeOf(err) != fault.Refused {
		t.Fatalf("more than fits: %v", err)
	}
}

// A little that somebody wrote into Meta cannot stand for more than the agent has time and memory for: it owns nothing.
func TestOwnershipIsBounded(t *testing.T) {
	t.Parallel()
	many := strings.TrimSuffix(strings.Repeat(`"a",`, 100_000), ",")
	for name, text := range map[string]string{
		"services times peers": `[{"s":[` + many + `],"p":[` + many + `]}]`,
		"many groups":          `[` + strings.TrimSuffix(strings.Repeat(`{"s":[`+many[:3999]+`],"p":[`+many[:3999]+`]},`, 3), ",") + `]`,
	} {
		if owned := agent.ReadOwnership(map[string]string{"isthmus-exports": text}); len(owned) != 0 {
			t.Errorf("%s: %d exports", name, len(owned))
		}
	}
}

// Meta may hold anything: a human can write there.
func FuzzReadOwnership(f *testing.F) {
	f.Add(`[{"s":["web"],"p":["west"]}]`, "")
	f.Add("z:q1Yqzs8rSc0rUbJSMtQBAA", "x")
	f.Add("z:", "")
	f.Fuzz(func(t *testing.T, first, second string) {
		owned := agent.ReadOwnership(map[string]string{"isthmus-exports": first, "isthmus-exports-01": second})
		meta := map[string]string{}
		if err := agent.WriteOwnership(meta, owned); err != nil {
			return
		}
		for e := range agent.ReadOwnership(meta) {
			if !owned[e] && e.Peer != "" {
				t.Fatalf("%v came from nowhere", e)
			}
		}
	})
}

func TestMeshMerge(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	human := func(through any) *entry {
		x := newEntry("mesh")
		x.e.Index = 7
		x.e.Body = map[string]any{"TransparentProxy": map[string]any{"MeshDestinationsOnly": true}}
		if through != nil {
			x.e.Body["Peering"] = map[string]any{"PeerThroughMeshGateways": through}
		}
		return x
	}
	for _, tt := range []struct {
		name   string
		x      *entry
		want   *bool
		refuse bool
		// after is the switch with isthmus, gone without.
		after, gone any
	}{
		{name: "nobody says anything", x: newEntry("mesh"), after: nil, gone: nil},
		{name: "isthmus alone", x: newEntry("mesh"), want: &yes, after: true, gone: nil},
		{name: "beside a human's entry", x: human(nil), want: &yes, after: true, gone: nil},
		{name: "a human said no", x: human(false), want: &yes, after: true, gone: false},
		{name: "a human wants the same", x: human(true), want: &yes, after: true, gone: true},
		{name: "a human wants the opposite", x: human(true), want: &no, refuse: true, after: true, gone: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				x := &entry{tt.x.read(t)}
				step := func(want *bool) error {
					next, write, remove, err := agent.MergeMesh(x.read(t), want, true)
					if err == nil {
						x.write(next, write, remove)
					}
					return err
				}
				through := func() any {
					p, _ := x.e.Body["Peering"].(map[string]any)
					return p["PeerThroughMeshGateways"]
				}
				if err := step(tt.want); (err != nil) != tt.refuse {
					t.Fatalf("merge: %v", err)
				}
				if through() != tt.after {
					t.Fatalf("with isthmus: %v, want %v", through(), tt.after)
				}
				if err := step(nil); err != nil {
					t.Fatal(err)
				}
				if through() != tt.gone {
					t.Fatalf("without isthmus: %v, want %v", through(), tt.gone)
				}
				if tt.x.e.Index > 0 && x.e.Body["TransparentProxy"] == nil || tt.x.e.Index == 0 && x.e.Index != 0 {
					t.Fatalf("left: %+v", x.e)
				}
			})
		})
	}
}

// What else the mesh entry says of peerings is not isthmus's, and stays when its switch goes.
func TestMeshMergeTakesBackItsSwitchAlone(t *testing.T) {
	t.Parallel()
	x := newEntry("mesh")
	x.e.Index = 7
	x.e.Body = map[string]any{"TransparentProxy": map[string]any{"MeshDestinationsOnly": true}}
	yes := true
	for _, want := range []*bool{&yes, nil} {
		next, write, remove, err := agent.MergeMesh(x.read(t), want, true)
		need(t, err)
		x.write(next, write, remove)
		if want != nil {
			peering, _ := x.e.Body["Peering"].(map[string]any)
			peering["SomethingNew"] = "a human's"
		}
	}
	if diff := cmp.Diff(map[string]any{"SomethingNew": "a human's"}, x.e.Body["Peering"]); diff != "" {
		t.Fatalf("of peerings (-want +got):\n%s", diff)
	}
}

// Entries that consul-k8s manages are not fought over.
func TestKubernetesKeepsTheSharedEntries(t *testing.T) {
	t.Parallel()
	const managed = `"Meta":{"external-source":"kubernetes"}`
	yes := true
	mesh := stored(t, "mesh", "mesh", `{`+managed+`}`)
	if _, write, remove, err := agent.MergeMesh(mesh, &yes, true); fault.CodeOf(err) != fault.Refused || write || remove {
		t.Errorf("mesh: %v", err)
	}
	if _, write, remove, err := agent.MergeMesh(mesh, nil, true); err != nil || write || remove {
		t.Errorf("mesh, nothing wanted: %v", err)
	}
	satisfied := stored(t, "mesh", "mesh", `{"Peering":{"PeerThroughMeshGateways":true},`+managed+`}`)
	if _, write, _, err := agent.MergeMesh(satisfied, &yes, true); err != nil || write {
		t.Errorf("mesh, as it is: %v", err)
	}
	web := map[agent.Export]bool{{Namespace: "default", Service: "web", Peer: "west"}: true}
	exported := stored(t, "exported-services", "default", `{"Services":[{"Name":"api","Consumers":[{"Peer":"west"}]}],`+managed+`}`)
	if _, write, remove, err := agent.MergeExports(exported, web, true); err != nil || write || remove {
		t.Errorf("exports: %v %v", write, err)
	}
}
