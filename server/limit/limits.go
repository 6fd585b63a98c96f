package limit

import (
	"fmt"
	"math"
	"strings"
)

// Limits are what one server process takes on. Of each, 0 is the default, and less is no limit. Calls and waits are per API
// token, all logins in the dashboard with it included; rates are per API token, and per login.
type Limits struct {
	// Requests are calls that are worked on at a time; those that wait for a change are none.
	Requests int `yaml:"maxRequests"`
	// RequestsPerToken is how many of them one token may have. An admin's has twice as many.
	RequestsPerToken int `yaml:"maxRequestsPerToken"`
	// Waits are calls that wait for a change at a time: blocking queries, ListChanges, and the agents' long polls, which alone
	// may take more than half.
	Waits int `yaml:"maxWaits"`
	// WaitsPerToken is how many of them one token may have. An admin's has ten times as many.
	WaitsPerToken int `yaml:"maxWaitsPerToken"`
	// Reads and Writes are what one token may ask for in a second, after ten seconds' worth at once. An admin's has fifty times
	// as many.
	Reads  int `yaml:"readsPerSecond"`
	Writes int `yaml:"writesPerSecond"`
	// AgentCalls is what one agent or gateway may ask for in a second, after ten seconds' worth at once.
	AgentCalls int `yaml:"agentCallsPerSecond"`
	// Connections is how many each of the two listeners has at a time.
	Connections int `yaml:"maxConnections"`
}

const (
	// admin… are by how much more an admin may do: who has that role is to mend things while others overload them.
	adminRequests, adminWaits, adminRates = 2, 10, 50
	// burst is how many seconds' worth of a rate may come at once: a page of the dashboard, a script.
	burst = 10
	// agentWaits and agentRequests are one agent's: it polls once, and a connection that is gone may be a poll for a while yet.
	agentWaits, agentRequests = 8, 32
	// fewest places in all: below, there are no shares.
	fewest = 8
	// waitsPart: operators have a waitsPart-th of all waits that no other takes, and so have admins.
	waitsPart = 16
	// linePart is how long the line for places is, in places.
	linePart = 16
)

// Default are the limits that hold unless others are set.
func Default() Limits {
	return Limits{
		Requests: 256, RequestsPerToken: 64, Waits: 50_000, WaitsPerToken: 512,
		Reads: 200, Writes: 50, AgentCalls: 200, Connections: 32_768,
	}
}

// Flag sets one of Limits.
type Flag struct {
	// Name is the flag's, Usage what it does.
	Name, Usage string
	Value       *int
	// least is the lowest limit with which something works.
	least int
}

// Flags are those that set Limits.
func (l *Limits) Flags() []Flag {
	return []Flag{
		{"max-requests", "calls that are worked on at a time, those that wait for a change aside", &l.Requests, fewest},
		{"max-requests-per-token", "of these, calls of one API token, its logins included; an admin's has twice as many", &l.RequestsPerToken, 1},
		{"max-waits", "calls that wait for a change at a time: blocking queries, and the long polls of agents", &l.Waits, waitsPart},
		{"max-waits-per-token", "of these, calls of one API token, its logins included; an admin's has ten times as many", &l.WaitsPerToken, 1},
		{"reads-per-second", "reads of one API token or login; an admin's has fifty times as many", &l.Reads, 1},
		{"writes-per-second", "writes of one API token or login; an admin's has fifty times as many", &l.Writes, 1},
		{"agent-calls-per-second", "calls of one agent or gateway", &l.AgentCalls, 1},
		{"max-connections", "connections of each of the two listeners", &l.Connections, fewest},
	}
}

// unlimited is far above what a process can have of anything.
const unlimited = math.MaxInt32

// effective are the limits in numbers.
func (l Limits) effective() Limits {
	defaults := Default()
	for i, f := range l.Flags() {
		switch {
		case *f.Value == 0:
			*f.Value = *defaults.Flags()[i].Value
		case *f.Value < 0:
			*f.Value = unlimited
		}
	}
	return l
}

// Problem is what is wrong with a setting.
type Problem struct {
	// Setting is its key in a file of settings.
	Setting, Message string
}

// Problems tells of limits so low that nothing would work.
func (l Limits) Problems() []Problem {
	var out []Problem
	for _, f := range l.Flags() {
		if n := *f.Value; n > 0 && n < f.least {
			out = append(out, Problem{camel(f.Name), fmt.Sprintf("%d is too few to work with; expected at least %d, 0 for the default or -1 for no limit", n, f.least)})
		}
	}
	return out
}

// camel is a flag's name as the key in a file.
func camel(flag string) string {
	words := strings.Split(flag, "-")
	for i, word := range words[1:] {
		words[i+1] = strings.ToUpper(word[:1]) + word[1:]
	}
	return strings.Join(words, "")
}
