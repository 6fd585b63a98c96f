package consulrun

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"syscall"

	"isthmus/fault"
)

// Ports are taken in blocks: the first one of a block is held by a listener of this process for as long as the server may
// be started again, and whoever runs servers with this package takes a block by that listener. So several servers, in this
// process and in others, cannot race for ports, not even while one restarts. The blocks are below the range that Linux
// takes for outgoing connections (32768), which no listener could hold back.
const (
	firstBlock  = 15000
	lastBlock   = 32000
	blockSize   = 8
	reserveRuns = 200
)

// Offsets of the ports in their block; 0 is the guard.
const (
	offsetHTTPS = 1 + iota
	offsetGRPC
	offsetRPC
	offsetSerfLAN
	offsetSerfWAN
	offsetEnd
)

// ports are those that one server listens on. base and guard are of its block, when it has one.
type ports struct {
	https, grpcTLS, rpc, serfLAN, serfWAN int

	base  int
	guard net.Listener
}

// usualPorts are Consul's own, for a network in which nobody else is.
func usualPorts() *ports {
	return &ports{https: 8501, grpcTLS: 8503, rpc: 8300, serfLAN: 8301, serfWAN: 8302}
}

// reservePorts takes any free block of an address.
func reservePorts(address string) (*ports, error) {
	const blocks = (lastBlock - firstBlock) / blockSize
	var last error
	for range reserveRuns {
		p, err := reserveBlock(address, firstBlock+blockSize*rand.IntN(blocks)) //nolint:gosec // which ports are tried first is no secret
		if err == nil {
			return p, nil
		}
		last = err
	}
	return nil, fault.Wrap(fault.Unavailable, last, "no free ports on %s between %d and %d", address, firstBlock, lastBlock)
}

// reserveBlock takes one block: its guard must be free, and so must be each port in it, for TCP and UDP.
func reserveBlock(address string, base int) (*ports, error) {
	guard, err := listen("127.0.0.1", base)
	if err != nil {
		return nil, err
	}
	for offset := offsetHTTPS; offset < offsetEnd; offset++ {
		at := address
		if offset == offsetHTTPS {
			at = "127.0.0.1"
		}
		if err := probe(at, base+offset); err != nil {
			return nil, errors.Join(err, guard.Close())
		}
	}
	return &ports{
		https: base + offsetHTTPS, grpcTLS: base + offsetGRPC, rpc: base + offsetRPC, serfLAN: base + offsetSerfLAN, serfWAN: base + offsetSerfWAN,
		base: base, guard: guard,
	}, nil
}

func listen(address string, port int) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", hostPort(address, port))
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "listening on %s port %d", address, port)
	}
	return l, nil
}

func probe(address string, port int) error {
	l, err := listen(address, port)
	if err != nil {
		return err
	}
	p, err := new(net.ListenConfig).ListenPacket(context.Background(), "udp", hostPort(address, port))
	if err != nil {
		return errors.Join(fault.Wrap(fault.Unavailable, err, "listening on %s UDP port %d", address, port), l.Close())
	}
	return errors.Join(l.Close(), p.Close())
}

func hostPort(address string, port int) string { return net.JoinHostPort(address, strconv.Itoa(port)) }

func (p *ports) release() error {
	if p.guard == nil {
		return nil
	}
	if err := p.guard.Close(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, net.ErrClosed) {
		return fault.Wrap(fault.Internal, err, "giving back ports")
	}
	return nil
}
