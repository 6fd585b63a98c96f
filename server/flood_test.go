package server_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	isthmusv1 "isthmus/proto/isthmus/v1"
)

// A stranger's body is not read: the answer is there before the first byte of it was sent.
func TestStrangersAreTurnedAwayUnread(t *testing.T) {
	t.Parallel()
	n := start(t)
	for _, header := range []string{"", "Authorization: Bearer nonsense\r\n", "Authorization: Basic eDp5\r\n", "Authorization: Bearer " + start(t).token + "\r\n"} {
		for _, route := range []string{"POST /v1/datacenters", "POST /v1/apply", "POST /v1/peerings/p:import", "PUT /v1/nothing"} {
			connection, err := new(net.Dialer).DialContext(t.Context(), "tcp", n.HTTPAddr())
			if err != nil {
				t.Fatal(err)
			}
			_, err = fmt.Fprintf(connection, "%s HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: 1000000000\r\n%s\r\n", route, header)
			if err != nil {
				t.Fatal(err)
			}
			response, err := http.ReadResponse(bufio.NewReader(connection), nil)
			if err != nil {
				t.Fatal(err)
			}
			if response.StatusCode != http.StatusUnauthorized || response.Header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s with %q: %s %v", route, header, response.Status, response.Header)
			}
			_ = response.Body.Close()
			_ = connection.Close()
		}
	}
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/v1/openapi.json"} {
		n.want(http.StatusOK, n.callAs("", http.MethodGet, path, ""))
	}
}

func TestBodiesThatAreMeantToCost(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.apply(datacenters("dc1"))
	deep := func(open, end string, levels int) string {
		return strings.Repeat(open, levels) + "1" + strings.Repeat(end, levels)
	}
	unknown := "{" + strings.Repeat("\n\"a\":1,", 10_000) + "\"b\":1}"
	for name, c := range map[string]struct {
		method, path, body string
		status             int
		says               string
	}{
		"deep objects":      {"POST", "/v1/datacenters", deep(`{"`+strings.Repeat("k", 50)+`":`, "}", 4000), 400, "nested more than 64 deep"},
		"deep lists":        {"POST", "/v1/datacenters", deep("[", "]", 9000), 400, "nested more than 64 deep"},
		"too deep for JSON": {"POST", "/v1/datacenters", deep("[", "]", 20_000), 400, "not JSON"},
		"unknown fields":    {"POST", "/v1/datacenters", unknown, 400, "(and 19 more)"},
		"a long key":        {"POST", "/v1/datacenters", `{"` + strings.Repeat("ä", 100_000) + `":1}`, 400, "unknown field"},
		"large":             {"POST", "/v1/datacenters", `{"name":"` + strings.Repeat("x", 256<<10) + `"}`, 413, "256 KiB"},
		"large update":      {"PATCH", "/v1/datacenters/dc1", strings.Repeat(" ", 257<<10), 413, "256 KiB"},
		"large payload":     {"POST", "/v1/peerings/p:import", `{"payload":{"ciphertext":"` + strings.Repeat("AAAA", 1<<18) + `"}}`, 404, "no Peering"},
		"larger payload":    {"POST", "/v1/peerings/p:import", strings.Repeat(" ", 2<<20+1), 413, "2048 KiB"},
		"large manifests":   {"POST", "/v1/apply", strings.Repeat(" ", 8<<20+1), 413, "8 MiB"},
	} {
		a := n.call(c.method, c.path, c.body, "Content-Type", "application/json")
		if a.status != c.status || !strings.Contains(a.body, c.says) || len(a.body) > 8<<10 {
			t.Errorf("%s: %d, %d bytes: %.300s", name, a.status, len(a.body), a.body)
		}
	}
	a := n.call("POST", "/v1/datacenters", unknown)
	for _, line := range []string{"line 2:", "line 21:"} {
		if !strings.Contains(a.body, line) {
			t.Errorf("no %s in %.300s", line, a.body)
		}
	}
	a = n.call("POST", "/v1/apply", strings.Repeat("kind: \xff\x00 ", 700_000), "Content-Type", yaml)
	if a.status != http.StatusBadRequest || !strings.Contains(a.body, "UTF-8") {
		t.Errorf("7 MB that are no text: %d %.200s", a.status, a.body)
	}
}

// stranger opens a call and sends no message.
func stranger(ctx context.Context, t *testing.T, conn *grpc.ClientConn, method string) grpc.ClientStream {
	t.Helper()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// Over gRPC the headers decide: the answer is there though no message was sent.
func TestCallsAreRefusedBeforeTheirMessage(t *testing.T) {
	t.Parallel()
	n := start(t)
	viewer := n.as(n.apiToken("viewer"))
	for _, c := range []struct {
		method string
		ctx    context.Context //nolint:containedctx // it carries the caller's token.
		want   codes.Code
	}{
		{isthmusv1.SyncService_Report_FullMethodName, t.Context(), codes.Unauthenticated},
		{isthmusv1.ServerService_Apply_FullMethodName, t.Context(), codes.Unauthenticated},
		{isthmusv1.ServerService_Apply_FullMethodName, n.as("nonsense"), codes.Unauthenticated},
		{isthmusv1.ServerService_Apply_FullMethodName, viewer, codes.PermissionDenied},
		{isthmusv1.SyncService_Report_FullMethodName, viewer, codes.PermissionDenied},
		{"/isthmus.v1.SyncService/Nothing", t.Context(), codes.Unimplemented},
	} {
		if err := stranger(c.ctx, t, n.shared(), c.method).RecvMsg(&isthmusv1.ApplyResponse{}); status.Code(err) != c.want {
			t.Errorf("%s: %v; want %v", c.method, err, c.want)
		}
	}
	huge := metadata.AppendToOutgoingContext(n.as(n.token), "x", strings.Repeat("x", 64<<10))
	if _, err := isthmusv1.NewServerServiceClient(n.shared()).GetServer(huge, &isthmusv1.GetServerRequest{}); err == nil {
		t.Error("64 KiB of headers are taken")
	}
	metrics := n.callAs("", http.MethodGet, "/metrics", "").body
	if want := `isthmus_requests_total{code="Unauthenticated",rpc="isthmus.v1.SyncService/Report"} 1`; !strings.Contains(metrics, want) || strings.Contains(metrics, "Nothing") {
		t.Errorf("refused calls are not counted, or counted by names that callers make up")
	}
}

// Strangers who hold calls open take up a few places only, and give them back.
func TestStrangersShareAFewPlaces(t *testing.T) {
	t.Parallel()
	n := start(t)
	c := isthmusv1.NewSyncServiceClient(n.shared())
	held, release := context.WithCancel(t.Context())
	defer release()
	for range 40 {
		stranger(held, t, n.shared(), isthmusv1.SyncService_Enrol_FullMethodName)
	}
	eventually(t, "all places taken", func() (bool, string) {
		_, err := c.Enrol(t.Context(), &isthmusv1.EnrolRequest{})
		return status.Code(err) == codes.ResourceExhausted && strings.Contains(err.Error(), "unknown callers"), fmt.Sprint(err)
	})
	n.want(http.StatusOK, n.call(http.MethodGet, "/v1/datacenters", ""))
	release()
	eventually(t, "a free place", func() (bool, string) {
		_, err := c.Enrol(t.Context(), &isthmusv1.EnrolRequest{})
		return status.Code(err) != codes.ResourceExhausted, fmt.Sprint(err)
	})
}
