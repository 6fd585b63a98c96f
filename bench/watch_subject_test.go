package bench_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"isthmus/client"
	"isthmus/demo/consulrun"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// Subjects, as the tables name them.
const (
	subjectFloor    = "floor"
	subjectEtcd     = "etcd"
	subjectConsul   = "Consul"
	subjectPostgres = "isthmus on PostgreSQL"
	subjectSQLite   = "isthmus on SQLite"
)

const (
	// targets is how many watchers get changes of their own: the first ones.
	targets = 64
	// leadEvery is how often a server is asked whether it runs the controllers.
	leadEvery = 100 * time.Millisecond
)

// watchSubject is what is measured, with its watchers.
type watchSubject struct {
	name     string
	watchers *child
	// pid is of the process that watchers are connected to; database of the one behind it, 0 when there is none.
	pid, database int
	// prepare makes what writes need, once N watchers shall be there.
	prepare func(b *testing.B, n int)
	// one makes a change that concerns one watcher, all one that concerns all; each ends with its acknowledgement. other is one from
	// somebody else's connection.
	one, other func(ctx context.Context, i int, mark string) error
	all        func(ctx context.Context, mark string) error
	// oneREST is one over REST; nil where all is asked over HTTP, or nothing.
	oneREST func(ctx context.Context, i int, mark string) error
	// toAll has watchers wait for changes of all, or each for its own, where they cannot do both; nil where they can.
	toAll func(b *testing.B, n int, all bool)
	// restart kills it and starts it again; nil where that is not measured.
	restart func(b *testing.B)
	// client is an operator's; nil of others than isthmus. profile reads one of the server's profiles.
	client  *client.Client
	profile func(ctx context.Context, name string) ([]byte, error)
}

// pids are all processes that work for it.
func (s *watchSubject) pids(b *testing.B) []int {
	b.Helper()
	if s.database == 0 {
		return []int{s.pid}
	}
	return append([]int{s.pid}, family(b, s.database)...)
}

func startWatchers(b *testing.B, s watched) *child {
	b.Helper()
	c := startChild(b, "watchers")
	do[watchResult](b, c, watchTask{Do: workBegin, Subject: s})
	return c
}

func startFloor(b *testing.B, c *comparison) *watchSubject {
	b.Helper()
	addr, keys := freeAddr(b), newPair(b)
	server := startChild(b, "floor")
	c.ran(do[floorServing](b, server, floorTask{Addr: addr, CertFile: keys.certFile, KeyFile: keys.keyFile}).Version)
	config, err := trusting(keys.certFile)
	must(b, err)
	post, otherPost := writer(config, http.MethodPost, "https://"+addr, ""), writer(config, http.MethodPost, "https://"+addr, "")
	own := func(i int) string { return fmt.Sprintf("/own/%d", i) }
	return &watchSubject{
		name: subjectFloor, pid: server.cmd.Process.Pid, watchers: startWatchers(b, watched{Protocol: "floor", Addr: addr, CAFile: keys.certFile}),
		prepare: func(*testing.B, int) {},
		one:     func(ctx context.Context, i int, mark string) error { return post(ctx, own(i), mark) },
		other:   func(ctx context.Context, i int, mark string) error { return otherPost(ctx, own(i), mark) },
		all:     func(ctx context.Context, mark string) error { return post(ctx, "/all", mark) },
	}
}

// writer writes to the floor, or to Consul with a token, over a connection of its own.
func writer(config *tls.Config, method, base, token string) func(ctx context.Context, path, mark string) error {
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: config}}
	return func(ctx context.Context, path, mark string) error {
		request, err := http.NewRequestWithContext(ctx, method, base+path, strings.NewReader(mark))
		if err != nil {
			return err
		}
		if token != "" {
			request.Header.Set("X-Consul-Token", token)
		}
		answer, err := c.Do(request)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if _, err := io.Copy(io.Discard, answer.Body); err != nil || answer.StatusCode != http.StatusOK {
			return fmt.Errorf("%s answered %s: %w", base, answer.Status, err)
		}
		return nil
	}
}

func startEtcdSubject(b *testing.B, c *comparison) *watchSubject {
	b.Helper()
	server := startEtcd(b)
	c.ran(server.version)
	conn, err := dialEtcd(server.addr, server.caFile)
	must(b, err)
	other, err := dialEtcd(server.addr, server.caFile)
	must(b, err)
	b.Cleanup(func() { must(b, conn.Close()); must(b, other.Close()) })
	return &watchSubject{
		name: subjectEtcd, pid: server.cmd.Process.Pid, watchers: startWatchers(b, watched{Protocol: "etcd", Addr: server.addr, CAFile: server.caFile}),
		prepare: func(*testing.B, int) {},
		one: func(ctx context.Context, i int, mark string) error {
			return etcdPut(ctx, conn, ownKey(i), []byte(mark))
		},
		other: func(ctx context.Context, i int, mark string) error {
			return etcdPut(ctx, other, ownKey(i), []byte(mark))
		},
		all: func(ctx context.Context, mark string) error { return etcdPut(ctx, conn, keyOfAll, []byte(mark)) },
	}
}

// inTransaction is how many keys Consul writes in one.
const inTransaction = 64

func startConsulSubject(b *testing.B, c *comparison) *watchSubject {
	b.Helper()
	server, err := consulrun.Start(b.Context(), consulrun.Options{Dir: filepath.Join(b.TempDir(), "consul"), Datacenter: "dc1", Config: map[string]any{
		"limits": map[string]any{"http_max_conns_per_client": 15000},
	}})
	must(b, err)
	b.Cleanup(func() { must(b, server.Stop()) })
	config, err := trusting(server.CAFile)
	must(b, err)
	first := writer(config, http.MethodPut, server.HTTPAddr, server.ManagementToken)
	put := func(ctx context.Context, key, mark string) error { return first(ctx, "/v1/kv/"+key, mark) }
	second := writer(config, http.MethodPut, server.HTTPAddr, server.ManagementToken)
	s := &watchSubject{
		name: subjectConsul, pid: server.PID(),
		watchers: startWatchers(b, watched{
			Protocol: "consul", Addr: strings.TrimPrefix(server.HTTPAddr, "https://"), CAFile: server.CAFile, Token: server.ManagementToken,
		}),
		one:   func(ctx context.Context, i int, mark string) error { return put(ctx, ownKey(i), mark) },
		other: func(ctx context.Context, i int, mark string) error { return second(ctx, "/v1/kv/"+ownKey(i), mark) },
		all:   func(ctx context.Context, mark string) error { return put(ctx, keyOfAll, mark) },
	}
	write := func(b *testing.B, from, to int, value string) {
		b.Helper()
		for from < to {
			var operations []any
			for ; from < to && len(operations) < inTransaction; from++ {
				operations = append(operations, map[string]any{"KV": map[string]any{"Verb": "set", "Key": ownKey(from), "Value": []byte(value)}})
			}
			must(b, server.Call(b.Context(), http.MethodPut, "/v1/txn", operations, nil))
		}
	}
	made := 0
	s.prepare = func(b *testing.B, n int) {
		b.Helper()
		if made == 0 {
			must(b, put(b.Context(), keyOfAll, "first"))
		}
		write(b, made, n, "first")
		made = n
	}
	s.toAll = func(b *testing.B, n int, all bool) {
		b.Helper()
		mark, armed := moveToAll, n
		if !all {
			mark = moveToOwn
		}
		do[watchResult](b, s.watchers, watchTask{Do: workArm, N: armed, Mark: mark})
		// Where they move to, what sent them away the last time is still there: they would go back at once.
		if all {
			must(b, put(b.Context(), keyOfAll, "first"))
			write(b, 0, n, moveToAll)
		} else {
			write(b, 0, n, "first")
			must(b, put(b.Context(), keyOfAll, moveToOwn))
		}
		do[watchResult](b, s.watchers, watchTask{Do: workAwait})
	}
	return s
}

// isthmusSubject is an isthmus server with one agent in each of its datacenters.
type isthmusSubject struct {
	watchSubject
	dir, httpAddr, grpcAddr string
	args                    []string
	cmd                     *exec.Cmd
	// connected is how many of its agents are.
	connected int
}

func startIsthmus(b *testing.B, c *comparison, name string, sizes []int) *watchSubject {
	b.Helper()
	s := &isthmusSubject{dir: b.TempDir(), httpAddr: freeAddr(b), grpcAddr: freeAddr(b)}
	keys := newPair(b)
	s.args = []string{
		"server", "--data-dir", s.dir, "--http-addr", s.httpAddr, "--grpc-addr", s.grpcAddr,
		"--http-cert-file", keys.certFile, "--http-key-file", keys.keyFile,
	}
	if name == subjectPostgres {
		url, pid := newPostgres(b)
		s.args, s.database = append(s.args, "--store", url), pid
		c.ran(postgresVersion(b, url))
	}
	s.start(b)
	token, err := os.ReadFile(filepath.Join(s.dir, "admin.token"))
	must(b, err)
	config := client.Config{Address: "https://" + s.httpAddr, CACert: keys.certFile, Token: strings.TrimSpace(string(token))}
	s.client, err = client.New(config)
	must(b, err)
	info, err := s.client.Server(b.Context())
	must(b, err)
	s.name = name
	s.watchers = startWatchers(b, watched{Protocol: "isthmus", Addr: s.grpcAddr, Pin: info.GetCaFingerprint(), Token: config.Token, Polls: *watchPolls})
	s.prepare = func(_ *testing.B, n int) { s.connected = n }
	only := func(i int) string { return fmt.Sprintf("only-%05d", i) }
	first, second := intender(b, s.grpcAddr, info.GetCaFingerprint(), config.Token), intender(b, s.grpcAddr, info.GetCaFingerprint(), config.Token)
	s.one = func(ctx context.Context, i int, mark string) error { return first(ctx, intend(only(i), mark)) }
	s.other = func(ctx context.Context, i int, mark string) error { return second(ctx, intend(only(i), mark)) }
	s.all = func(ctx context.Context, mark string) error { return first(ctx, intend(allOfFirst(s.connected), mark)) }
	s.oneREST = func(ctx context.Context, i int, mark string) error {
		_, err := s.client.Update(ctx, intend(only(i), mark), intended)
		return err
	}
	fetch := fetcher(config)
	s.profile = func(ctx context.Context, name string) ([]byte, error) {
		return fetch(ctx, fmt.Sprintf("/debug/pprof/%s?seconds=%.0f", name, profiled.Seconds()))
	}
	s.restart = s.startAgain
	s.enrol(b, sizes)
	s.lead(b, fetch)
	return &s.watchSubject
}

// fetcher reads what only an admin may, by its path.
func fetcher(c client.Config) func(ctx context.Context, path string) ([]byte, error) {
	return func(ctx context.Context, path string) ([]byte, error) {
		trust, err := trusting(c.CACert)
		if err != nil {
			return nil, err
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Address+path, nil)
		if err != nil {
			return nil, err
		}
		request.Header.Set("Authorization", "Bearer "+c.Token)
		answer, err := (&http.Client{Transport: &http.Transport{TLSClientConfig: trust, DisableKeepAlives: true}}).Do(request)
		if err != nil {
			return nil, err
		}
		defer answer.Body.Close()
		data, err := io.ReadAll(answer.Body)
		if err == nil && answer.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s: %s", answer.Status, data)
		}
		return data, err
	}
}

// lead waits until the server runs the controllers: one that was killed on PostgreSQL keeps others from it for a while. What they hold and do at
// first is not the watchers'.
func (s *isthmusSubject) lead(b *testing.B, fetch func(ctx context.Context, path string) ([]byte, error)) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), stepTimeout)
	defer cancel()
	tick := time.NewTicker(leadEvery)
	defer tick.Stop()
	for {
		metrics, err := fetch(ctx, "/metrics")
		must(b, err)
		if bytes.Contains(metrics, []byte("\nisthmus_controller_leader 1\n")) {
			return
		}
		<-tick.C
	}
}

// start runs the server and waits until it serves.
func (s *isthmusSubject) start(b *testing.B) {
	b.Helper()
	cmd, out := start(b, filepath.Join(s.dir, "server.log"), nil, s.args...)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatalf("the server did not say where it listens: %v %s", err, line)
	}
	go drain(out)
	s.cmd, s.pid = cmd, cmd.Process.Pid
}

// startAgain kills the server as a power cut would, and starts it with what it kept.
func (s *isthmusSubject) startAgain(b *testing.B) {
	b.Helper()
	must(b, s.cmd.Process.Kill())
	_ = s.cmd.Wait() // it was killed
	s.start(b)
}

// allOfFirst is the Intention that selects the first n datacenters, and their label.
func allOfFirst(n int) string { return fmt.Sprintf("first-%d", n) }

// enrol declares the datacenters, and what is changed later, enrols the agents, and starts the server again: what enrolling left in its
// memory is not counted. For each of the sizes there is an Intention that selects as many.
func (s *isthmusSubject) enrol(b *testing.B, sizes []int) {
	b.Helper()
	n := slices.Max(sizes)
	var text bytes.Buffer
	for i := range n {
		var labels []string
		for _, size := range sizes {
			if i < size {
				labels = append(labels, allOfFirst(size)+": all")
			}
		}
		fmt.Fprintf(&text, "kind: Datacenter\nname: %s\nlabels: {%s}\nspec: {runtime: vm}\n---\n", watchedDatacenter(i), strings.Join(labels, ", "))
		if (i+1)%1000 == 0 || i == n-1 {
			_, err := s.client.Apply(b.Context(), text.Bytes(), client.ApplyOptions{})
			must(b, err)
			text.Reset()
		}
	}
	intention := func(name, service, where string) {
		fmt.Fprintf(&text, "kind: Intention\nname: %s\nspec: {destination: {service: %s, %s}, sources: [{service: api, action: allow}]}\n---\n", name, service, where)
	}
	for i := range min(n, targets) {
		intention(fmt.Sprintf("only-%05d", i), "web", "datacenters: ["+watchedDatacenter(i)+"]")
	}
	for _, size := range sizes {
		intention(allOfFirst(size), allOfFirst(size), "selector: "+allOfFirst(size)+"=all")
	}
	_, err := s.client.Apply(b.Context(), text.Bytes(), client.ApplyOptions{})
	must(b, err)
	began := time.Now()
	do[watchResult](b, s.watchers, watchTask{Do: workEnrol, N: n})
	b.Logf("%s: %d agents enrolled in %s", s.name, n, time.Since(began).Round(time.Millisecond))
	s.startAgain(b)
}

// intended is the field of an Intention that is changed.
const intended = "spec.sources"

// intend is another word of an Intention: of one that names one datacenter, that one's plan changes, of one that selects all, all do.
func intend(name, mark string) *isthmusv1.Intention {
	return &isthmusv1.Intention{Name: name, Spec: &isthmusv1.IntentionSpec{
		Sources: []*isthmusv1.IntentionSource{{Service: "api", Action: "allow", Description: mark}},
	}}
}

// intender changes Intentions over a connection of its own, by gRPC as etcd is written to. It waits for a server that starts again.
func intender(b *testing.B, addr, pin, token string) func(ctx context.Context, i *isthmusv1.Intention) error {
	b.Helper()
	host, _, err := net.SplitHostPort(addr)
	must(b, err)
	conn, err := grpc.NewClient(addr,
		grpc.WithTransportCredentials(credentials.NewTLS(identity.PinnedTLS(pin, host, time.Now))),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: 10 * time.Millisecond, Multiplier: 1, MaxDelay: 10 * time.Millisecond}}),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))
	must(b, err)
	b.Cleanup(func() { must(b, conn.Close()) })
	c := isthmusv1.NewIntentionServiceClient(conn)
	return func(ctx context.Context, i *isthmusv1.Intention) error {
		_, err := c.UpdateIntention(metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token), &isthmusv1.UpdateIntentionRequest{
			Intention: i, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{intended}},
		})
		return err
	}
}
