package main

import (
	"encoding/xml"
	"fmt"
	"os"
	"strings"
	"time"

	"isthmus/doctor"
	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// JUnit's XML, as far as CI tools read it: https://github.com/testmoapp/junitxml.
type (
	junitReport struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Errors   int          `xml:"errors,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	// junitSuite is one check.
	junitSuite struct {
		Name      string      `xml:"name,attr"`
		Tests     int         `xml:"tests,attr"`
		Failures  int         `xml:"failures,attr"`
		Errors    int         `xml:"errors,attr"`
		Timestamp string      `xml:"timestamp,attr"`
		Cases     []junitCase `xml:"testcase"`
	}
	// junitCase is one finding of it.
	junitCase struct {
		Name    string      `xml:"name,attr"`
		Class   string      `xml:"classname,attr"`
		Failure *junitFault `xml:"failure,omitempty"`
		Error   *junitFault `xml:"error,omitempty"`
		Out     string      `xml:"system-out,omitempty"`
	}
	junitFault struct {
		Type    string `xml:"type,attr"`
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// junitOf has a suite for each check, in the report's order, with a case for each of its findings: a failure when it fails, an error when nobody
// knows. What is for information fails nobody's build.
func junitOf(report *isthmusv1.DoctorReport) junitReport {
	out := junitReport{Name: "isthmus doctor"}
	at := map[string]int{}
	for _, c := range report.GetChecks() {
		i, ok := at[c.GetId()]
		if !ok {
			i = len(out.Suites)
			at[c.GetId()] = i
			out.Suites = append(out.Suites, junitSuite{Name: c.GetId(), Timestamp: report.GetTime().AsTime().UTC().Format(time.RFC3339)})
		}
		suite := &out.Suites[i]
		one := junitCase{Name: strings.Join(strings.Fields(c.GetId()+" "+c.GetDatacenter()+" "+c.GetSubject()), " "), Class: "isthmus.doctor." + c.GetId()}
		what := &junitFault{Type: c.GetSeverity(), Message: c.GetMessage(), Text: textOf(c)}
		switch {
		case c.GetVerdict() == resource.CheckPass || c.GetSeverity() == doctor.SeverityInfo:
			one.Out = textOf(c)
		case c.GetVerdict() == resource.CheckFail:
			one.Failure = what
			suite.Failures++
			out.Failures++
		default:
			one.Error = what
			suite.Errors++
			out.Errors++
		}
		suite.Cases = append(suite.Cases, one)
		suite.Tests++
		out.Tests++
	}
	return out
}

// textOf is all that a finding says.
func textOf(c *isthmusv1.DoctorCheck) string {
	text := c.GetMessage() + "\n"
	if c.GetFix() != "" {
		text += "fix: " + c.GetFix() + "\n"
	}
	return text + "see " + c.GetLink() + "\n"
}

func writeJUnit(path string, report *isthmusv1.DoctorReport) error {
	text, err := xml.MarshalIndent(junitOf(report), "", "  ")
	if err != nil {
		return fault.Wrap(fault.Internal, err, "write the report as XML")
	}
	if err := os.WriteFile(path, fmt.Appendf(nil, "%s%s\n", xml.Header, text), 0o644); err != nil { //nolint:gosec // CI tools run as somebody else
		return fault.Wrap(fault.Invalid, err, "write the report to %s", path)
	}
	return nil
}
