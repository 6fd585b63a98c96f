package consul_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"isthmus/agent/consul"
	"isthmus/test/consultest"
)

func TestReadingOtherDatacenters(t *testing.T) {
	t.Parallel()
	east := consultest.Start(t, "east")
	east.Register("web")
	at := func(token string) *consul.Client {
		return open(t, settings(t, "CONSUL_HTTP_ADDR="+east.HTTPAddr, "CONSUL_CACERT="+east.CAFile, "CONSUL_HTTP_TOKEN="+token))
	}
	c := at(east.ManagementToken)
	// Its own name is the one that can be read without a federation.
	if n, err := c.RemoteServices(t.Context(), "east"); err != nil || n != 2 {
		t.Errorf("got %d services, %v", n, err)
	}
	if _, err := c.RemoteServices(t.Context(), "west"); consul.ReasonOf(err) != consul.NoPath || !strings.Contains(err.Error(), "west") {
		t.Errorf("got %v", err)
	}
	if _, err := at(east.MintToken("blind", `agent_prefix "" { policy = "read" }`)).RemoteServices(t.Context(), "east"); consul.ReasonOf(err) != consul.RuleMissing {
		t.Errorf("got %v", err)
	}
	if _, err := at("00000000-0000-4000-8000-000000000000").RemoteServices(t.Context(), "east"); consul.ReasonOf(err) != consul.ACLUnknown {
		t.Errorf("got %v", err)
	}
	nobody := open(t, settings(t, "CONSUL_HTTP_ADDR=127.0.0.1:1"))
	if _, err := nobody.RemoteServices(t.Context(), "east"); consul.ReasonOf(err) != consul.Unreachable {
		t.Errorf("got %v", err)
	}
	ended, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	if _, err := c.RemoteServices(ended, "west"); consul.ReasonOf(err) != consul.RemoteUnreachable || !strings.Contains(err.Error(), "no answer in time") {
		t.Errorf("got %v", err)
	}
	members, err := c.WANMembers(t.Context())
	need(t, err)
	if len(members) != 1 {
		t.Fatalf("got %v", members)
	}
	m := members[0]
	if m.Node != east.Node+".east" || m.Datacenter != "east" || m.Status != consul.MemberAlive || !strings.HasPrefix(m.Address, "127.0.0.1:") ||
		!strings.HasPrefix(m.Build, "1.") || m.Protocol != "2" {
		t.Errorf("got %+v", m)
	}
	self, err := c.Self(t.Context())
	need(t, err)
	if self.Domain != "consul" || self.PrimaryDatacenter != "east" || self.DefaultPolicy != "deny" || self.Secondary() || self.WANFederation == nil || *self.WANFederation {
		t.Errorf("got %+v", self)
	}
}
