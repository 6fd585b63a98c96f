// Package change is what the server's writes have in common, whoever causes them.
//
// Owns: entries of the audit log, the metadata of new resources, trying again what was decided on an old view.
// Does not own: what is written, and by whom it may be (api, agentapi, controller). Start reading at Retry.
package change

import (
	"context"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/auth"
	"isthmus/server/request"
	"isthmus/store/snapshot"
)

// maxAttempts is how often a write is tried when somebody else wrote what it had read. Controllers write statuses all the
// time, so a second attempt is common and a fifth is a sign of a storm.
const maxAttempts = 8

// maxMessage bounds what one entry of the audit log says, in bytes.
const maxMessage = 8 << 10

// Author is who causes a change, as the audit log says it.
type Author struct {
	Actor, Role string
	// Request is the id of the call that asked for it; empty when none did.
	Request string
}

// By is the author of what a call changes.
func By(ctx context.Context, caller auth.Caller) Author {
	return Author{Actor: caller.Actor(), Role: string(caller.Role), Request: request.ID(ctx)}
}

// Event is an entry of the audit log about a resource.
func (a Author) Event(action string, o resource.Object, message string, now time.Time) *isthmusv1.Event {
	return &isthmusv1.Event{
		CreateTime: timestamppb.New(now),
		Spec: &isthmusv1.EventSpec{
			Actor: a.Actor, Role: a.Role, Action: action, RequestId: a.Request, Message: resource.Cut(message, maxMessage),
			Kind: resource.KindOf(o).Name, Target: o.GetName(), TargetUid: o.GetUid(),
		},
	}
}

// SpecEvent is an Event that shows what the spec was and is, field by field, without what may be secret in it; before is nil for a creation, after for a deletion.
func (a Author) SpecEvent(action string, before, after resource.Object, message string, now time.Time) *isthmusv1.Event {
	o := after
	if o == nil {
		o = before
	}
	e := a.Event(action, o, message, now)
	if before != nil {
		e.Spec.DigestBefore = resource.SpecDigest(before)
	}
	if after != nil {
		e.Spec.DigestAfter = resource.SpecDigest(after)
	}
	e.Spec.Changes = resource.EventChanges(before, after)
	return e
}

// Fresh gives a new resource the metadata of its creation.
func Fresh(o resource.Object, now time.Time) {
	at := timestamppb.New(now)
	resource.SetMetadata(o, resource.Metadata{UID: uuid.NewString(), Generation: 1, CreateTime: at, UpdateTime: at})
}

// Raced tells whether a write was refused for what it had read; it may be decided anew, however often it was tried.
func Raced(err error, _ int) bool { return fault.CodeOf(err) == fault.Conflict }

// Retry runs a write that decides on the newest view, and again on a newer one as long as outdated says of its error that
// it may come from reading an old view; tried is how many attempts were made before. When there is no newer view, the
// error stands.
func Retry(ctx context.Context, s *snapshot.Snapshot, outdated func(err error, tried int) bool, attempt func(v *snapshot.View) error) error {
	var err error
	for tried := range maxAttempts {
		v := s.View()
		if err = attempt(v); err == nil || !outdated(err, tried) {
			return err
		}
		if err := s.Catchup(ctx); err != nil {
			return err
		}
		if s.View().Revision() == v.Revision() {
			return err
		}
	}
	return err
}
