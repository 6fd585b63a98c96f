package session_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/auth"
	"isthmus/server/session"
	"isthmus/store"
	"isthmus/store/snapshot"
	"isthmus/store/sqlite"
)

// away is a store that takes no writes for a while.
type away struct {
	store.Store
	is atomic.Bool
}

func (a *away) Write(ctx context.Context, w store.Write) (store.Revision, error) {
	if a.is.Load() {
		return store.Revision{}, fault.New(fault.Unavailable, "the store is away")
	}
	return a.Store.Write(ctx, w)
}

// answered is a call whose headers nobody looks at.
type answered struct{ grpc.ServerTransportStream }

func (answered) SetHeader(metadata.MD) error { return nil }

// A logout whose entry cannot be written is told, refused here at once, and written as soon as it can be, so that it is one everywhere.
func TestLogoutIsWrittenLater(t *testing.T) {
	t.Parallel()
	opened, err := sqlite.Open(t.Context(), t.TempDir(), hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := opened.Close(); err != nil {
			t.Error(err)
		}
	})
	shown, err := snapshot.Open(t.Context(), opened, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	st := &away{Store: opened}
	key := serverKey(t)
	k, err := session.NewKeeper(key, idle, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	service := &session.Service{Keeper: k, Store: st, Journal: opened, Snapshot: shown, Now: time.Now, Log: hclog.NewNullLogger()}
	if err := service.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := k.Begin(alice(), time.Time{})
	sealed := seal(t, k, s)
	ctx := auth.WithCaller(metadata.NewIncomingContext(t.Context(), metadata.Pairs(auth.SessionKey, sealed)), auth.Caller{Role: auth.Viewer})
	ctx = grpc.NewContextWithServerTransportStream(ctx, answered{})

	st.is.Store(true)
	if _, err := service.DeleteSession(ctx, &isthmusv1.DeleteSessionRequest{}); fault.CodeOf(err) != fault.Unavailable {
		t.Fatalf("a logout that is not written: %v", err)
	}
	if _, err := k.Open(sealed); reason(err) != auth.ReasonSessionEnded {
		t.Errorf("the session: %v", err)
	}
	running, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- service.Run(running) }()
	st.is.Store(false)

	other, err := session.NewKeeper(key, idle, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	replica := &session.Service{Keeper: other, Store: opened, Journal: opened, Snapshot: shown, Now: time.Now, Log: hclog.NewNullLogger()}
	patience, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for _, err := other.Open(sealed); err == nil; _, err = other.Open(sealed) {
		select {
		case <-patience.Done():
			t.Fatal("another replica goes on to take the session")
		case <-tick.C:
		}
		if err := replica.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	events, err := opened.Events(t.Context(), store.EventQuery{Action: resource.ActionLogout, Limit: 10})
	if err != nil || len(events) != 1 || !strings.Contains(events[0].GetSpec().GetMessage(), "session ") {
		t.Errorf("the audit log has %v, %v", events, err)
	}
}
