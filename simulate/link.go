package simulate

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"

	"isthmus/fault"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

const (
	// callTimeout and pullTimeout bound calls as real agents do.
	callTimeout = 15 * time.Second
	pullTimeout = 16 * time.Minute
	// pullWait is what a call to Follow asks for: the longest that servers allow.
	pullWait = "15m"
	// flow is what a connection lets the server send at once without being asked to: an agent waits most of the time, and its states are a few
	// kilobytes. It has no buffers of its own.
	flow = 64 << 10
	// redialMax is the longest pause between attempts to connect, as real agents'.
	redialMax = 5 * time.Second
)

// link is an agent's connection: TLS with the CA that its join token pinned, and its own certificate. No session is shared between agents,
// since one that is resumed is who began it.
type link struct {
	conn *grpc.ClientConn
	sync isthmusv1.SyncServiceClient
}

func newLink(id *identity.Identity, certificate *tls.Certificate, now func() time.Time) (*link, error) {
	host, _, err := net.SplitHostPort(id.Address)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "%q is not the host:port of a server", id.Address)
	}
	config := identity.PinnedTLS(id.CAFingerprint, host, now)
	config.Certificates = []tls.Certificate{*certificate}
	// The server's keep-alive pings this side, too; pings of its own would find nothing else out.
	conn, err := grpc.NewClient("passthrough:///"+id.Address,
		grpc.WithTransportCredentials(credentials.NewTLS(config)),
		grpc.WithReadBufferSize(0),
		grpc.WithStaticStreamWindowSize(flow), grpc.WithStaticConnWindowSize(flow),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: minPause, Multiplier: 1.6, Jitter: 0.5, MaxDelay: redialMax},
			MinConnectTimeout: callTimeout,
		}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxState), grpc.MaxCallSendMsgSize(maxState)),
		grpc.WithDisableServiceConfig(), grpc.WithIdleTimeout(0))
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "connecting to %s", id.Address)
	}
	return &link{conn: conn, sync: isthmusv1.NewSyncServiceClient(conn)}, nil
}

// rest waits for a while; while there is no connection, until there is one.
func (l *link) rest(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	state := l.conn.GetState()
	if state == connectivity.Ready {
		<-ctx.Done() // the server answers, but not as it should
		return
	}
	for l.conn.Connect(); state != connectivity.Ready && state != connectivity.Shutdown && l.conn.WaitForStateChange(ctx, state); {
		state = l.conn.GetState()
	}
}

func (l *link) close() { _ = l.conn.Close() } // what was on its way is asked again
