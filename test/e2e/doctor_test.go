package e2e_test

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// What isthmus doctor finds is proven on real Consul servers: each check is made to fail as it does in a datacenter, and what it names as the
// fix makes it pass. The stories are TestDoctorOf… in this package; some are told where what they need is there anyway: LossAccepted in
// TestJoinOfARunningDatacenter, SecondaryReachesPrimary in TestCausesAfterTheJoin, KubernetesAPIReachable in TestKubernetesFederation, and those
// that the command line asks itself (ServerReachable, TokenAccepted, LocalClock) in package cmd/isthmus.
//
// Two cannot be had, and have table tests in package doctor only: ConsulVersionSkew and ConsulVersion, since there is one Consul to run. Of
// NoPartition the Datacenter is real and the partition is not, which Consul Enterprise has.

// Finds waits until doctor finds that a check is so of a datacenter (or of none), with words in its message or fix; what it found.
func (f *Fleet) Finds(id, datacenter, verdict string, words ...string) *isthmusv1.DoctorCheck {
	f.t.Helper()
	var found *isthmusv1.DoctorCheck
	f.Eventually(fmt.Sprintf("doctor finds that %s is %s in %q", id, verdict, datacenter), func() error {
		report, err := f.Client.Doctor(f.t.Context(), []string{id}, "")
		if err != nil {
			return err
		}
		for _, c := range report.GetChecks() {
			if c.GetDatacenter() == datacenter && c.GetVerdict() == verdict && containsAll(c.GetMessage()+" "+c.GetFix(), words...) {
				found = c
				return nil
			}
		}
		return fmt.Errorf("it finds %v", report.GetChecks())
	})
	f.exist(found.GetFix())
	return found
}

// grouped are commands that a fix names, of the groups whose names alone do nothing.
var grouped = regexp.MustCompile(`isthmus (?:api-token|datacenter|federation|join-token|peering|store) [a-z-]+`)

// exist fails the test when a fix names a command that there is not.
func (f *Fleet) exist(fix string) {
	f.t.Helper()
	reference, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		f.t.Fatal(err)
	}
	for _, command := range grouped.FindAllString(fix, -1) {
		if !strings.Contains(string(reference), "\n## "+command+"\n") {
			f.t.Errorf("there is no %s, which a fix names: %s", command, fix)
		}
	}
}

// Passes waits until everything that doctor finds on checks passes.
func (f *Fleet) Passes(ids ...string) {
	f.t.Helper()
	f.Eventually("doctor finds that all is well with "+strings.Join(ids, ", "), func() error {
		report, err := f.Client.Doctor(f.t.Context(), ids, "")
		if err != nil {
			return err
		}
		for _, id := range ids {
			if !slices.ContainsFunc(report.GetChecks(), func(c *isthmusv1.DoctorCheck) bool { return c.GetId() == id }) {
				return fmt.Errorf("%s is not asked", id)
			}
		}
		if report.GetFailed()+report.GetUnknown() > 0 {
			return fmt.Errorf("%v", report.GetChecks()[0])
		}
		return nil
	})
}

// Well waits until isthmus doctor ends with 0, as a script would.
func (f *Fleet) Well() {
	f.t.Helper()
	if out, problem, code := f.Run("doctor", "--wait", "80s"); code != 0 {
		f.t.Fatalf("isthmus doctor ends with %d\n%s%s", code, out, problem)
	}
}

// rewrite gives an ACL policy of a datacenter other rules.
func (d *Datacenter) rewrite(policy, rules string) {
	d.f.t.Helper()
	var at struct{ ID string }
	d.Do(http.MethodGet, "/v1/acl/policy/name/"+policy, nil, &at)
	d.Do(http.MethodPut, "/v1/acl/policy/"+at.ID, map[string]any{"Name": policy, "Rules": rules}, nil)
}

// lacking are rules but for those of one line.
func lacking(rules, line string) string {
	var out []string
	for text := range strings.Lines(rules) {
		if !strings.HasPrefix(text, line) {
			out = append(out, text)
		}
	}
	return strings.Join(out, "")
}

const (
	finds  = resource.CheckFail
	passes = resource.CheckPass
	nobody = resource.CheckUnknown
)

// severity fails the test when a finding is not that severe.
func severity(t *testing.T, c *isthmusv1.DoctorCheck, want string) {
	t.Helper()
	if c.GetSeverity() != want {
		t.Errorf("%s is of severity %s, want %s: %s", c.GetId(), c.GetSeverity(), want, c.GetMessage())
	}
}
