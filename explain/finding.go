package explain

import (
	"fmt"
	"slices"

	"isthmus/resource"
)

// finding is what one hop comes to.
type finding struct {
	verdict, datacenter, message, fix string
	evidence                          []string
}

func passes(datacenter, format string, args ...any) finding {
	return finding{verdict: resource.CheckPass, datacenter: datacenter, message: fmt.Sprintf(format, args...)}
}

func fails(datacenter, format string, args ...any) finding {
	return finding{verdict: resource.CheckFail, datacenter: datacenter, message: fmt.Sprintf(format, args...)}
}

func unknown(datacenter, format string, args ...any) finding {
	return finding{verdict: resource.CheckUnknown, datacenter: datacenter, message: fmt.Sprintf(format, args...)}
}

func skips(datacenter, format string, args ...any) finding {
	return finding{verdict: VerdictSkip, datacenter: datacenter, message: fmt.Sprintf(format, args...)}
}

// fixed says what to do about it.
func (f finding) fixed(format string, args ...any) finding {
	f.fix = fmt.Sprintf(format, args...)
	return f
}

// with adds facts; empty ones are none.
func (f finding) with(lines ...string) finding {
	for _, line := range lines {
		if line != "" {
			f.evidence = append(slices.Clip(f.evidence), line)
		}
	}
	return f
}

// otherOperator is what is said of all that only another operator's agents could tell.
func otherOperator(datacenter string) finding {
	return unknown(datacenter, "%s is another operator's: only this end is seen", datacenter).fixed("ask the operator of %s", datacenter)
}
