package server_test

import (
	"crypto/tls"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/server/limit"
)

// However many connections strangers keep: agents come in, and so does whoever shows a token when some of them have gone.
func TestStrangersLeaveConnectionsToAgents(t *testing.T) {
	t.Parallel()
	n := start(t, limited(limit.Limits{Connections: 32}))
	n.apply(datacenters("dc1"))
	a := n.enrol(newWorld(), fleetKey(t), "dc1")
	host, _, err := net.SplitHostPort(n.GRPCAddr())
	if err != nil {
		t.Fatal(err)
	}
	config := identity.PinnedTLS(n.server().GetCaFingerprint(), host, time.Now)
	config.NextProtos = []string{"h2"}
	var open []net.Conn
	n.refusedAtLast("guests", func() {
		conn, err := (&tls.Dialer{Config: config}).DialContext(t.Context(), "tcp", n.GRPCAddr())
		if err != nil {
			return // it is closed before the handshake has ended here
		}
		t.Cleanup(func() { _ = conn.Close() })
		open = append(open, conn)
	})
	if _, err := isthmusv1.NewSyncServiceClient(n.dial(&a.cred.Certificate)).Pull(t.Context(), &isthmusv1.PullRequest{}); err != nil {
		t.Errorf("an agent: %v", err)
	}
	list := func() error {
		_, err := isthmusv1.NewDatacenterServiceClient(n.dial(nil)).ListDatacenters(n.as(n.token), &isthmusv1.ListRequest{})
		return err
	}
	if err := list(); status.Code(err) != codes.Unavailable {
		t.Errorf("one more guest: %v", err)
	}
	for _, conn := range open {
		_ = conn.Close()
	}
	// Who calls with a token is no guest any more: more come than there may be of those.
	for range 12 {
		eventually(t, "room again", func() (bool, string) {
			err := list()
			return err == nil, status.Convert(err).Message()
		})
	}
}
