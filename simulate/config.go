package simulate

import (
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"

	"isthmus/client"
	"isthmus/fault"
)

const (
	// MaxDatacenters is far beyond what one process can be: some hundred kilobytes each.
	MaxDatacenters = 100_000
	// maxServices is what one agent reports at most.
	maxServices = 10_000
)

// Config says what fleet to simulate, and against which server.
type Config struct {
	// Server is reached as an operator reaches it; its token is of role operator or admin. It has no datacenters yet.
	Server client.Config
	// Datacenters is how many, at least 1.
	Datacenters int
	// Peerings is how many peerings there are between them. Each datacenter is peered with the hub of its region first, and the hubs with
	// each other; the others follow from Seed.
	Peerings int
	// Regions is over how many the datacenters are spread. Default: 1.
	Regions int
	// FederationSize is how many datacenters a federation has; 0: there are none. Each region has one as long as no more than half of all
	// datacenters are in one. Secondaries have no peerings.
	FederationSize int
	// Gateways: each datacenter has a mesh gateway with an identity of its own, which pulls its routes and reports.
	Gateways bool
	// Services is how many services each datacenter's catalog has. With one at least, each region's hub exports the first one to its peers.
	Services int
	// Seed makes another fleet of the same size.
	Seed uint64

	// Progress is told how far the start is; nil: nobody is. Calls come one at a time.
	Progress func(Progress)
	// Log gets what goes wrong; nil discards it.
	Log hclog.Logger
	// Now is the clock; nil is the machine's.
	Now func() time.Time
}

// Progress is how far one step of a start is.
type Progress struct {
	// Step is StepDeclare, StepEnrol or StepConnect.
	Step        string
	Done, Total int
}

// Steps of a start: datacenters are declared, agents enrol, and peerings, federations and exports are declared.
const (
	StepDeclare = "declare"
	StepEnrol   = "enrol"
	StepConnect = "connect"
)

func (c Config) withDefaults() Config {
	if c.Regions == 0 {
		c.Regions = 1
	}
	if c.Log == nil {
		c.Log = hclog.NewNullLogger()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Progress == nil {
		c.Progress = func(Progress) {}
	}
	return c
}

// DefaultPeerings is how many peerings there are when each datacenter shall have a number of its own, or as many as there can be.
func (c Config) DefaultPeerings(perDatacenter int) int {
	c.Peerings = 0
	if c.Validate() != nil {
		return 0
	}
	n := len(newLayout(c.withDefaults()).peerable())
	return min(perDatacenter*c.Datacenters, n*(n-1)/2)
}

// Validate tells everything that is wrong, at once: an Invalid fault with one violation for each problem.
func (c Config) Validate() error {
	var v []fault.Violation
	check := func(field string, n, least, most int) {
		if n < least || n > most {
			v = append(v, fault.Violation{Field: field, Reason: "Invalid", Message: fmt.Sprintf("%d is not between %d and %d", n, least, most)})
		}
	}
	check("datacenters", c.Datacenters, 1, MaxDatacenters)
	check("regions", c.Regions, 0, max(1, c.Datacenters))
	check("services", c.Services, 0, maxServices)
	if c.FederationSize != 0 {
		check("federationSize", c.FederationSize, 2, max(2, c.Datacenters/2))
	}
	if len(v) == 0 {
		n := len(newLayout(c.withDefaults()).peerable())
		check("peerings", c.Peerings, 0, n*(n-1)/2)
	}
	if len(v) == 0 {
		return nil
	}
	return fault.Violated(v...)
}
