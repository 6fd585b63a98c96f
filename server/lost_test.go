package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"isthmus/peering"
	"isthmus/server"
	"isthmus/test/pgtest"
)

// backup is what a standby has: the tables of commits, as they were at a time.
type backup struct{ conn *pgx.Conn }

var committed = []string{"resources", "claims", "refs", "events", "commits", "secrets", "revision"}

func takeBackup(t *testing.T, url string) *backup {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	b := &backup{conn}
	b.each(t, `CREATE TABLE saved_%[1]s AS TABLE %[1]s`)
	return b
}

// restore puts it back under running servers, at once.
func (b *backup) restore(t *testing.T) {
	t.Helper()
	b.each(t, `DELETE FROM %[1]s; INSERT INTO %[1]s SELECT * FROM saved_%[1]s`)
	if err := b.conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// each is one transaction, of all tables at one state: whoever writes holds the revision.
func (b *backup) each(t *testing.T, statement string) {
	t.Helper()
	all := []string{"BEGIN ISOLATION LEVEL READ COMMITTED", "SELECT * FROM revision FOR UPDATE"}
	for _, table := range committed {
		all = append(all, fmt.Sprintf(statement, table))
	}
	if _, err := b.conn.Exec(t.Context(), strings.Join(append(all, "COMMIT"), ";")); err != nil {
		t.Fatal(err)
	}
}

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
	standby := takeBackup(t, url)
	n.apply(datacenters("lost"))
	standby.restore(t)
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
