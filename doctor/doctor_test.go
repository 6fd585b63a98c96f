package doctor_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"isthmus/doctor"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Of a fleet in which all is well every check is asked, and passes; but for those that are asked in rare cases only.
func TestAllIsWell(t *testing.T) {
	t.Parallel()
	checks := healthy().checks()
	asked := map[string]bool{}
	for _, c := range checks {
		asked[c.GetId()] = true
		if c.GetVerdict() != resource.CheckPass || c.GetFix() != "" || c.GetMessage() == "" {
			t.Errorf("%v", c)
		}
		if c.GetLink() != "docs/checks.md#"+c.GetId() {
			t.Errorf("%s links to %s", c.GetId(), c.GetLink())
		}
	}
	// What has to be accepted before a join, and Kubernetes.
	rare := []string{"JoinAllowed", "LossAccepted", "KubernetesAPIReachable"}
	for _, c := range doctor.Catalog() {
		if !asked[c.ID] && !c.Local && !slices.Contains(rare, c.ID) {
			t.Errorf("%s is not asked", c.ID)
		}
	}
	if t.Failed() {
		show(t, checks)
	}
	if report := doctor.Report(checks, noon()); !doctor.Well(report) || int(report.GetPassed()) != len(checks) || report.GetFailed() != 0 || report.GetUnknown() != 0 {
		t.Errorf("the report counts %d, %d and %d", report.GetPassed(), report.GetFailed(), report.GetUnknown())
	}
}

func TestNothingIsDeclared(t *testing.T) {
	t.Parallel()
	w := &world{Fleet: healthy().Fleet}
	for _, kind := range resource.Kinds() {
		var names []string
		for o := range w.List(kind.Name) {
			names = append(names, o.GetName())
		}
		for _, name := range names {
			w.Delete(kind.Name, name)
		}
	}
	if report := doctor.Report(w.checks(), noon()); !doctor.Well(report) {
		t.Errorf("%v", report)
	}
}

// docs/checks.md has a section for each check, and for nothing else; each says how it is found, what it means and what to do.
func TestEachCheckHasASection(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "docs", "checks.md"))
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	for _, part := range strings.Split(string(text), "\n### ")[1:] {
		id, body, _ := strings.Cut(part, "\n")
		body, _, _ = strings.Cut(body, "\n## ")
		if sections[id] != "" {
			t.Errorf("%s has two sections", id)
		}
		sections[id] = body
	}
	for _, c := range doctor.Catalog() {
		body, ok := sections[c.ID]
		if !ok {
			t.Errorf("%s has no section", c.ID)
		}
		for _, part := range []string{"**Means**", "**Matters**", "**Fix**", "**Found**", "Severity: " + c.Severity} {
			if !strings.Contains(body, part) {
				t.Errorf("the section of %s lacks %q", c.ID, part)
			}
		}
		delete(sections, c.ID)
	}
	for id := range sections {
		t.Errorf("there is no check %s", id)
	}
}

func TestIDsAreStableWords(t *testing.T) {
	t.Parallel()
	word := regexp.MustCompile(`^[A-Z][A-Za-z]+$`)
	seen := map[string]bool{}
	for _, c := range doctor.Catalog() {
		if !word.MatchString(c.ID) || seen[c.ID] || c.Title == "" || !slices.Contains([]string{"error", "warning", "info"}, c.Severity) {
			t.Errorf("%+v", c.ID)
		}
		seen[c.ID] = true
	}
	if err := doctor.Known([]string{"AgentOnline"}); err != nil {
		t.Error(err)
	}
	if err := doctor.Known([]string{"AgentOnline", "Nonsense"}); err == nil || !strings.Contains(err.Error(), "ACLRights") {
		t.Errorf("an unknown id: %v", err)
	}
}

func TestReportIsInOrder(t *testing.T) {
	t.Parallel()
	check := func(id, verdict, severity, dc string) *isthmusv1.DoctorCheck {
		return &isthmusv1.DoctorCheck{Id: id, Verdict: verdict, Severity: severity, Datacenter: dc}
	}
	report := doctor.Report([]*isthmusv1.DoctorCheck{
		check("AgentOnline", "pass", "error", "dc1"), check("ClockSkew", "fail", "warning", "dc1"), check("LeaderFound", "unknown", "error", "dc1"),
		check("LeaderFound", "fail", "error", "dc2"), check("AgentOnline", "fail", "error", "dc3"), check("AgentOnline", "fail", "error", "dc2"), check("ForeignPeerings", "fail", "info", "dc1"),
	}, noon())
	var got []string
	for _, c := range report.GetChecks() {
		got = append(got, c.GetId()+" "+c.GetDatacenter()+" "+c.GetVerdict())
	}
	want := "AgentOnline dc2 fail, AgentOnline dc3 fail, LeaderFound dc2 fail, ClockSkew dc1 fail, ForeignPeerings dc1 fail, LeaderFound dc1 unknown, AgentOnline dc1 pass"
	if text := strings.Join(got, ", "); text != want {
		t.Errorf("%s", text)
	}
	for _, tt := range []struct {
		check *isthmusv1.DoctorCheck
		want  bool
	}{
		{check("A", "fail", "info", ""), true},
		{check("A", "unknown", "info", ""), true},
		{check("A", "fail", "warning", ""), false},
		{check("A", "unknown", "error", ""), false},
	} {
		if got := doctor.Well(&isthmusv1.DoctorReport{Checks: []*isthmusv1.DoctorCheck{tt.check}}); got != tt.want {
			t.Errorf("%v is well: %t", tt.check, got)
		}
	}
}

func TestAboutOneDatacenter(t *testing.T) {
	t.Parallel()
	w := healthy()
	all := w.checks()
	some := doctor.About(all, "dc2")
	if len(some) == 0 || len(some) >= len(all) || len(doctor.About(all, "")) != len(all) {
		t.Fatalf("%d of %d are about dc2", len(some), len(all))
	}
	for _, c := range some {
		if c.GetDatacenter() != "dc2" && c.GetSubject() != "Datacenter/dc2" {
			t.Errorf("%v", c)
		}
	}
}

func TestLocalCheck(t *testing.T) {
	t.Parallel()
	if c := doctor.LocalCheck(doctor.CheckServer, "", ""); c.GetVerdict() != "pass" || c.GetMessage() == "" || c.GetLink() == "" {
		t.Errorf("%v", c)
	}
	if c := doctor.LocalCheck(doctor.CheckClock, "an hour ahead", "NTP"); c.GetVerdict() != "fail" || c.GetSeverity() != "warning" || c.GetFix() != "NTP" {
		t.Errorf("%v", c)
	}
	if c := doctor.LocalCheck("Nonsense", "", ""); c != nil {
		t.Errorf("%v", c)
	}
}
