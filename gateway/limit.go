package gateway

import (
	"net/netip"
	"sync"
	"time"
)

const (
	// maxSources is how many sources are told apart; those beyond share one allowance. Some 6 MiB when full.
	maxSources = 1 << 16
	// ipv6Source is the part of an IPv6 address that stands for one host: a host has a whole network of that length.
	ipv6Source = 64
)

// sourceLimit allows each source so many connections per second: a token bucket for each, that holds one second's worth.
type sourceLimit struct {
	rate float64 // zero: no limit
	now  func() time.Time

	mu       sync.Mutex
	buckets  map[netip.Prefix]*bucket
	overflow bucket
	swept    time.Time
}

type bucket struct {
	tokens float64
	at     time.Time
}

func newSourceLimit(perSecond int, now func() time.Time) *sourceLimit {
	return &sourceLimit{rate: float64(perSecond), now: now, buckets: map[netip.Prefix]*bucket{}}
}

// allow takes one token of a source's bucket, if there is one.
func (l *sourceLimit) allow(source netip.Addr) bool {
	if l.rate == 0 {
		return true
	}
	source = source.Unmap()
	bits := source.BitLen()
	if source.Is6() {
		bits = ipv6Source
	}
	key, err := source.WithZone("").Prefix(bits)
	if err != nil {
		key = netip.Prefix{} // an address that is none shares a bucket
	}
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.bucket(key, now)
	b.refill(now, l.rate)
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

func (l *sourceLimit) bucket(key netip.Prefix, now time.Time) *bucket {
	if b, ok := l.buckets[key]; ok {
		return b
	}
	if len(l.buckets) >= maxSources && now.Sub(l.swept) >= time.Second {
		l.sweep(now)
	}
	if len(l.buckets) >= maxSources {
		return &l.overflow
	}
	b := &bucket{tokens: l.rate, at: now}
	l.buckets[key] = b
	return b
}

// sweep forgets sources that were quiet for a second: their buckets are full, as new ones are.
func (l *sourceLimit) sweep(now time.Time) {
	l.swept = now
	for key, b := range l.buckets {
		if now.Sub(b.at) >= time.Second {
			delete(l.buckets, key)
		}
	}
}

func (b *bucket) refill(now time.Time, rate float64) {
	b.tokens = min(rate, b.tokens+now.Sub(b.at).Seconds()*rate)
	b.at = now
}
