package consul_test

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"testing"

	"isthmus/agent/consul"
	"isthmus/demo/consulrun"
	"isthmus/test/consultest"
	"isthmus/test/netns"
)

// serverAddress is where a server takes calls.
func serverAddress(c *consultest.Cluster) string {
	var self struct {
		DebugConfig struct{ ServerPort int }
	}
	c.Do(http.MethodGet, "/v1/agent/self", nil, &self)
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(self.DebugConfig.ServerPort))
}

// Three servers of one datacenter, as a token sees them that may read Raft's configuration, and one that may not.
func TestRaftOfThreeServers(t *testing.T) {
	t.Parallel()
	space := netns.New(t, "dc1").Spaces["dc1"]
	first := consultest.StartWith(t, consulrun.Options{Datacenter: "dc1", NodeName: "s0", Network: space, Address: space.Servers[0]})
	var want []consul.RaftServer
	for i, address := range space.Servers {
		if i > 0 {
			consultest.StartWith(t, consulrun.Options{
				Datacenter: "dc1", NodeName: fmt.Sprintf("s%d", i), Network: space, Address: address, Join: first.Server,
			})
		}
		want = append(want, consul.RaftServer{Node: fmt.Sprintf("s%d", i), Address: address + ":8300", Leader: i == 0, Voter: true})
	}
	rules := "node_prefix \"\" { policy = \"read\" }\nservice_prefix \"\" { policy = \"read\" }\n"
	for who, rules := range map[string]string{"reader": rules, "operator": rules + "operator = \"read\"\n"} {
		client := open(t, settings(t, first.Env(first.MintToken(who, rules))...))
		// A server votes ten seconds after it came, and its catalog entry may come later than it does.
		consultest.Await(t, "the servers are seen", func() error {
			servers, err := client.Raft(t.Context())
			if err == nil && !slices.Equal(servers, want) {
				err = fmt.Errorf("%+v", servers)
			}
			return err
		})
	}
}
