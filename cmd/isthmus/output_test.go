package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	isthmusv1 "isthmus/proto/isthmus/v1"
)

// Texts that YAML would take for something else, or in another way, are still texts, as keys and as values.
func TestTextsInYAML(t *testing.T) {
	t.Parallel()
	check := func(t interface{ Fatalf(string, ...any) }, text string) {
		want := map[string]string{"a": text, "k" + text: "b"}
		out, err := messageYAML(&isthmusv1.Datacenter{Name: "dc1", Index: 7, Generation: 2, Labels: want, Spec: &isthmusv1.DatacenterSpec{}}, 0)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		var got struct {
			Kind, Name, Index string
			Generation        int
			Labels            map[string]string
			Spec              map[string]any
		}
		if err := yaml.Unmarshal(out, &got); err != nil {
			t.Fatalf("%q: %v\n%s", text, err, out)
		}
		if diff := cmp.Diff(want, got.Labels); diff != "" || got.Kind != "Datacenter" || got.Name != "dc1" || got.Index != "7" || got.Generation != 2 || got.Spec == nil {
			t.Fatalf("%q: %s\n%s", text, diff, out)
		}
	}
	for text := range strings.SplitSeq(`|yes|no|on|true|null|~|1|1.5|0x1f|1e3|.inf|2026-01-02|2026-01-02T03:04:05Z|- a|a: b|a #b|#a|"a"|'a'|a\b|{}|[]|*a|&a|!a|%a|@a|? a| a |>|=|<<`, "|") {
		check(t, text)
		check(t, text+"\n")
		check(t, "a\n"+text)
	}
	check(t, "|")
	check(t, "東京 ☃ 🙂 \u2028\u0085\ufeff \t\r\x07")
	rapid.Check(t, func(t *rapid.T) { check(t, rapid.String().Draw(t, "text")) })
}
