package demo

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"

	"isthmus/client"
	"isthmus/demo/child"
	"isthmus/fault"
	"isthmus/identity"
)

// startServer runs isthmus server on the usual ports, or on free ones when these are taken, and logs in.
func (d *demo) startServer(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	dir := filepath.Join(d.dir, "server")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fault.Wrap(fault.Internal, err, "make the server's directory")
	}
	address, err := d.launchServer(ctx, dir)
	if err != nil {
		return "", err
	}
	d.tokenFile = filepath.Join(dir, "admin.token")
	token, err := os.ReadFile(d.tokenFile)
	if err != nil {
		return "", fault.Wrap(fault.Internal, err, "read the admin token")
	}
	d.client, err = client.New(client.Config{Address: address, Token: strings.TrimSpace(string(token)), UserAgent: "isthmus-demo"})
	if err != nil {
		return "", err
	}
	d.fleet, err = identity.NewFleetKey()
	if err != nil {
		return "", err
	}
	if err := d.fleet.Save(filepath.Join(d.dir, "fleet.key")); err != nil {
		return "", err
	}
	return "REST at " + address, nil
}

// launchServer starts the child and returns the URL of its REST API.
func (d *demo) launchServer(ctx context.Context, dir string) (string, error) {
	var problems error
	for _, addr := range d.serverAddresses(ctx) {
		first := newFirstLine()
		server, err := child.Start(child.Options{
			Name: "isthmus server", Binary: d.Executable, LogFile: filepath.Join(d.dir, "server.log"), Out: first,
			Args: []string{"server", "--data-dir", dir, "--http-addr", addr.http, "--grpc-addr", addr.grpc},
		})
		if err != nil {
			return "", err
		}
		d.mu.Lock()
		d.server = server
		d.mu.Unlock()
		line, err := first.wait(ctx, server)
		if err == nil {
			return strings.TrimPrefix(line, "REST: "), nil
		}
		problems = errors.Join(problems, err)
		if fault.CodeOf(err) != fault.Refused {
			break
		}
	}
	return "", problems
}

type serverAddress struct{ http, grpc string }

// serverAddresses are what to try: the usual ones, if nobody listens there (somebody may until the child tries), and else any
// free ports.
func (d *demo) serverAddresses(ctx context.Context) []serverAddress {
	usual := serverAddress{http: d.HTTPAddr, grpc: d.GRPCAddr}
	free := serverAddress{http: "127.0.0.1:0", grpc: "127.0.0.1:0"}
	for _, addr := range []string{usual.http, usual.grpc} {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
		if err != nil {
			return []serverAddress{free}
		}
		_ = l.Close()
	}
	return []serverAddress{usual, free}
}
