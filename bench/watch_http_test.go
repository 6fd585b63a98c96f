package bench_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// httpPoll is one watcher's connection by HTTP/1.1, which a single goroutine drives: no more of the machine shall go to clients than needs be.
type httpPoll struct {
	conn net1
	in   *bufio.Reader
}

// net1 is what is needed of a connection.
type net1 interface {
	io.ReadWriteCloser
}

func dialHTTP(ctx context.Context, addr string, config *tls.Config) (*httpPoll, error) {
	conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &httpPoll{conn: conn, in: bufio.NewReader(conn)}, nil
}

func (p *httpPoll) close() { _ = p.conn.Close() } // nothing was to be kept

func (p *httpPoll) get(path string, header ...string) error {
	var out strings.Builder
	fmt.Fprintf(&out, "GET %s HTTP/1.1\r\nHost: localhost\r\n", path)
	for _, line := range header {
		out.WriteString(line + "\r\n")
	}
	out.WriteString("\r\n")
	_, err := io.WriteString(p.conn, out.String())
	return err
}

func (p *httpPoll) answer() (http.Header, []byte, error) {
	answer, err := http.ReadResponse(p.in, nil)
	if err != nil {
		return nil, nil, err
	}
	body, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close() // it is read to its end
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", answer.Status, body)
	}
	return answer.Header, body, err
}

// floorPoll waits at the floor.
type floorPoll struct {
	*httpPoll
	name, seen string
}

func (p *floorPoll) ask() error { return p.get("/own/" + p.name + "?" + p.seen) }

func (p *floorPoll) await() ([]byte, error) {
	header, body, err := p.answer()
	p.seen = header.Get("Seen")
	return body, err
}

func (p *floorPoll) settled() bool { return p.seen != "" }

// What a watcher of Consul reads to wait for another key from then on: one blocking query waits for one key. Its own key moves it to that of
// all, that of all to its own.
const (
	moveToAll = "move to that of all"
	moveToOwn = "move to your own"
)

// consulPoll is a blocking query of a key at Consul.
type consulPoll struct {
	*httpPoll
	own, token, index string
	all               bool
}

func (p *consulPoll) ask() error {
	key := p.own
	if p.all {
		key = keyOfAll
	}
	path := "/v1/kv/" + key + "?raw&wait=" + longPoll.String()
	if p.index != "" {
		path += "&index=" + p.index
	}
	return p.get(path, "X-Consul-Token: "+p.token)
}

func (p *consulPoll) await() ([]byte, error) {
	header, body, err := p.answer()
	p.index = header.Get("X-Consul-Index")
	if move := strings.Contains(string(body), moveToAll); err == nil && (move || strings.Contains(string(body), moveToOwn)) && p.all != move {
		p.all, p.index = move, ""
	}
	return body, err
}

func (p *consulPoll) settled() bool { return p.index != "" }
