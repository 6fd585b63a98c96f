package agentapi_test

import (
	"errors"
	"io"
	"testing"
	"time"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/server/agentapi"
)

// reader is who follows: an answer is read when it says so.
type reader struct {
	isthmusv1.SyncService_FollowServer

	reads chan error
}

// Send implements isthmusv1.SyncService_FollowServer.
func (r reader) Send(*isthmusv1.PullResponse) error { return <-r.reads }

// Who does not read an answer is sent away; who does is told when it is gone.
func TestAnswersThatNobodyReads(t *testing.T) {
	t.Parallel()
	deaf := reader{reads: make(chan error)}
	if err := agentapi.Send(t.Context(), deaf, &isthmusv1.PullResponse{}, time.Millisecond); fault.CodeOf(err) != fault.Timeout {
		t.Errorf("one who does not read: %v", err)
	}
	close(deaf.reads)
	reads := reader{reads: make(chan error, 2)}
	reads.reads <- nil
	reads.reads <- io.EOF
	if err := agentapi.Send(t.Context(), reads, &isthmusv1.PullResponse{}, time.Hour); err != nil {
		t.Errorf("one who reads: %v", err)
	}
	if err := agentapi.Send(t.Context(), reads, &isthmusv1.PullResponse{}, time.Hour); !errors.Is(err, io.EOF) {
		t.Errorf("one who has gone: %v", err)
	}
}
