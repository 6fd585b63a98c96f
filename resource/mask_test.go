package resource_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"isthmus/resource"
)

func TestMasked(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, in, want string }{
		{"a route's headers", `{"RequestHeaders":{"Add":{"x-key":"hunter2"},"Set":{"y":"hunter2"},"Remove":["z"]}}`, `{"RequestHeaders":{"Add":{"x-key":"…"},"Remove":["z"],"Set":{"y":"…"}}}`},
		{"what a rule asks for", `{"Permissions":[{"HTTP":{"Header":[{"Name":"x","Exact":"hunter2"},{"Name":"y","Present":true}],"PathPrefix":"/a"}}]}`, `{"Permissions":[{"HTTP":{"Header":[{"Exact":"…","Name":"x"},{"Name":"y","Present":true}],"PathPrefix":"/a"}}]}`},
		{"claims", `{"VerifyClaims":[{"Path":["p"],"Value":"hunter2"}]}`, `{"VerifyClaims":[{"Path":["p"],"Value":"…"}]}`},
		{"a spec", `[{"match":{"headers":[{"name":"x","prefix":"hunter2"}],"queryParams":[{"name":"q","regex":"hunter2"}],"pathExact":"/"}}]`, `[{"match":{"headers":[{"name":"x","prefix":"…"}],"pathExact":"/","queryParams":[{"name":"q","regex":"…"}]}}]`},
		{"another form", `{"Header":"hunter2","QueryParam":["hunter2"],"ResponseHeaders":7,"VerifyClaims":null}`, `{"Header":"…","QueryParam":["…"],"ResponseHeaders":"…","VerifyClaims":null}`},
		{"numbers stay", `{"Weight":12345678901234567890.5}`, `{"Weight":12345678901234567890.5}`},
		{"nothing", "", ""},
		{"no JSON", "hunter2", `"…"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, resource.MaskedJSON(tt.in)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if hides := strings.Contains(tt.want, "…"); resource.HasMasked(tt.in) != hides {
				t.Errorf("that something is hidden: %v, want %v", !hides, hides)
			}
		})
	}
}

func TestMaskedChangesNothing(t *testing.T) {
	t.Parallel()
	const in = `{"Header":[{"Exact":"a"}],"RequestHeaders":{"Set":{"b":"c"}}}`
	var value any
	if err := json.Unmarshal([]byte(in), &value); err != nil {
		t.Fatal(err)
	}
	resource.Masked(value)
	if out, err := json.Marshal(value); err != nil || string(out) != in {
		t.Errorf("%s, %v: the value itself was changed", out, err)
	}
}

func FuzzMasked(f *testing.F) {
	f.Add(`{"Header":[{"Exact":"a"}]}`)
	f.Add(`[{"headers":[1,null,{"exact":{"a":"b"}}]}]`)
	f.Fuzz(func(t *testing.T, in string) {
		out := resource.MaskedJSON(in)
		if out != "" && !json.Valid([]byte(out)) {
			t.Errorf("%q became %q", in, out)
		}
		if again := resource.MaskedJSON(out); again != out && !strings.Contains(in, "\\u") {
			t.Errorf("%q: masked twice %q, once %q", in, again, out)
		}
	})
}
