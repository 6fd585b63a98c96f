package overview_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"isthmus/overview"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/resource/resourcetest"
)

// market is dc1, whose Consul exports to dc2 and to another operator's cluster, dc2, and dc3 and dc4, which are in a federation with dc5, which has
// not joined yet.
func market() (*resourcetest.Fleet, map[string]overview.Catalog) {
	f := resourcetest.New(
		&isthmusv1.Peering{Name: "p12", Spec: &isthmusv1.PeeringSpec{Acceptor: "dc1", Dialer: "dc2", AcceptorPeerName: "west", DialerPeerName: "east"}},
		&isthmusv1.Peering{Name: "p1x", Spec: &isthmusv1.PeeringSpec{Acceptor: "dc1", ExternalDialer: "partner"}},
		&isthmusv1.Peering{Name: "p2y", Spec: &isthmusv1.PeeringSpec{Dialer: "dc2", ExternalAcceptor: "supplier"}},
		&isthmusv1.Federation{
			Name: "f", Spec: &isthmusv1.FederationSpec{Primary: "dc3", Secondaries: []string{"dc4", "dc5"}},
			Status: &isthmusv1.FederationStatus{Members: []*isthmusv1.FederationMember{
				{Datacenter: "dc3", Role: resource.RolePrimary, Phase: resource.PhaseJoined},
				{Datacenter: "dc4", Role: resource.RoleSecondary, Phase: resource.PhaseJoined},
				{Datacenter: "dc5", Role: resource.RoleSecondary, Phase: resource.PhaseJoining},
			}},
		})
	for i := range 5 {
		f.Put(&isthmusv1.Datacenter{Name: fmt.Sprintf("dc%d", i+1), Spec: &isthmusv1.DatacenterSpec{}})
	}
	of := func(services ...*isthmusv1.CatalogService) overview.Catalog {
		return overview.Catalog{Services: &isthmusv1.ServicesReport{Services: services}, Time: now.Add(-time.Minute), Current: true}
	}
	own := func(name string, instances, healthy int32) *isthmusv1.CatalogService {
		return &isthmusv1.CatalogService{Name: name, Instances: instances, Healthy: healthy, Mesh: true}
	}
	imported := func(name, peer string) *isthmusv1.CatalogService {
		return &isthmusv1.CatalogService{Name: name, Peer: peer, Instances: 3, Healthy: 2}
	}
	catalogs := map[string]overview.Catalog{
		"dc1": of(own("api", 3, 2), own("Billing", 1, 1)),
		"dc2": of(own("api", 1, 1), imported("api", "east"), imported("parts", "supplier")),
		"dc3": of(own("api", 2, 2)), "dc4": of(own("web", 1, 0)), "dc5": of(own("web", 1, 1)),
	}
	one := catalogs["dc1"]
	one.Exports = &isthmusv1.ExportsReport{Exports: []*isthmusv1.ObservedExport{
		{Name: "api", Namespace: "default", Peers: []string{"west"}}, {Name: "*", Peers: []string{"partner"}}, {Name: "Billing", Namespace: "team", Peers: []string{"west"}},
	}}
	one.Current = false
	catalogs["dc1"] = one
	return f, catalogs
}

func search(q overview.ServicesQuery) overview.ServicesPage {
	f, catalogs := market()
	if q.Size == 0 {
		q.Size = 100
	}
	return overview.Services(f, func(dc string) overview.Catalog { return catalogs[dc] }, q)
}

func namesOf(p overview.ServicesPage) string {
	var out []string
	for _, s := range p.Services {
		out = append(out, s.GetName())
	}
	return strings.Join(out, " ")
}

func TestServicesAreFound(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		query overview.ServicesQuery
		want  string
		total int
		more  bool
	}{
		"all":                          {overview.ServicesQuery{}, "Billing api parts web", 4, false},
		"a part of a name":             {overview.ServicesQuery{Text: "ILL"}, "Billing", 1, false},
		"nothing":                      {overview.ServicesQuery{Text: "x"}, "", 0, false},
		"the first":                    {overview.ServicesQuery{Size: 2}, "Billing api", 4, true},
		"the next":                     {overview.ServicesQuery{Size: 2, After: "api"}, "parts web", 4, false},
		"after one that is gone":       {overview.ServicesQuery{Size: 1, After: "p"}, "parts", 4, true},
		"what a datacenter has":        {overview.ServicesQuery{Datacenter: "dc1"}, "Billing api", 2, false},
		"what it imports, too":         {overview.ServicesQuery{Datacenter: "dc2"}, "api parts", 2, false},
		"what its federation has, too": {overview.ServicesQuery{Datacenter: "dc3"}, "api web", 2, false},
		"who has not joined sees less": {overview.ServicesQuery{Datacenter: "dc5"}, "web", 1, false},
	} {
		if got := search(c.query); namesOf(got) != c.want || got.Total != c.total || got.More != c.more {
			t.Errorf("%s: %q, %d, %v", name, namesOf(got), got.Total, got.More)
		}
	}
}

func TestPlacesOfAService(t *testing.T) {
	t.Parallel()
	s := search(overview.ServicesQuery{Text: "api"}).Services[0]
	if s.GetInstances() != 6 || s.GetHealthy() != 5 || len(s.GetPlaces()) != 4 {
		t.Errorf("imported ones are counted where they run: %v", s)
	}
	var lines []string
	for _, p := range s.GetPlaces() {
		lines = append(lines, fmt.Sprintf("%s/%s from %q: %d/%d, exported %v, federated %v, current %v", p.GetDatacenter(), p.GetPeer(), p.GetFrom(), p.GetHealthy(), p.GetInstances(), p.GetExportedTo(), p.GetFederatedTo(), p.GetCurrent()))
	}
	if got, want := strings.Join(lines, "\n"), `dc1/ from "": 2/3, exported [dc2 partner], federated [], current false
dc2/ from "": 1/1, exported [], federated [], current true
dc3/ from "": 2/2, exported [], federated [dc4], current true
dc2/east from "dc1": 2/3, exported [], federated [], current true`; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if p := search(overview.ServicesQuery{Text: "parts"}).Services[0]; p.GetInstances() != 0 || p.GetPlaces()[0].GetFrom() != "" || p.GetPlaces()[0].GetPeer() != "supplier" {
		t.Errorf("of another operator: %v", p)
	}
	if p := search(overview.ServicesQuery{Text: "billing"}).Services[0].GetPlaces()[0]; !slices.Equal(p.GetExportedTo(), []string{"partner"}) || !p.GetObserveTime().AsTime().Equal(now.Add(-time.Minute)) {
		t.Errorf("one of the same name in another namespace is another one: %v", p)
	}
}

// Pages together are what one page would be, however large they are and however many places services have.
func TestPagesOfServices(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := resourcetest.New()
		catalogs := map[string]overview.Catalog{}
		for i := range rapid.IntRange(1, 5).Draw(t, "datacenters") {
			name := fmt.Sprintf("dc%d", i)
			f.Put(&isthmusv1.Datacenter{Name: name, Spec: &isthmusv1.DatacenterSpec{}})
			report := &isthmusv1.ServicesReport{}
			for _, s := range rapid.SliceOfNDistinct(rapid.StringMatching("[a-cA-C]{1,2}"), 0, 9, rapid.ID).Draw(t, "services") {
				report.Services = append(report.Services, &isthmusv1.CatalogService{Name: s, Instances: 1})
			}
			catalogs[name] = overview.Catalog{Services: report}
		}
		of := func(dc string) overview.Catalog { return catalogs[dc] }
		text := rapid.StringMatching("[aA]?").Draw(t, "text")
		whole := overview.Services(f, of, overview.ServicesQuery{Text: text, Size: 1000})
		if whole.More || whole.Total != len(whole.Services) {
			t.Fatalf("all: %d of %d", len(whole.Services), whole.Total)
		}
		size := rapid.IntRange(1, 4).Draw(t, "size")
		var pages overview.ServicesPage
		for after, more := "", true; more; {
			p := overview.Services(f, of, overview.ServicesQuery{Text: text, Size: size, After: after})
			if pages.Services, more = append(pages.Services, p.Services...), p.More; more {
				after = p.Services[len(p.Services)-1].GetName()
			}
			if p.Total != whole.Total || len(p.Services) > size {
				t.Fatalf("a page of %d: %d, %d", size, len(p.Services), p.Total)
			}
		}
		if namesOf(pages) != namesOf(whole) {
			t.Fatalf("%q, and %q", namesOf(pages), namesOf(whole))
		}
	})
}

// A page ends when services are in so many places that nobody would read it.
func TestHeavyPages(t *testing.T) {
	t.Parallel()
	f := resourcetest.New()
	fed := &isthmusv1.Federation{Name: "f", Spec: &isthmusv1.FederationSpec{Primary: "dc0"}, Status: &isthmusv1.FederationStatus{}}
	report := &isthmusv1.ServicesReport{}
	for i := range 30 {
		report.Services = append(report.Services, &isthmusv1.CatalogService{Name: fmt.Sprintf("s%02d", i), Instances: 1})
	}
	for i := range 200 {
		name, role := fmt.Sprintf("dc%d", i), resource.RoleSecondary
		if i == 0 {
			role = resource.RolePrimary
		} else {
			fed.Spec.Secondaries = append(fed.Spec.Secondaries, name)
		}
		f.Put(&isthmusv1.Datacenter{Name: name, Spec: &isthmusv1.DatacenterSpec{}})
		fed.Status.Members = append(fed.Status.Members, &isthmusv1.FederationMember{Datacenter: name, Role: role, Phase: resource.PhaseJoined})
	}
	f.Put(fed)
	p := overview.Services(f, func(string) overview.Catalog { return overview.Catalog{Services: report} }, overview.ServicesQuery{Size: 100})
	if len(p.Services) != 1 || !p.More || p.Total != 30 || len(p.Services[0].GetPlaces()) != 200 || len(p.Services[0].GetPlaces()[7].GetFederatedTo()) != 100 {
		t.Errorf("%d services, %v, %d", len(p.Services), p.More, p.Total)
	}
}
