package api

import (
	"context"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/auth"
	"isthmus/server/request"
	"isthmus/store/snapshot"
)

// The words of a Change.
const (
	changeCreate    = "create"
	changeUpdate    = "update"
	changeDelete    = "delete"
	changeUnchanged = "unchanged"
)

// ServerService applies manifests and says what this server is.
type ServerService struct {
	isthmusv1.UnimplementedServerServiceServer
	*Core
	Version string
	// GRPCAddress is where agents reach the server; CAFingerprint is what they pin.
	GRPCAddress   func() string
	CAFingerprint string
}

// GetServer implements the RPC.
func (s *ServerService) GetServer(ctx context.Context, _ *isthmusv1.GetServerRequest) (*isthmusv1.ServerInfo, error) {
	revision := s.Snapshot.View().Revision()
	caller := auth.CallerOf(ctx)
	request.At(ctx, revision.Index)
	return &isthmusv1.ServerInfo{
		Version: s.Version, Epoch: revision.Epoch, Index: revision.Index,
		GrpcAddress: s.GRPCAddress(), CaFingerprint: s.CAFingerprint,
		Actor: caller.Actor(), Role: string(caller.Role),
	}, nil
}

// Apply implements the RPC.
func (s *ServerService) Apply(ctx context.Context, r *isthmusv1.ApplyRequest) (*isthmusv1.ApplyResponse, error) {
	manifests, err := resource.ParseManifests("", []byte(r.GetManifests()))
	if err != nil {
		return nil, err
	}
	b, v, err := s.submit(ctx, r.GetDryRun(), func(v *snapshot.View) (*batch, error) {
		b := &batch{force: r.GetForce()}
		for _, m := range manifests {
			b.edits = append(b.edits, applied(v, m))
		}
		return b, nil
	})
	if err != nil {
		return nil, err
	}
	response := &isthmusv1.ApplyResponse{}
	for _, e := range b.edits[:len(manifests)] { // those after them are not asked for by a manifest
		response.Changes = append(response.Changes, changeOf(e))
	}
	for _, x := range b.expansions {
		response.Changes = append(response.Changes, expansionOf(x)...)
	}
	if r.GetDryRun() {
		response.Federations = plannedFederations(v, s.Observations, b.edits[:len(manifests)])
		request.At(ctx, v.Revision().Index)
		return response, nil
	}
	response.Index = v.Revision().Index
	return response, nil
}

// applied is the edit that one manifest asks for. Its defaults are applied and it is valid by itself.
func applied(v *snapshot.View, m resource.Manifest) *edit {
	kind := resource.KindOf(m.Object)
	var e *edit
	if before, ok := v.Get(kind.Name, m.Object.GetName()); !ok {
		e = &edit{kind: kind, after: wanted(m.Object), action: "create"}
	} else {
		after := restated(before, m.Object)
		e = revised(before, after)
		if before.GetDeleteTime() != nil {
			// What is going cannot be kept by applying it again: changes() must see a difference for check to say so.
			resource.SetMetadata(after, resource.Metadata{})
		}
	}
	e.document, e.locate = m.Document, m.Locate
	return e
}

// changeOf says what becomes of a resource that a manifest names. Force may write into the status of a group that stays as it
// is: that is no change of what the manifest is about.
func changeOf(e *edit) *isthmusv1.Change {
	change := &isthmusv1.Change{
		Kind: e.kind.Name, Name: e.name(), Document: int32(e.document),
		Fields: resource.Diff(e.before, e.after),
	}
	switch {
	case e.before == nil:
		change.Action = changeCreate
	case len(change.GetFields()) > 0:
		change.Action = changeUpdate
	default:
		change.Action = changeUnchanged
	}
	return change
}
