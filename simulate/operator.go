package simulate

import (
	"context"
	"net"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"isthmus/client"
	"isthmus/fault"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

const (
	// chunk is how many resources are applied at once: as many as a controller writes at once.
	chunk = 1000
	// crowd is how many agents enrol at once: as many as servers let in at a time.
	crowd = 32
	// pageSize is the largest that servers give.
	pageSize = 1000
	// maxMessage is the largest answer that is taken.
	maxMessage = 64 << 20
	// tokenLife of join tokens: they are used at once.
	tokenLife = 15 * time.Minute
)

// operator is who declares the fleet: with an API token, over one gRPC connection.
type operator struct {
	rest *client.Client
	info *isthmusv1.ServerInfo
	conn *grpc.ClientConn
	// bearer is the authorization of each call.
	bearer string
	now    func() time.Time
}

// newOperator asks REST what gRPC is reached by.
func newOperator(ctx context.Context, c Config) (*operator, error) {
	rest, err := client.New(c.Server)
	if err != nil {
		return nil, err
	}
	info, err := rest.Server(ctx)
	if err != nil {
		return nil, err
	}
	o := &operator{rest: rest, info: info, bearer: "Bearer " + c.Server.Token, now: c.Now}
	if o.conn, err = o.dial(); err != nil {
		return nil, err
	}
	return o, nil
}

// dial connects without a client certificate.
func (o *operator) dial() (*grpc.ClientConn, error) {
	host, _, err := net.SplitHostPort(o.info.GetGrpcAddress())
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the server says that its gRPC address is %q", o.info.GetGrpcAddress())
	}
	conn, err := grpc.NewClient("passthrough:///"+o.info.GetGrpcAddress(),
		grpc.WithTransportCredentials(credentials.NewTLS(identity.PinnedTLS(o.info.GetCaFingerprint(), host, o.now))),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)))
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "connecting to %s", o.info.GetGrpcAddress())
	}
	return conn, nil
}

func (o *operator) close() { _ = o.conn.Close() } // nothing was left to write

// as is a context that carries the API token.
func (o *operator) as(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", o.bearer)
}

// checkEmpty refuses a server that has datacenters: they are somebody's, or of a fleet whose agents nobody of this one trusts.
func (o *operator) checkEmpty(ctx context.Context) error {
	found, err := isthmusv1.NewDatacenterServiceClient(o.conn).ListDatacenters(o.as(ctx), &isthmusv1.ListRequest{PageSize: 1})
	if err != nil {
		return answered(err, "looking for datacenters")
	}
	if all := found.GetDatacenters(); len(all) > 0 {
		return fault.New(fault.Refused, "this server has datacenters already, %s first: use a new one for a simulation", all[0].GetName())
	}
	return nil
}

// apply declares manifests, some at a time, and tells how far it is.
func (o *operator) apply(ctx context.Context, manifests []string, progress func(done int)) error {
	for done := 0; done < len(manifests); {
		n := min(chunk, len(manifests)-done)
		text := strings.Join(manifests[done:done+n], "---\n")
		_, err := isthmusv1.NewServerServiceClient(o.conn).Apply(o.as(ctx), &isthmusv1.ApplyRequest{Manifests: text})
		if err != nil {
			return answered(err, "declaring the fleet")
		}
		done += n
		progress(done)
	}
	return nil
}

// answered is what the server said to a call, as a fault.
func answered(err error, doing string) error {
	out := fault.FromStatus(status.Convert(err), "")
	out.Message = doing + ": " + out.Message
	return out
}

// joinToken mints a token for one agent and registers it.
func (o *operator) joinToken(ctx context.Context, key *identity.FleetKey, datacenter, kind string) (*identity.JoinToken, error) {
	token, err := identity.MintJoinToken(key, identity.MintOptions{
		Datacenter: datacenter, Kind: kind, TTL: tokenLife, Address: o.info.GetGrpcAddress(), CAFingerprint: o.info.GetCaFingerprint(),
	}, o.now())
	if err != nil {
		return nil, err
	}
	_, err = isthmusv1.NewJoinTokenServiceClient(o.conn).CreateJoinToken(o.as(ctx), &isthmusv1.CreateJoinTokenRequest{
		JoinToken: &isthmusv1.JoinToken{Name: token.Grant.GetName(), Spec: &isthmusv1.JoinTokenSpec{Grant: token.Grant}},
	})
	if err != nil {
		return nil, answered(err, "registering the join token of "+datacenter)
	}
	return token, nil
}

// each runs do for all of n things, a crowd at a time, until one fails.
func each(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(crowd)
	for i := range n {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error { return do(ctx, i) })
	}
	return group.Wait()
}
