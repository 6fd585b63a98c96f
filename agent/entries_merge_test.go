package agent_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"isthmus/agent"
	"isthmus/agent/consul"
	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// stored is an entry as Consul would read it back; empty text: there is none.
func stored(t *testing.T, kind, name, text string) consul.Entry {
	t.Helper()
	e := consul.Entry{Kind: kind, Name: name, Body: map[string]any{}}
	if text == "" {
		return e
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	need(t, decoder.Decode(&e.Body))
	e.Index = 7
	return e
}

// said is an entry's body without isthmus's marks, as JSON.
func said(t *testing.T, e consul.Entry) string {
	t.Helper()
	body := maps.Clone(e.Body)
	meta := map[string]any{}
	for key, value := range e.Meta() {
		if !strings.HasPrefix(key, "isthmus-") {
			meta[key] = value
		}
	}
	delete(body, "Meta")
	if len(meta) > 0 {
		body["Meta"] = meta
	}
	text, err := json.Marshal(body)
	need(t, err)
	return string(text)
}

// What a merge makes of an entry that isthmus sees for the first time.
func TestMergeOfForeignEntries(t *testing.T) {
	t.Parallel()
	const byBob = `"Meta":{"owner":"bob"}`
	for _, tt := range []struct {
		name, kind, before string
		adopt              bool
		want               []string
		// after is the entry with isthmus, gone without it (empty: it is not there).
		after, gone string
		states      map[string]string
	}{
		{
			name: "nothing is there", kind: "service-intentions", want: []string{"source/default/web", allowWeb},
			after: `{"Sources":[{"Action":"allow","Name":"web"}]}`, states: map[string]string{"source/default/web": "applied"},
		},
		{
			name: "beside a human's sources", kind: "service-intentions", before: `{"Sources":[{"Name":"a","Action":"deny","Precedence":9,"Type":"consul"}],` + byBob + `}`,
			want:   []string{"source/default/web", allowWeb},
			after:  `{` + byBob + `,"Sources":[{"Action":"deny","Name":"a","Precedence":9,"Type":"consul"},{"Action":"allow","Name":"web"}]}`,
			gone:   `{` + byBob + `,"Sources":[{"Action":"deny","Name":"a","Precedence":9,"Type":"consul"}]}`,
			states: map[string]string{"source/default/web": "applied"},
		},
		{
			name: "a human wrote the same, and described it", kind: "service-intentions",
			before: `{"Sources":[{"Name":"web","Action":"allow","Description":"mine","Precedence":9,"Type":"consul"}]}`, want: []string{"source/default/web", allowWeb},
			after:  `{"Sources":[{"Action":"allow","Description":"mine","Name":"web","Precedence":9,"Type":"consul"}]}`,
			gone:   `{"Sources":[{"Action":"allow","Description":"mine","Name":"web","Precedence":9,"Type":"consul"}]}`,
			states: map[string]string{"source/default/web": "applied"},
		},
		{
			name: "a human wrote the same, and isthmus adopts it", kind: "service-intentions", adopt: true,
			before: `{"Sources":[{"Name":"web","Action":"allow","Precedence":9,"Type":"consul"},{"Name":"*","Action":"deny","Precedence":8,"Type":"consul"}]}`,
			want:   []string{"source/default/web", allowWeb},
			after:  `{"Sources":[{"Action":"allow","Name":"web","Precedence":9,"Type":"consul"},{"Action":"deny","Name":"*","Precedence":8,"Type":"consul"}]}`,
			gone:   `{"Sources":[{"Action":"deny","Name":"*","Precedence":8,"Type":"consul"}]}`,
			states: map[string]string{"source/default/web": "applied"},
		},
		{
			name: "a human wrote something else, which nobody adopts", kind: "service-intentions", adopt: true,
			before: `{"Sources":[{"Name":"web","Action":"deny"}]}`, want: []string{"source/default/web", allowWeb, "source/default/web@west", `{"Name":"web","Peer":"west","Action":"allow"}`},
			after:  `{"Sources":[{"Action":"deny","Name":"web"},{"Action":"allow","Name":"web","Peer":"west"}]}`,
			gone:   `{"Sources":[{"Action":"deny","Name":"web"}]}`,
			states: map[string]string{"source/default/web": "conflict", "source/default/web@west": "applied"},
		},
		{
			name: "a sameness group is no service", kind: "service-intentions", before: `{"Sources":[{"Name":"web","SamenessGroup":"g","Action":"deny"}]}`,
			want:   []string{"source/default/web", allowWeb},
			after:  `{"Sources":[{"Action":"deny","Name":"web","SamenessGroup":"g"},{"Action":"allow","Name":"web"}]}`,
			gone:   `{"Sources":[{"Action":"deny","Name":"web","SamenessGroup":"g"}]}`,
			states: map[string]string{"source/default/web": "applied"},
		},
		{
			name: "permissions are no action", kind: "service-intentions", before: `{"Sources":[{"Name":"web","Permissions":[{"Action":"allow","HTTP":{"PathPrefix":"/"}}]}]}`,
			want:   []string{"source/default/web", allowWeb},
			after:  `{"Sources":[{"Name":"web","Permissions":[{"Action":"allow","HTTP":{"PathPrefix":"/"}}]}]}`,
			gone:   `{"Sources":[{"Name":"web","Permissions":[{"Action":"allow","HTTP":{"PathPrefix":"/"}}]}]}`,
			states: map[string]string{"source/default/web": "conflict"},
		},
		{
			name: "an entry that Kubernetes manages", kind: "service-intentions", before: `{"Sources":[{"Name":"a","Action":"deny"}],"Meta":{"external-source":"kubernetes"}}`,
			want:   []string{"source/default/a", `{"Name":"a","Action":"deny"}`, "source/default/web", allowWeb},
			after:  `{"Meta":{"external-source":"kubernetes"},"Sources":[{"Action":"deny","Name":"a"}]}`,
			gone:   `{"Meta":{"external-source":"kubernetes"},"Sources":[{"Action":"deny","Name":"a"}]}`,
			states: map[string]string{"source/default/a": "applied", "source/default/web": "managed"},
		},
		{
			name: "a failover beside subsets and theirs", kind: "service-resolver",
			before: `{"ConnectTimeout":"5s","Subsets":{"v2":{"Filter":"x"}},"Failover":{"v2":{"Datacenters":["dc9"]}}}`, want: []string{"failover/*", failover23},
			after:  `{"ConnectTimeout":"5s","Failover":{"*":` + failover23 + `,"v2":{"Datacenters":["dc9"]}},"Subsets":{"v2":{"Filter":"x"}}}`,
			gone:   `{"ConnectTimeout":"5s","Failover":{"v2":{"Datacenters":["dc9"]}},"Subsets":{"v2":{"Filter":"x"}}}`,
			states: map[string]string{"failover/*": "applied"},
		},
		{
			name: "a failover where a human redirects", kind: "service-resolver", before: `{"Redirect":{"Datacenter":"dc2"}}`, want: []string{"failover/*", failover23},
			after: `{"Redirect":{"Datacenter":"dc2"}}`, gone: `{"Redirect":{"Datacenter":"dc2"}}`, states: map[string]string{"failover/*": "conflict"},
		},
		{
			name: "a redirect where a human fails over", kind: "service-resolver", before: `{"Failover":{"*":{"Datacenters":["dc9"]}}}`, want: []string{"redirect", `{"Datacenter":"dc2"}`},
			after: `{"Failover":{"*":{"Datacenters":["dc9"]}}}`, gone: `{"Failover":{"*":{"Datacenters":["dc9"]}}}`, states: map[string]string{"redirect": "conflict"},
		},
		{
			name: "routes where a human had none", kind: "service-router", before: `{"Routes":null,` + byBob + `}`, want: []string{"routes", `[{"Destination":{"Service":"b","RequestTimeout":"90s"}}]`},
			after: `{` + byBob + `,"Routes":[{"Destination":{"RequestTimeout":"90s","Service":"b"}}]}`, gone: `{` + byBob + `,"Routes":null}`, states: map[string]string{"routes": "applied"},
		},
		{
			name: "routes where a human had an empty list", kind: "service-router", before: `{"Routes":[]}`, want: []string{"routes", `[{"Destination":{"Service":"b"}}]`},
			after: `{"Routes":[{"Destination":{"Service":"b"}}]}`, gone: `{"Routes":[]}`, states: map[string]string{"routes": "applied"},
		},
		{
			name: "durations and methods are read back in Consul's form", kind: "service-router",
			before: `{"Routes":[{"Match":{"HTTP":{"Methods":["GET"]}},"Destination":{"Service":"b","RequestTimeout":"1m30s"}}]}`,
			want:   []string{"routes", `[{"Match":{"HTTP":{"Methods":["get"]}},"Destination":{"Service":"b","RequestTimeout":"90s","NumRetries":0}}]`},
			after:  `{"Routes":[{"Destination":{"RequestTimeout":"1m30s","Service":"b"},"Match":{"HTTP":{"Methods":["GET"]}}}]}`,
			gone:   `{"Routes":[{"Destination":{"RequestTimeout":"1m30s","Service":"b"},"Match":{"HTTP":{"Methods":["GET"]}}}]}`,
			states: map[string]string{"routes": "applied"},
		},
		{
			name: "splits are a human's as a whole", kind: "service-splitter", before: `{"Splits":[{"Weight":100}]}`, want: []string{"splits", `[{"Weight":50},{"Weight":50,"Service":"b"}]`},
			after: `{"Splits":[{"Weight":100}]}`, gone: `{"Splits":[{"Weight":100}]}`, states: map[string]string{"splits": "conflict"},
		},
		{
			name: "a protocol beside other defaults", kind: "service-defaults", before: `{"Protocol":"","MaxInboundConnections":12345678901234567890,"MeshGateway":{}}`, want: []string{"protocol", `"http"`},
			after: `{"MaxInboundConnections":12345678901234567890,"MeshGateway":{},"Protocol":"http"}`,
			gone:  `{"MaxInboundConnections":12345678901234567890,"MeshGateway":{},"Protocol":""}`, states: map[string]string{"protocol": "applied"},
		},
		{
			name: "another protocol", kind: "service-defaults", before: `{"Protocol":"grpc"}`, want: []string{"protocol", `"http"`},
			after: `{"Protocol":"grpc"}`, gone: `{"Protocol":"grpc"}`, states: map[string]string{"protocol": "conflict"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			want := wanting(tt.kind, "api", tt.want...)
			for _, p := range want.GetParts() {
				p.Adopt = tt.adopt
			}
			e := stored(t, tt.kind, "api", tt.before)
			var written map[string]any
			step := func(want *isthmusv1.ConfigEntry) agent.Merged {
				t.Helper()
				m, err := agent.MergeParts(e, want, written, true)
				need(t, err)
				if len(m.Drifts) > 0 {
					t.Errorf("drift without anybody: %v", m.Drifts)
				}
				switch written = m.Written; {
				case m.Remove:
					e = stored(t, tt.kind, "api", "")
				case m.Write:
					e = m.Entry
					e.Index++
				}
				return m
			}
			if diff := cmp.Diff(tt.states, step(want).States); diff != "" {
				t.Errorf("states (-want +got):\n%s", diff)
			}
			if got := said(t, e); got != tt.after {
				t.Errorf("with isthmus:\n%s, want\n%s", got, tt.after)
			}
			if m := step(want); m.Write || m.Remove {
				t.Error("a second merge is not idle")
			}
			m := step(wanting(tt.kind, "api"))
			gone := said(t, e)
			if e.Index == 0 {
				gone = ""
			}
			if gone != tt.gone {
				t.Errorf("without isthmus:\n%s, want\n%s", gone, tt.gone)
			}
			for key := range m.Entry.Meta() {
				if strings.HasPrefix(key, "isthmus-") && e.Index > 0 && !m.Remove && m.Write {
					t.Errorf("a mark is left: %s", key)
				}
			}
		})
	}
}

// What a merge makes of what somebody did to isthmus's part since.
func TestMergeOfChangedParts(t *testing.T) {
	t.Parallel()
	const key = "source/default/web"
	allow, deny := wanting("service-intentions", "api", key, allowWeb), wanting("service-intentions", "api", key, denyWeb)
	none := wanting("service-intentions", "api")
	marks := func(e consul.Entry) map[string]any { return map[string]any{"Meta": e.Body["Meta"]} }
	for _, tt := range []struct {
		name string
		// change is what somebody does to the entry that isthmus wrote; nil: deletes it.
		change func(e consul.Entry) map[string]any
		then   *isthmusv1.ConfigEntry
		report bool
		state  string
		after  string
		// found is what drift tells; "-": there is none.
		found string
	}{
		{"nothing", func(e consul.Entry) map[string]any { return e.Body }, allow, false, "applied", `{"Sources":[{"Action":"allow","Name":"web"}]}`, "-"},
		{"isthmus wants something else", func(e consul.Entry) map[string]any { return e.Body }, deny, false, "applied", `{"Sources":[{"Action":"deny","Name":"web"}]}`, "-"},
		{"changed", func(e consul.Entry) map[string]any {
			b := marks(e)
			b["Sources"] = []any{map[string]any{"Name": "web", "Action": "deny"}}
			return b
		}, allow, false, "applied", `{"Sources":[{"Action":"allow","Name":"web"}]}`, denyWeb},
		{"changed, and only reported", func(e consul.Entry) map[string]any {
			b := marks(e)
			b["Sources"] = []any{map[string]any{"Name": "web", "Action": "deny"}}
			return b
		}, allow, true, "drifted", `{"Sources":[{"Action":"deny","Name":"web"}]}`, denyWeb},
		{"changed to what isthmus wants now", func(e consul.Entry) map[string]any {
			b := marks(e)
			b["Sources"] = []any{map[string]any{"Name": "web", "Action": "deny"}}
			return b
		}, deny, false, "applied", `{"Sources":[{"Action":"deny","Name":"web"}]}`, "-"},
		{"described", func(e consul.Entry) map[string]any {
			b := marks(e)
			b["Sources"] = []any{map[string]any{"Name": "web", "Action": "allow", "Description": "by hand"}}
			return b
		}, allow, false, "applied", `{"Sources":[{"Action":"allow","Description":"by hand","Name":"web"}]}`, "-"},
		{"described, and isthmus wants something else", func(e consul.Entry) map[string]any {
			b := marks(e)
			b["Sources"] = []any{map[string]any{"Name": "web", "Action": "allow", "Description": "by hand"}}
			return b
		}, deny, false, "applied", `{"Sources":[{"Action":"deny","Description":"by hand","Name":"web"}]}`, "-"},
		{"described, and isthmus goes", func(e consul.Entry) map[string]any {
			b := marks(e)
			b["Sources"] = []any{map[string]any{"Name": "web", "Action": "allow", "Description": "by hand"}}
			return b
		}, none, false, "", "", "-"},
		{"taken out", func(e consul.Entry) map[string]any {
			b := marks(e)
			b["Sources"] = []any{map[string]any{"Name": "a", "Action": "deny"}}
			return b
		}, allow, false, "applied", `{"Sources":[{"Action":"deny","Name":"a"},{"Action":"allow","Name":"web"}]}`, ""},
		{"taken out, and only reported", func(e consul.Entry) map[string]any {
			b := marks(e)
			b["Sources"] = []any{map[string]any{"Name": "a", "Action": "deny"}}
			return b
		}, allow, true, "drifted", `{"Sources":[{"Action":"deny","Name":"a"}]}`, ""},
		{"changed, and isthmus goes: it is theirs", func(e consul.Entry) map[string]any {
			b := marks(e)
			b["Sources"] = []any{map[string]any{"Name": "web", "Action": "deny"}}
			return b
		}, none, false, "", `{"Sources":[{"Action":"deny","Name":"web"}]}`, "-"},
		{"deleted with the entry", nil, allow, false, "applied", `{"Sources":[{"Action":"allow","Name":"web"}]}`, ""},
		{"deleted with the entry, and only reported", nil, allow, true, "drifted", "", ""},
		{"replaced by somebody's own file", func(consul.Entry) map[string]any {
			return map[string]any{"Sources": []any{map[string]any{"Name": "web", "Action": "deny"}}}
		}, allow, false, "conflict", `{"Sources":[{"Action":"deny","Name":"web"}]}`, denyWeb},
		{"replaced by somebody's own file without it", func(consul.Entry) map[string]any {
			return map[string]any{"Sources": []any{map[string]any{"Name": "a", "Action": "deny"}}}
		}, allow, false, "applied", `{"Sources":[{"Action":"deny","Name":"a"},{"Action":"allow","Name":"web"}]}`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, err := agent.MergeParts(stored(t, "service-intentions", "api", ""), allow, nil, true)
			need(t, err)
			e := stored(t, "service-intentions", "api", "")
			if tt.change != nil {
				e.Index, e.Body = 9, tt.change(m.Entry)
			}
			m, err = agent.MergeParts(e, tt.then, m.Written, !tt.report)
			need(t, err)
			switch {
			case m.Remove:
				e = stored(t, "service-intentions", "api", "")
			case m.Write:
				e = m.Entry
			}
			after := ""
			if len(e.Body) > 0 {
				after = said(t, e)
			}
			if after != tt.after || m.States[key] != tt.state {
				t.Errorf("state %s, %s\nwant %s, %s", m.States[key], after, tt.state, tt.after)
			}
			found, drifted := m.Drifts[key]
			if !drifted {
				found = "-"
			}
			if want := strings.ReplaceAll(tt.found, `{"Name":"web","Action":"deny"}`, `{"Action":"deny","Name":"web"}`); found != want {
				t.Errorf("drift: %s, want %s", found, want)
			}
		})
	}
}

// Marks fit into Meta's 64 keys of 512 bytes for 1,000 sources with the longest names, beside a human's keys; where they do not, nothing is written.
func TestMarksFitIntoMeta(t *testing.T) {
	t.Parallel()
	sources := func(n int) *isthmusv1.ConfigEntry {
		var parts []string
		for i := range n {
			name := fmt.Sprintf("%s-%d", strings.Repeat("x", 120), i)
			parts = append(parts, "source/default/"+name, `{"Name":"`+name+`","Action":"allow"}`)
		}
		return wanting("service-intentions", "api", parts...)
	}
	for _, n := range []int{1, 3, 10, 1000} {
		e := stored(t, "service-intentions", "api", `{"Sources":[{"Name":"a","Action":"deny"}],"Meta":{"owner":"bob"}}`)
		m, err := agent.MergeParts(e, sources(n), nil, true)
		need(t, err)
		meta := m.Entry.Meta()
		if len(meta) > 64 || meta["owner"] != "bob" {
			t.Fatalf("%d sources: %d keys", n, len(meta))
		}
		for key, value := range meta {
			if len(value) > 512 {
				t.Fatalf("%d sources: %s has %d bytes", n, key, len(value))
			}
		}
		m.Entry.Index = 8
		if again, err := agent.MergeParts(m.Entry, sources(n), nil, true); err != nil || again.Write {
			t.Fatalf("%d sources: not known again: %v", n, err)
		}
		gone, err := agent.MergeParts(m.Entry, sources(0), nil, true)
		need(t, err)
		if got := said(t, gone.Entry); got != `{"Meta":{"owner":"bob"},"Sources":[{"Action":"deny","Name":"a"}]}` {
			t.Fatalf("%d sources: left: %.300s", n, got)
		}
	}
	full := map[string]any{}
	for i := range 64 {
		full[fmt.Sprintf("key-%d", i)] = "bob's"
	}
	e := stored(t, "service-intentions", "api", `{"Sources":[{"Name":"a","Action":"deny"}]}`)
	e.Body["Meta"] = full
	if m, err := agent.MergeParts(e, sources(1), nil, true); fault.CodeOf(err) != fault.Refused || m.Write || !strings.Contains(err.Error(), "64") {
		t.Fatalf("with 64 keys of a human's: %v, %v", err, m)
	}
}

// Meta may hold anything: a human can write there. What cannot be read owns nothing, and so takes nothing out.
func FuzzMarks(f *testing.F) {
	f.Add(`{"source/default/web":"0123456789ab"}`, "")
	f.Add("h:AAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAA")
	f.Add("h:", "x")
	f.Fuzz(func(t *testing.T, first, second string) {
		e := stored(t, "service-intentions", "api", `{"Sources":[{"Name":"web","Action":"allow"}]}`)
		e.SetMeta(map[string]string{"isthmus-parts": first, "isthmus-parts-01": second})
		m, err := agent.MergeParts(e, wanting("service-intentions", "api"), nil, true)
		need(t, err)
		if m.Remove || m.Write && !strings.Contains(said(t, m.Entry), `"web"`) {
			t.Fatalf("marks that isthmus did not write took out a source: %q %q", first, second)
		}
	})
}

// What this agent does not understand is not written.
func TestPartsThatAreNotUnderstood(t *testing.T) {
	t.Parallel()
	for _, want := range []*isthmusv1.ConfigEntry{
		wanting("service-intentions", "api", "source/default/web", `{"Name":"other","Action":"allow"}`),
		wanting("service-intentions", "api", "redirect", allowWeb),
		wanting("service-resolver", "api", "failover/", failover23),
		wanting("service-resolver", "api", "failover/*", `[]`),
		wanting("service-router", "api", "routes", `{`),
		wanting("mesh", "mesh", "tls", `{}`),
	} {
		if _, err := agent.MergeParts(stored(t, want.GetKind(), "api", ""), want, nil, true); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("%v: %v", want, err)
		}
	}
}
