package agent_test

import (
	"net/http"
	"testing"

	"isthmus/agent"
	"isthmus/agent/consul"
	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/test/consultest"
)

// defaults is a proxy-defaults entry with a mode, a setting of somebody else's, and meta data.
func defaults(index uint64, mode string, meta map[string]any) consul.Entry {
	body := map[string]any{"Config": map[string]any{"protocol": "http"}}
	if mode != "" {
		body["MeshGateway"] = map[string]any{"Mode": mode}
	}
	if meta != nil {
		body["Meta"] = meta
	}
	return consul.Entry{Kind: consul.KindProxyDefaults, Name: consul.NameProxyDefaults, Index: index, Body: body}
}

func modeOf(e consul.Entry) string {
	fields, _ := e.Body["MeshGateway"].(map[string]any)
	mode, _ := fields["Mode"].(string)
	return mode
}

func TestMergeProxyDefaults(t *testing.T) {
	t.Parallel()
	ours := func(mode, before string) map[string]any {
		return map[string]any{"isthmus-mesh-gateway-mode": mode, "isthmus-mesh-gateway-mode-before": before, "owner": "ann"}
	}
	for name, test := range map[string]struct {
		entry   consul.Entry
		want    string
		report  bool // drift is only reported
		mode    string
		write   bool
		refused bool
	}{
		"nobody wants anything":                 {entry: defaults(5, "", nil)},
		"a human's mode, nothing wanted":        {entry: defaults(5, "remote", nil), mode: "remote"},
		"set":                                   {entry: defaults(5, "", nil), want: "local", mode: "local", write: true},
		"a human wants the same":                {entry: defaults(5, "local", nil), want: "local", mode: "local"},
		"a human wants another":                 {entry: defaults(5, "remote", nil), want: "local", refused: true},
		"a human wants none":                    {entry: defaults(5, "none", nil), want: "local", refused: true},
		"as it was set":                         {entry: defaults(5, "local", ours("local", "")), want: "local", mode: "local"},
		"wanted otherwise now":                  {entry: defaults(5, "local", ours("local", "")), want: "remote", mode: "remote", write: true},
		"somebody changed it":                   {entry: defaults(5, "remote", ours("local", "")), want: "local", mode: "local", write: true},
		"somebody took it out":                  {entry: defaults(5, "", ours("local", "")), want: "local", mode: "local", write: true},
		"somebody changed it, and it is drift":  {entry: defaults(5, "remote", ours("local", "")), want: "local", report: true, refused: true},
		"somebody changed it to what is wanted": {entry: defaults(5, "remote", ours("local", "")), want: "remote", report: true, mode: "remote", write: true},
		"put back to nothing":                   {entry: defaults(5, "local", ours("local", "")), write: true},
		"put back to what was there before":     {entry: defaults(5, "local", ours("local", "remote")), mode: "remote", write: true},
		"somebody else's by then: it is left":   {entry: defaults(5, "none", ours("local", "remote")), mode: "none", write: true},
	} {
		next, write, remove, err := agent.MergeProxyDefaults(test.entry, test.want, !test.report)
		if test.refused {
			if fault.CodeOf(err) != fault.Refused || write || remove {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || remove || write != test.write || modeOf(next) != test.mode {
			t.Errorf("%s: mode %q, write %v, remove %v, %v", name, modeOf(next), write, remove, err)
		}
		if fields, _ := next.Body["Config"].(map[string]any); fields["protocol"] != "http" {
			t.Errorf("%s: somebody else's settings are gone", name)
		}
		if meta := next.Meta(); test.want == "" && (meta["isthmus-mesh-gateway-mode"] != "" || test.entry.Meta()["owner"] != meta["owner"]) {
			t.Errorf("%s: meta data %v", name, meta)
		}
		if again, write, _, err := agent.MergeProxyDefaults(next, test.want, true); write || err != nil || modeOf(again) != test.mode {
			t.Errorf("%s: a second merge writes again: %v", name, err)
		}
	}
}

func TestProxyDefaultsInARealConsul(t *testing.T) {
	t.Parallel()
	c := consultest.Start(t, "dc1")
	p := asDocumented(t, c)
	state := func(mode string) *isthmusv1.DesiredState {
		s := &isthmusv1.DesiredState{Datacenter: "dc1", ConsulDatacenter: "dc1", Drift: "correct"}
		if mode != "" {
			s.Items = []*isthmusv1.DesiredItem{{Id: "proxy-defaults", Type: "proxy-defaults", ProxyDefaults: &isthmusv1.ProxyDefaults{MeshGatewayMode: mode}}}
		}
		return s
	}
	type entry struct {
		MeshGateway struct{ Mode string }
		Config      map[string]any
		Meta        map[string]string
	}
	list := func() (all []entry) {
		c.Do(http.MethodGet, "/v1/config/proxy-defaults", nil, &all)
		return all
	}
	// Its own entry comes and goes.
	need(t, p.agent.ProxyDefaults(t.Context(), state("local")))
	if got := list(); len(got) != 1 || got[0].MeshGateway.Mode != "local" {
		t.Fatalf("set: %v", got)
	}
	need(t, p.agent.ProxyDefaults(t.Context(), state("remote")))
	if got := list(); got[0].MeshGateway.Mode != "remote" {
		t.Fatalf("changed: %v", got)
	}
	need(t, p.agent.ProxyDefaults(t.Context(), state("")))
	if got := list(); len(got) != 0 {
		t.Fatalf("the entry that isthmus made is left: %v", got)
	}
	// A human's settings stay.
	human := map[string]any{"Kind": "proxy-defaults", "Name": "global", "Config": map[string]any{"protocol": "http"}}
	c.Do(http.MethodPut, "/v1/config", human, nil)
	need(t, p.agent.ProxyDefaults(t.Context(), state("local")))
	if got := list(); got[0].MeshGateway.Mode != "local" || got[0].Config["protocol"] != "http" {
		t.Fatalf("merged: %v", got)
	}
	need(t, p.agent.ProxyDefaults(t.Context(), state("")))
	if got := list(); len(got) != 1 || got[0].MeshGateway.Mode != "" || got[0].Config["protocol"] != "http" || len(got[0].Meta) != 0 {
		t.Fatalf("put back: %v", got)
	}
	human["MeshGateway"] = map[string]any{"Mode": "remote"}
	c.Do(http.MethodPut, "/v1/config", human, nil)
	if err := p.agent.ProxyDefaults(t.Context(), state("local")); fault.CodeOf(err) != fault.Refused {
		t.Fatalf("a human's other mode: %v", err)
	}
}
