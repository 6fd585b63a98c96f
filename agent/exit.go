package agent

import (
	"errors"

	"isthmus/fault"
)

// Exit is why an agent ends for good, as the exit code of its process.
//
//	10 wrong-datacenter     the join token or the data directory is for another datacenter
//	11 token-expired        the join token's time is over: make a new one
//	12 token-used           the join token was used up: make a new one
//	13 token-invalid        the join token is not one, was changed on its way, or the server does not know it
//	14 unreachable          the server did not answer within --enrol-timeout
//	15 untrusted            what answers is not the server that the join token names
//	16 agent-deleted        an operator deleted this agent: enrol again with a new data directory or a new join token
//	17 certificate-too-old  the agent was away for longer than its certificate may be renewed
//
// Everything else ends with 1.
type Exit int

// The exits.
const (
	ExitFailure           Exit = 1
	ExitWrongDatacenter   Exit = 10
	ExitTokenExpired      Exit = 11
	ExitTokenUsed         Exit = 12
	ExitTokenInvalid      Exit = 13
	ExitUnreachable       Exit = 14
	ExitUntrusted         Exit = 15
	ExitAgentDeleted      Exit = 16
	ExitCertificateTooOld Exit = 17
)

// exitError is an error that ends the agent, with its exit.
type exitError struct {
	exit Exit
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func exiting(exit Exit, err error) error { return &exitError{exit, err} }

// ended makes the error that ends the agent, with a message for the operator.
func ended(exit Exit, code fault.Code, cause error, format string, args ...any) error {
	return exiting(exit, fault.Wrap(code, cause, format, args...))
}

// ExitCode is the exit code for what Run returned: 0 for nil.
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	if e, ok := errors.AsType[*exitError](err); ok {
		return int(e.exit)
	}
	return int(ExitFailure)
}
