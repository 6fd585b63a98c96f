package trend

import (
	"time"

	"isthmus/peering"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// Day is how far back samples are kept.
const Day = 24 * time.Hour

// kept is how many samples of one step there are at most: as many as a curve on a screen shows.
const kept = 360

// Step is the shortest time between two samples that are kept.
const Step = time.Hour / kept

// removing is a datacenter's word (package overview) that no connection has.
const removing = "removing"

// Counts are how many things were how.
type Counts struct {
	// Healthy ones, those on their way to be there or to be gone, stale or one-sided ones, failing ones, and those of which nobody knows.
	Healthy, Pending, Degraded, Failing, Unknown int32
}

// ill is how many need somebody.
func (c Counts) ill() int32 { return c.Degraded + c.Failing + c.Unknown }

// Sample is how a fleet was at one time.
type Sample struct {
	At                       time.Time
	Datacenters, Connections Counts
}

// worse tells whether more was wrong than in another one.
func (s Sample) worse(than Sample) bool {
	return s.Datacenters.ill()+s.Connections.ill() > than.Datacenters.ill()+than.Connections.ill()
}

// Of counts a fleet, at its time.
func Of(f *isthmusv1.Fleet) Sample {
	s := Sample{At: f.GetTime().AsTime()}
	for _, dc := range f.GetDatacenters() {
		s.Datacenters.add(dc.GetHealth())
	}
	for _, l := range f.GetLinks() {
		s.Connections.add(l.GetVerdict())
	}
	return s
}

// add counts one by its word: health and verdicts have the same ones.
func (c *Counts) add(word string) {
	switch word {
	case peering.VerdictHealthy:
		c.Healthy++
	case peering.VerdictPending, peering.VerdictDeleting, removing:
		c.Pending++
	case peering.VerdictStale, peering.VerdictOneSided:
		c.Degraded++
	case peering.VerdictFailing:
		c.Failing++
	default:
		c.Unknown++
	}
}

// Series has the samples of the last day: close ones of the last hour, and of what was before one each few minutes. Make it with New; it is for one
// goroutine.
type Series struct {
	begin  time.Time
	levels []level
}

// level has the samples of one step, the oldest first: of each step the one in which most was wrong, so that no fault is too short to be seen
// later.
type level struct {
	step    time.Duration
	samples []Sample
}

// New makes a series that begins at a time.
func New(begin time.Time) *Series {
	return &Series{begin: begin, levels: []level{{step: Step}, {step: Day / kept}}}
}

// Begin is since when there are samples.
func (s *Series) Begin() time.Time { return s.begin }

// Add keeps a sample. One that is older than the last one is none: the clock was set back.
func (s *Series) Add(next Sample) {
	for i := range s.levels {
		s.levels[i].add(next)
	}
}

func (l *level) add(next Sample) {
	n := len(l.samples)
	if n > 0 {
		last := &l.samples[n-1]
		if !next.At.After(last.At) {
			return
		}
		if next.At.Truncate(l.step).Equal(last.At.Truncate(l.step)) {
			if !last.worse(next) {
				*last = next
			}
			return
		}
	}
	if n == kept {
		n = copy(l.samples, l.samples[1:])
		l.samples = l.samples[:n]
	}
	l.samples = append(l.samples, next)
}

// Window is the last samples, the oldest first, and the step between them: of the last hour, or of as much as a whole day.
func (s *Series) Window(window time.Duration, now time.Time) ([]Sample, time.Duration) {
	l := s.levels[0]
	if window > kept*l.step {
		l = s.levels[1]
	}
	from := 0
	for from < len(l.samples) && l.samples[from].At.Before(now.Add(-window)) {
		from++
	}
	return append([]Sample(nil), l.samples[from:]...), l.step
}
