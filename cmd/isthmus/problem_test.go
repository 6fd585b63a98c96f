package main_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	isthmus "isthmus/cmd/isthmus"
	"isthmus/fault"
)

// What people read says everything once.
func TestProblems(t *testing.T) {
	t.Parallel()
	missing := &fs.PathError{Op: "open", Path: "dc1.token", Err: fs.ErrNotExist}
	refused := status.New(codes.PermissionDenied, "agent dc1-a was deleted")
	fromServer := fault.FromStatus(refused, "")
	fromServer.Message, fromServer.Cause = "claiming the token: "+refused.Message(), refused.Err()
	withReason := *fromServer
	withReason.Violations = []fault.Violation{{Reason: "AgentDeleted", Message: refused.Message()}}
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"plain":    {errors.New("no"), "Error: no\n"},
		"a fault":  {fault.New(fault.Denied, "you may not"), "Error: you may not\n"},
		"a cause":  {fault.Wrap(fault.Invalid, missing, "reading the join token"), "Error: reading the join token: open dc1.token: file does not exist\n"},
		"wrapped":  {fmt.Errorf("starting: %w", fault.Wrap(fault.Invalid, missing, "reading")), "Error: starting: reading: open dc1.token: file does not exist\n"},
		"internal": {fault.Wrap(fault.Internal, errors.New("disk full"), "writing"), "Error: writing: disk full\n"},
		"the server's text, which the cause has too": {fromServer, "Error: claiming the token: agent dc1-a was deleted\n"},
		"and the reason as well":                     {&withReason, "Error: claiming the token: agent dc1-a was deleted\n"},
		"of faults, what each adds": {
			fault.Wrap(fault.Denied, fromServer, "making a token for acme"),
			"Error: making a token for acme: claiming the token: agent dc1-a was deleted\n",
		},
		"gRPC's own, without its wrapping": {
			fault.Wrap(fault.Unavailable, status.Error(codes.Unavailable, "connection refused"), "the server does not answer"),
			"Error: the server does not answer: connection refused\n",
		},
		"one to try again later": {fault.Limited(90*time.Second, "you read too often"), "Error: you read too often\nTry again in 1m30s.\n"},
		"one violation":          {fault.Violated(fault.Violation{Field: "spec.dialer", Reason: "Required", Message: "is required"}), "Error: spec.dialer: is required\n"},
		"a message and violations": {
			&fault.Error{Code: fault.Referenced, Message: "it is in use", Violations: []fault.Violation{{Field: "name", Message: "Peering p refers to it"}}},
			"Error: it is in use\n  name: Peering p refers to it\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			isthmus.Program{Err: &out}.PrintProblem(test.err)
			if out.String() != test.want {
				t.Errorf("got %q, want %q", out.String(), test.want)
			}
		})
	}
}
