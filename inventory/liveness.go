package inventory

import (
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Heard is when an agent was last heard of.
type Heard struct {
	// At is zero when it never was.
	At time.Time
	// Listening is since when somebody has listened without a break: a silence is proven only for that long.
	Listening time.Time
}

// Liveness judges a silence.
func (h Heard) Liveness(now time.Time) string {
	switch {
	case !h.At.IsZero() && now.Sub(h.At) <= resource.Silence:
		return resource.LivenessOnline
	case h.At.IsZero() || now.Sub(h.Listening) <= resource.Silence:
		return resource.LivenessUnknown
	}
	return resource.LivenessOffline
}

// Agent is the next status of an agent: the present one with what it reports of itself and whether it is heard of. A nil
// report leaves what is known.
func Agent(a *isthmusv1.Agent, report *isthmusv1.AgentReport, heard Heard, now time.Time) *isthmusv1.AgentStatus {
	next := proto.CloneOf(a.GetStatus())
	if next == nil {
		next = &isthmusv1.AgentStatus{}
	}
	if liveness := heard.Liveness(now); liveness != next.GetLiveness() {
		next.Liveness, next.LivenessSince = liveness, timestamppb.New(since(liveness, heard, now))
	}
	if report != nil {
		next.Version, next.Features, next.Host = report.GetVersion(), report.GetFeatures(), report.GetHost()
		next.Leader = report.GetLeader()
	}
	// Who is not heard of does not lead, whatever it said last.
	if next.GetLiveness() != resource.LivenessOnline {
		next.Leader = false
	}
	return next
}

// since is when a liveness began: silence when the last word was said.
func since(liveness string, heard Heard, now time.Time) time.Time {
	if liveness == resource.LivenessOnline || heard.At.IsZero() {
		return now
	}
	return heard.At
}
