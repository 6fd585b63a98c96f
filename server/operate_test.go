package server_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/server"
)

func TestWhatMachinesAsk(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.apply(datacenters("dc1"))
	for _, path := range []string{"/healthz", "/readyz"} {
		if a := n.callAs("", http.MethodGet, path, ""); a.status != http.StatusOK || a.body != "ok\n" {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	metrics := n.want(http.StatusOK, n.callAs("", http.MethodGet, "/metrics", "")).body
	for _, name := range []string{
		`isthmus_requests_total{code="OK",rpc="isthmus.v1.ServerService/Apply"} 1`, "isthmus_request_duration_seconds_bucket",
		"isthmus_store_index", "isthmus_snapshot_lag ", `isthmus_agents{liveness="online"} 0`, `isthmus_peerings{verdict="healthy"} 0`,
		`isthmus_federation_members{phase="joined"} 0`,
		"isthmus_controller_leader 1", "go_goroutines", "process_resident_memory_bytes",
	} {
		if !strings.Contains(metrics, name) {
			t.Errorf("/metrics has no %s", name)
		}
	}
	var document struct {
		OpenAPI string         `json:"openapi"`
		Paths   map[string]any `json:"paths"`
	}
	if err := json.Unmarshal([]byte(n.want(http.StatusOK, n.callAs("", http.MethodGet, "/v1/openapi.json", "")).body), &document); err != nil {
		t.Fatal(err)
	}
	if document.Paths["/v1/datacenters"] == nil {
		t.Errorf("the OpenAPI document has no /v1/datacenters")
	}
	health, err := healthv1.NewHealthClient(n.shared()).Check(t.Context(), &healthv1.HealthCheckRequest{})
	if err != nil || health.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		t.Errorf("gRPC health: %v %v", health, err)
	}
}

func TestAnswersAreForPrograms(t *testing.T) {
	t.Parallel()
	n := start(t)
	a := n.callAs("", http.MethodGet, "/v1/datacenters", "")
	if a.status != http.StatusUnauthorized || !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer") {
		t.Errorf("without a token: %d %v", a.status, a.header)
	}
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
		"Cross-Origin-Resource-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin", "Cache-Control": "no-store",
		"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Content-Type": "application/json",
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestConfigTellsAllThatIsWrong(t *testing.T) {
	t.Parallel()
	err := server.Config{
		Store: "mysql://x", HTTPAddr: "0.0.0.0:8700", GRPCAddr: "nonsense", HTTPKeyFile: "k", GRPCCertFile: "/not/there", GRPCKeyFile: "/not/there",
		GRPCHosts: []string{"a b"}, RenewalWindow: -1, KeepChanges: -1,
	}.Validate()
	var f *fault.Error
	if !errors.As(err, &f) {
		t.Fatalf("got %v", err)
	}
	fields := map[string]bool{}
	for _, v := range f.Violations {
		fields[v.Field] = true
	}
	for _, want := range []string{"store", "httpAddr", "grpcAddr", "httpCertFile", "grpcCertFile", "grpcKeyFile", "grpcHosts[0]", "renewalWindow", "keepChanges"} {
		if !fields[want] {
			t.Errorf("nothing about %s in %v", want, f.Violations)
		}
	}
	for _, c := range []server.Config{
		{}, {HTTPAddr: "localhost:1"}, {HTTPAddr: "[::1]:0"}, {HTTPAddr: "0.0.0.0:1", HTTPAllowPlain: true}, {Store: "postgres://u@h/d"},
	} {
		if err := c.Validate(); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
	for _, addr := range []string{":8700", "0.0.0.0:1", "192.0.2.1:1", "example.com:1"} {
		if err := (server.Config{HTTPAddr: addr}).Validate(); err == nil {
			t.Errorf("%s without TLS is allowed", addr)
		}
	}
}

// selfSigned writes a certificate for localhost and its key.
func selfSigned(t *testing.T, dir string, serial int64) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for path, data := range map[string][]byte{cert: certPEM, key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	return cert, key, pool
}

func TestHTTPWithTLS(t *testing.T) {
	t.Parallel()
	cert, key, pool := selfSigned(t, t.TempDir(), 1)
	n := start(t, func(c *server.Config) { c.HTTPCertFile, c.HTTPKeyFile = cert, key })
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.URL()+"/v1/server", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+n.token)
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Strict-Transport-Security") == "" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	if !strings.HasPrefix(n.URL(), "https://") {
		t.Errorf("URL %s", n.URL())
	}
}

func TestWhoAmI(t *testing.T) {
	t.Parallel()
	n := start(t)
	info, err := isthmusv1.NewServerServiceClient(n.shared()).GetServer(n.as(n.apiToken("viewer")), &isthmusv1.GetServerRequest{})
	if err != nil || info.GetRole() != "viewer" || !strings.HasPrefix(info.GetActor(), "api-token/viewer-") || info.GetVersion() != "test" ||
		info.GetGrpcAddress() != n.GRPCAddr() || !strings.HasPrefix(info.GetCaFingerprint(), "SHA256:") || info.GetEpoch() == "" {
		t.Errorf("%v %v", info, err)
	}
}

func TestMaskAndOutputOnlyFields(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.apply(datacenters("dc1"))
	n.settle("/v1/datacenters")
	d := isthmusv1.NewDatacenterServiceClient(n.shared())
	before, err := d.GetDatacenter(n.as(n.token), &isthmusv1.GetRequest{Name: "dc1"})
	if err != nil {
		t.Fatal(err)
	}
	a := n.want(http.StatusOK, n.call(http.MethodPatch, "/v1/datacenters/dc1",
		`{"uid":"mine","generation":99,"status":{"agent":"online"},"createTime":"2000-01-01T00:00:00Z","spec":{"drift":"report"}}`))
	got := a.fields(t)
	spec := got["spec"].(map[string]any)
	if got["uid"] != before.GetUid() || got["generation"] != float64(2) || got["status"].(map[string]any)["agent"] != "unknown" ||
		spec["drift"] != "report" || spec["runtime"] != "vm" || got["labels"].(map[string]any)["env"] != "demo" {
		t.Errorf("%v", got)
	}
	a = n.want(http.StatusOK, n.call(http.MethodPatch, "/v1/datacenters/dc1?updateMask=labels", `{"labels":{"a":"b"},"spec":{"drift":"correct"}}`))
	got = a.fields(t)
	if got["spec"].(map[string]any)["drift"] != "report" || len(got["labels"].(map[string]any)) != 1 {
		t.Errorf("the mask is not obeyed: %v", got)
	}
	n.settle("/v1/datacenters")
	index := n.call(http.MethodGet, "/v1/datacenters/dc1", "").fields(t)["index"].(string)
	n.want(http.StatusOK, n.call(http.MethodPatch, "/v1/datacenters/dc1?index="+index, `{"labels":{"a":"c"}}`))
	n.want(http.StatusConflict, n.call(http.MethodPatch, "/v1/datacenters/dc1?index="+index, `{"labels":{"a":"d"}}`))
	_, err = d.UpdateDatacenter(n.as(n.token), &isthmusv1.UpdateDatacenterRequest{Datacenter: &isthmusv1.Datacenter{Name: "dc1"}})
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("a full update without a runtime: %v", err)
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.apply(datacenters("dc1", "dc2", "dc3", "dc4", "dc5") + "---\nkind: Datacenter\nname: other\nlabels: {env: x}\nspec: {runtime: vm}\n")
	var names []string
	token := ""
	for {
		page := n.want(http.StatusOK, n.call(http.MethodGet, "/v1/datacenters?pageSize=2&selector=env%3Ddemo&pageToken="+token, "")).fields(t)
		for _, d := range page["datacenters"].([]any) {
			names = append(names, d.(map[string]any)["name"].(string))
		}
		if token = page["nextPageToken"].(string); token == "" {
			break
		}
	}
	if got := strings.Join(names, " "); got != "dc1 dc2 dc3 dc4 dc5" {
		t.Errorf("pages: %s", got)
	}
}

// Two servers on one data directory would both believe that they are alone.
func TestOneServerForADirectory(t *testing.T) {
	t.Parallel()
	n := start(t)
	_, err := server.New(t.Context(), server.Config{DataDir: n.dir, HTTPAddr: "127.0.0.1:0", GRPCAddr: "127.0.0.1:0"})
	if err == nil {
		t.Fatal("a second server starts on the same directory")
	}
	n.want(http.StatusOK, n.call(http.MethodGet, "/v1/datacenters", ""))
}

// Whoever stops a server at once sees it end as it ends later.
func TestStoppedBeforeItServes(t *testing.T) {
	t.Parallel()
	s, err := server.New(t.Context(), server.Config{DataDir: t.TempDir(), HTTPAddr: "127.0.0.1:0", GRPCAddr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := errors.Join(s.Run(ctx), s.Close()); err != nil {
		t.Error(err)
	}
}
