package explain

import (
	"time"

	"isthmus/policy"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Verdicts of an Explanation.
const (
	VerdictAllowed = "allowed"
	// VerdictDenied: by intentions; nothing else fails.
	VerdictDenied  = "denied"
	VerdictBroken  = "broken"
	VerdictUnknown = "unknown"
)

// VerdictSkip is that of a hop that does not matter here, beside resource.CheckPass, CheckFail and CheckUnknown.
const VerdictSkip = "skip"

// Ids of hops, in the order in which they are walked.
const (
	HopSource      = "Source"
	HopDestination = "Destination"
	HopConnection  = "Connection"
	HopExport      = "Export"
	HopResolver    = "Resolver"
	HopIntention   = "Intention"
	HopGateway     = "Gateway"
	HopSNI         = "SNI"
	HopCertificate = "Certificate"
)

// step is one hop before anybody has walked it.
type step struct {
	id, title string
	ask       func(w *walk) finding
}

func steps() []step {
	return []step{
		{HopSource, "the caller is there, and in the mesh", (*walk).source},
		{HopDestination, "the service is there, healthy and in the mesh", (*walk).destination},
		{HopConnection, "the two datacenters are connected", (*walk).connection},
		{HopExport, "the service is exported to the caller's datacenter", (*walk).export},
		{HopResolver, "calls of the service go there", (*walk).resolver},
		{HopIntention, "the caller may", (*walk).intention},
		{HopGateway, "gateways on the way are healthy and reached", (*walk).gateway},
		{HopSNI, "the name on the wire is known", (*walk).sni},
		{HopCertificate, "each end trusts the other's certificate", (*walk).certificate},
	}
}

// walk is one call on its way.
type walk struct {
	resource.Reader
	Evidence
	now      time.Time
	src, dst place
	// aliases are the virtual services that led to dst, in order: what was asked for is the first.
	aliases []alias
	link    link
	seen    map[string]Seen
	wanted  map[string]*isthmusv1.ConfigEntries
	// vicinities by datacenter.
	vicinities map[string]vicinity
}

// Explain walks the way of a call, source and destination being as Parse reads them. Invalid: they are not, or their datacenter is neither
// declared nor an external peer; the message lists those that are.
func Explain(r resource.Reader, e Evidence, source, destination string, now time.Time) (*isthmusv1.Explanation, error) {
	w := &walk{Reader: r, Evidence: e, now: now, seen: map[string]Seen{}, wanted: map[string]*isthmusv1.ConfigEntries{}, vicinities: map[string]vicinity{}}
	var err error
	if w.src, err = find(r, "source", source); err != nil {
		return nil, err
	}
	if w.dst, err = find(r, "destination", destination); err != nil {
		return nil, err
	}
	out := &isthmusv1.Explanation{Source: w.src.String(), Destination: w.dst.String()}
	w.follow()
	w.link = w.between()
	for _, s := range steps() {
		f := s.ask(w)
		out.Hops = append(out.Hops, &isthmusv1.Hop{
			Id: s.id, Title: s.title, Datacenter: f.datacenter, Verdict: f.verdict, Message: f.message, Fix: f.fix, Evidence: f.evidence,
		})
	}
	conclude(out)
	return out, nil
}

// conclude sums the hops up. What certainly fails counts before what nobody knows; an intention that denies counts as the answer only
// where nothing else is broken.
func conclude(out *isthmusv1.Explanation) {
	first := func(verdict string, not string) *isthmusv1.Hop {
		for _, h := range out.GetHops() {
			if h.GetVerdict() == verdict && h.GetId() != not {
				return h
			}
		}
		return nil
	}
	broken, denied, open := first(resource.CheckFail, HopIntention), first(resource.CheckFail, ""), first(resource.CheckUnknown, "")
	at := broken
	switch {
	case broken != nil:
		out.Verdict = VerdictBroken
	case denied != nil:
		out.Verdict, at = VerdictDenied, denied
	case open != nil:
		out.Verdict, at = VerdictUnknown, open
	default:
		out.Verdict = VerdictAllowed
		out.Message = out.GetSource() + " may call " + out.GetDestination() + ", and all on the way is well"
		return
	}
	out.Message, out.Fix = at.GetId()+": "+at.GetMessage(), at.GetFix()
}

// home is where the config entries of a datacenter are written: itself, or the primary of its federation.
func (w *walk) home(datacenter string) string {
	m, ok := resource.MembershipOf(w, datacenter)
	if ok && m.Role == resource.RoleSecondary && resource.Federated(m.Member) {
		return m.Federation.GetSpec().GetPrimary()
	}
	return datacenter
}

// entriesWanted is what isthmus wants in the config entries that count for a datacenter.
func (w *walk) entriesWanted(datacenter string) *isthmusv1.ConfigEntries {
	home := w.home(datacenter)
	if w.wanted[home] == nil {
		w.wanted[home] = policy.Entries(w, home)
	}
	return w.wanted[home]
}
