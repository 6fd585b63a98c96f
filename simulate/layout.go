package simulate

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// labelSimulated marks the datacenters of a simulated fleet.
const labelSimulated = "simulated"

// place is one datacenter as it is declared.
type place struct {
	name, region, env, runtime string
	// index is its place among all of them.
	index int
	// federation is the Federation that it is in; primary: it is its primary. Empty: none.
	federation string
	primary    bool
}

// pair is one peering.
type pair struct{ name, acceptor, dialer string }

// layout is what the fleet looks like: the same for the same Config.
type layout struct {
	places []place
	pairs  []pair
	// hubs are the first datacenter of each region, by the region's number; federations the members of each, the primary first.
	hubs        []string
	federations [][]string
	services    []string
}

func newLayout(c Config) layout {
	l := layout{services: serviceNames(c.Services)}
	width := max(4, len(strconv.Itoa(c.Datacenters)))
	federations := 0
	if c.FederationSize > 0 {
		federations = min(c.Regions, c.Datacenters/2/c.FederationSize)
	}
	envs, runtimes := []string{"prod", "prod", "staging", "dev"}, []string{"kubernetes", "vm"}
	members := make([][]string, federations)
	for i := range c.Datacenters {
		region, within := i%c.Regions, i/c.Regions
		p := place{
			name: fmt.Sprintf("dc-%0*d", width, i+1), region: regionName(region), index: i,
			env: envs[within%len(envs)], runtime: runtimes[(region+within)%len(runtimes)],
		}
		if region < federations && len(members[region]) < c.FederationSize {
			p.federation, p.primary = "wan-"+p.region, within == 0
			members[region] = append(members[region], p.name)
		}
		if within == 0 {
			l.hubs = append(l.hubs, p.name)
		}
		l.places = append(l.places, p)
	}
	l.federations = members
	l.pairs = l.connect(c)
	return l
}

// regionName is as in clouds, and numbered where clouds have no more.
func regionName(n int) string {
	known := []string{"eu-west", "us-east", "ap-south", "us-west", "eu-central", "sa-east", "ap-northeast", "af-south", "me-central", "ca-central"}
	if n < len(known) {
		return known[n]
	}
	return fmt.Sprintf("region-%d", n+1)
}

// serviceNames are the same in all datacenters, as those of one company are.
func serviceNames(n int) []string {
	known := []string{
		"web", "api", "billing", "payments", "orders", "inventory", "search", "auth", "users", "sessions",
		"notifications", "reports", "ledger", "catalog", "shipping", "pricing", "media", "gatekeeper", "metrics", "scheduler",
	}
	out := make([]string, n)
	for i := range out {
		out[i] = known[i%len(known)]
		if i >= len(known) {
			out[i] += "-" + strconv.Itoa(i/len(known)+1)
		}
	}
	return out
}

// peerable are the datacenters that may be peered with others.
func (l layout) peerable() []place {
	var out []place
	for _, p := range l.places {
		if p.federation == "" || p.primary {
			out = append(out, p)
		}
	}
	return out
}

// connect chooses the peerings: hubs with hubs, each datacenter with its region's hub, and then what a shuffled ring of all has beside each
// other, one step apart, two steps apart, …
func (l layout) connect(c Config) []pair {
	peerable := l.peerable()
	var out []pair
	known := map[[2]string]bool{}
	add := func(a, b string) {
		if a == b || len(out) == c.Peerings || known[[2]string{a, b}] || known[[2]string{b, a}] {
			return
		}
		known[[2]string{a, b}] = true
		out = append(out, pair{name: a + "-" + b, acceptor: a, dialer: b})
	}
	for i, a := range l.hubs {
		for _, b := range l.hubs[i+1:] {
			add(a, b)
		}
	}
	for _, p := range peerable {
		add(l.hubs[p.index%c.Regions], p.name)
	}
	random := rand.New(rand.NewPCG(c.Seed, uint64(c.Datacenters))) //nolint:gosec // the same fleet again is the point
	random.Shuffle(len(peerable), func(i, j int) { peerable[i], peerable[j] = peerable[j], peerable[i] })
	for step := 1; step < len(peerable) && len(out) < c.Peerings; step++ {
		for i, p := range peerable {
			add(p.name, peerable[(i+step)%len(peerable)].name)
		}
	}
	return out
}

// datacenters are manifests, one for each place.
func (l layout) datacenters() []string {
	out := make([]string, 0, len(l.places))
	for _, p := range l.places {
		out = append(out, fmt.Sprintf("kind: Datacenter\nname: %s\nlabels: {%s: \"true\", region: %s, env: %s}\nspec: {runtime: %s}\n",
			p.name, labelSimulated, p.region, p.env, p.runtime))
	}
	return out
}

// connections are the manifests of federations, exports and peerings.
func (l layout) connections() []string {
	var out []string
	for _, members := range l.federations {
		out = append(out, fmt.Sprintf("kind: Federation\nname: %s\nspec: {primary: %s, secondaries: [%s], mode: mesh-gateway}\n",
			l.federationOf(members[0]), members[0], strings.Join(members[1:], ", ")))
	}
	for i, hub := range l.hubs {
		if len(l.services) > 0 {
			out = append(out, fmt.Sprintf("kind: ServiceExport\nname: %[1]s-%[2]s\nspec: {service: %[1]s, datacenters: [%[3]s], consumers: {selector: %[4]s=true}}\n",
				l.services[0], regionName(i), hub, labelSimulated))
		}
	}
	for _, p := range l.pairs {
		out = append(out, fmt.Sprintf("kind: Peering\nname: %s\nspec: {acceptor: %s, dialer: %s}\n", p.name, p.acceptor, p.dialer))
	}
	return out
}

func (l layout) federationOf(datacenter string) string {
	for _, p := range l.places {
		if p.name == datacenter {
			return p.federation
		}
	}
	return ""
}
