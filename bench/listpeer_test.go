package bench_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	isthmusv1 "isthmus/proto/isthmus/v1"
)

// listPage is the most that a server of isthmus gives at once.
const listPage = 1000

func countLines(text []byte) int { return bytes.Count(text, []byte("\n")) }

// isthmusListers list datacenters over gRPC, and over REST in both forms.
func isthmusListers(b *testing.B, f *fleet, n int) []*lister {
	b.Helper()
	conn, err := dialGRPC(f.grpc, f.config.CACert, grpc.WithDefaultCallOptions(grpc.ForceCodec(rawCodec{}), grpc.MaxCallRecvMsgSize(64<<20)))
	must(b, err)
	b.Cleanup(func() { must(b, conn.Close()) })
	overHTTPS, err := httpsClient(f.config.CACert)
	must(b, err)
	pid := f.server.Process.Pid
	return []*lister{
		{name: overGRPC, objects: n, pid: pid, list: func(ctx context.Context) (int, error) {
			return listOverGRPC(metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+f.config.Token), conn)
		}},
		{name: overREST, objects: n, pid: pid, list: func(ctx context.Context) (int, error) {
			return listOverREST(ctx, overHTTPS, f, "application/json", countJSON)
		}},
		{name: encodedREST, objects: n, pid: pid, list: func(ctx context.Context) (int, error) {
			return listOverREST(ctx, overHTTPS, f, "application/protobuf", countEncoded)
		}},
	}
}

func listOverGRPC(ctx context.Context, conn *grpc.ClientConn) (n int, err error) {
	for token := ""; ; {
		request, err := proto.Marshal(&isthmusv1.ListRequest{PageSize: listPage, PageToken: token})
		if err != nil {
			return n, err
		}
		var answer []byte
		if err := conn.Invoke(ctx, "/isthmus.v1.DatacenterService/ListDatacenters", request, &answer); err != nil {
			return n, err
		}
		var on int
		if on, token, err = countEncoded(answer); err != nil {
			return n, err
		}
		if n += on; token == "" {
			return n, nil
		}
	}
}

// countEncoded counts the datacenters of a page in protobuf, and finds the token of the next one.
func countEncoded(answer []byte) (n int, token string, err error) {
	// Field 1 is a datacenter, field 2 the next page's token.
	for len(answer) > 0 {
		number, kind, size := protowire.ConsumeTag(answer)
		if size < 0 || kind != protowire.BytesType {
			return n, "", fmt.Errorf("field %d is of type %d", number, kind)
		}
		value, length := protowire.ConsumeBytes(answer[size:])
		if length < 0 {
			return n, "", protowire.ParseError(length)
		}
		if number == 1 {
			n++
		} else {
			token = string(value)
		}
		answer = answer[size+length:]
	}
	return n, token, nil
}

// listOverREST lists in the form that is accepted, and counts what is on each page.
func listOverREST(ctx context.Context, client *http.Client, f *fleet, accept string, count func(answer []byte) (n int, token string, err error)) (n int, err error) {
	header := http.Header{"Authorization": {"Bearer " + f.config.Token}, "Accept": {accept}}
	for token := ""; ; {
		answer, err := fetch(ctx, client, http.MethodGet, fmt.Sprintf("%s/v1/datacenters?pageSize=%d&pageToken=%s", f.config.Address, listPage, url.QueryEscape(token)), header, nil)
		if err != nil {
			return n, err
		}
		var on int
		if on, token, err = count(answer); err != nil {
			return n, err
		}
		if n += on; token == "" {
			return n, nil
		}
	}
}

// countJSON is countEncoded for JSON.
func countJSON(text []byte) (n int, token string, err error) {
	n = bytes.Count(text, []byte(`"runtime":`))
	if _, after, more := bytes.Cut(text[max(0, len(text)-256):], []byte(`"nextPageToken":`)); more {
		err = json.NewDecoder(bytes.NewReader(after)).Decode(&token)
	}
	return n, token, err
}

// fetch sends one request and reads the whole answer.
func fetch(ctx context.Context, client *http.Client, method, url string, header http.Header, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header = header
	answer, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s: %s", method, request.URL.Path, answer.Status, text)
	}
	return text, err
}

// filling is how many requests fill a peer at a time.
const filling = 32

// fill does something n times.
func fill(b *testing.B, n int, do func(ctx context.Context, i int) error) {
	b.Helper()
	group, ctx := errgroup.WithContext(b.Context())
	group.SetLimit(filling)
	for i := range n {
		group.Go(func() error { return do(ctx, i) })
	}
	must(b, group.Wait())
}

// etcdListers read a range of keys.
func etcdListers(b *testing.B, c *comparison) (out []*lister) {
	b.Helper()
	e := startEtcd(b)
	c.ran(e.version)
	conn, err := dialEtcd(e.addr, e.caFile)
	must(b, err)
	b.Cleanup(func() { must(b, conn.Close()) })
	for _, n := range []int{fewListed, manyListed} {
		prefix := fmt.Sprintf("/list-%d/", n)
		fill(b, n, func(ctx context.Context, i int) error {
			return etcdPut(ctx, conn, fmt.Sprintf("%s%06d", prefix, i), smallValue)
		})
		out = append(out, &lister{name: ofEtcd, objects: n, pid: e.cmd.Process.Pid, list: func(ctx context.Context) (int, error) {
			return etcdRange(ctx, conn, prefix, strings.TrimSuffix(prefix, "/")+"0") // 0 comes after /
		}})
	}
	return out
}

// consulListers read a prefix of the KV store, and all config entries of a kind: of these only a few, for they are slow to write.
func consulListers(b *testing.B) (out []*lister) {
	b.Helper()
	consul := startConsul(b)
	config, err := trusting(consul.CAFile)
	must(b, err)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, MaxIdleConnsPerHost: filling}}
	header := http.Header{"X-Consul-Token": {consul.ManagementToken}}
	for _, n := range []int{fewListed, manyListed} {
		prefix := fmt.Sprintf("%s/v1/kv/list-%d/", consul.HTTPAddr, n)
		fill(b, n, func(ctx context.Context, i int) error {
			_, err := fetch(ctx, client, http.MethodPut, fmt.Sprintf("%s%06d", prefix, i), header, smallValue)
			return err
		})
		out = append(out, &lister{name: ofConsul, objects: n, pid: consul.PID(), list: func(ctx context.Context) (int, error) {
			text, err := fetch(ctx, client, http.MethodGet, prefix+"?recurse", header, nil)
			return bytes.Count(text, []byte(`"LockIndex":`)), err
		}})
	}
	fill(b, fewListed, func(ctx context.Context, i int) error {
		entry := fmt.Sprintf(`{"Kind":"service-defaults","Name":"service-%06d","Meta":{"env":"bench"}}`, i)
		_, err := fetch(ctx, client, http.MethodPut, consul.HTTPAddr+"/v1/config", header, []byte(entry))
		return err
	})
	return append(out, &lister{name: "Consul config entries", objects: fewListed, pid: consul.PID(), list: func(ctx context.Context) (int, error) {
		text, err := fetch(ctx, client, http.MethodGet, consul.HTTPAddr+"/v1/config/service-defaults", header, nil)
		return bytes.Count(text, []byte(`"Kind":`)), err
	}})
}

// postgresListers read the rows of isthmus's own table.
func postgresListers(b *testing.B, c *comparison, fleets ...*fleet) (out []*lister) {
	b.Helper()
	for i, n := range []int{fewListed, manyListed} {
		url := fleets[i].store
		c.ran(postgresVersion(b, url))
		conn, err := pgx.Connect(b.Context(), url)
		must(b, err)
		b.Cleanup(func() { must(b, conn.Close(context.WithoutCancel(b.Context()))) })
		out = append(out, &lister{name: "PostgreSQL alone", objects: n, pid: postmaster(b, url), list: func(ctx context.Context) (n int, err error) {
			rows, err := conn.Query(ctx, `SELECT name, uid, labels, generation, "index", create_time, update_time, delete_time, spec, status
				FROM resources WHERE kind = 'Datacenter' ORDER BY name`)
			if err != nil {
				return 0, err
			}
			for rows.Next() {
				n++
			}
			return n, rows.Err()
		}})
	}
	return out
}
