package explain_test

import (
	"strings"
	"testing"

	"isthmus/explain"
	"isthmus/fault"
	"isthmus/resource"
)

func TestAllIsWell(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		w    *world
		skip []string
		sni  string
	}{
		"peered":    {peered(), nil, "api.default.default.west.external.nine.consul"},
		"federated": {federated(), []string{"Export"}, "api.default.dc9.internal.one.consul"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := tt.w.explain(t, "web@dc1", "api@dc9")
			if e.GetVerdict() != "allowed" {
				t.Fatalf("it is %s: %s", e.GetVerdict(), e.GetMessage())
			}
			for _, h := range e.GetHops() {
				want := resource.CheckPass
				for _, s := range tt.skip {
					if s == h.GetId() {
						want = "skip"
					}
				}
				if h.GetVerdict() != want {
					t.Errorf("%s is %s: %s", h.GetId(), h.GetVerdict(), h.GetMessage())
				}
				if h.GetFix() != "" {
					t.Errorf("%s has a fix although nothing is wrong: %s", h.GetId(), h.GetFix())
				}
			}
			if got := hop(e, "SNI").GetMessage(); got != tt.sni {
				t.Errorf("SNI %s, want %s", got, tt.sni)
			}
			if got := hop(e, "Source").GetEvidence()[0]; got != "2 instances of web, 2 healthy [dc1, 2s ago, the same for 59m]" {
				t.Errorf("evidence: %s", got)
			}
		})
	}
}

func contains(text string, parts ...string) bool {
	for _, p := range parts {
		if !strings.Contains(text, p) {
			return false
		}
	}
	return true
}

func TestNamesOfAnyLengthAreRefusedAtOnce(t *testing.T) {
	t.Parallel()
	for _, text := range []string{strings.Repeat("d", 1<<20) + "@dc1", "web@" + strings.Repeat("d", 1<<20)} {
		if _, err := explain.Parse("source", text); fault.CodeOf(err) != fault.Invalid || len(err.Error()) > 200 {
			t.Errorf("a name of %d bytes: %.300v", len(text), err)
		}
	}
}
