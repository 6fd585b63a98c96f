package api_test

import (
	"testing"
	"time"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

func (p *place) services(r *isthmusv1.ListServicesRequest) *isthmusv1.ListServicesResponse {
	p.t.Helper()
	out, err := p.ListServices(p.t.Context(), r)
	if err != nil {
		p.t.Fatal(err)
	}
	return out
}

func TestServicesOfTheFleet(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.ring(3, 1, 5)
	first := p.services(&isthmusv1.ListServicesRequest{Query: "SERVICE", PageSize: 3})
	if len(first.GetServices()) != 3 || first.GetTotal() != 5 || first.GetNextPageToken() == "" || len(first.GetServices()[0].GetPlaces()) != 3 {
		t.Errorf("%v", first)
	}
	next := p.services(&isthmusv1.ListServicesRequest{Query: "SERVICE", PageSize: 3, PageToken: first.GetNextPageToken()})
	if len(next.GetServices()) != 2 || next.GetServices()[0].GetName() != "service-003" || next.GetNextPageToken() != "" {
		t.Errorf("%v", next)
	}
	for name, r := range map[string]*isthmusv1.ListServicesRequest{
		"a page of another search": {PageToken: first.GetNextPageToken()},
		"no page":                  {PageToken: "x"},
		"too many":                 {PageSize: 1001},
		"too few":                  {PageSize: -1},
	} {
		if _, err := p.ListServices(t.Context(), r); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := p.ListServices(t.Context(), &isthmusv1.ListServicesRequest{Datacenter: "none"}); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("of no datacenter: %v", err)
	}
}

// What a silent agent saw, and one that no longer sees its Consul, is shown as what it is: the last that is known.
func TestServicesThatMayBeOld(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.ring(3, 1, 1)
	current := func() (out []bool) {
		for _, place := range p.services(&isthmusv1.ListServicesRequest{}).GetServices()[0].GetPlaces() {
			if place.GetObserveTime() == nil {
				t.Errorf("told at no time: %v", place)
			}
			out = append(out, place.GetCurrent())
		}
		return out
	}
	if got := current(); len(got) != 3 || !got[0] || !got[1] || !got[2] {
		t.Errorf("all is well: %v", got)
	}
	p.clock.pass(31 * time.Second)
	p.table.Heard("dc0001", "dc0001-a1")
	p.report("dc0002", &isthmusv1.ReportRequest{Agent: &isthmusv1.AgentReport{ErrorReason: "ConsulUnreachable", Error: "no answer"}})
	if got := current(); got[0] || !got[1] || got[2] {
		t.Errorf("one is silent, and one does not see its Consul: %v", got)
	}
	if h := row(p.fleet(), "dc0002"); h.GetHealth() != "failing" || h.GetReason() != "ConsulUnreachable" {
		t.Errorf("%v", h)
	}
}
