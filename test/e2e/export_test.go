package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
)

// entry is Consul's exported-services entry, as far as the tests look.
type entry struct {
	Kind, Name string
	Services   []exported
	Meta       map[string]string `json:",omitempty"`
}

type exported struct {
	Name      string
	Consumers []consumer
}

type consumer struct {
	Peer string
}

func (d *Datacenter) exports() entry {
	d.f.t.Helper()
	var list []entry
	d.Do(http.MethodGet, "/v1/config/exported-services", nil, &list)
	if len(list) == 0 {
		return entry{}
	}
	return list[0]
}

func (e entry) consumers(service string) []string {
	var out []string
	for _, s := range e.Services {
		if s.Name == service {
			for _, c := range s.Consumers {
				out = append(out, c.Peer)
			}
		}
	}
	slices.Sort(out)
	return out
}

// A service is offered to a peer and taken back, beside what people export themselves.
func TestServiceExportBesidePeople(t *testing.T) {
	f := NewFleet(t, 2)
	dc1, dc2 := f.Datacenter("dc1"), f.Datacenter("dc2")
	dc1.Register("web", "billing")
	human := entry{Kind: "exported-services", Name: "default", Services: []exported{
		{Name: "billing", Consumers: []consumer{{Peer: "dc2"}, {Peer: "partner"}}},
		{Name: "web", Consumers: []consumer{{Peer: "partner"}}},
	}}
	dc1.Do(http.MethodPut, "/v1/config", human, nil)
	f.Declare("dc1", "dc2")
	f.Apply(`
kind: Peering
name: dc1-dc2
spec: {acceptor: dc1, dialer: dc2}
---
kind: ServiceExport
name: web
spec: {service: web, datacenters: [dc1], consumers: {selector: env=test}}
`)
	dc2.Discovers("web", "dc1")
	f.Must("apply", "-f", f.write("export.yaml", "kind: ServiceExport\nname: web\nspec: {service: web, datacenters: [dc1], consumers: {datacenters: [dc2]}}\n"), "--wait", "60s")
	want := []string{"dc2", "partner"}
	if got := dc1.exports().consumers("web"); !slices.Equal(got, want) {
		t.Errorf("web goes to %v, want %v", got, want)
	}

	t.Log("somebody takes isthmus's part out: it is put back, and their own change stays")
	human.Services = append(human.Services, exported{Name: "mail", Consumers: []consumer{{Peer: "partner"}}})
	dc1.Do(http.MethodPut, "/v1/config", human, nil)
	f.Eventually("web goes to dc2 again", func() error {
		if got := dc1.exports().consumers("web"); !slices.Equal(got, want) {
			return fmt.Errorf("it goes to %v", got)
		}
		return nil
	})
	if got := dc1.exports().consumers("mail"); !slices.Equal(got, []string{"partner"}) {
		t.Errorf("mail goes to %v: what somebody added is gone", got)
	}

	t.Log("the export is deleted: only isthmus's part goes")
	f.Must("delete", "service-export", "web")
	f.Eventually("web goes to the partner alone", func() error {
		if got := dc1.exports().consumers("web"); !slices.Equal(got, []string{"partner"}) {
			return fmt.Errorf("it goes to %v", got)
		}
		return nil
	})
	left := dc1.exports()
	for service, peers := range map[string][]string{"billing": {"dc2", "partner"}, "mail": {"partner"}} {
		if got := left.consumers(service); !slices.Equal(got, peers) {
			t.Errorf("%s goes to %v, want %v as people wrote it", service, got, peers)
		}
	}
	if len(left.Meta) != 0 {
		text, err := json.Marshal(left.Meta)
		t.Errorf("isthmus left its mark behind: %s, %v", text, err)
	}
}

// An entry that isthmus made alone goes with its last export.
func TestAnEntryThatIsthmusMadeGoesWithIt(t *testing.T) {
	f := NewFleet(t, 2)
	dc1, dc2 := f.Datacenter("dc1"), f.Datacenter("dc2")
	dc1.Register("web")
	f.Declare("dc1", "dc2")
	f.Apply("kind: Peering\nname: dc1-dc2\nspec: {acceptor: dc1, dialer: dc2}\n")
	f.Apply("kind: ServiceExport\nname: web\nspec: {service: web, datacenters: [dc1], consumers: {selector: env=test}}\n")
	dc2.Discovers("web", "dc1")
	f.Eventually("isthmus services shows web of dc1", func() error {
		if out := f.Must("services", "--datacenter", "dc2"); !containsAll(out, "web", "dc1") {
			return fmt.Errorf("it shows\n%s", out)
		}
		return nil
	})
	f.Must("delete", "service-export", "web")
	f.Eventually("the entry is gone", func() error {
		if e := dc1.exports(); e.Name != "" {
			return fmt.Errorf("it is still there: %v", e)
		}
		return nil
	})
}
