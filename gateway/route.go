package gateway

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"isthmus/fault"
)

// Kind says where a route comes from: a label of metrics.
type Kind string

// The kinds.
const (
	// KindBootstrap leads to another datacenter's servers, before anything is known of it but an address.
	KindBootstrap Kind = "bootstrap"
	// KindStatic is what an operator wrote down.
	KindStatic Kind = "static"
	// KindServer leads to this datacenter's Consul servers.
	KindServer Kind = "server"
	// KindFederation leads to another datacenter of a WAN federation, through its gateways.
	KindFederation Kind = "federation"
	// KindPeering leads to the servers of a peer.
	KindPeering Kind = "peering"
	// KindService leads to a service of this datacenter.
	KindService Kind = "service"
	// KindExport leads to a service of this datacenter, under the name that a peer has for it.
	KindExport Kind = "export"
	// KindImport leads to a service of a peer, through its gateways.
	KindImport Kind = "import"
	// kindNone is the label of connections that have no route.
	kindNone Kind = "none"
)

func kinds() []Kind {
	return []Kind{KindBootstrap, KindStatic, KindServer, KindFederation, KindPeering, KindService, KindExport, KindImport, kindNone}
}

// Entry is a name, or all names below one, and where they live.
type Entry struct {
	// Pattern is a DNS name in lower case, or *. and one: all names that end in it, of any number of labels more.
	Pattern string
	Kind    Kind
	// Addresses are host:port, tried in this order.
	Addresses []string
}

// Table says where names live. It does not change: Gateway.Replace takes another one.
type Table struct {
	exact, below map[string]Entry
}

// NewTable is the union of what several sources know. What they say of the same pattern is joined: addresses in the order of
// sources, each once; the kind is the first source's. An Invalid fault names every entry that cannot be.
func NewTable(sources ...[]Entry) (*Table, error) {
	t := &Table{exact: map[string]Entry{}, below: map[string]Entry{}}
	var problems []fault.Violation
	for _, source := range sources {
		for _, e := range source {
			if wrong := e.Wrong(); wrong != "" {
				problems = append(problems, fault.Violation{Field: "route " + e.Pattern, Reason: "Invalid", Message: wrong})
				continue
			}
			t.add(e)
		}
	}
	if len(problems) > 0 {
		return nil, fault.Violated(problems...)
	}
	return t, nil
}

func (t *Table) add(e Entry) {
	names, key := t.exact, e.Pattern
	if suffix, ok := strings.CutPrefix(e.Pattern, "*."); ok {
		names, key = t.below, suffix
	}
	known, ok := names[key]
	if !ok {
		known = Entry{Pattern: e.Pattern, Kind: e.Kind}
	}
	for _, address := range e.Addresses {
		if !slices.Contains(known.Addresses, address) {
			known.Addresses = append(known.Addresses, address)
		}
	}
	names[key] = known
}

// Lookup is the route of a name in lower case: that of the name itself, else that of the longest suffix.
func (t *Table) Lookup(name string) (Entry, bool) {
	if e, ok := t.exact[name]; ok {
		return e, true
	}
	for {
		_, rest, more := strings.Cut(name, ".")
		if !more {
			return Entry{}, false
		}
		if e, ok := t.below[rest]; ok {
			return e, true
		}
		name = rest
	}
}

// get is the route of exactly that pattern.
func (t *Table) get(pattern string) (Entry, bool) {
	if suffix, ok := strings.CutPrefix(pattern, "*."); ok {
		e, ok := t.below[suffix]
		return e, ok
	}
	e, ok := t.exact[pattern]
	return e, ok
}

// Entries are all routes, by pattern.
func (t *Table) Entries() []Entry {
	out := make([]Entry, 0, t.Len())
	for _, e := range t.exact {
		out = append(out, e)
	}
	for _, e := range t.below {
		out = append(out, e)
	}
	slices.SortFunc(out, func(x, y Entry) int { return cmp.Compare(x.Pattern, y.Pattern) })
	return out
}

// Len is the number of routes.
func (t *Table) Len() int { return len(t.exact) + len(t.below) }

// Wrong says what is wrong with an entry, and what would be right; empty: it is fine.
func (e Entry) Wrong() string {
	name := strings.TrimPrefix(e.Pattern, "*.")
	switch {
	case name == "" || !hostName([]byte(name)) || strings.Contains(name, ".."):
		return fmt.Sprintf("%q is no DNS name, nor *. and one", e.Pattern)
	case name != strings.ToLower(name):
		return fmt.Sprintf("%q is not in lower case", e.Pattern)
	case len(e.Addresses) == 0:
		return "has no address; expected at least one host:port"
	}
	for _, address := range e.Addresses {
		host, port, err := net.SplitHostPort(address)
		if err != nil || host == "" || net.ParseIP(host) == nil && !hostName([]byte(host)) {
			return fmt.Sprintf("%q is not host:port", address)
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Sprintf("%q has no port between 1 and 65535", address)
		}
	}
	return ""
}

// ParseRoutes reads routes in the form name=host:port[,host:port…]. Lists that were split at their commas are fine as well: what has
// no = is a further address of the one before.
func ParseRoutes(texts []string) ([]Entry, error) {
	return parse(texts, "name=host:port[,host:port…]", func(name string, addresses []string) []Entry {
		return []Entry{{Pattern: strings.ToLower(name), Kind: KindStatic, Addresses: addresses}}
	})
}

// ParseBootstrapRoutes reads routes to other datacenters in the form datacenter=host:port[,host:port…], where the addresses are those
// of its gateways. They are for its servers: server.<datacenter>.<domain> and all names below it.
func ParseBootstrapRoutes(texts []string, domain string) ([]Entry, error) {
	return parse(texts, "datacenter=host:port[,host:port…]", func(datacenter string, addresses []string) []Entry {
		name := strings.ToLower("server." + datacenter + "." + strings.Trim(domain, "."))
		return []Entry{
			{Pattern: name, Kind: KindBootstrap, Addresses: addresses},
			{Pattern: "*." + name, Kind: KindBootstrap, Addresses: addresses},
		}
	})
}

func parse(texts []string, form string, entries func(name string, addresses []string) []Entry) ([]Entry, error) {
	type named struct {
		name      string
		addresses []string
	}
	var all []named
	for _, text := range texts {
		for part := range strings.SplitSeq(text, ",") {
			name, address, isNew := strings.Cut(part, "=")
			switch {
			case isNew && name == "", !isNew && len(all) == 0:
				return nil, fault.New(fault.Invalid, "%q is not of the form %s", text, form)
			case isNew:
				all = append(all, named{strings.TrimSpace(name), []string{strings.TrimSpace(address)}})
			default:
				last := &all[len(all)-1]
				last.addresses = append(last.addresses, strings.TrimSpace(part))
			}
		}
	}
	var out []Entry
	for _, n := range all {
		out = append(out, entries(n.name, n.addresses)...)
	}
	return out, nil
}
