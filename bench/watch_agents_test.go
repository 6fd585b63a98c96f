package bench_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// enrolling is how many agents enrol at a time: as many as servers let in.
const enrolling = 32

// agents are really enrolled: each has keys and a certificate of its own, and keeps what it pulled when its connection is lost.
type agents struct {
	pin   string
	host  string
	each  []enrolled
	pulls []agentPull
	// polls: they ask anew after each answer.
	polls bool
}

type enrolled struct{ certificate tls.Certificate }

// watchedDatacenter is the datacenter of one agent.
func watchedDatacenter(i int) string { return fmt.Sprintf("dc-%05d", i) }

// enrolAgents enrols n agents, each in its own datacenter, which is declared.
func enrolAgents(ctx context.Context, s watched, n int) (*agents, error) {
	host, _, err := net.SplitHostPort(s.Addr)
	if err != nil {
		return nil, err
	}
	a := &agents{pin: s.Pin, host: host, polls: s.Polls, each: make([]enrolled, n), pulls: make([]agentPull, n)}
	conn, err := grpc.NewClient(s.Addr, grpc.WithTransportCredentials(credentials.NewTLS(identity.PinnedTLS(s.Pin, host, time.Now))))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	key, err := identity.NewFleetKey()
	if err != nil {
		return nil, err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(enrolling)
	for i := range n {
		group.Go(func() error { return a.enrol(ctx, i, s, conn, key) })
	}
	return a, group.Wait()
}

func (a *agents) enrol(ctx context.Context, i int, s watched, conn *grpc.ClientConn, key *identity.FleetKey) error {
	token, err := identity.MintJoinToken(key, identity.MintOptions{
		Datacenter: watchedDatacenter(i), Kind: resource.AgentKindAgent, TTL: time.Hour, Address: s.Addr, CAFingerprint: s.Pin,
	}, time.Now())
	if err != nil {
		return err
	}
	operator := metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+s.Token)
	err = patiently(operator, func(ctx context.Context) error {
		_, err := isthmusv1.NewJoinTokenServiceClient(conn).CreateJoinToken(ctx, &isthmusv1.CreateJoinTokenRequest{
			JoinToken: &isthmusv1.JoinToken{Name: token.Grant.GetName(), Spec: &isthmusv1.JoinTokenSpec{Grant: token.Grant}},
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("registering a join token: %w", err)
	}
	id, err := identity.NewIdentity(token, time.Now())
	if err != nil {
		return err
	}
	csr, err := id.CSR()
	if err != nil {
		return err
	}
	var answer *isthmusv1.EnrolResponse
	err = patiently(ctx, func(ctx context.Context) error {
		answer, err = isthmusv1.NewSyncServiceClient(conn).Enrol(ctx, &isthmusv1.EnrolRequest{
			Attestation: id.Attestation, Csr: csr, Version: "bench", Host: "host-" + watchedDatacenter(i),
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("enrolling: %w", err)
	}
	credential, err := id.Credential(answer.GetCertificate(), answer.GetCa())
	a.each[i].certificate = credential.Certificate
	return err
}

// patiently calls again while the server says that it is busy.
func patiently(ctx context.Context, call func(ctx context.Context) error) error {
	for {
		err := call(ctx)
		if code := status.Code(err); code != codes.ResourceExhausted && code != codes.Unavailable {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(10*time.Millisecond + rand.N(10*time.Millisecond)):
		}
	}
}

// config is one agent's TLS: the pinned authority, and its certificate.
func (a *agents) config(i int) *tls.Config {
	config := identity.PinnedTLS(a.pin, a.host, time.Now)
	config.Certificates = []tls.Certificate{a.each[i].certificate}
	return config
}

// pull is an agent's long poll over a connection, with the state that it has.
func (a *agents) pull(i int, conn *grpcPoll) *agentPull {
	a.pulls[i].grpcPoll, a.pulls[i].polls, a.pulls[i].open = conn, a.polls, false
	return &a.pulls[i]
}
