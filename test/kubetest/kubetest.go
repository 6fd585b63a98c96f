// Package kubetest gives tests a real Kubernetes API: kube-apiserver with RBAC, and the etcd below it. No controller runs, so nobody
// makes pods: a test plays the controllers where it needs them. Where the two programs were not built, a test is skipped with the
// reason, but for CI, where it fails.
//
// Owns: finding, starting and ending the two, an administrator's calls, identities of service accounts. Does not own: how they are
// built (tools/kubernetes). Start reading at Start.
package kubetest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"isthmus/demo/child"
)

const (
	// startTimeout is many times what a start takes on a busy machine with two cores.
	startTimeout = 2 * time.Minute
	// startAttempts is how often other ports are tried when somebody else took one meanwhile.
	startAttempts = 5
	pollInterval  = 50 * time.Millisecond
	stopTimeout   = 20 * time.Second
)

// Cluster is a running Kubernetes API.
type Cluster struct {
	// URL is https://127.0.0.1:PORT, and CA what its certificate is checked with (PEM).
	URL string
	CA  []byte

	dir        string
	adminToken string
	client     *http.Client
	processes  []*child.Process
}

// Start runs a Kubernetes API for the length of a test.
func Start(t testing.TB) *Cluster {
	t.Helper()
	etcd, apiserver := Binary(t, "etcd"), Binary(t, "kube-apiserver")
	for attempt := 1; ; attempt++ {
		c := &Cluster{dir: t.TempDir(), adminToken: rand.Text()}
		err := c.start(t.Context(), etcd, apiserver)
		t.Cleanup(func() {
			if err := c.stop(); err != nil {
				t.Error(err)
			}
		})
		switch {
		case err == nil:
			return c
		case !errors.Is(err, syscall.EADDRINUSE) || attempt == startAttempts:
			t.Fatal(err)
		}
	}
}

// Binary is one of the programs of tools/kubernetes. When it was not built the test is skipped, but for CI (CI=true), where it fails.
func Binary(t testing.TB, name string) string {
	t.Helper()
	path, err := find(name)
	switch {
	case err == nil:
		return path
	case os.Getenv("CI") == "true":
		t.Fatal(err)
	default:
		t.Skip(err)
	}
	return ""
}

// find looks where tools/tool keeps what it built.
func find(name string) (string, error) {
	root, err := repository()
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	for _, file := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(root, "tools", "kubernetes", file))
		if err != nil {
			return "", fmt.Errorf("reading what pins %s: %w", name, err)
		}
		hash.Write(text)
	}
	cache := os.Getenv("XDG_CACHE_HOME")
	if cache == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("there is no home directory to find the tool cache in: %w", err)
		}
		cache = filepath.Join(home, ".cache")
	}
	path := filepath.Join(cache, "isthmus", hex.EncodeToString(hash.Sum(nil))[:16], name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("no %s was found: run `make kubernetes` (about five minutes, once per machine)", name)
	}
	return path, nil
}

// repository is the folder of this module, above that of the test.
func repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the repository: %w", err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "tools", "kubernetes", "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("the test does not run in the repository")
		}
	}
}

func (c *Cluster) start(ctx context.Context, etcd, apiserver string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	ports, err := freePorts(3)
	if err != nil {
		return err
	}
	etcdURL := "http://" + loopback(ports[0])
	if err := c.run(etcd, etcdArgs(c.dir, etcdURL, "http://"+loopback(ports[1]))); err != nil {
		return err
	}
	if err := c.wait(ctx, http.DefaultClient, etcdURL+"/readyz", ""); err != nil {
		return err
	}
	if err := c.secrets(); err != nil {
		return err
	}
	if err := c.run(apiserver, apiserverArgs(c.dir, etcdURL, ports[2])); err != nil {
		return err
	}
	c.URL = "https://" + loopback(ports[2])
	if err := c.trust(ctx); err != nil {
		return err
	}
	return c.wait(ctx, c.client, c.URL+"/readyz", c.adminToken)
}

func etcdArgs(dir, client, peer string) []string {
	return []string{
		"--name=test", "--data-dir=" + filepath.Join(dir, "etcd"), "--log-level=warn",
		// Nothing here outlives the test.
		"--unsafe-no-fsync",
		"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
		"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=test=" + peer,
	}
}

func apiserverArgs(dir, etcd string, port int) []string {
	in := func(name string) string { return filepath.Join(dir, name) }
	return []string{
		"--etcd-servers=" + etcd, "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--secure-port=" + strconv.Itoa(port),
		"--cert-dir=" + in("certs"), "--token-auth-file=" + in("tokens.csv"), "--authorization-mode=RBAC", "--anonymous-auth=false",
		"--service-account-key-file=" + in("sa.pub"), "--service-account-signing-key-file=" + in("sa.key"),
		"--service-account-issuer=https://kubernetes.default.svc", "--service-cluster-ip-range=10.96.0.0/16",
		"--endpoint-reconciler-type=none",
	}
}

func (c *Cluster) run(binary string, args []string) error {
	name := filepath.Base(binary)
	p, err := child.Start(child.Options{Name: name, Binary: binary, Args: args, LogFile: filepath.Join(c.dir, name+".log")})
	if err != nil {
		return err
	}
	c.processes = append(c.processes, p)
	return nil
}

func (c *Cluster) stop() error {
	var all error
	for _, p := range slices.Backward(c.processes) {
		all = errors.Join(all, p.End(stopTimeout))
	}
	return all
}

// secrets are the key of service accounts' tokens, and the administrator's token.
func (c *Cluster) secrets() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("making a key: %w", err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return fmt.Errorf("encoding a key: %w", err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return fmt.Errorf("encoding a key: %w", err)
	}
	for name, text := range map[string][]byte{
		"sa.key":     pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private}),
		"sa.pub":     pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}),
		"tokens.csv": []byte(c.adminToken + ",admin,admin,system:masters\n"),
	} {
		if err := os.WriteFile(filepath.Join(c.dir, name), text, 0o600); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
	}
	return nil
}

// trust waits for the certificate that kube-apiserver makes for itself.
func (c *Cluster) trust(ctx context.Context) error {
	path := filepath.Join(c.dir, "certs", "apiserver.crt")
	err := c.poll(ctx, func() error {
		text, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("the API has no certificate: %w", err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(text) {
			return errors.New("the API's certificate is not complete")
		}
		c.CA = text
		c.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}
		return nil
	})
	return err
}

// wait asks until the answer is 200.
func (c *Cluster) wait(ctx context.Context, client *http.Client, address, token string) error {
	return c.poll(ctx, func() error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return fmt.Errorf("asking %s: %w", address, err)
		}
		if token != "" {
			request.Header.Set("Authorization", "Bearer "+token)
		}
		answer, err := client.Do(request)
		if err != nil {
			return fmt.Errorf("asking %s: %w", address, err)
		}
		text, err := io.ReadAll(answer.Body)
		if err = errors.Join(err, answer.Body.Close()); err != nil {
			return fmt.Errorf("asking %s: %w", address, err)
		}
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s: %s", address, answer.Status, strings.TrimSpace(string(text)))
		}
		return nil
	})
}

// poll tries until it works, a process has ended, or ctx has.
func (c *Cluster) poll(ctx context.Context, try func() error) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		for _, p := range c.processes {
			select {
			case <-p.Done():
				return p.Ended()
			default:
			}
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-tick.C:
		}
	}
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// freePorts are free now. Somebody else may take one before its program does: Start tries again then.
func freePorts(n int) ([]int, error) {
	ports := make([]int, n)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it does not block
		if err != nil {
			return nil, fmt.Errorf("looking for a free port: %w", err)
		}
		defer l.Close()
		address, ok := l.Addr().(*net.TCPAddr)
		if !ok {
			return nil, errors.New("looking for a free port: no TCP address")
		}
		ports[i] = address.Port
	}
	return ports, nil
}
