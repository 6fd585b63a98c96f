package agent

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// pulls asks for desired states: with one call to Follow for many, where the server has it, else with one Pull after the other. Its methods
// are called by one goroutine.
type pulls struct {
	link *link
	// open is the call to Follow that goes on; nil: none does.
	open *following
	// old: the server has no Follow.
	old bool
}

// following is a call to Follow.
type following struct {
	conn   *grpc.ClientConn
	stream grpc.ServerStreamingClient[isthmusv1.PullResponse]
	cancel context.CancelFunc
	// answers is how many have come.
	answers int
}

// next waits for the next answer. request makes what to ask when no call goes on.
func (p *pulls) next(ctx context.Context, request func() *isthmusv1.PullRequest) (*isthmusv1.PullResponse, error) {
	for !p.old {
		if p.open == nil {
			f, err := p.link.follow(ctx, request())
			if err != nil {
				return nil, err
			}
			p.open = f
		}
		answer, err := p.open.stream.Recv()
		if err == nil {
			p.open.answers++
			return answer, nil
		}
		conn, answers := p.open.conn, p.open.answers
		p.end()
		switch {
		case ctx.Err() == nil && p.link.replaced(conn):
		case errors.Is(err, io.EOF) && answers > 0: // its time is over
		case errors.Is(err, io.EOF):
			return nil, fault.New(fault.Unavailable, "following the desired state: the server ended the call without an answer")
		case status.Code(err) == codes.Unimplemented:
			p.old = true
		default:
			return nil, p.link.failed(err, "following the desired state")
		}
	}
	answer, err := p.link.pull(ctx, request())
	if err != nil {
		p.old = false // another server may answer next
	}
	return answer, err
}

// end ends the call that goes on: the next answer is to another request.
func (p *pulls) end() {
	if p.open != nil {
		p.open.cancel()
		p.open = nil
	}
}

// follow begins a call to Follow.
func (l *link) follow(ctx context.Context, r *isthmusv1.PullRequest) (*following, error) {
	ctx, cancel := context.WithTimeout(ctx, pullTimeout)
	for {
		conn := l.current()
		stream, err := isthmusv1.NewSyncServiceClient(conn).Follow(ctx, r)
		switch {
		case err == nil:
			return &following{conn: conn, stream: stream, cancel: cancel}, nil
		case ctx.Err() == nil && l.replaced(conn):
			continue
		}
		cancel()
		return nil, l.failed(err, "following the desired state")
	}
}
