package agent_test

import (
	"net/http"
	"slices"
	"testing"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/test/consultest"
)

// Consul takes an entry whose name is a path of its API. Neither a server that wants such an entry, and then does not, nor somebody who plants
// one with isthmus's mark in it, has an agent delete what is at that path.
func TestNamesThatArePaths(t *testing.T) {
	t.Parallel()
	c := consultest.Start(t, "dc1")
	m := newMending(t, c)
	var policy struct{ ID string }
	c.Do(http.MethodPut, "/v1/acl/policy", map[string]any{"Name": "victim", "Rules": ""}, &policy)
	name := "../../acl/policy/" + policy.ID
	wanted := &isthmusv1.ConfigEntry{
		Kind: "service-resolver", Name: name, Parts: []*isthmusv1.ConfigPart{{Key: "failover/*", Value: `{"Targets":[{"Service":"x"}]}`}},
	}
	got, _ := m.want("correct", wanted)
	if o := got["service-resolver/"+name]; o.GetState() != "failed" {
		t.Errorf("%v", got)
	}
	m.put(`{"Kind":"service-resolver","Name":"` + name + `","Meta":{"isthmus-created":"true","isthmus-parts":"{\"x\":\"000000000000\"}"}}`)
	m.want("correct", wanted)
	m.want("correct")
	var policies []struct{ Name string }
	c.Do(http.MethodGet, "/v1/acl/policies", nil, &policies)
	if !slices.ContainsFunc(policies, func(p struct{ Name string }) bool { return p.Name == "victim" }) {
		t.Error("the ACL policy is gone")
	}
}
