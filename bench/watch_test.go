package bench_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Of each round of each subject.
const (
	// Those of changes for all alternate: with another writer, and without.
	watchRounds, allRounds = 5, 5
	// ones is how many changes of one watcher a round has, one after the other.
	ones = 40
	// aftermath is what a change may cost after the last one saw it.
	aftermath = 300 * time.Millisecond
	// ackEvery is between the writes of another writer, and ackQuiet how long it writes while nothing else happens.
	ackEvery, ackQuiet = 5 * time.Millisecond, 300 * time.Millisecond
	// settlingWatchers is how long subjects are left alone before they count as at rest, and quiet how long their processor time is measured then,
	// after which their memory is read. Both are longer than connections to isthmus are silent before it asks for a sign of life: all of that counts.
	settlingWatchers, quiet = 45 * time.Second, 45 * time.Second
	// profiled is for how long a profile watches.
	profiled = 8 * time.Second
	// watchTimeout bounds each task of the watchers' processes.
	watchTimeout = 5 * time.Minute
)

// watchSizes are how many watchers there are, in turn; watchSubjects who is measured; both for who looks into something.
var (
	watchSizes    = flag.String("watchers", "100,1000,10000", "how many watchers BenchmarkWatch has, in turn")
	watchSubjects = flag.String("watched", "floor,etcd,consul,postgres,sqlite", "what BenchmarkWatch measures")
	watchParts    = flag.String("parts", "rest,one,all,stampede", "which parts of BenchmarkWatch are measured")
	watchPolls    = flag.Bool("polls", false, "agents of isthmus pull again after each answer, as older ones do, in place of following")
	watchProfiles = flag.String("profiles", "", "a directory for processor profiles of isthmus, one of each part of BenchmarkWatch, and of its heap")
)

// What is measured, with its unit; %d is how many watchers there are.
const (
	memory     = "memory of %d watchers, MiB"
	perWatcher = "… per watcher, KiB"
	atRest     = "processor time at rest with %d watchers, %% of a core"
	// restDatabase is of the same time.
	restDatabase = "… of the database"
	oneSeen      = "1 of %d: sent → seen p50, ms"
	oneSeenLate  = "1 of %d: sent → seen p99, ms"
	oneByREST    = "… asked over REST: sent → seen p50, ms"
	oneServer    = "1 of %d: processor time of the server, ms"
	oneDatabase  = "1 of %d: processor time of the database, ms"
	allSeen      = "1 for all %d: sent → the last one has it, p50, ms"
	allServer    = "1 for all %d: processor time, ms"
	ackIdle      = "a write's acknowledgement with %d watchers at rest, p50, ms"
	ackBusy      = "… while all %d are told, p50, ms"
	ackBusyLate  = "… while all %d are told, p99, ms"
	serving      = "killed and started again: until it serves, s"
	allBack      = "… until all %d are back and current, s"
	backServer   = "… processor time of its server, s"
	operated     = "… an operator's call meanwhile, p50, ms"
	operatedMax  = "… an operator's call meanwhile, p99, ms"
)

// BenchmarkWatch is what a control plane's watchers cost and wait, beside others: each is a process, its watchers are another, all speak TLS,
// and in each round each has its turn. It is measured once, whatever b.N is.
func BenchmarkWatch(b *testing.B) {
	for measured := false; b.Loop(); measured = true {
		if !measured {
			measureWatch(b)
		}
	}
}

func measureWatch(b *testing.B) {
	b.Helper()
	var sizes []int
	for text := range strings.SplitSeq(*watchSizes, ",") {
		n, err := strconv.Atoi(text)
		must(b, err)
		sizes = append(sizes, n)
	}
	w := &watching{comparison: compare(b, "watch"), idle: map[string]float64{}, empty: map[string]float64{}}
	most := slices.Max(sizes)
	for text := range strings.SplitSeq(*watchSubjects, ",") {
		switch text {
		case "floor":
			w.subjects = append(w.subjects, startFloor(b, w.comparison))
		case "etcd":
			w.subjects = append(w.subjects, startEtcdSubject(b, w.comparison))
		case "consul":
			w.subjects = append(w.subjects, startConsulSubject(b, w.comparison))
		case "postgres":
			w.subjects = append(w.subjects, startIsthmus(b, w.comparison, subjectPostgres, sizes))
		case "sqlite":
			w.subjects = append(w.subjects, startIsthmus(b, w.comparison, subjectSQLite, sizes))
		}
	}
	pass(settlingWatchers)
	for _, s := range w.subjects {
		w.empty[s.name] = residentBytes(b, s.pid)
	}
	for _, n := range sizes {
		w.part(b, "connect", n, func() { w.connect(b, n) })
		w.part(b, "rest", n, func() { w.atRest(b, n, n == most) })
		w.part(b, "one", n, func() { w.oneOf(b, n) })
		w.part(b, "all", n, func() { w.allOf(b, n) })
	}
	for _, s := range w.subjects {
		if s.restart != nil {
			w.part(b, "stampede", most, func() { w.stampede(b, s, most) })
		}
	}
	w.aim(slices.Min(sizes), most)
}

// part measures one part, and profiles isthmus meanwhile when that is asked for.
func (w *watching) part(b *testing.B, name string, n int, measure func()) {
	b.Helper()
	if name != "connect" && !slices.Contains(strings.Split(*watchParts, ","), name) {
		return
	}
	began := time.Now()
	var profiles sync.WaitGroup
	for _, s := range w.subjects {
		if *watchProfiles != "" && s.client != nil && name != "stampede" {
			profiles.Go(func() { w.profile(b, s, fmt.Sprintf("%s-%d", name, n)) })
		}
	}
	measure()
	profiles.Wait()
	b.Logf("%s with %d watchers: %s", name, n, time.Since(began).Round(time.Second))
}

// profile writes where a server's time goes for some seconds, and then what its heap holds.
func (w *watching) profile(b *testing.B, s *watchSubject, part string) {
	b.Helper()
	for _, what := range []string{"profile", "heap"} {
		data, err := s.profile(b.Context(), what)
		if err != nil {
			b.Logf("no profile of %s: %v", s.name, err) // it is for who looks into something
			return
		}
		name := fmt.Sprintf("%s-%s-%s.pprof", s.name[strings.LastIndexByte(s.name, ' ')+1:], part, what)
		must(b, os.WriteFile(filepath.Join(*watchProfiles, name), data, 0o600))
	}
}

// pass lets some time pass.
func pass(d time.Duration) { <-time.After(d) }

// watching is one run.
type watching struct {
	*comparison
	subjects []*watchSubject
	// idle is the servers' processor time at rest with the last size, in parts of a core; empty the memory without watchers.
	idle, empty map[string]float64
	marks       int
}

// mark is one that no change had before.
func (w *watching) mark() string {
	w.marks++
	return fmt.Sprintf("mark-%07d-end", w.marks)
}

// figure records one, and says it at once: what has been measured is known also when something fails later.
func (w *watching) figure(b *testing.B, work string, s *watchSubject, value float64, format string) {
	b.Helper()
	b.Logf("%s: %s: "+format, s.name, work, value)
	w.record(work, s.name, value, format)
}

func (w *watching) connect(b *testing.B, n int) {
	b.Helper()
	for _, s := range w.subjects {
		began := time.Now()
		s.prepare(b, n)
		do[watchResult](b, s.watchers, watchTask{Do: workConnect, N: n})
		b.Logf("%s: %d watchers connected in %s", s.name, n, time.Since(began).Round(time.Millisecond))
	}
}

// atRest measures memory and processor time while nothing happens, of all at once: they do not disturb each other then.
func (w *watching) atRest(b *testing.B, n int, whole bool) {
	b.Helper()
	settle, watch := settlingWatchers, quiet
	if !whole {
		settle, watch = settle/10, watch/10
	}
	pass(settle)
	before, behind := map[string]time.Duration{}, map[string]time.Duration{}
	for _, s := range w.subjects {
		before[s.name], behind[s.name] = ownTime(s.pid), w.behind(b, s)
	}
	began := time.Now()
	pass(watch)
	for _, s := range w.subjects {
		took := float64(time.Since(began))
		w.idle[s.name] = float64(ownTime(s.pid)-before[s.name]) / took
		if whole {
			resident := residentBytes(b, s.pid)
			w.figure(b, fmt.Sprintf(memory, n), s, (resident-w.empty[s.name])/(1<<20), "%.0f")
			w.figure(b, perWatcher, s, (resident-w.empty[s.name])/float64(n)/1024, "%.1f")
			w.figure(b, fmt.Sprintf(atRest, n), s, 100*w.idle[s.name], "%.2f")
			if s.database != 0 {
				w.figure(b, restDatabase, s, 100*float64(w.behind(b, s)-behind[s.name])/took, "%.2f")
			}
		}
	}
}

// told makes a change and gives how long it took until as many watchers as it concerns had it.
func (w *watching) told(b *testing.B, s *watchSubject, n int, write func(ctx context.Context, mark string) error) time.Duration {
	b.Helper()
	mark := w.mark()
	do[watchResult](b, s.watchers, watchTask{Do: workArm, N: n, Mark: mark})
	sent := time.Now()
	must(b, write(b.Context(), mark))
	return time.Duration(do[watchResult](b, s.watchers, watchTask{Do: workAwait}).Last - sent.UnixNano())
}

// oneOf is a change that concerns one of n watchers.
func (w *watching) oneOf(b *testing.B, n int) {
	b.Helper()
	seen, own, database, rest := map[string]times{}, map[string]times{}, map[string]times{}, map[string]times{}
	for round := range watchRounds + 1 {
		for _, s := range w.subjects {
			cpu, behind, began := ownTime(s.pid), w.behind(b, s), time.Now()
			var took times
			who := func(i int) int { return (round*ones + i*7) % min(targets, n) }
			for i := range ones {
				took = append(took, w.told(b, s, 1, func(ctx context.Context, mark string) error { return s.one(ctx, who(i), mark) }))
			}
			pass(aftermath)
			if round == 0 {
				continue // first times are others
			}
			idle := time.Duration(w.idle[s.name] * float64(time.Since(began)))
			seen[s.name] = append(seen[s.name], took...)
			own[s.name] = append(own[s.name], max(0, ownTime(s.pid)-cpu-idle)/ones)
			database[s.name] = append(database[s.name], (w.behind(b, s)-behind)/ones)
			for i := 0; i < ones && s.oneREST != nil; i++ {
				rest[s.name] = append(rest[s.name], w.told(b, s, 1, func(ctx context.Context, mark string) error { return s.oneREST(ctx, who(i), mark) }))
			}
		}
	}
	for _, s := range w.subjects {
		w.figure(b, fmt.Sprintf(oneSeen, n), s, millis(seen[s.name].at(0.5)), "%.2f")
	}
	for _, s := range w.subjects {
		w.figure(b, fmt.Sprintf(oneSeenLate, n), s, millis(seen[s.name].at(0.99)), "%.2f")
	}
	for _, s := range w.subjects {
		if s.oneREST != nil {
			w.figure(b, oneByREST, s, millis(rest[s.name].at(0.5)), "%.2f")
		}
	}
	for _, s := range w.subjects {
		w.figure(b, fmt.Sprintf(oneServer, n), s, millis(own[s.name].at(0.5)), "%.2f")
	}
	for _, s := range w.subjects {
		if s.database != 0 {
			w.figure(b, fmt.Sprintf(oneDatabase, n), s, millis(database[s.name].at(0.5)), "%.2f")
		}
	}
}

// behind is the processor time of the database behind a subject.
func (w *watching) behind(b *testing.B, s *watchSubject) time.Duration {
	b.Helper()
	if s.database == 0 {
		return 0
	}
	return ownTime(family(b, s.database)...)
}

// allOf is a change that concerns all n watchers, and what another writer waits meanwhile.
func (w *watching) allOf(b *testing.B, n int) {
	b.Helper()
	last, idle, busy, cpu := map[string]times{}, map[string]times{}, map[string]times{}, map[string]times{}
	for _, s := range w.subjects {
		if s.toAll != nil {
			s.toAll(b, n, true)
		}
	}
	for round := range allRounds {
		for _, s := range w.subjects {
			idle[s.name] = append(idle[s.name], w.acknowledged(b, s, func() { pass(ackQuiet) })...)
			before := ownTime(s.pids(b)...)
			var took time.Duration
			tell := func() { took = w.told(b, s, n, s.all) }
			if round == 0 {
				tell() // first times are others
				continue
			}
			if round%2 == 0 {
				busy[s.name] = append(busy[s.name], w.acknowledged(b, s, tell)...)
				pass(aftermath)
				continue
			}
			tell()
			pass(aftermath)
			cpu[s.name] = append(cpu[s.name], ownTime(s.pids(b)...)-before)
			last[s.name] = append(last[s.name], took)
		}
	}
	for _, s := range w.subjects {
		if s.toAll != nil {
			s.toAll(b, n, false)
		}
		w.figure(b, fmt.Sprintf(allSeen, n), s, millis(last[s.name].at(0.5)), "%.0f")
	}
	for _, s := range w.subjects {
		w.figure(b, fmt.Sprintf(allServer, n), s, millis(cpu[s.name].at(0.5)), "%.0f")
	}
	for _, s := range w.subjects {
		w.figure(b, fmt.Sprintf(ackIdle, n), s, millis(idle[s.name].at(0.5)), "%.2f")
	}
	for _, s := range w.subjects {
		w.figure(b, fmt.Sprintf(ackBusy, n), s, millis(busy[s.name].at(0.5)), "%.2f")
	}
	for _, s := range w.subjects {
		w.figure(b, fmt.Sprintf(ackBusyLate, n), s, millis(busy[s.name].at(0.99)), "%.2f")
	}
}

// acknowledged is how long another writer's writes took that were sent while something was done.
func (w *watching) acknowledged(b *testing.B, s *watchSubject, meanwhile func()) times {
	b.Helper()
	var took times
	var failed error
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(ackEvery)
		defer tick.Stop()
		for failed == nil {
			sent := time.Now()
			failed = s.other(b.Context(), 0, fmt.Sprintf("other-%d", sent.UnixNano()))
			took = append(took, time.Since(sent))
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	}()
	meanwhile()
	close(stop)
	<-stopped
	must(b, failed)
	return took
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// aim states what is aimed at.
func (w *watching) aim(least, n int) {
	of := func(work string, a ...any) string { return fmt.Sprintf(work, a...) }
	for _, isthmus := range []string{subjectPostgres, subjectSQLite} {
		for _, work := range []string{oneSeen, oneServer} {
			for _, other := range []string{subjectEtcd, subjectConsul} {
				w.atMost(of(work, n), isthmus, 1, other)
			}
			w.atMost(of(work, n), isthmus, 2, subjectFloor)
		}
		w.atMost(of(allSeen, n), isthmus, 1, subjectEtcd)
		w.atMost(perWatcher, isthmus, 1.3, subjectFloor)
		w.atMost(perWatcher, isthmus, 0.5, subjectEtcd)
		w.below(of(atRest, n), isthmus, 0.5)
		w.judge(aim{of: place{of(ackBusy, n), isthmus}, than: place{of(ackIdle, n), isthmus}, factor: 3})
		w.below(of(allBack, n), isthmus, 30)
		if least < n {
			w.judge(aim{of: place{of(oneServer, n), isthmus}, than: place{of(oneServer, least), isthmus}, factor: 1.5})
		}
	}
}
