package gateway_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"isthmus/fault"
	"isthmus/gateway"
)

func table(t testing.TB, routes ...string) *gateway.Table {
	t.Helper()
	entries, err := gateway.ParseRoutes(routes)
	if err != nil {
		t.Fatal(err)
	}
	made, err := gateway.NewTable(entries)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestLookup(t *testing.T) {
	t.Parallel()
	made := table(t,
		"server.dc1.consul=a:1", "*.server.dc1.consul=a:2", "s1.server.dc1.consul=a:3", "*.consul=a:4", "*.s1.server.dc1.consul=a:5")
	for name, want := range map[string]string{
		"server.dc1.consul":        "a:1",
		"s1.server.dc1.consul":     "a:3",
		"s2.server.dc1.consul":     "a:2",
		"x.s1.server.dc1.consul":   "a:5",
		"y.x.s2.server.dc1.consul": "a:2",
		"server.dc2.consul":        "a:4",
		"xserver.dc1.consul":       "a:4",
		"consul":                   "",
		"consul.":                  "",
		"example.com":              "",
		"":                         "",
	} {
		got, ok := made.Lookup(name)
		if ok != (want != "") || ok && got.Addresses[0] != want {
			t.Errorf("%s: %v, expected %q", name, got, want)
		}
	}
}

func TestUnion(t *testing.T) {
	t.Parallel()
	bootstrap, err := gateway.ParseBootstrapRoutes([]string{"dc1=old:1,new:1", "dc2=gw:2"}, "consul.")
	if err != nil {
		t.Fatal(err)
	}
	static, err := gateway.ParseRoutes([]string{"server.dc1.consul=pushed:1", "new:1", "Server.DC1.consul=last:1"})
	if err != nil {
		t.Fatal(err)
	}
	made, err := gateway.NewTable(static, bootstrap)
	if err != nil {
		t.Fatal(err)
	}
	want := []gateway.Entry{
		{Pattern: "*.server.dc1.consul", Kind: gateway.KindBootstrap, Addresses: []string{"old:1", "new:1"}},
		{Pattern: "*.server.dc2.consul", Kind: gateway.KindBootstrap, Addresses: []string{"gw:2"}},
		{Pattern: "server.dc1.consul", Kind: gateway.KindStatic, Addresses: []string{"pushed:1", "new:1", "last:1", "old:1"}},
		{Pattern: "server.dc2.consul", Kind: gateway.KindBootstrap, Addresses: []string{"gw:2"}},
	}
	if diff := cmp.Diff(want, made.Entries()); diff != "" {
		t.Error(diff)
	}
}

func TestBadRoutes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a.b":            "is not of the form",
		"=a:1":           "is not of the form",
		"a.b=":           "is not host:port",
		"a.b=c":          "is not host:port",
		"a.b=:1":         "is not host:port",
		"a.b=x y:1":      "is not host:port",
		"a.b=c:0":        "no port between",
		"a.b=c:http":     "no port between",
		"a.b=c:65536":    "no port between",
		"a.b=c:1,":       "is not host:port",
		"*=c:1":          "is no DNS name",
		"*.=c:1":         "is no DNS name",
		"a.*.b=c:1":      "is no DNS name",
		"a..b=c:1":       "is no DNS name",
		"a b=c:1":        "is no DNS name",
		"*.*.a=c:1":      "is no DNS name",
		"a.b=c:1,d=e:99": "",
		"a.b=[::1]:1":    "",
	} {
		entries, err := gateway.ParseRoutes([]string{text})
		if err == nil {
			_, err = gateway.NewTable(entries)
		}
		switch {
		case want == "" && err != nil, want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, expected %q", text, err, want)
		case err != nil && fault.CodeOf(err) != fault.Invalid:
			t.Errorf("%s: %s", text, fault.CodeOf(err))
		}
	}
}

// The table finds what trying all patterns finds, and joins what sources say in their order.
func TestTableAgainstTryingAll(t *testing.T) {
	t.Parallel()
	label := rapid.SampledFrom([]string{"a", "b", "server", "dc1", "consul"})
	name := rapid.Custom(func(t *rapid.T) string { return strings.Join(rapid.SliceOfN(label, 1, 4).Draw(t, "labels"), ".") })
	entry := rapid.Custom(func(t *rapid.T) gateway.Entry {
		pattern := name.Draw(t, "name")
		if rapid.Bool().Draw(t, "suffix") {
			pattern = "*." + pattern
		}
		kind := rapid.SampledFrom([]gateway.Kind{gateway.KindStatic, gateway.KindBootstrap}).Draw(t, "kind")
		return gateway.Entry{Pattern: pattern, Kind: kind, Addresses: rapid.SliceOfN(rapid.SampledFrom([]string{"a:1", "b:1", "c:1"}), 1, 3).Draw(t, "addresses")}
	})
	rapid.Check(t, func(t *rapid.T) {
		sources := rapid.SliceOfN(rapid.SliceOfN(entry, 0, 6), 0, 3).Draw(t, "sources")
		made, err := gateway.NewTable(sources...)
		if err != nil {
			t.Fatal(err)
		}
		asked := name.Draw(t, "asked")
		want, found := tryAll(slices.Concat(sources...), asked)
		got, ok := made.Lookup(asked)
		if ok != found {
			t.Fatalf("%s: found %t, expected %t", asked, ok, found)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s: %s", asked, diff)
		}
	})
}

func tryAll(entries []gateway.Entry, name string) (gateway.Entry, bool) {
	var best gateway.Entry
	for _, e := range entries {
		suffix, wild := strings.CutPrefix(e.Pattern, "*")
		matches := e.Pattern == name || wild && strings.HasSuffix(name, suffix) && name != suffix
		_, bestIsWild := strings.CutPrefix(best.Pattern, "*")
		better := best.Pattern == "" || !wild || bestIsWild && len(e.Pattern) > len(best.Pattern)
		if matches && better && best.Pattern != e.Pattern && (best.Pattern == "" || bestIsWild) {
			best = gateway.Entry{Pattern: e.Pattern, Kind: e.Kind}
		}
	}
	for _, e := range entries {
		for _, address := range e.Addresses {
			if e.Pattern == best.Pattern && !slices.Contains(best.Addresses, address) {
				best.Addresses = append(best.Addresses, address)
			}
		}
	}
	return best, best.Pattern != ""
}
