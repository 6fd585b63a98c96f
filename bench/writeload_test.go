package bench_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc/metadata"

	isthmusv1 "isthmus/proto/isthmus/v1"
)

// writing is a task for the process of the clients: as many clients create as much as they can for a while, each waiting for its
// acknowledgement before the next.
type writing struct {
	// Target is what is written to: isthmus, etcd, consul, postgres (groups), postgres-single, sqlite-single.
	Target string
	// Addr is host:port; of a database, its URL or path. CAFile and Token are what a client needs to be let in.
	Addr, CAFile, Token string
	Clients             int
	For                 time.Duration
	// Round makes names that no other round has.
	Round int
}

// written is what came of it.
type written struct {
	Writes        int
	Took          time.Duration
	P50, P99, Max time.Duration
	// CPU is what the clients themselves have used.
	CPU time.Duration
}

// creator stores one small object durably.
type creator func(ctx context.Context, name string) error

// writers are the clients, which keep their connections from one task to the next.
type writers struct {
	creators []creator
}

// run does one task. All tasks of one process have the same target.
func (w *writers) run(task writing) (written, error) {
	ctx, cancel := context.WithTimeout(context.Background(), task.For+stepTimeout)
	defer cancel()
	if w.creators == nil {
		var err error
		if w.creators, err = newCreators(ctx, task); err != nil {
			return written{}, err
		}
		// Connections are made, statements prepared: that is not measured.
		for i, create := range w.creators {
			if err := create(ctx, fmt.Sprintf("warm-%d-%d", task.Round, i)); err != nil {
				return written{}, err
			}
		}
	}
	before, began := usedCPU(), time.Now()
	until := began.Add(task.For)
	latencies := make([]times, task.Clients)
	errs := make([]error, task.Clients)
	var clients sync.WaitGroup
	for i := range task.Clients {
		clients.Go(func() {
			for n := 0; errs[i] == nil; n++ {
				sent := time.Now()
				if sent.After(until) {
					return
				}
				errs[i] = w.creators[i](ctx, fmt.Sprintf("w%d-%d-%d-%d", task.Round, task.Clients, i, n))
				latencies[i] = append(latencies[i], time.Since(sent))
			}
		})
	}
	clients.Wait()
	out := written{Took: time.Since(began), CPU: usedCPU() - before}
	for _, err := range errs {
		if err != nil {
			return out, err
		}
	}
	all := slices.Concat(latencies...)
	out.Writes, out.P50, out.P99, out.Max = len(all), all.at(0.5), all.at(0.99), all.at(1)
	return out, nil
}

// maxClients is how many there are of a target at most; a task uses the first ones.
const maxClients = 64

// newCreators connects the clients of a target: each has a connection of its own, as on machines of their own.
func newCreators(ctx context.Context, task writing) ([]creator, error) {
	switch task.Target {
	case "postgres":
		return groupedPostgres(ctx, task.Addr)
	case "postgres-single":
		return singlePostgres(ctx, task.Addr)
	case "sqlite-single":
		return singleSQLite(ctx, task.Addr)
	}
	connect := map[string]func(writing) (creator, error){"isthmus": isthmusCreator, "etcd": etcdCreator, "consul": consulCreator}[task.Target]
	out := make([]creator, maxClients)
	for i := range out {
		c, err := connect(task)
		if err != nil {
			return nil, err
		}
		out[i] = c
	}
	return out, nil
}

// usedCPU is the processor time that this process has used.
func usedCPU() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0 // never of this process
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// isthmusCreator creates datacenters over gRPC, as an operator does: checked, stored with an entry of the audit log.
func isthmusCreator(task writing) (creator, error) {
	conn, err := dialGRPC(task.Addr, task.CAFile)
	if err != nil {
		return nil, err
	}
	datacenters := isthmusv1.NewDatacenterServiceClient(conn)
	header := metadata.Pairs("authorization", "Bearer "+task.Token)
	return func(ctx context.Context, name string) error {
		_, err := datacenters.CreateDatacenter(metadata.NewOutgoingContext(ctx, header), &isthmusv1.CreateDatacenterRequest{Datacenter: small(name)})
		return err
	}, nil
}

// small is the object that is created.
func small(name string) *isthmusv1.Datacenter {
	return &isthmusv1.Datacenter{Name: name, Labels: map[string]string{"env": "bench"}, Spec: &isthmusv1.DatacenterSpec{Runtime: "vm"}}
}

// smallValue is as large as what isthmus stores of it: 256 bytes.
var smallValue = bytes.Repeat([]byte("isthmus "), 32)

// etcdCreator puts keys.
func etcdCreator(task writing) (creator, error) {
	conn, err := dialEtcd(task.Addr, task.CAFile)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, name string) error { return etcdPut(ctx, conn, "/bench/"+name, smallValue) }, nil
}

// consulCreator puts keys into Consul's KV store, by HTTP as all of its clients do.
func consulCreator(task writing) (creator, error) {
	client, err := httpsClient(task.CAFile)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, name string) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodPut, "https://"+task.Addr+"/v1/kv/bench/"+name, bytes.NewReader(smallValue))
		if err != nil {
			return err
		}
		request.Header.Set("X-Consul-Token", task.Token)
		answer, err := client.Do(request)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err == nil && (answer.StatusCode != http.StatusOK || !bytes.HasPrefix(text, []byte("true"))) {
			err = fmt.Errorf("PUT of a key: %s: %s", answer.Status, text)
		}
		return err
	}, nil
}

// httpsClient keeps one connection to a server whose certificate's authority is in a file.
func httpsClient(caFile string) (*http.Client, error) {
	config, err := trusting(caFile)
	if err != nil {
		return nil, err
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config, MaxIdleConnsPerHost: 1}}, nil
}
