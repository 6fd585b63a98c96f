package agent

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/agent/consul"
	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

const (
	// refusedPause is how long what Consul refused rests when nothing changes: what stands against it is mostly in other entries.
	refusedPause = 30 * time.Second
	// maxDrifts bounds the drifts in a report.
	maxDrifts = 16
)

// mender keeps isthmus's parts of the config entries that policies compile to as they are wanted.
//
//	wishes (desired state) ─▶ mergeParts ─▶ order ─▶ check-and-set ─▶ report
//	shelf (blocking queries) ─┘    └ conflicts, drifts ────────────────▲
type mender struct {
	consul *consul.Client
	shelf  *shelf
	now    func() time.Time
	log    hclog.Logger
	// allowAdopt is what this host's flags allow.
	allowAdopt bool

	// mu: one look at a time.
	mu sync.Mutex
	// item is what wishes were decoded from.
	item   *isthmusv1.ConfigEntries
	wishes []wish
	kept   *kept
	// alike are entries of which Consul said that they say what is wished, although we see a difference.
	alike    map[entryID]alike
	contests contests
	drifts   []*isthmusv1.Drift
	last     lastMend
}

// entryID is what Consul knows an entry by: it takes names that differ in capitals for one.
type entryID struct{ kind, namespace, name string }

func idOf(kind, namespace, name string) entryID {
	return entryID{kind, namespace, strings.ToLower(name)}
}

func (w wish) id() entryID { return idOf(w.kind, w.namespace, w.name) }

type alike struct {
	index uint64
	wish  string
}

// lastMend is the last look, and what it looked at.
type lastMend struct {
	item    *isthmusv1.ConfigEntries
	correct bool
	version uint64
	report  *isthmusv1.PolicyReport
	// again is when to look again although nothing changed; zero: not.
	again time.Time
}

func newMender(c *consul.Client, k *kept, now func() time.Time, log hclog.Logger) *mender {
	return &mender{consul: c, shelf: newShelf(c), kept: k, now: now, log: log, alike: map[entryID]alike{}, contests: contests{}}
}

// mend makes the entries what the newest desired state says, and tells how they stand. In a secondary there are only the primary's, which its
// own agent writes.
func (m *mender) mend(ctx context.Context, newest func() *isthmusv1.DesiredState, self consul.Self) *isthmusv1.PolicyReport {
	m.mu.Lock()
	defer m.mu.Unlock()
	state := newest()
	item := configEntries(state)
	if item == nil {
		return &isthmusv1.PolicyReport{} // no item is no order: what is there stays
	}
	if err := notOnSecondary(self, "service-intentions"); err != nil {
		return &isthmusv1.PolicyReport{ErrorReason: reasonOf(err), Error: messageOf(err)}
	}
	correct := state.GetDrift() != resource.DriftReport
	if l := m.last; l.report != nil && l.item == item && l.correct == correct && l.version == m.shelf.now() && (l.again.IsZero() || m.now().Before(l.again)) {
		return l.report
	}
	m.wish(item)
	version := m.shelf.now() // before anything is looked at: what comes meanwhile is for the next look
	jobs, err := m.jobs(ctx, correct)
	if err != nil {
		m.last = lastMend{}
		return &isthmusv1.PolicyReport{ErrorReason: reasonOf(err), Error: messageOf(err), Drifts: slices.Clone(m.drifts)}
	}
	m.run(ctx, jobs, correct)
	return m.conclude(jobs, lastMend{item: item, correct: correct, version: version})
}

// configEntries is a state's item; nil: it has none.
func configEntries(state *isthmusv1.DesiredState) *isthmusv1.ConfigEntries {
	var item *isthmusv1.ConfigEntries
	for _, i := range state.GetItems() {
		if i.GetConfigEntries() != nil {
			item = i.GetConfigEntries()
		}
	}
	return item
}

// wish decodes what is wanted, once.
func (m *mender) wish(item *isthmusv1.ConfigEntries) {
	if m.item == item {
		return
	}
	m.item, m.wishes = item, nil
	for _, e := range item.GetEntries() {
		m.wishes = append(m.wishes, wishOfEntry(e, m.allowAdopt))
	}
}

// job is one entry in one look.
type job struct {
	wish wish
	// entry is as it was found, index the one of the last change that concerns it.
	entry consul.Entry
	index uint64
	merge merge
	err   error
	// done: it was written or deleted.
	done bool
	// held: somebody keeps changing it, and it is not put right before.
	held time.Time
}

// jobs merges each entry that is wanted, and each that has something of isthmus's. Nothing is written yet.
func (m *mender) jobs(ctx context.Context, correct bool) ([]*job, error) {
	wishes := map[entryID]wish{}
	for _, w := range m.wishes {
		wishes[w.id()] = w
	}
	found := map[entryID]consul.Entry{}
	index := map[string]uint64{}
	newest := uint64(0)
	for _, kind := range policyKinds() {
		list, err := m.shelf.list(ctx, kind)
		if err != nil {
			return nil, err
		}
		index[kind], newest = list.Index, max(newest, list.Index)
		for _, e := range list.Entries {
			id := idOf(kind, e.Namespace, e.Name)
			if _, wanted := wishes[id]; !wanted && (e.Meta()[metaParts] == "" || !entryName(kind, e.Namespace, e.Name)) {
				continue
			} else if !wanted {
				wishes[id] = wish{kind: kind, namespace: e.Namespace, name: e.Name}
			}
			found[id] = e
		}
	}
	m.kept.seen(newest, m.trustDomain(ctx))
	m.kept.only(m.wishes)
	maps.DeleteFunc(m.alike, func(id entryID, _ alike) bool { _, ok := wishes[id]; return !ok })
	maps.DeleteFunc(m.contests, func(id entryID, _ []time.Time) bool { _, ok := wishes[id]; return !ok })
	var jobs []*job
	for id, w := range wishes {
		e, there := found[id]
		j := &job{wish: w, entry: e, index: e.Index}
		if !there {
			j.entry = consul.Entry{Kind: w.kind, Name: w.name, Namespace: w.namespace, Body: map[string]any{}}
			j.index = index[w.kind]
		}
		m.merge(j, correct)
		jobs = append(jobs, j)
	}
	slices.SortFunc(jobs, func(a, b *job) int {
		return cmp.Or(cmp.Compare(a.rank(), b.rank()), cmp.Compare(a.wish.namespace, b.wish.namespace), cmp.Compare(a.wish.name, b.wish.name))
	})
	return jobs, nil
}

// trustDomain is the mesh's, by which a Consul is known again; empty when it has none, or does not say.
func (m *mender) trustDomain(ctx context.Context) string {
	ca, err := m.consul.MeshCA(ctx)
	if err != nil {
		return ""
	}
	return ca.TrustDomain
}

// merge computes what a job is to do.
func (m *mender) merge(j *job, correct bool) {
	id := j.wish.id()
	if a, ok := m.alike[id]; ok && a == (alike{j.entry.Index, j.wish.digest}) {
		j.merge, j.err = appliedAll(j.entry, j.wish), nil
		return
	}
	delete(m.alike, id)
	e := j.entry
	e.Body = cloneJSON(e.Body).(map[string]any) //nolint:forcetypeassert // a map's clone is one
	j.held = m.contests.until(id, m.now())
	if j.err = j.wish.err; j.err == nil {
		j.merge, j.err = mergeParts(e, j.wish, m.kept.get(id), correct && j.held.IsZero())
	}
	for i := range j.merge.states {
		if s := &j.merge.states[i]; correct && s.state == resource.PolicyDrifted {
			s.reason, s.message = reasonContested, "somebody keeps changing what isthmus wrote here as fast as it is put back: it is put back a few times every 10 seconds"
			s.fix = "find out who else writes this entry (Terraform, a Consul controller, a script), and let one of the two go"
		}
	}
}

func appliedAll(e consul.Entry, w wish) merge {
	out := merge{mergeResult: mergeResult{entry: e}, wish: w, written: remembered{}}
	for _, p := range w.parts {
		out.states = append(out.states, partState{key: p.key, state: resource.PolicyApplied})
		out.written[p.key] = p.value
	}
	return out
}

// rank is when a job has its turn: what refers to others goes before them and comes after them.
func (j *job) rank() int {
	at := slices.Index(policyKinds(), j.wish.kind)
	switch {
	case !j.merge.takesOut:
		return at
	case j.wish.kind == consul.KindRouter:
		return -2
	case j.wish.kind == consul.KindSplitter:
		return -1
	case j.wish.kind == consul.KindIntentions:
		return at
	}
	return 2*len(policyKinds()) - at
}

// run does the jobs in their order, and those that Consul refused again as long as others get done: one may stand in the way of the other.
func (m *mender) run(ctx context.Context, jobs []*job, correct bool) {
	touched := map[string]bool{}
	for again := true; again && ctx.Err() == nil; {
		again = false
		refused := false
		for _, j := range jobs {
			if j.done || !j.merge.write && !j.merge.remove || j.err != nil && !mayPass(j.err) {
				continue
			}
			if m.do(ctx, j, correct); j.done {
				touched[j.wish.kind], again = true, true
			} else if j.err != nil {
				refused = true
			}
		}
		again = again && refused
	}
	for kind := range touched {
		list, err := m.shelf.refresh(ctx, kind)
		if err != nil {
			m.log.Debug("what was written is not read back", "kind", kind, "error", err)
			continue
		}
		for _, j := range jobs {
			if j.wish.kind == kind && j.done && j.merge.write {
				m.compare(j, list)
			}
		}
	}
}

// mayPass tells that a write which failed may go through once others have: Consul refused it for what it says.
func mayPass(err error) bool { return consul.ReasonOf(err) == consul.Other }

// do writes one entry, merged anew when somebody else wrote meanwhile.
func (m *mender) do(ctx context.Context, j *job, correct bool) {
	j.err = nil
	for attempt := 1; ; attempt++ {
		var err error
		switch {
		case j.merge.remove:
			err = m.consul.DeleteEntry(ctx, j.merge.entry)
		case j.merge.write:
			err = m.consul.PutEntry(ctx, j.merge.entry)
		default:
			return
		}
		if err == nil {
			j.done = true
			m.log.Info("merged a config entry", "kind", j.wish.kind, "name", j.wish.name, "removed", j.merge.remove, "parts", len(j.wish.parts))
			return
		}
		if j.err = err; fault.CodeOf(err) != fault.Conflict || attempt == swapAttempts {
			return
		}
		e, err := m.consul.ServiceEntry(ctx, j.wish.kind, j.wish.namespace, j.wish.name)
		if err != nil {
			j.err = err
			return
		}
		if j.entry = e; e.Index > 0 {
			j.index = e.Index
		}
		if m.merge(j, correct); j.err != nil {
			return
		}
	}
}

// compare finds out whether a write changed anything. When it did not, Consul takes what was there for what is wished, and nobody changed it.
func (m *mender) compare(j *job, list consul.EntryList) {
	for _, e := range list.Entries {
		if idOf(e.Kind, e.Namespace, e.Name) == j.wish.id() && e.Index == j.entry.Index {
			m.alike[j.wish.id()] = alike{e.Index, j.wish.digest}
			j.merge.drifts = nil
		}
	}
}

// conclude remembers what is isthmus's now, and makes the report.
func (m *mender) conclude(jobs []*job, look lastMend) *isthmusv1.PolicyReport {
	report := &isthmusv1.PolicyReport{}
	m.last = look
	for _, j := range jobs {
		if j.err != nil {
			again := m.now().Add(refusedPause)
			if !mayPass(j.err) && fault.CodeOf(j.err) != fault.Denied && fault.CodeOf(j.err) != fault.Refused {
				again = m.now()
			}
			m.last.again = soonest(m.last.again, again)
		} else {
			m.learn(j)
		}
		if len(j.merge.drifts) > 0 {
			m.last.again = soonest(m.last.again, j.held)
		}
		if o := observeEntry(j); o != nil {
			report.Entries = append(report.Entries, o)
		}
	}
	slices.SortFunc(report.Entries, func(a, b *isthmusv1.ObservedEntry) int {
		return cmp.Or(cmp.Compare(a.GetKind(), b.GetKind()), cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
	})
	m.kept.save()
	report.Drifts = slices.Clone(m.drifts)
	m.last.report = report
	return report
}

// soonest is the earlier of two times, of which the zero time is none.
func soonest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// follow keeps what others wrote in the name of isthmus, for when this agent comes to lead.
func (m *mender) follow(ctx context.Context, newest func() *isthmusv1.DesiredState) {
	m.mu.Lock()
	defer m.mu.Unlock()
	item := configEntries(newest())
	if item == nil {
		return
	}
	m.wish(item)
	for _, kind := range policyKinds() {
		if list, err := m.shelf.list(ctx, kind); err == nil {
			m.kept.learnMarks(kind, list.Entries)
		}
	}
	if list, err := m.shelf.list(ctx, consul.KindExportedServices); err == nil {
		m.kept.learnExports(list.Entries)
	}
	m.kept.onlyExports(exportsOf(newest()))
	m.kept.only(m.wishes)
	m.kept.save()
}

// learn takes over what came of a job that went well.
func (m *mender) learn(j *job) {
	m.kept.put(j.wish.id(), j.merge.written)
	if slices.ContainsFunc(j.merge.drifts, func(d partDrift) bool { return d.corrected }) {
		m.contests.note(j.wish.id(), m.now())
	}
	for _, d := range j.merge.drifts {
		m.drifts = noteDrift(m.drifts, &isthmusv1.Drift{
			Entry: j.wish.kind + "/" + j.wish.name, Part: d.key, Wanted: shown(d.wanted), Found: shown(d.found), Corrected: d.corrected, ModifyIndex: j.index,
		}, m.now(), m.log)
	}
}

// noteDrift puts a drift first, unless it is the last one of its part once more, which nobody put back.
func noteDrift(drifts []*isthmusv1.Drift, d *isthmusv1.Drift, now time.Time, log hclog.Logger) []*isthmusv1.Drift {
	at := slices.IndexFunc(drifts, func(o *isthmusv1.Drift) bool { return o.GetEntry() == d.GetEntry() && o.GetPart() == d.GetPart() })
	if at >= 0 && !d.GetCorrected() && !drifts[at].GetCorrected() && drifts[at].GetFound() == d.GetFound() {
		return drifts
	}
	d.Time = timestamppb.New(now)
	log.Warn("somebody changed what isthmus wrote into a config entry", "entry", d.GetEntry(), "part", d.GetPart(), "corrected", d.GetCorrected(), "index", d.GetModifyIndex())
	return append([]*isthmusv1.Drift{d}, drifts[:min(len(drifts), maxDrifts-1)]...)
}

// protocols finds the service whose protocol Consul complains of.
var protocols = regexp.MustCompile(`inconsistent protocols; service "([^"]+)"|discovery chain "([^"]+)" uses a protocol`)

// refusalOf is what Consul said of an entry, in words for the report.
func refusalOf(err error) (reason, message, fix string) {
	reason, message = reasonOf(err), messageOf(err)
	var p *consul.Problem
	if !errors.As(err, &p) {
		return reason, message, ""
	}
	switch found := protocols.FindStringSubmatch(p.Text); {
	case found != nil:
		service := cmp.Or(found[1], found[2])
		return reasonNeedsHTTP, message, "write service-defaults/" + service + " with Protocol http, or, when it speaks http2 or grpc, say spec.protocol of the TrafficPolicy"
	case p.Reason == consul.RuleMissing:
		return reason, message, "give the agent's token the rules that isthmus agent policy --for intentions and --for traffic print"
	}
	return reason, message, ""
}
