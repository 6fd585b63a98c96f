package bench_test

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/encoding/protowire"
)

// rawCodec lets messages through as they are: etcd's few that are needed here are written by hand, so that isthmus need not have etcd's
// client among its modules for a benchmark's sake.
type rawCodec struct{}

func (rawCodec) Marshal(v any) ([]byte, error) {
	m, ok := v.([]byte)
	if !ok {
		return nil, fmt.Errorf("%T is not bytes", v)
	}
	return m, nil
}

func (rawCodec) Unmarshal(data []byte, v any) error {
	into, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("%T is not bytes", v)
	}
	*into = data
	return nil
}

func (rawCodec) Name() string { return "proto" }

// dialGRPC connects to a gRPC server whose certificate's authority is in a file.
func dialGRPC(addr, caFile string, options ...grpc.DialOption) (*grpc.ClientConn, error) {
	config, err := trusting(caFile)
	if err != nil {
		return nil, err
	}
	return grpc.NewClient(addr, append(options, grpc.WithTransportCredentials(credentials.NewTLS(config)))...)
}

// dialEtcd connects to etcd.
func dialEtcd(addr, caFile string) (*grpc.ClientConn, error) {
	return dialGRPC(addr, caFile, grpc.WithDefaultCallOptions(grpc.ForceCodec(rawCodec{}), grpc.MaxCallRecvMsgSize(64<<20)))
}

// etcdPut stores a value.
func etcdPut(ctx context.Context, conn *grpc.ClientConn, key string, value []byte) error {
	var request, answer []byte
	request = protowire.AppendTag(request, 1, protowire.BytesType)
	request = protowire.AppendString(request, key)
	request = protowire.AppendTag(request, 2, protowire.BytesType)
	request = protowire.AppendBytes(request, value)
	return conn.Invoke(ctx, "/etcdserverpb.KV/Put", request, &answer)
}

// etcdRange reads all keys from one on to before another, in one answer, and counts them.
func etcdRange(ctx context.Context, conn *grpc.ClientConn, from, to string) (n int, err error) {
	var request, answer []byte
	request = protowire.AppendTag(request, 1, protowire.BytesType)
	request = protowire.AppendString(request, from)
	request = protowire.AppendTag(request, 2, protowire.BytesType)
	request = protowire.AppendString(request, to)
	if err := conn.Invoke(ctx, "/etcdserverpb.KV/Range", request, &answer); err != nil {
		return 0, err
	}
	// Of the answer: field 2 is a pair. A client would decode it as well, so each is walked through.
	for len(answer) > 0 {
		number, kind, size := protowire.ConsumeTag(answer)
		if size < 0 {
			return n, protowire.ParseError(size)
		}
		answer = answer[size:]
		if size = protowire.ConsumeFieldValue(number, kind, answer); size < 0 {
			return n, protowire.ParseError(size)
		}
		if number == 2 {
			n++
		}
		answer = answer[size:]
	}
	return n, nil
}
