package consul_test

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"isthmus/agent/consul"
	"isthmus/demo/consulrun"
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

// wanPort is where a server listens for the WAN gossip.
func wanPort(t *testing.T, c *consultest.Cluster) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(c.Dir, "consul.json"))
	need(t, err)
	var config struct {
		Ports map[string]int `json:"ports"`
	}
	need(t, json.Unmarshal(text, &config))
	return strconv.Itoa(config.Ports["serf_wan"])
}

// Two datacenters that see each other in the gossip, and what is wrong between them until a read goes through.
func TestReadingThroughTheWAN(t *testing.T) {
	t.Parallel()
	gossip := map[string]any{"probe_interval": "100ms", "probe_timeout": "50ms", "suspicion_mult": 1}
	east := consultest.StartWith(t, consulrun.Options{Datacenter: "east", Config: map[string]any{"gossip_wan": gossip}})
	west := consultest.StartWith(t, consulrun.Options{Datacenter: "west", Config: map[string]any{"gossip_wan": gossip, "encrypt": east.GossipKey}})
	c := open(t, settings(t, "CONSUL_HTTP_ADDR="+east.HTTPAddr, "CONSUL_CACERT="+east.CAFile, "CONSUL_HTTP_TOKEN="+east.ManagementToken))
	fails := func(reason consul.Reason) {
		t.Helper()
		var last error
		eventually(t, string(reason), func() bool {
			_, last = c.RemoteServices(t.Context(), "west")
			return consul.ReasonOf(last) == reason
		})
		if strings.Contains(last.Error(), "->") {
			t.Errorf("the message is another one each time: %s", last)
		}
	}
	fails(consul.NoPath)
	need(t, c.JoinWAN(t.Context(), "127.0.0.1:"+wanPort(t, west)))
	// Both are alive in the gossip, and that proves nothing.
	eventually(t, "two members", func() bool {
		members, err := c.WANMembers(t.Context())
		need(t, err)
		return len(members) == 2 && members[1].Node == west.Node+".west" && members[1].Status == consul.MemberAlive
	})
	fails(consul.RemoteCertificate)

	both := ""
	for _, file := range []string{east.CAFile, west.CAFile} {
		text, err := os.ReadFile(file)
		need(t, err)
		both += string(text)
	}
	for _, one := range []*consultest.Cluster{east, west} {
		need(t, os.WriteFile(one.CAFile, []byte(both), 0o600))
		one.Do(http.MethodPut, "/v1/agent/reload", nil, nil)
	}
	fails(consul.ACLUnknown)
	west.Do(http.MethodPut, "/v1/acl/token", map[string]any{
		"SecretID": east.ManagementToken, "Policies": []any{map[string]any{"Name": "global-management"}},
	}, nil)
	west.Register("web")
	eventually(t, "a read", func() bool {
		n, err := c.RemoteServices(t.Context(), "west")
		return err == nil && n == 2
	})
	need(t, west.Kill())
	eventually(t, "failed", func() bool {
		members, err := c.WANMembers(t.Context())
		need(t, err)
		return len(members) == 2 && members[1].Status == "failed"
	})
	fails(consul.RemoteUnreachable)
}
