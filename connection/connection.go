package connection

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/fault"
	"isthmus/peering"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Kinds of connections.
const (
	KindPeering    = "peering"
	KindFederation = "federation"
)

// Directions in which nothing arrives.
const (
	BrokenAToB = "a-to-b"
	BrokenBToA = "b-to-a"
	BrokenBoth = "both"
)

// Ids of evidence. They are stable.
const (
	EvidenceAgent       = "Agent"
	EvidenceState       = "State"
	EvidenceHeartbeat   = "Heartbeat"
	EvidenceReceive     = "Receive"
	EvidenceSend        = "Send"
	EvidenceImports     = "ImportsMatch"
	EvidenceCatalog     = "CatalogMatches"
	EvidenceDialled     = "GatewayDialled"
	EvidenceRoots       = "TrustRoots"
	EvidencePeerID      = "PeerID"
	EvidenceRead        = "Read"
	EvidenceWANMember   = "WANMember"
	EvidenceReplication = "ACLReplication"
)

// MaxConnections is how many are given at once: a federation of a thousand has half a million pairs, and whoever looks has to say which.
const MaxConnections = 10000

// maxJudged is how many are judged for one answer: a verdict chooses after that.
const maxJudged = 10 * MaxConnections

// calm is how long two reports of catalogs have to be as they are before a difference between them counts: each agent looks at its catalog every 15 s
// at the latest, and what a peer exports is there a moment later.
const calm = 45 * time.Second

// Evidence is what agents said last.
type Evidence struct {
	// Of is what is seen of a datacenter; the zero value when nothing is.
	Of func(datacenter string) Seen
	// Peering is what is known of both ends of a peering.
	Peering func(p *isthmusv1.Peering) peering.Evidence
}

// Seen is what is seen of one datacenter. Reports of who is silent are the last that they sent; nil: none yet.
type Seen struct {
	// Online: an agent of it is heard of, last at HeardTime (zero: never).
	Online    bool
	HeardTime time.Time
	// Blind is why that agent does not see its Consul, as one CamelCase word, and BlindMessage a sentence, both as it reports, since
	// BlindTime; empty: it does. The reports are older then.
	Blind, BlindMessage string
	BlindTime           time.Time

	Inventory  *isthmusv1.InventoryReport
	Federation *isthmusv1.FederationReport
	// Services, which are as they are since ServicesTime.
	Services     *isthmusv1.ServicesReport
	ServicesTime time.Time
}

// Filter chooses connections; what is empty chooses all.
type Filter struct {
	Datacenter, Kind, Name, Verdict string
}

func (f Filter) wants(kind, name string) bool {
	return (f.Kind == "" || f.Kind == kind) && (f.Name == "" || f.Name == name)
}

func (f Filter) touches(a, b string) bool {
	return f.Datacenter == "" || f.Datacenter == a || f.Datacenter == b
}

// List are the connections that a filter chooses, by kind, name and datacenters. Refused: they are more than MaxConnections, or those of which a
// verdict chooses are more than ten times as many.
func List(r resource.Reader, e Evidence, filter Filter, now time.Time) ([]*isthmusv1.Connection, error) {
	l := look{r: r, e: e, now: now, filter: filter, seen: map[string]*known{}}
	for f := range resource.All[*isthmusv1.Federation](r, resource.KindFederation) {
		if filter.wants(KindFederation, f.GetName()) {
			l.federation(f)
		}
	}
	for p := range resource.All[*isthmusv1.Peering](r, resource.KindPeering) {
		a, b := acceptorOf(p), dialerOf(p)
		if filter.wants(KindPeering, p.GetName()) && filter.touches(a, b) && l.room() {
			l.peering(p, a, b)
		}
	}
	if l.more {
		most := MaxConnections
		if filter.Verdict != "" {
			most = maxJudged
		}
		return nil, fault.New(fault.Refused, "there are more than %d connections: choose those of one datacenter, or of one Peering or Federation", most)
	}
	l.sort()
	return l.out, nil
}

// wholeFederation is of how many members Links gives every pair; of a larger one those with its primary.
const wholeFederation = 100

// Links are all connections as List judges them, without fixes and evidence, however many there are: for whoever draws all of them. Of a federation
// of more than a hundred members they are the pairs with its primary, since all pairs would be half a million of a thousand.
func Links(r resource.Reader, e Evidence, now time.Time) []*isthmusv1.Connection {
	l := look{r: r, e: e, now: now, bare: true, seen: map[string]*known{}}
	for f := range resource.All[*isthmusv1.Federation](r, resource.KindFederation) {
		l.federation(f)
	}
	for p := range resource.All[*isthmusv1.Peering](r, resource.KindPeering) {
		l.peering(p, acceptorOf(p), dialerOf(p))
	}
	l.sort()
	return l.out
}

// acceptorOf and dialerOf are both ends of a peering, an external one by its name.
func acceptorOf(p *isthmusv1.Peering) string {
	return cmp.Or(p.GetSpec().GetAcceptor(), p.GetSpec().GetExternalAcceptor())
}

func dialerOf(p *isthmusv1.Peering) string {
	return cmp.Or(p.GetSpec().GetDialer(), p.GetSpec().GetExternalDialer())
}

func (l *look) sort() {
	slices.SortFunc(l.out, func(x, y *isthmusv1.Connection) int {
		return cmp.Or(cmp.Compare(x.GetKind(), y.GetKind()), cmp.Compare(x.GetName(), y.GetName()), cmp.Compare(x.GetA(), y.GetA()), cmp.Compare(x.GetB(), y.GetB()))
	})
}

// look is one look at connections.
type look struct {
	r      resource.Reader
	e      Evidence
	now    time.Time
	filter Filter
	// bare: neither evidence nor fixes are wanted, and there is no limit.
	bare bool
	// seen is what was asked for already, by datacenter.
	seen   map[string]*known
	out    []*isthmusv1.Connection
	judged int
	// more: there are more than are given, or judged.
	more bool
}

func (l *look) of(datacenter string) *known {
	if k, ok := l.seen[datacenter]; ok {
		return k
	}
	k := &known{}
	if l.e.Of != nil {
		k.Seen = l.e.Of(datacenter)
	}
	k.read()
	l.seen[datacenter] = k
	return k
}

// room counts one more to be judged; false: there are too many, and all is refused.
func (l *look) room() bool {
	if l.bare {
		return true
	}
	l.judged++
	l.more = l.more || len(l.out) >= MaxConnections || l.judged > maxJudged
	return !l.more
}

// add takes a connection that was judged, if the filter chooses its verdict; only then its evidence is put into words.
func (l *look) add(c *isthmusv1.Connection, gather func() facts) {
	if l.bare {
		l.out = append(l.out, c)
		return
	}
	if l.filter.Verdict == "" || l.filter.Verdict == c.GetVerdict() {
		c.Evidence = gather()
		l.out = append(l.out, c)
	}
}

// facts gathers evidence.
type facts []*isthmusv1.Evidence

func (f *facts) add(id, datacenter, verdict string, since *timestamppb.Timestamp, format string, args ...any) {
	*f = append(*f, &isthmusv1.Evidence{Id: id, Datacenter: datacenter, Verdict: verdict, Since: since, Message: fmt.Sprintf(format, args...)})
}

// word is a verdict of evidence: known, and then good or not.
func word(known, good bool) string {
	switch {
	case !known:
		return resource.CheckUnknown
	case good:
		return resource.CheckPass
	}
	return resource.CheckFail
}

// agent tells whether an end is heard of, and sees its Consul: blind is why not, since then.
func (f *facts) agent(datacenter string, online bool, heard time.Time, blind string, since time.Time) {
	switch {
	case heard.IsZero():
		f.add(EvidenceAgent, datacenter, resource.CheckUnknown, nil, "no agent of %s has reported yet", datacenter)
	case online && blind != "":
		f.add(EvidenceAgent, datacenter, resource.CheckFail, timestamppb.New(since), "the agent of %s does not see its Consul (%s): what follows of it is the last that it saw", datacenter, blind)
	case online:
		f.add(EvidenceAgent, datacenter, resource.CheckPass, nil, "the agent of %s is heard of", datacenter)
	default:
		f.add(EvidenceAgent, datacenter, resource.CheckFail, timestamppb.New(heard), "the agent of %s is silent: what follows of it is the last that it saw", datacenter)
	}
}
