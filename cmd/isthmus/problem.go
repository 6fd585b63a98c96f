package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/status"

	"isthmus/fault"
)

// printProblem writes an error for people: the message, each violation on a line of its own, and a hint where there is a
// next step that everybody needs.
func (p Program) printProblem(err error) {
	text := plain(explain(err))
	var e *fault.Error
	if !errors.As(err, &e) || e.Code == fault.Internal {
		fmt.Fprintf(p.Err, "Error: %s\n", text)
		return
	}
	// What an error with violations says is its first violation, mostly, and a reason without a field is the message: say
	// everything once.
	violations := slices.DeleteFunc(slices.Clone(e.Violations), func(v fault.Violation) bool {
		return v.Message == e.Message || v.Field == "" && strings.Contains(text, v.Message)
	})
	switch {
	case len(violations) == 0:
		fmt.Fprintf(p.Err, "Error: %s\n", text)
	case !strings.HasPrefix(e.Message, violations[0].Field+": "):
		fmt.Fprintf(p.Err, "Error: %s\n", text)
		printViolations(p.Err, violations)
	case len(violations) == 1:
		fmt.Fprintf(p.Err, "Error: %s\n", plain(e.Message))
	default:
		fmt.Fprintf(p.Err, "Error: %d problems\n", len(violations))
		printViolations(p.Err, violations)
	}
	if e.RetryAfter > 0 {
		fmt.Fprintf(p.Err, "Try again in %s.\n", e.RetryAfter.Round(time.Second))
	}
	if e.Code == fault.Unauthenticated {
		fmt.Fprintln(p.Err, "Name a file with an API token in ISTHMUS_TOKEN_FILE; the server's first start wrote one to admin.token in its data directory.")
	}
}

// explain is the whole error: what was being done, the message, and, since what fails here fails on the user's own machine,
// the causes as far as they say more.
func explain(err error) string {
	var e *fault.Error
	if !errors.As(err, &e) {
		var rpc interface{ GRPCStatus() *status.Status }
		if errors.As(err, &rpc) {
			return rpc.GRPCStatus().Message()
		}
		return err.Error()
	}
	text := e.Message
	if e.Cause != nil {
		if cause := explain(e.Cause); !strings.Contains(text, cause) {
			text += ": " + cause
		}
	}
	// What was put before the fault, if something was.
	return strings.Replace(err.Error(), e.Error(), text, 1)
}

func printViolations(w io.Writer, violations []fault.Violation) {
	for _, v := range violations {
		if v.Field == "" {
			fmt.Fprintf(w, "  %s\n", plain(v.Message))
			continue
		}
		fmt.Fprintf(w, "  %s: %s\n", plain(v.Field), plain(v.Message))
	}
}

// readAtMost reads all of r, and refuses more than limit bytes.
func readAtMost(r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("it is larger than %d bytes", limit)
	}
	return data, nil
}
