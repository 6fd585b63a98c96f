package consul_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"isthmus/agent/consul"
	"isthmus/test/consultest"
)

// A join deletes the token that the agent was configured with; its new one is known a moment later. And back.
func TestTheTokenThatConsulKnowsIsUsed(t *testing.T) {
	t.Parallel()
	c := consultest.Start(t, "dc1")
	const rules = `agent_prefix "" { policy = "read" }`
	configured, own := c.MintToken("configured", rules), c.MintToken("own", rules)
	s := settings(t, c.Env(configured)...)
	s.OwnTokenFile = filepath.Join(t.TempDir(), "consul-token")
	client := open(t, s)
	ask := func() error {
		_, err := client.Self(t.Context())
		return err
	}
	need(t, ask())
	need(t, os.WriteFile(s.OwnTokenFile, []byte(own+"\n"), 0o600))
	need(t, ask())
	forget := func(name string) {
		t.Helper()
		var all []struct{ AccessorID, Description string }
		c.Do(http.MethodGet, "/v1/acl/tokens", nil, &all)
		for _, one := range all {
			if one.Description == name {
				c.Do(http.MethodDelete, "/v1/acl/token/"+one.AccessorID, nil, nil)
				return
			}
		}
		t.Fatalf("there is no token %s", name)
	}
	forget("configured")
	eventually(t, "its own token is used", func() bool { return ask() == nil })
	_, _, err := client.Peerings(t.Context(), consul.Query{})
	if consul.ReasonOf(err) != consul.RuleMissing {
		t.Errorf("reading peerings: %v", err)
	}
	// A client that starts anew begins with its own token.
	need(t, func() error { _, err := open(t, s).Self(t.Context()); return err }())
	// The operator configures another one, and the own one dies.
	next := c.MintToken("next", rules)
	both := settings(t, c.Env(next)...)
	both.OwnTokenFile = s.OwnTokenFile
	client = open(t, both)
	need(t, ask())
	forget("own")
	eventually(t, "the configured token is used", func() bool { return ask() == nil })
	forget("next")
	eventually(t, "no token is known", func() bool { return consul.ReasonOf(ask()) == consul.ACLUnknown })
}

func TestAnOwnTokenIsEnough(t *testing.T) {
	t.Parallel()
	c := consultest.Start(t, "dc1")
	s := settings(t, c.Env("")...)
	s.OwnTokenFile = filepath.Join(t.TempDir(), "consul-token")
	client := open(t, s)
	if _, err := client.Self(t.Context()); consul.ReasonOf(err) != consul.RuleMissing {
		t.Fatalf("without a token: %v", err)
	}
	need(t, os.WriteFile(s.OwnTokenFile, []byte(c.MintToken("own", `agent_prefix "" { policy = "read" }`)), 0o600))
	_, err := client.Self(t.Context())
	need(t, err)
}
