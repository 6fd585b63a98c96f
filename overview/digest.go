package overview

import (
	"hash/maphash"

	isthmusv1 "isthmus/proto/isthmus/v1"
)

// Digester makes digests of verdicts, which are of use in this process only.
type Digester struct{ seed maphash.Seed }

// NewDigester makes one.
func NewDigester() Digester { return Digester{maphash.MakeSeed()} }

// Digests has a number for each datacenter of a fleet, which is another one when its health or a verdict on one of its connections is.
func (d Digester) Digests(f *isthmusv1.Fleet) map[string]uint64 {
	out := make(map[string]uint64, len(f.GetDatacenters()))
	for _, dc := range f.GetDatacenters() {
		out[dc.GetName()] = d.digest(dc.GetHealth(), dc.GetReason(), dc.GetMessage(), dc.GetFix()) + uint64(dc.GetAgentsOnline())
	}
	for _, l := range f.GetLinks() {
		digest := d.digest(l.GetKind(), l.GetName(), l.GetA(), l.GetB(), l.GetVerdict(), l.GetBroken(), l.GetReason(), l.GetMessage())
		for _, end := range []string{l.GetA(), l.GetB()} {
			if sum, ours := out[end]; ours { // another operator's cluster is no Datacenter
				out[end] = sum + digest
			}
		}
	}
	return out
}

func (d Digester) digest(parts ...string) uint64 {
	var h maphash.Hash
	h.SetSeed(d.seed)
	for _, p := range parts {
		_, _ = h.WriteString(p)
		_ = h.WriteByte(0)
	}
	return h.Sum64()
}
