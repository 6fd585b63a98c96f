package profile

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"time"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/auth"
	"isthmus/server/change"
	"isthmus/store"
)

// The profiles. CPU has net/http/pprof's name for it.
const (
	CPU       = "profile"
	Heap      = "heap"
	Goroutine = "goroutine"
)

const (
	// DefaultTime is how long the processor's time is watched unless it is said.
	DefaultTime = 30 * time.Second
	// LongestTime is the longest.
	LongestTime = 2 * time.Minute
)

// Names are those of all profiles.
func Names() []string { return []string{CPU, Heap, Goroutine} }

// Profiler takes profiles, one at a time. Its methods may be called concurrently.
type Profiler struct {
	Store store.Store
	Now   func() time.Time

	mu sync.Mutex
}

// Take gives a profile in pprof's format; watch is how long the processor's time is looked at, and of no use to the others. The audit log has
// it first. Denied: the caller is no admin. NotFound: there is no such profile. Busy: one is being taken.
func (p *Profiler) Take(ctx context.Context, caller auth.Caller, name string, watch time.Duration) ([]byte, error) {
	if caller.Role != auth.Admin {
		return nil, fault.New(fault.Denied, "role %s may not take profiles of the server; it takes %s", caller.Role, auth.Admin)
	}
	if !slices.Contains(Names(), name) {
		return nil, fault.New(fault.NotFound, "there is no profile %q; there are %s", name, strings.Join(Names(), ", "))
	}
	if name != CPU {
		watch = 0
	}
	if !p.mu.TryLock() {
		return nil, fault.Limited(max(watch, time.Second), "another profile is being taken: one at a time, which no flag changes")
	}
	defer p.mu.Unlock()
	if err := p.record(ctx, caller, name, watch); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	var err error
	switch name {
	case CPU:
		err = cpu(ctx, &out, watch)
	case Heap:
		runtime.GC() // so that it shows what is held now
		err = pprof.Lookup(Heap).WriteTo(&out, 0)
	default:
		err = pprof.Lookup(name).WriteTo(&out, 0)
	}
	return out.Bytes(), err
}

func cpu(ctx context.Context, out *bytes.Buffer, watch time.Duration) error {
	if err := pprof.StartCPUProfile(out); err != nil {
		return fault.Limited(watch, "another profile of the processor's time is being taken in this process")
	}
	defer pprof.StopCPUProfile()
	timer := time.NewTimer(watch)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// record writes to the audit log whose API token it was.
func (p *Profiler) record(ctx context.Context, caller auth.Caller, name string, watch time.Duration) error {
	token := &isthmusv1.APIToken{Name: caller.Name, Uid: caller.UID}
	what := name
	if watch > 0 {
		what = fmt.Sprintf("%s, %s", name, watch)
	}
	e := change.By(ctx, caller).Event(resource.ActionProfile, token, what, p.Now())
	_, err := p.Store.Write(ctx, store.Write{Events: []*isthmusv1.Event{e}})
	return err
}
