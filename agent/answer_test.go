package agent_test

import (
	"errors"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"isthmus/agent"
	"isthmus/fault"
)

func TestWhatTheServerSaysIsSaidOnce(t *testing.T) {
	t.Parallel()
	theirs := fault.New(fault.Refused, "the token of generation 3 is made")
	err := agent.FromServer(theirs.GRPCStatus().Err(), nil, "claiming a generation")
	if got, want := err.Error(), "claiming a generation: the token of generation 3 is made"; got != want || fault.CodeOf(err) != fault.Refused {
		t.Fatalf("%s: %q, want %q", fault.CodeOf(err), got, want)
	}
	own := fault.New(fault.NotFound, "the agent's own")
	if err := agent.FromServer(own, nil, "fetching"); !errors.Is(err, own) {
		t.Fatalf("its own: %v", err)
	}
}

// The server was another one for a while; later it is away. (That the first is found out is in TestEnrolmentRefused.)
func TestAnOutageAfterAnotherServer(t *testing.T) {
	t.Parallel()
	refused := fault.New(fault.Denied, `the certificate is of "elsewhere"`)
	shown := `connection error: desc = "transport: authentication handshake failed: the certificate is of \"elsewhere\""`
	away := `connection error: desc = "transport: Error while dialing: dial tcp 192.0.2.1:7443: connect: connection refused"`
	for text, code := range map[string]fault.Code{shown: fault.Denied, away: fault.Unavailable} {
		err := agent.FromServer(status.Error(codes.Unavailable, text), refused, "pulling")
		if fault.CodeOf(err) != code || strings.Contains(err.Error(), "pinned") != (code == fault.Denied) {
			t.Errorf("%s: %v", fault.CodeOf(err), err)
		}
	}
}
