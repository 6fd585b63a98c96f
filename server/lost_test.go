package server_test

import (
	"fmt"
	"net/http"
	"testing"

	"isthmus/peering"
	"isthmus/server"
	"isthmus/test/pgtest"
)

// A standby that lacks the last commits is promoted, and the servers go on running: they notice it by themselves, say so by another epoch, show what
// the database has, and take new writes; peerings that were there go on.
func TestFailoverThatLosesCommits(t *testing.T) {
	t.Parallel()
	url := pgtest.Start(t).Database(t)
	n, w, fleet := start(t, func(c *server.Config) { c.Store = url }), newWorld(), fleetKey(t)
	n.enrol(w, fleet, "dc1").run()
	n.enrol(w, fleet, "dc2").run()
	n.apply(datacenters("dc1", "dc2") + "---\nkind: Peering\nname: dc1-dc2\nspec: {acceptor: dc1, dialer: dc2}\n")
	n.becomes("dc1-dc2", peering.VerdictHealthy)
	before := n.server().GetEpoch()
	failover := pgtest.Standby(t, url, "revision", "resources", "claims", "refs", "events", "commits", "secrets")
	n.apply(datacenters("lost"))
	failover(t)
	eventually(t, "the server notices", func() (bool, string) {
		// Whichever comes first, this write or a look at the feed, is what notices.
		a := n.call(http.MethodPost, "/v1/apply", datacenters("found"), "Content-Type", "application/yaml")
		return a.status == http.StatusOK && n.server().GetEpoch() != before, fmt.Sprintf("%d, epoch %s", a.status, n.server().GetEpoch())
	})
	n.want(http.StatusNotFound, n.call(http.MethodGet, "/v1/datacenters/lost", ""))
	n.want(http.StatusOK, n.call(http.MethodGet, "/v1/datacenters/found", ""))
	n.want(http.StatusOK, n.call(http.MethodPost, "/v1/peerings/dc1-dc2:rotate", "{}"))
	n.uses("dc1-dc2", 2)
	n.becomes("dc1-dc2", peering.VerdictHealthy)
}
