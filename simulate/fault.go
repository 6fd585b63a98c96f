package simulate

import (
	"math/rand/v2"
	"slices"

	"isthmus/fault"
)

// Faults is how many of each there are.
type Faults struct {
	// Cut datacenters have a silent agent; those with a FailingConsul one whose Consul has no leader.
	Cut, FailingConsul int
	// Unreachable datacenters are members of a federation whom the others reach no more, neither their gateways nor their servers; they reach
	// the others, and the server.
	Unreachable int
	// Stale peerings have a stream that hangs; OneSided ones lose their dialer's end again and again.
	Stale, OneSided int
}

// Inflict hurts as many datacenters and peerings as faults says, none of them twice: which ones follows from the fleet's Seed. It gives their
// names. Invalid: there are not as many.
func (f *Fleet) Inflict(faults Faults) (datacenters, peerings []string, err error) {
	random := rand.New(rand.NewPCG(f.config.Seed, 1)) //nolint:gosec // the same faults again is the point
	datacenters, peerings = f.Datacenters(), nil
	if faults.Cut+faults.FailingConsul > len(datacenters) || faults.Cut < 0 || faults.FailingConsul < 0 {
		return nil, nil, fault.New(fault.Invalid, "there are but %d datacenters to hurt", len(datacenters))
	}
	random.Shuffle(len(datacenters), func(i, j int) { datacenters[i], datacenters[j] = datacenters[j], datacenters[i] })
	var unreachable []string
	for _, name := range datacenters[faults.Cut+faults.FailingConsul:] {
		if f.layout.federationOf(name) != "" {
			unreachable = append(unreachable, name)
		}
	}
	if faults.Unreachable > len(unreachable) || faults.Unreachable < 0 {
		return nil, nil, fault.New(fault.Invalid, "there are but %d members of federations left to hurt", len(unreachable))
	}
	unreachable = unreachable[:faults.Unreachable]
	datacenters = append(datacenters[:faults.Cut+faults.FailingConsul:faults.Cut+faults.FailingConsul], unreachable...)
	// A peering of a datacenter that is hurt shows that, rather than a fault of its own.
	for _, p := range f.layout.pairs {
		if !slices.Contains(datacenters, p.acceptor) && !slices.Contains(datacenters, p.dialer) {
			peerings = append(peerings, p.name)
		}
	}
	if faults.Stale+faults.OneSided > len(peerings) || faults.Stale < 0 || faults.OneSided < 0 {
		return nil, nil, fault.New(fault.Invalid, "there are but %d peerings to hurt", len(peerings))
	}
	random.Shuffle(len(peerings), func(i, j int) { peerings[i], peerings[j] = peerings[j], peerings[i] })
	peerings = peerings[:faults.Stale+faults.OneSided]
	for _, hurt := range []struct {
		do    func(...string) error
		names []string
	}{
		{f.Cut, datacenters[:faults.Cut]},
		{f.FailConsul, datacenters[faults.Cut : faults.Cut+faults.FailingConsul]},
		{f.Unreach, unreachable},
		{f.Hang, peerings[:faults.Stale]},
		{f.Sever, peerings[faults.Stale:]},
	} {
		if err := hurt.do(hurt.names...); err != nil {
			return nil, nil, err
		}
	}
	return datacenters, peerings, nil
}

// Cut silences the agents of datacenters, and their gateways: the server does not hear of them any more. Their Consul goes on. NotFound: there
// is no such datacenter.
func (f *Fleet) Cut(datacenters ...string) error {
	if err := f.known(datacenters, nil); err != nil {
		return err
	}
	f.faults.Lock()
	defer f.faults.Unlock()
	for _, a := range f.agents {
		if slices.Contains(datacenters, a.site.name) {
			a.silence()
		}
	}
	return nil
}

// FailConsul takes the leader from datacenters' Consul servers: their agents say so, and see and do nothing there.
func (f *Fleet) FailConsul(datacenters ...string) error {
	if err := f.known(datacenters, nil); err != nil {
		return err
	}
	f.world.fail(datacenters, true)
	f.poke(datacenters...)
	return nil
}

// Unreach has the other members of their federations reach datacenters no more: none of their gateways, none of their servers.
func (f *Fleet) Unreach(datacenters ...string) error {
	if err := f.known(datacenters, nil); err != nil {
		return err
	}
	f.poke(f.world.unreach(datacenters, true)...)
	return nil
}

// Hang stops what flows over the streams of peerings: both ends are connected, and hear nothing. No fresh token and no transfer of leadership
// helps until Heal.
func (f *Fleet) Hang(peerings ...string) error {
	return f.hurtPeerings(peerings, func(w *world, name string) { w.hung[name] = w.now().Add(-freshFor) })
}

// Sever has the dialers of peerings lose their end, whenever it is there again.
func (f *Fleet) Sever(peerings ...string) error {
	return f.hurtPeerings(peerings, func(w *world, name string) { w.severed[name] = true })
}

// Heal ends all faults of datacenters and peerings.
func (f *Fleet) Heal(names ...string) error {
	if err := f.known(names, names); err != nil {
		return err
	}
	f.faults.Lock()
	defer f.faults.Unlock()
	if f.ctx.Err() != nil {
		return fault.New(fault.Refused, "the simulated fleet is closed")
	}
	f.world.fail(names, false)
	f.poke(f.world.unreach(names, false)...)
	for _, a := range f.agents {
		if slices.Contains(names, a.site.name) {
			if err := a.start(f.ctx); err != nil {
				return err
			}
			f.queue.put(a)
		}
	}
	return f.hurtPeerings(f.peeringsOf(names), func(w *world, name string) {
		delete(w.hung, name)
		delete(w.severed, name)
	})
}

func (f *Fleet) peeringsOf(names []string) []string {
	return slices.DeleteFunc(f.Peerings(), func(name string) bool { return !slices.Contains(names, name) })
}

// hurtPeerings changes the world for each peering, and lets both ends' agents see it.
func (f *Fleet) hurtPeerings(names []string, change func(w *world, name string)) error {
	if err := f.known(nil, names); err != nil {
		return err
	}
	f.world.mu.Lock()
	for _, name := range names {
		change(f.world, name)
	}
	f.world.mu.Unlock()
	for _, p := range f.layout.pairs {
		if slices.Contains(names, p.name) {
			f.poke(p.acceptor, p.dialer)
		}
	}
	return nil
}

// known refuses names that are neither among the datacenters nor among the peerings, where those are looked for.
func (f *Fleet) known(datacenters, peerings []string) error {
	all := f.Peerings()
	for _, name := range slices.Concat(datacenters, peerings) {
		datacenter := slices.Contains(datacenters, name) && f.sites[name] != nil
		peering := slices.Contains(peerings, name) && slices.Contains(all, name)
		if !datacenter && !peering {
			return fault.New(fault.NotFound, "the simulated fleet has no %s", name)
		}
	}
	return nil
}

// fail takes the leader of datacenters' Consul servers, or gives it back.
func (w *world) fail(datacenters []string, headless bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, name := range datacenters {
		if s := w.sites[name]; s != nil {
			s.headless = headless
		}
	}
}

// unreach has nobody reach datacenters of a federation, or lets everybody again, and gives all who notice.
func (w *world) unreach(datacenters []string, unreached bool) (noticed []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, name := range datacenters {
		if s := w.sites[name]; s != nil && s.unreached != unreached {
			s.unreached = unreached
			noticed = append(noticed, w.pool(s)...)
		}
	}
	return noticed
}

func (w *world) isHeadless(s *site) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return s.headless
}
