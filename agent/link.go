package agent

import (
	"context"
	"crypto/tls"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	grpcbackoff "google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	grpccredentials "google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/agent/consul"
	"isthmus/fault"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

const (
	// rpcTimeout bounds calls that do not wait; pullTimeout those that do, a long poll's fifteen minutes and some.
	rpcTimeout  = 15 * time.Second
	pullTimeout = 16 * time.Minute
	// keepAliveTime finds a connection that is dead without saying so. What is under way is given up after rpcTimeout in any case; this is for
	// one over which nothing goes, as under a server that does not ask by itself whether its agents live.
	keepAliveTime = time.Minute
	// window is what the server may send before it asks for more: the largest states are a few hundred kilobytes.
	window = 256 << 10
	// maxMessage is the largest state that is taken.
	maxMessage = 16 << 20
	// redialMax is the longest mean pause between attempts to connect: a fleet is back some seconds after its server is.
	redialMax = 5 * time.Second
)

// link is the connection to the server: TLS with the CA that the join token pinned, and the agent's own certificate. All
// errors are *fault.Error with the server's code and reasons.
type link struct {
	address string
	pin     string
	self    *credentials
	now     func() time.Time

	mu   sync.Mutex
	conn *grpc.ClientConn
	// refused is why the server's certificate was not believed when it was last looked at.
	refused error
}

func newLink(address, pin string, self *credentials, now func() time.Time) (*link, error) {
	l := &link{address: address, pin: pin, self: self, now: now}
	return l, l.reconnect()
}

// reconnect begins with the certificate as it is now: the server looks at it when the connection is made.
func (l *link) reconnect() error {
	host, _, err := net.SplitHostPort(l.address)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "%q is not the host:port of a server", l.address)
	}
	config := identity.PinnedTLS(l.pin, host, l.now)
	verify := config.VerifyConnection
	config.VerifyConnection = func(state tls.ConnectionState) error {
		err := verify(state)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.refused = err
		return err
	}
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return l.self.certificate(), nil
	}
	conn, err := grpc.NewClient("passthrough:///"+l.address,
		grpc.WithTransportCredentials(grpccredentials.NewTLS(config)),
		grpc.WithStaticStreamWindowSize(window), grpc.WithStaticConnWindowSize(window),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepAliveTime, Timeout: rpcTimeout}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           grpcbackoff.Config{BaseDelay: minPause, Multiplier: 1.6, Jitter: 0.5, MaxDelay: redialMax},
			MinConnectTimeout: rpcTimeout,
		}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)),
	)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "connecting to %s", l.address)
	}
	l.mu.Lock()
	before := l.conn
	l.conn = conn
	l.mu.Unlock()
	if before != nil {
		before.Close() // what was in flight on it is asked again
	}
	return nil
}

// rest waits for a while; while there is no connection, until there is one, and a moment longer: it may be one that ends with the next call.
func (l *link) rest(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	conn := l.current()
	state := conn.GetState()
	if state == connectivity.Ready {
		<-ctx.Done() // it answers, but not as it should
		return
	}
	for conn.Connect(); state != connectivity.Ready && state != connectivity.Shutdown && conn.WaitForStateChange(ctx, state); {
		state = conn.GetState()
	}
	consul.Wait(ctx, minPause/2+rand.N(minPause/2)) //nolint:gosec // spreads load; nobody gains by guessing it.
}

func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn.Close() // nothing was left to write
}

// current is the connection of now.
func (l *link) current() *grpc.ClientConn {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conn
}

// replaced tells that there is another connection than this one: what was under way on it is asked again.
func (l *link) replaced(conn *grpc.ClientConn) bool { return l.current() != conn }

// failed is the error of a call.
func (l *link) failed(err error, doing string) error {
	l.mu.Lock()
	refused := l.refused
	l.mu.Unlock()
	return fromServer(err, refused, doing)
}

// call runs one RPC on the connection of now.
func (l *link) call(ctx context.Context, timeout time.Duration, doing string, rpc func(ctx context.Context, c isthmusv1.SyncServiceClient) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for {
		conn := l.current()
		err := rpc(ctx, isthmusv1.NewSyncServiceClient(conn))
		switch {
		case err == nil:
			return nil
		case l.replaced(conn) && ctx.Err() == nil:
			continue
		}
		return l.failed(err, doing)
	}
}

func (l *link) pull(ctx context.Context, r *isthmusv1.PullRequest) (answer *isthmusv1.PullResponse, err error) {
	err = l.call(ctx, pullTimeout, "pulling the desired state", func(ctx context.Context, c isthmusv1.SyncServiceClient) error {
		answer, err = c.Pull(ctx, r)
		return err
	})
	return answer, err
}

// report sends parts, and how late it is here; r is nobody else's.
func (l *link) report(ctx context.Context, r *isthmusv1.ReportRequest) error {
	return l.call(ctx, rpcTimeout, "reporting", func(ctx context.Context, c isthmusv1.SyncServiceClient) error {
		r.Clock = timestamppb.New(l.now())
		_, err := c.Report(ctx, r)
		return err
	})
}

// claim implements hub.
func (l *link) claim(ctx context.Context, r *isthmusv1.ClaimTokenRequest) (attempt int32, err error) {
	err = l.call(ctx, rpcTimeout, "claiming a peering token's generation", func(ctx context.Context, c isthmusv1.SyncServiceClient) error {
		answer, err := c.ClaimToken(ctx, r)
		attempt = answer.GetAttempt()
		return err
	})
	return attempt, err
}

// store implements hub.
func (l *link) store(ctx context.Context, r *isthmusv1.StoreTokenRequest) error {
	return l.call(ctx, rpcTimeout, "storing a sealed peering token", func(ctx context.Context, c isthmusv1.SyncServiceClient) error {
		_, err := c.StoreToken(ctx, r)
		return err
	})
}

// fetch implements hub.
func (l *link) fetch(ctx context.Context, digest string) (payload *isthmusv1.SealedPayload, err error) {
	err = l.call(ctx, rpcTimeout, "fetching a sealed secret", func(ctx context.Context, c isthmusv1.SyncServiceClient) error {
		answer, err := c.FetchSecrets(ctx, &isthmusv1.FetchSecretsRequest{Digests: []string{digest}})
		if err != nil {
			return err
		}
		if payloads := answer.GetPayloads(); len(payloads) == 1 {
			payload = payloads[0]
			return nil
		}
		return because(fault.NotFound, reasonSecretGone, "the server has no such secret any more")
	})
	return payload, err
}

// storeBundle implements hub.
func (l *link) storeBundle(ctx context.Context, r *isthmusv1.StoreBundleRequest) (digest string, err error) {
	err = l.call(ctx, rpcTimeout, "storing a sealed federation bundle", func(ctx context.Context, c isthmusv1.SyncServiceClient) error {
		answer, err := c.StoreBundle(ctx, r)
		digest = answer.GetDigest()
		return err
	})
	return digest, err
}

// takeTurn implements hub.
func (l *link) takeTurn(ctx context.Context, uid string) (turn *isthmusv1.TakeTurnResponse, err error) {
	err = l.call(ctx, rpcTimeout, "asking for the turn to restart Consul", func(ctx context.Context, c isthmusv1.SyncServiceClient) error {
		turn, err = c.TakeTurn(ctx, &isthmusv1.TakeTurnRequest{Uid: uid})
		return err
	})
	return turn, err
}

// endTurn implements hub.
func (l *link) endTurn(ctx context.Context, uid string) error {
	return l.call(ctx, rpcTimeout, "ending the turn to restart Consul", func(ctx context.Context, c isthmusv1.SyncServiceClient) error {
		_, err := c.EndTurn(ctx, &isthmusv1.EndTurnRequest{Uid: uid})
		return err
	})
}
