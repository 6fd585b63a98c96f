package server

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/store"
	"isthmus/store/snapshot"
)

// scrapeTimeout bounds the one question to the store that a scrape asks.
const scrapeTimeout = 2 * time.Second

// newRegistry makes the registry of one server: Go and process figures, and those of the fleet.
func newRegistry(st store.Store, s *snapshot.Snapshot, leading func() bool) *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		newFleetCollector(st, s, leading),
	)
	return registry
}

// fleetCollector counts the fleet out of the snapshot when somebody asks. Resources' names are never labels: their
// number has no bound.
type fleetCollector struct {
	store    store.Store
	snapshot *snapshot.Snapshot
	leading  func() bool

	index, lag, controller, agents, datacenters, peerings, members *prometheus.Desc
}

func newFleetCollector(st store.Store, s *snapshot.Snapshot, leading func() bool) *fleetCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("isthmus_"+name, help, labels, nil)
	}
	return &fleetCollector{
		store: st, snapshot: s, leading: leading,
		index:       desc("store_index", "Index of the last write that this server has seen."),
		lag:         desc("snapshot_lag", "Writes in the store that this server's snapshot has not seen; absent when the store does not answer."),
		controller:  desc("controller_leader", "1 when this replica runs the controllers."),
		agents:      desc("agents", "Enrolled agents, by liveness.", "liveness"),
		datacenters: desc("datacenters", "Datacenters, by whether their agents are heard of.", "agent"),
		peerings:    desc("peerings", "Peerings, by verdict.", "verdict"),
		members:     desc("federation_members", "Members of federations, by phase.", "phase"),
	}
}

// Describe implements prometheus.Collector.
func (c *fleetCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.index, c.lag, c.controller, c.agents, c.datacenters, c.peerings, c.members} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *fleetCollector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	v := c.snapshot.View()
	gauge(c.index, float64(v.Revision().Index))
	if head, err := c.head(); err == nil && head.Epoch == v.Revision().Epoch {
		gauge(c.lag, max(0, float64(head.Index)-float64(v.Revision().Index)))
	}
	leader := 0.0
	if c.leading() {
		leader = 1
	}
	gauge(c.controller, leader)
	count := func(d *prometheus.Desc, words []string, of func(count map[string]int)) {
		counts := map[string]int{}
		for _, word := range words {
			counts[word] = 0
		}
		of(counts)
		for word, n := range counts {
			gauge(d, float64(n), word)
		}
	}
	liveness := []string{resource.LivenessOnline, resource.LivenessOffline, resource.LivenessUnknown}
	count(c.agents, liveness, func(n map[string]int) {
		for a := range resource.All[*isthmusv1.Agent](v, resource.KindAgent) {
			n[orUnknown(a.GetStatus().GetLiveness())]++
		}
	})
	count(c.datacenters, liveness, func(n map[string]int) {
		for d := range resource.All[*isthmusv1.Datacenter](v, resource.KindDatacenter) {
			n[orUnknown(d.GetStatus().GetAgent())]++
		}
	})
	count(c.peerings, []string{"healthy", "unknown"}, func(n map[string]int) {
		for p := range resource.All[*isthmusv1.Peering](v, resource.KindPeering) {
			n[orUnknown(p.GetStatus().GetVerdict())]++
		}
	})
	count(c.members, []string{resource.PhaseJoined}, func(n map[string]int) {
		for f := range resource.All[*isthmusv1.Federation](v, resource.KindFederation) {
			for _, m := range f.GetStatus().GetMembers() {
				n[orUnknown(m.GetPhase())]++
			}
		}
	})
}

func orUnknown(word string) string {
	if word == "" {
		return resource.LivenessUnknown
	}
	return word
}

func (c *fleetCollector) head() (store.Revision, error) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	return c.store.Revision(ctx)
}
