package main_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"google.golang.org/protobuf/encoding/protojson"

	"isthmus/federation"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/seal"
)

const (
	bundleUID   = "6f2d2a36-4d2f-4c0c-8c11-1f2a7a6e5d01"
	bundleToken = "11111111-1111-4111-8111-111111111111"
)

// hand is an operator with a fleet key and an age key, and a server whose primary's agent makes bundles.
type hand struct {
	t           *testing.T
	fleet       *identity.FleetKey
	maker       *identity.Identity
	key         *age.X25519Identity
	environment map[string]string
	identity    string
	// bundle is what the agent makes, for the recipient.
	bundle federation.Bundle
	to     string
}

func newHand(t *testing.T) *hand {
	t.Helper()
	h := &hand{t: t, bundle: federation.Bundle{
		Federation: "global", UID: bundleUID, Mode: "mesh-gateway", PrimaryDatacenter: "dc1", Datacenter: "dc2", Domain: "consul",
		GossipKey: "Z29zc2lw", ACL: true, DefaultPolicy: "deny",
		Tokens: federation.Tokens{Replication: bundleToken, Agent: bundleToken, Gateway: bundleToken}, PrimaryGateways: []string{"192.0.2.1:8443"}, RetryIntervalWAN: "2s",
	}}
	ca, key := newCA(t)
	h.bundle.CACertificates, h.bundle.CAKey = []string{ca}, key
	var err error
	if h.fleet, err = identity.NewFleetKey(); err != nil {
		t.Fatal(err)
	}
	fleetFile := filepath.Join(t.TempDir(), "fleet.key")
	if err := h.fleet.Save(fleetFile); err != nil {
		t.Fatal(err)
	}
	token, err := identity.MintJoinToken(h.fleet, identity.MintOptions{
		Datacenter: "dc1", Address: "127.0.0.1:8701", CAFingerprint: "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
	}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if h.maker, err = identity.NewIdentity(token, time.Now()); err != nil {
		t.Fatal(err)
	}
	if h.key, err = age.GenerateX25519Identity(); err != nil {
		t.Fatal(err)
	}
	h.to, h.identity = h.key.Recipient().String(), writeFile(t, "key.txt", "# created by age-keygen\n"+h.key.String()+"\n")
	server := httptest.NewServer(http.HandlerFunc(h.serve))
	t.Cleanup(server.Close)
	h.environment = map[string]string{"ISTHMUS_ADDR": server.URL, "ISTHMUS_TOKEN": "isthmus_test_secret", "ISTHMUS_FLEET_KEY": fleetFile}
	return h
}

// newCA is a CA of Consul servers' certificates, as PEM.
func newCA(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Consul CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret}))
}

// serve is the server: the Federation, and its bundle for whom the fleet key allows.
func (h *hand) serve(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		_, _ = io.WriteString(w, `{"name":"global","uid":"`+bundleUID+`","index":"3","spec":{"primary":"dc1","secondaries":["dc2"]}}`)
		return
	}
	body, err := io.ReadAll(r.Body)
	ask := &isthmusv1.RequestBundleRequest{}
	if err == nil {
		err = protojson.Unmarshal(body, ask)
	}
	if err == nil {
		signed := &isthmusv1.BundleRequest{
			Datacenter: ask.GetDatacenter(), Recipient: ask.GetRecipient(), FleetKey: ask.GetFleetKey(), Signature: ask.GetSignature(), CreateTime: ask.GetCreateTime(),
		}
		err = identity.VerifyRecipient(bundleUID, signed, h.fleet.Public(), time.Now())
	}
	if err != nil {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"code":7,"message":"the fleet key has not allowed this recipient"}`)
		return
	}
	text, err := h.bundle.Encode()
	if err != nil {
		h.t.Error(err)
	}
	payload, err := seal.Seal(seal.Draft{
		Kind: seal.KindFederationBundle, UID: bundleUID, From: h.maker.Agent(), FromDatacenter: "dc1", ToDatacenter: "dc2", Generation: 1, Attempt: 1, TTL: time.Hour,
	}, h.maker.Signer(), []string{h.to}, text, time.Now())
	if err != nil {
		h.t.Error(err)
	}
	answer, err := protojson.Marshal(&isthmusv1.RequestBundleResponse{Payload: payload, Senders: []*isthmusv1.TrustedAgent{{Attestation: h.maker.Attestation}}})
	if err != nil {
		h.t.Error(err)
	}
	_, _ = w.Write(answer)
}

// ask has the bundle made, and gives its file.
func (h *hand) ask() string {
	h.t.Helper()
	file := filepath.Join(h.t.TempDir(), "dc2.bundle")
	must(h.t, h.environment, "", "federation", "bundle", "global", "--datacenter", "dc2", "--recipient", h.to, "--out", file)
	return file
}

func TestBundleByHand(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	file := h.ask()
	text, err := os.ReadFile(file)
	if err != nil || strings.Contains(string(text), bundleToken) || strings.Contains(string(text), h.bundle.CAKey) {
		t.Errorf("the bundle is open: %v", err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	open := []string{"bundle", "open", file, "--identity", h.identity, "--fleet-id", h.fleet.ID()}
	for _, c := range []struct {
		args []string
		want []string
	}{
		{nil, []string{"kind: Secret\n", "name: consul-federation\n", "replicationToken: MTExMTEx"}},
		{[]string{"--format", "secret", "--namespace", "mesh", "--secret-name", "fed"}, []string{"name: fed\n  namespace: mesh\n"}},
		{[]string{"--format", "hcl"}, []string{`primary_gateways = ["192.0.2.1:8443"]`, `"/etc/consul.d/isthmus-federation-ca.pem"`, bundleToken}},
		{[]string{"--format", "values", "--kubernetes-api-url", "https://k:6443"}, []string{"k8sAuthMethodHost: https://k:6443", "primaryDatacenter: dc1"}},
	} {
		got := must(t, nil, "", append(open, c.args...)...)
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%v does not give %q:\n%s", c.args, want, got)
			}
		}
	}
	dir := filepath.Join(t.TempDir(), "consul.d")
	for range 2 { // once more is a new bundle over the old one
		must(t, nil, "", append(open, "--format", "files", "--dir", dir)...)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 5 {
		t.Errorf("%v %v", entries, err)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, federation.FileCert), filepath.Join(dir, federation.FileKey))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(h.bundle.CABundle()))
	for _, name := range []string{"server.dc2.consul", "node-1.server.dc2.consul", "localhost"} {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
			t.Errorf("the server's certificate: %v", err)
		}
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v %v", info, err)
		}
	}
	out := filepath.Join(t.TempDir(), "federation.hcl")
	if printed := must(t, nil, "", append(open, "--format", "hcl", "--out", out)...); printed != "" {
		t.Error("printed although it was to go into a file")
	}
	if info, err := os.Stat(out); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	if got := runNow(t, nil, "", "bundle", "open", file, "--identity", h.identity); got.code != 0 || !strings.Contains(got.err, "fleet "+h.fleet.ID()+", as it says itself") {
		t.Errorf("without a fleet id: code %d, %s", got.code, got.err)
	}
}

func TestBundleByHandIsRefused(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	file := h.ask()
	other, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	forged := writeFile(t, "forged.bundle", strings.Replace(string(text), `"toDatacenter": "dc2"`, `"toDatacenter": "dc3"`, 1))
	keyFile := writeFile(t, "other.txt", other.String()+"\n")
	for _, c := range []struct {
		words []string
		args  []string
	}{
		{[]string{"is of fleet " + h.fleet.ID()}, []string{file, "--identity", h.identity, "--fleet-id", "SHA256:other"}},
		{[]string{"signature"}, []string{forged, "--identity", h.identity}},
		{[]string{"not sealed to this agent's key"}, []string{file, "--identity", keyFile}},
		{[]string{"has no age key"}, []string{file, "--identity", file}},
		{[]string{"is no bundle"}, []string{h.identity, "--identity", h.identity}},
		{[]string{"--dir"}, []string{file, "--identity", h.identity, "--format", "files"}},
		{[]string{"--kubernetes-api-url"}, []string{file, "--identity", h.identity, "--format", "values"}},
	} {
		got := runNow(t, nil, "", append([]string{"bundle", "open"}, c.args...)...)
		if got.code != 1 || got.out != "" {
			t.Errorf("%v: code %d, %q", c.args, got.code, got.out)
		}
		for _, word := range c.words {
			if !strings.Contains(got.err, word) {
				t.Errorf("%v: does not say %q: %s", c.args, word, got.err)
			}
		}
		if strings.Contains(got.err, h.key.String()) || strings.Contains(got.err, other.String()) || strings.Contains(got.err, bundleToken) {
			t.Errorf("%v: shows a secret", c.args)
		}
	}
	out := filepath.Join(t.TempDir(), "none.bundle")
	ask := []string{"federation", "bundle", "global", "--datacenter", "dc2", "--recipient", h.to, "--out", out}
	refused(t, h.environment, "", []string{"has not allowed this recipient"}, append(ask, "--unsigned")...)
	stranger, err := identity.NewFleetKey()
	if err != nil {
		t.Fatal(err)
	}
	strange := filepath.Join(t.TempDir(), "fleet.key")
	if err := stranger.Save(strange); err != nil {
		t.Fatal(err)
	}
	refused(t, with(h.environment, "ISTHMUS_FLEET_KEY", strange), "", []string{"has not allowed this recipient"}, ask...)
	// A server that hands out what an agent of another fleet made is found out at once.
	h.maker = newHand(t).maker
	refused(t, h.environment, "", []string{"not of " + h.fleet.ID()}, ask...)
	if _, err := os.Stat(out); err == nil {
		t.Error("an empty bundle is left behind")
	}
}
