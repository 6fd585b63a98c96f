package agent

import (
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/protobuf/proto"

	"isthmus/agent/consul"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// Parts of the entries in which isthmus has one setting, as drifts name them.
const (
	partThrough     = fieldPeering + "." + fieldThrough
	partGatewayMode = fieldMeshGateway + "." + fieldMode
)

// settingDesk remembers what isthmus set in the entries in which it has one setting, and who changed that. Who deletes or replaces an entry takes
// isthmus's marks away with it: what was set then shows for as long as this process runs.
type settingDesk struct {
	// merging is held from reading an entry until it is written: passes and amends do so at the same time, and what one of them wrote is not to be
	// taken out by another that began with an older state.
	merging sync.Mutex

	mu sync.Mutex
	// set is by entry; JSON.
	set    map[string]string
	drifts []*isthmusv1.Drift
}

// setting is one look at such a setting, and what came of it.
type setting struct {
	entry, part string
	// want, found and marked (what isthmus's mark says that it set) are JSON; empty: nothing.
	want, found, marked string
	index               uint64
	// seen: the entry was read; written: it was put right.
	seen, written bool
	err           error
}

// look takes in what an entry says before it is merged.
func (s *setting) look(e consul.Entry, found, marked string) {
	s.seen, s.found, s.marked, s.index = true, found, marked, e.Index
}

// learn takes over what came of a merge.
func (d *settingDesk) learn(s setting, now time.Time, log hclog.Logger) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !s.seen || s.err != nil && reasonOf(s.err) != reasonConfigByHand {
		return // nothing is known, or it is tried again
	}
	if d.set == nil {
		d.set = map[string]string{}
	}
	ours := s.want != "" && (s.marked == s.want || s.marked == "" && d.set[s.entry] == s.want)
	if ours && s.found != s.want {
		d.drifts = noteDrift(d.drifts, &isthmusv1.Drift{
			Entry: s.entry, Part: s.part, Wanted: s.want, Found: s.found, Corrected: s.written, ModifyIndex: s.index,
		}, now, log)
	}
	switch {
	case s.written || s.marked != "" && s.found == s.want:
		d.set[s.entry] = s.want
	case s.want == "", s.found == s.want: // isthmus takes it out itself; or it is a human's, who wants the same
		delete(d.set, s.entry)
	}
}

// tell is a report with what somebody changed of the settings.
func (d *settingDesk) tell(report *isthmusv1.PolicyReport) *isthmusv1.PolicyReport {
	d.mu.Lock()
	defer d.mu.Unlock()
	if report == nil || len(d.drifts) == 0 {
		return report
	}
	out := proto.CloneOf(report)
	out.Drifts = append(out.Drifts, d.drifts...)
	slices.SortStableFunc(out.Drifts, func(a, b *isthmusv1.Drift) int { return b.GetTime().AsTime().Compare(a.GetTime().AsTime()) })
	out.Drifts = out.Drifts[:min(len(out.Drifts), maxDrifts)]
	return out
}
