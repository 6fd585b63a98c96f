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

type portBlock struct {
	base  int
	guard net.Listener
}

// reservePorts takes any free block.
func reservePorts() (*portBlock, error) {
	const blocks = (lastBlock - firstBlock) / blockSize
	var last error
	for range reserveRuns {
		b, err := reserveBlock(firstBlock + blockSize*rand.IntN(blocks)) //nolint:gosec // which ports are tried first is no secret
		if err == nil {
			return b, nil
		}
		last = err
	}
	return nil, fault.Wrap(fault.Unavailable, last, "no free ports on 127.0.0.1 between %d and %d", firstBlock, lastBlock)
}

// reserveBlock takes one block: its guard must be free, and so must be each port in it, for TCP and UDP.
func reserveBlock(base int) (*portBlock, error) {
	guard, err := listen(base)
	if err != nil {
		return nil, err
	}
	for offset := offsetHTTPS; offset < offsetEnd; offset++ {
		if err := probe(base + offset); err != nil {
			return nil, errors.Join(err, guard.Close())
		}
	}
	return &portBlock{base: base, guard: guard}, nil
}

func listen(port int) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", loopback(port))
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "listening on port %d", port)
	}
	return l, nil
}

func probe(port int) error {
	l, err := listen(port)
	if err != nil {
		return err
	}
	p, err := new(net.ListenConfig).ListenPacket(context.Background(), "udp", loopback(port))
	if err != nil {
		return errors.Join(fault.Wrap(fault.Unavailable, err, "listening on UDP port %d", port), l.Close())
	}
	return errors.Join(l.Close(), p.Close())
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

func (b *portBlock) https() int   { return b.base + offsetHTTPS }
func (b *portBlock) grpcTLS() int { return b.base + offsetGRPC }
func (b *portBlock) rpc() int     { return b.base + offsetRPC }
func (b *portBlock) serfLAN() int { return b.base + offsetSerfLAN }
func (b *portBlock) serfWAN() int { return b.base + offsetSerfWAN }

func (b *portBlock) release() error {
	if err := b.guard.Close(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, net.ErrClosed) {
		return fault.Wrap(fault.Internal, err, "giving back ports")
	}
	return nil
}
