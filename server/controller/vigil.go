package controller

import "time"

// vigils are the datacenters that are being removed, by name. A removal waits for what others say, of whom there may be a thousand: it is
// looked at with every tick while something happens, and otherwise, as peerings are, with every tenth.
type vigils map[string]*vigil

type vigil struct {
	// moved is when the removal came to something last.
	moved time.Time
	// witnesses are the datacenters for whose reports it waits; stirred: one of them has reported since it was looked at.
	witnesses map[string]bool
	stirred   bool
}

// looked notes what a look at a removal came to.
func (g vigils) looked(datacenter string, witnesses []string, moved bool, now time.Time) {
	known := g[datacenter]
	if known == nil {
		known, moved = &vigil{}, true
		g[datacenter] = known
	}
	if moved {
		known.moved = now
	}
	known.stirred, known.witnesses = false, make(map[string]bool, len(witnesses))
	for _, name := range witnesses {
		known.witnesses[name] = true
	}
}

// reported notes that a datacenter has. It is worth no more than a look with the next tick: all of them may report all the time.
func (g vigils) reported(datacenter string) {
	for name, v := range g {
		v.stirred = v.stirred || name == datacenter || v.witnesses[datacenter]
	}
}

// due are the datacenters whose removal is looked at with a tick.
func (g vigils) due(tick int, now time.Time) (out []string) {
	for name, v := range g {
		if v.stirred || tick%sleepyTick == 0 || now.Sub(v.moved) <= lively {
			out = append(out, name)
		}
	}
	return out
}
