package main_test

import (
	"encoding/json"
	"encoding/xml"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	isthmus "isthmus/cmd/isthmus"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// found is what isthmus doctor -o json prints, as far as tests look.
type found struct {
	Checks []struct{ ID, Verdict, Severity, Datacenter, Fix, Link string }
	Passed int
	Failed int
}

func doctorSays(t *testing.T, environment map[string]string, code int, args ...string) found {
	t.Helper()
	got := runNow(t, environment, "", append([]string{"doctor", "-o", "json"}, args...)...)
	var out found
	if err := json.Unmarshal([]byte(got.out), &out); err != nil || got.code != code {
		t.Fatalf("code %d, want %d: %v\n%s%s", got.code, code, err, got.out, got.err)
	}
	return out
}

func (f found) verdict(id string) string {
	for _, c := range f.Checks {
		if c.ID == id {
			return c.Verdict
		}
	}
	return ""
}

func TestDoctor(t *testing.T) {
	t.Parallel()
	environment := realServer(t)
	empty := doctorSays(t, environment, 0)
	for _, id := range []string{"ServerReachable", "TokenAccepted", "LocalClock", "APITokenExpiring"} {
		if empty.verdict(id) != "pass" {
			t.Errorf("%s is %q in an empty fleet", id, empty.verdict(id))
		}
	}
	must(t, environment, fleetManifest, "apply", "-f", "-")
	all := doctorSays(t, environment, 2)
	if all.verdict("AgentEnrolled") != "fail" || all.Checks[0].Verdict != "fail" {
		t.Errorf("nobody is enrolled: %+v", all.Checks)
	}
	some := doctorSays(t, environment, 2, "--only", "AgentEnrolled,LocalClock", "--datacenter", "dc2")
	if len(some.Checks) != 2 || some.Checks[0].ID != "AgentEnrolled" || some.Checks[0].Datacenter != "dc2" || !strings.Contains(some.Checks[0].Fix, "join-token create --datacenter dc2") {
		t.Errorf("of dc2: %+v", some.Checks)
	}
	if got := runNow(t, environment, "", "doctor", "--only", "JoinTokenExpiring"); got.code != 0 || !strings.Contains(got.out, "All is well") {
		t.Errorf("code %d\n%s%s", got.code, got.out, got.err)
	}
	table := runNow(t, environment, "", "doctor")
	if table.code != 2 || !strings.Contains(table.out, "fix: isthmus join-token create") || !strings.Contains(table.out, "docs/checks.md") {
		t.Errorf("code %d\n%s%s", table.code, table.out, table.err)
	}
	if got := runNow(t, environment, "", "doctor", "-o", "yaml", "--only", "AgentEnrolled"); got.code != 2 || !strings.Contains(got.out, "id: AgentEnrolled") {
		t.Errorf("code %d\n%s%s", got.code, got.out, got.err)
	}
	refused(t, environment, "", []string{"Nonsense", "AgentEnrolled", "ServerReachable"}, "doctor", "--only", "Nonsense")
	refused(t, environment, "", []string{"dc9"}, "doctor", "--datacenter", "dc9")
}

// It waits for what becomes well, and for no longer than it may.
func TestDoctorWaits(t *testing.T) {
	t.Parallel()
	environment := realServer(t)
	must(t, environment, fleetManifest, "apply", "-f", "-")
	if got := runNow(t, environment, "", "doctor", "--only", "AgentEnrolled", "--wait", "10ms"); got.code != 2 {
		t.Errorf("nobody enrols: code %d", got.code)
	}
	answer := make(chan int, 1)
	go func() {
		answer <- runNow(t, environment, "", "doctor", "--only", "AgentEnrolled", "--wait", "1m").code
	}()
	must(t, environment, "", "delete", "peering-group", "demo", "--wait", "30s")
	must(t, environment, "", "delete", "service-export", "web")
	for _, name := range []string{"dc1", "dc2"} {
		must(t, environment, "", "delete", "datacenter", name, "--wait", "30s")
	}
	if code := <-answer; code != 0 {
		t.Errorf("all became well: code %d", code)
	}
}

// What only the command line sees is in the report, too, and the exit code says that the fleet was not asked.
func TestDoctorWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it answers at once
	if err != nil {
		t.Fatal(err)
	}
	nobody := map[string]string{"ISTHMUS_ADDR": "http://" + l.Addr().String(), "ISTHMUS_TOKEN": "x"}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "doctor.xml")
	if out := doctorSays(t, nobody, 1, "--junit", file); out.verdict("ServerReachable") != "fail" || out.verdict("TokenAccepted") != "" {
		t.Errorf("%+v", out)
	}
	if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), `<failure type="error"`) {
		t.Errorf("%v: %s", err, text)
	}
	stranger := with(with(realServer(t), "ISTHMUS_TOKEN_FILE", ""), "ISTHMUS_TOKEN", "isthmus.nobody.x")
	if out := doctorSays(t, stranger, 1); out.verdict("ServerReachable") != "pass" || out.verdict("TokenAccepted") != "fail" {
		t.Errorf("%+v", out)
	}
}

func TestDoctorComparesClocks(t *testing.T) {
	t.Parallel()
	environment := realServer(t)
	for _, tt := range []struct {
		ahead time.Duration
		words string
	}{{time.Hour, "1h0m0s ahead"}, {-time.Hour, "behind"}} {
		var out, problem strings.Builder
		program := isthmus.Program{
			In: strings.NewReader(""), Out: &out, Err: &problem, Now: func() time.Time { return time.Now().Add(tt.ahead) },
			Env: func(name string) (string, bool) { v, ok := environment[name]; return v, ok },
		}
		if code := program.Run(t.Context(), []string{"doctor", "--only", "LocalClock"}); code != 2 || !strings.Contains(out.String(), tt.words) {
			t.Errorf("%s: code %d\n%s%s", tt.ahead, code, out.String(), problem.String())
		}
	}
}

// The file is what CI tools read: counts that are right, a case for each finding, a name that is no other's.
func TestDoctorWritesJUnit(t *testing.T) {
	t.Parallel()
	environment := realServer(t)
	must(t, environment, fleetManifest, "apply", "-f", "-")
	file := filepath.Join(t.TempDir(), "doctor.xml")
	if got := runNow(t, environment, "", "doctor", "--junit", file); got.code != 2 {
		t.Fatalf("code %d\n%s", got.code, got.err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var report struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Suites   []struct {
			Name  string `xml:"name,attr"`
			Tests int    `xml:"tests,attr"`
			Cases []struct {
				Name    string    `xml:"name,attr"`
				Class   string    `xml:"classname,attr"`
				Failure *struct{} `xml:"failure"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(text, &report); err != nil {
		t.Fatal(err)
	}
	cases, failures, names := 0, 0, map[string]bool{}
	for _, suite := range report.Suites {
		if suite.Tests != len(suite.Cases) {
			t.Errorf("%s counts %d of %d", suite.Name, suite.Tests, len(suite.Cases))
		}
		for _, c := range suite.Cases {
			if names[c.Name] || c.Class != "isthmus.doctor."+suite.Name {
				t.Errorf("%s of %s", c.Name, c.Class)
			}
			names[c.Name] = true
			cases++
			if c.Failure != nil {
				failures++
			}
		}
	}
	if cases != report.Tests || failures != report.Failures || failures == 0 {
		t.Errorf("%d cases and %d failures are counted as %d and %d", cases, failures, report.Tests, report.Failures)
	}
	refused(t, environment, "", []string{"write the report"}, "doctor", "--junit", filepath.Join(file, "nowhere"))
}

// What is not known may have something to do about it as well as what fails.
func TestDoctorTableSaysWhatToDo(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	err := isthmus.Program{Out: &out, Env: func(string) (string, bool) { return "", false }}.DoctorTable(&isthmusv1.DoctorReport{Checks: []*isthmusv1.DoctorCheck{
		{Id: "Connection", Verdict: "unknown", Severity: "error", Message: "nobody has tried", Fix: "wait for it"},
		{Id: "AgentOnline", Verdict: "fail", Severity: "error", Message: "it is silent", Fix: "start it"},
	}})
	if err != nil || !strings.Contains(out.String(), "fix: wait for it") || !strings.Contains(out.String(), "fix: start it") {
		t.Errorf("%v\n%s", err, out.String())
	}
}
