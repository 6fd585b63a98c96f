package api

import (
	"context"
	"slices"
	"strings"

	"isthmus/doctor"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/auth"
	"isthmus/server/evidence"
	"isthmus/store/snapshot"
)

// RunDoctor implements the RPC. Reports have no index, so it never blocks. Ids of checks may be given each by itself or separated by commas.
func (s *DiagnosisService) RunDoctor(ctx context.Context, r *isthmusv1.RunDoctorRequest) (*isthmusv1.DoctorReport, error) {
	var only []string
	for _, id := range r.GetOnly() {
		only = append(only, strings.Split(id, ",")...)
	}
	only = slices.DeleteFunc(only, func(id string) bool { return id == "" })
	if err := doctor.Known(only); err != nil {
		return nil, err
	}
	v, err := s.newest(ctx)
	if err != nil {
		return nil, err
	}
	if dc := r.GetDatacenter(); dc != "" {
		if _, ok := v.Get(resource.KindDatacenter, dc); !ok {
			return nil, notFound(resource.KindDatacenter, dc)
		}
	}
	now := s.Now()
	checks := doctor.Checks(v, doctor.Evidence{
		Of: evidence.Doctor(v, s.Observations), Version: s.Version, Connections: s.connectionsOf(v, r.GetDatacenter()), APITokens: visibleTokens(ctx, v),
	}, now, only...)
	return doctor.Report(doctor.About(checks, r.GetDatacenter()), now), nil
}

// visibleTokens are the API tokens that the caller may know of: all for an admin, else the one that it shows.
func visibleTokens(ctx context.Context, v *snapshot.View) []*isthmusv1.APIToken {
	caller := auth.CallerOf(ctx)
	var out []*isthmusv1.APIToken
	for t := range resource.All[*isthmusv1.APIToken](v, resource.KindAPIToken) {
		if caller.Role == auth.Admin || t.GetName() == caller.Name {
			out = append(out, t)
		}
	}
	return out
}
