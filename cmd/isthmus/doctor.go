package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"isthmus/client"
	"isthmus/doctor"
	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

const (
	// doctorEvery is how often doctor asks again while it waits.
	doctorEvery = time.Second
	// clockNear is how far this machine's clock may be from the server's.
	clockNear = 10 * time.Second
)

// doctorSettings are what isthmus doctor was asked.
type doctorSettings struct {
	only       []string
	datacenter string
	junit      string
	wait       time.Duration
}

func (p Program) doctorCommand() *cobra.Command {
	var s doctorSettings
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Ask everything that has an answer, and say what to do about what is not well",
		Long: `Ask everything of the fleet that has an answer, and say what to do about what is not well: what fails comes first, with its fix.
docs/checks.md has a section for each check. What nobody knows, mostly since an agent is silent, counts as not well.

Exit codes: 0 everything passes, or what does not is for information only; 2 something of severity error or warning fails, or nobody
knows; 1 the fleet could not be asked.`,
		Example: `  isthmus doctor
  isthmus doctor --only AgentOnline,LeaderFound --datacenter dc2
  isthmus doctor --wait 5m --junit doctor.xml`,
		Args: cobra.NoArgs,
	}
	form := outputFlag(cmd, formTable, formJSON, formYAML)
	cmd.Flags().StringSliceVar(&s.only, "only", nil, "ids of checks, separated by commas (default: all)")
	cmd.Flags().StringVar(&s.datacenter, "datacenter", "", "only what is about this datacenter")
	cmd.Flags().StringVar(&s.junit, "junit", "", "also write the report to this file as JUnit's XML, for CI")
	cmd.Flags().DurationVar(&s.wait, "wait", 0, "ask again until everything is well, for at most this time (5m)")
	conn := p.connectionOf(cmd)
	completeFlag(cmd, "datacenter", conn.completeName(resource.KindDatacenter))
	completeFlag(cmd, "only", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return doctor.IDs(), cobra.ShellCompDirectiveNoFileComp
	})
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	cmd.RunE = conn.run(func(ctx context.Context, c *client.Client, _ []string) error {
		if err := doctor.Known(s.only); err != nil {
			return err
		}
		report, cause := p.examine(ctx, c, s)
		if report == nil {
			return cause
		}
		if err := p.showDoctor(report, form.value, s); err != nil {
			return err
		}
		switch {
		case cause != nil:
			return &exitStatus{code: exitError, cause: cause}
		case !doctor.Well(report):
			return &exitStatus{code: exitDegraded}
		}
		return nil
	})
	return cmd
}

// examine asks until everything is well, or it has waited for long enough. The error is why the fleet could not be asked; the report is then
// what was found out about that, and nil when the question was wrong.
func (p Program) examine(ctx context.Context, c *client.Client, s doctorSettings) (*isthmusv1.DoctorReport, error) {
	deadline := time.NewTimer(s.wait)
	defer deadline.Stop()
	tick := time.NewTicker(doctorEvery)
	defer tick.Stop()
	for {
		report, err := p.examineOnce(ctx, c, s)
		if s.wait <= 0 || err == nil && doctor.Well(report) || err != nil && !client.Retriable(err) {
			return report, err
		}
		select {
		case <-ctx.Done():
			return report, cmp.Or(err, ctx.Err())
		case <-deadline.C:
			return report, err
		case <-tick.C:
		}
	}
}

func (p Program) examineOnce(ctx context.Context, c *client.Client, s doctorSettings) (*isthmusv1.DoctorReport, error) {
	before := p.Now()
	report, err := c.Doctor(ctx, s.only, s.datacenter)
	after := p.Now()
	var checks []*isthmusv1.DoctorCheck
	if err == nil {
		checks = report.GetChecks()
	}
	for _, local := range localChecks(report, err, before, after) {
		if len(s.only) == 0 && s.datacenter == "" || slices.Contains(s.only, local.GetId()) || err != nil {
			checks = append(checks, local)
		}
	}
	if code := fault.CodeOf(err); err != nil && (code == fault.Invalid || code == fault.NotFound) {
		return nil, err
	}
	return doctor.Report(checks, after), err
}

// localChecks are what only the command line sees: whether the server answers it, and how late it is here and there.
func localChecks(report *isthmusv1.DoctorReport, err error, before, after time.Time) []*isthmusv1.DoctorCheck {
	server, token := "", ""
	switch code := fault.CodeOf(err); {
	case err == nil:
	case code == fault.Unauthenticated || code == fault.Denied:
		token = explain(err)
	default:
		server = explain(err)
	}
	out := []*isthmusv1.DoctorCheck{
		doctor.LocalCheck(doctor.CheckServer, server, "start isthmus server, or name its address in ISTHMUS_ADDR and its CA in ISTHMUS_CACERT"),
	}
	if server == "" {
		out = append(out, doctor.LocalCheck(doctor.CheckToken, token, "name a file with an API token in ISTHMUS_TOKEN_FILE; an admin makes one with isthmus api-token create"))
	}
	if report.GetTime() == nil {
		return out
	}
	clock, theirs := "", report.GetTime().AsTime()
	switch {
	case theirs.Before(before.Add(-clockNear)):
		clock = fmt.Sprintf("this machine's clock is %s ahead of the server's", before.Sub(theirs).Round(time.Second))
	case theirs.After(after.Add(clockNear)):
		clock = fmt.Sprintf("this machine's clock is %s behind the server's", theirs.Sub(after).Round(time.Second))
	}
	return append(out, doctor.LocalCheck(doctor.CheckClock, clock, "set both clocks by NTP: what is signed here carries this machine's time"))
}

// showDoctor writes a report, and the file that was asked for.
func (p Program) showDoctor(report *isthmusv1.DoctorReport, form string, s doctorSettings) error {
	if s.junit != "" {
		if err := writeJUnit(s.junit, report); err != nil {
			return err
		}
	}
	switch form {
	case formJSON:
		return p.printJSON(report)
	case formYAML:
		return printYAML(p, report)
	}
	return p.doctorTable(report)
}

// doctorTable has a row for each finding that is not well, with a row for its fix, and one for each check that passes.
func (p Program) doctorTable(report *isthmusv1.DoctorReport) error {
	var rows [][]string
	checks := report.GetChecks()
	for i := 0; i < len(checks); {
		c := checks[i]
		n := i + 1
		switch c.GetVerdict() {
		case resource.CheckFail, resource.CheckUnknown:
			rows = append(rows, doctorRow(c, c.GetMessage()))
			if c.GetFix() != "" {
				rows = append(rows, []string{"", "", "", "", "", "fix: " + c.GetFix()})
			}
		default:
			for n < len(checks) && checks[n].GetId() == c.GetId() && checks[n].GetVerdict() == resource.CheckPass && checks[n].GetSeverity() == c.GetSeverity() {
				n++
			}
			row := doctorRow(c, c.GetMessage())
			if n > i+1 {
				row = []string{c.GetVerdict(), c.GetSeverity(), c.GetId(), "-", "-", passedText(checks[i:n])}
			}
			rows = append(rows, row)
		}
		i = n
	}
	if len(rows) > 0 {
		if err := p.table([]string{"VERDICT", "SEVERITY", "CHECK", "DATACENTER", "ABOUT", "WHAT"}, rows); err != nil {
			return err
		}
	}
	return p.write([]byte("\n" + sumUp(report) + "\n"))
}

func doctorRow(c *isthmusv1.DoctorCheck, text string) []string {
	return []string{c.GetVerdict(), c.GetSeverity(), c.GetId(), cmp.Or(c.GetDatacenter(), "-"), cmp.Or(c.GetSubject(), "-"), text}
}

// passedText is what several findings of one check have in common.
func passedText(checks []*isthmusv1.DoctorCheck) string {
	for _, known := range doctor.Catalog() {
		if known.ID == checks[0].GetId() {
			return fmt.Sprintf("%d times: %s", len(checks), known.Title)
		}
	}
	return fmt.Sprintf("%d times", len(checks))
}

// sumUp is the last line.
func sumUp(report *isthmusv1.DoctorReport) string {
	if !doctor.Well(report) {
		return fmt.Sprintf("%d failed, %d not known, %d passed. See %s.", report.GetFailed(), report.GetUnknown(), report.GetPassed(), strings.SplitN(report.GetChecks()[0].GetLink(), "#", 2)[0])
	}
	if report.GetFailed()+report.GetUnknown() > 0 {
		return fmt.Sprintf("All is well: %d passed; %d for information only.", report.GetPassed(), report.GetFailed()+report.GetUnknown())
	}
	return fmt.Sprintf("All is well: %d passed.", report.GetPassed())
}
