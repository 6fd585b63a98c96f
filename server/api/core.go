package api

import (
	"context"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/auth"
	"isthmus/server/request"
	"isthmus/store"
	"isthmus/store/snapshot"
)

// indexHeader tells at which index an answer was true.
const indexHeader = "x-isthmus-index"

// Core is what all services share: the way to read and the way to write.
type Core struct {
	Store    store.Store
	Snapshot *snapshot.Snapshot
	// Stopping is closed when the server shuts down: blocking queries answer then.
	Stopping <-chan struct{}
	Log      hclog.Logger
	Now      func() time.Time
}

// setIndex says at which index the answer is true. A failure means that the caller is gone, which sending will show.
func setIndex(ctx context.Context, index uint64) {
	_ = grpc.SetHeader(ctx, metadata.Pairs(indexHeader, strconv.FormatUint(index, 10)))
}

// commit writes, lets this replica's snapshot catch up, so that whoever wrote reads it, and says the index.
func (c *Core) commit(ctx context.Context, w store.Write) (*snapshot.View, error) {
	revision, err := c.Store.Write(ctx, w)
	if err != nil {
		return nil, err
	}
	if err := c.Snapshot.Catchup(ctx); err != nil {
		return nil, err
	}
	setIndex(ctx, revision.Index)
	return c.Snapshot.View(), nil
}

// fresh gives a new resource the metadata of its creation.
func (c *Core) fresh(o resource.Object) {
	now := timestamppb.New(c.Now())
	resource.SetMetadata(o, resource.Metadata{UID: uuid.NewString(), Generation: 1, CreateTime: now, UpdateTime: now})
}

// event is an entry of the audit log about a change of one resource by the caller; before or after may be nil.
func (c *Core) event(ctx context.Context, action string, before, after resource.Object, message string) *isthmusv1.Event {
	caller := auth.CallerOf(ctx)
	spec := &isthmusv1.EventSpec{
		Actor: caller.Actor(), Role: string(caller.Role), Action: action, Message: message, RequestId: request.ID(ctx),
	}
	for _, o := range []resource.Object{before, after} {
		if o != nil {
			spec.Kind, spec.Target, spec.TargetUid = resource.KindOf(o).Name, o.GetName(), o.GetUid()
		}
	}
	if before != nil {
		spec.DigestBefore = resource.SpecDigest(before)
	}
	if after != nil {
		spec.DigestAfter = resource.SpecDigest(after)
	}
	return &isthmusv1.Event{CreateTime: timestamppb.New(c.Now()), Spec: spec}
}

func notFound(kind, name string) error {
	return fault.New(fault.NotFound, "there is no %s named %q", kind, name)
}
