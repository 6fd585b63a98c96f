package demo

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"isthmus/agent"
	"isthmus/demo/child"
	"isthmus/fault"
	"isthmus/resource"
)

// portAttempts is how often another port is tried for a gateway when somebody else took it meanwhile.
const portAttempts = 5

// gatewayToken is the file of a gateway's Consul token. In the secondary the agent writes it, with what came in the bundle.
func (d *demo) gatewayToken(s site) string { return filepath.Join(d.dir, s.name, "gateway.token") }

// startGateway enrols a mesh gateway, on an address of its own, and waits until the server hears of it.
func (d *demo) startGateway(ctx context.Context, s site) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if s.role == rolePrimary {
		token, err := d.mint(ctx, s, "isthmus-gateway", agent.PurposeGateway)
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(d.gatewayToken(s), []byte(token+"\n"), 0o600); err != nil {
			return "", fault.Wrap(fault.Internal, err, "write the gateway's token")
		}
	}
	for attempt := 1; ; attempt++ {
		address, err := d.launchGateway(ctx, s)
		if err == nil {
			return "at " + address, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) || attempt == portAttempts {
			return "", err
		}
	}
}

func (d *demo) launchGateway(ctx context.Context, s site) (string, error) {
	address, err := freeAddress(ctx, s.gateway)
	if err != nil {
		return "", err
	}
	started, err := d.enrol(ctx, s, enrolment{
		kind: resource.AgentKindGateway,
		env:  withoutToken(d.consuls[s.name].Env(""), d.gatewayToken(s)),
		// When the demo ends there is nobody to wait for.
		args: []string{"--listen", address, "--lan-address", address, "--wan-address", address, "--drain-timeout", "1ms"},
	})
	if err != nil {
		return "", err
	}
	if _, err := d.awaitAgent(ctx, s, resource.AgentKindGateway, started); err != nil {
		return "", errors.Join(err, d.forget(started, stopTimeout))
	}
	return address, nil
}

// withoutToken replaces the token in Consul's variables by a file of it.
func withoutToken(env []string, file string) []string {
	var out []string
	for _, variable := range env {
		if !strings.HasPrefix(variable, "CONSUL_HTTP_TOKEN=") {
			out = append(out, variable)
		}
	}
	return append(out, "CONSUL_HTTP_TOKEN_FILE="+file)
}

// forget ends a child that is not watched over any more: at once without any grace.
func (d *demo) forget(one *child.Process, grace time.Duration) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.agents = slices.DeleteFunc(d.agents, func(other enrolled) bool { return other.Process == one })
	return one.End(grace)
}

// freeAddress is a host with a port that nobody listens on as yet.
func freeAddress(ctx context.Context, host string) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return "", fault.Wrap(fault.Unavailable, err, "find a port on %s", host)
	}
	defer l.Close()
	return l.Addr().String(), nil
}
