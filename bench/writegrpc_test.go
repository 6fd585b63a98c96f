package bench_test

import (
	"context"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	isthmusv1 "isthmus/proto/isthmus/v1"
)

// emptyCall is the limit of any gRPC server here: it answers a creation with what it was sent, and has nothing behind it.
type emptyCall struct {
	isthmusv1.UnimplementedDatacenterServiceServer
}

// CreateDatacenter implements the RPC.
func (emptyCall) CreateDatacenter(_ context.Context, r *isthmusv1.CreateDatacenterRequest) (*isthmusv1.Datacenter, error) {
	return r.GetDatacenter(), nil
}

// emptyWindow is what a client may send before it is asked for more, as isthmus has it: the server need not find out what is best.
const emptyWindow = 256 << 10

// serve begins to listen. The process ends with its input.
func (e emptyCall) serve(task floorTask) (floorServing, error) {
	tls, err := credentials.NewServerTLSFromFile(task.CertFile, task.KeyFile)
	if err != nil {
		return floorServing{}, err
	}
	l, err := net.Listen("tcp", task.Addr) //nolint:noctx // until the process ends
	if err != nil {
		return floorServing{}, err
	}
	server := grpc.NewServer(grpc.Creds(tls), grpc.StaticStreamWindowSize(emptyWindow), grpc.StaticConnWindowSize(emptyWindow))
	isthmusv1.RegisterDatacenterServiceServer(server, e)
	go func() { _ = server.Serve(l) }() // until the process ends
	return floorServing{Version: "gRPC " + grpc.Version}, nil
}
