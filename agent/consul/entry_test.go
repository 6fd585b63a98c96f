package consul_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"

	"isthmus/agent/consul"
)

// Consul Enterprise has namespaces: entries of all of them are listed, and each is written where it is. The Community Edition refuses to hear of
// them.
func TestEntriesInNamespaces(t *testing.T) {
	t.Parallel()
	for version, list := range map[string]string{"1.20.6": "", "1.20.6+ent": "*"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			var asked []string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/v1/agent/self" {
					_, _ = io.WriteString(w, `{"Config":{"Datacenter":"dc1","Version":"`+version+`"}}`)
					return
				}
				var body struct{ Namespace, Name string }
				_ = json.NewDecoder(r.Body).Decode(&body)
				asked = append(asked, r.Method+" "+r.URL.Path+" ns="+r.URL.Query().Get("ns")+" "+body.Namespace)
				switch {
				case r.Method != http.MethodGet:
					_, _ = io.WriteString(w, "true")
				case r.URL.Path == "/v1/config/service-resolver":
					_, _ = io.WriteString(w, `[{"Kind":"service-resolver","Name":"a","Namespace":"team","ModifyIndex":7},{"Kind":"service-resolver","Name":"b","Namespace":"default","ModifyIndex":8}]`)
				case r.URL.Path == "/v1/config/service-resolver/gone":
					http.Error(w, "Config entry not found", http.StatusNotFound)
				default:
					_, _ = io.WriteString(w, `{"Kind":"service-resolver","Name":"a","Namespace":"team","ModifyIndex":9,"Big":12345678901234567890}`)
				}
			}))
			t.Cleanup(server.Close)
			c, err := consul.New(consul.Settings{Address: server.URL}, hclog.NewNullLogger())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Self(t.Context()); err != nil {
				t.Fatal(err)
			}
			all, _, err := c.Entries(t.Context(), consul.KindResolver, consul.Query{})
			if err != nil || len(all) != 2 || all[0].Namespace != "team" || all[1].Namespace != "" || all[1].Index != 8 {
				t.Fatalf("%v, %v", all, err)
			}
			one, err := c.ServiceEntry(t.Context(), consul.KindResolver, "team", "a")
			if err != nil || one.Index != 9 || one.Body["Big"] != json.Number("12345678901234567890") {
				t.Fatalf("%v, %v", one, err)
			}
			if none, err := c.ServiceEntry(t.Context(), consul.KindResolver, "", "gone"); err != nil || none.Index != 0 || none.Name != "gone" {
				t.Fatalf("%v, %v", none, err)
			}
			for _, e := range all {
				if err := c.PutEntry(t.Context(), e); err != nil {
					t.Fatal(err)
				}
				if err := c.DeleteEntry(t.Context(), e); err != nil {
					t.Fatal(err)
				}
			}
			want := []string{
				"GET /v1/config/service-resolver ns=" + list + " ", "GET /v1/config/service-resolver/a ns=team ", "GET /v1/config/service-resolver/gone ns= ",
				"PUT /v1/config ns= team", "DELETE /v1/config/service-resolver/a ns=team ", "PUT /v1/config ns= default", "DELETE /v1/config/service-resolver/b ns= ",
			}
			if diff := cmp.Diff(want, asked); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
		})
	}
}
