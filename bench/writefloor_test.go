package bench_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// The floors: what the databases do by themselves with what isthmus stores when a datacenter is created, in the schema of isthmus. The
// revision goes on, if it is where the last group left it (who is not the only writer looks it up before, and locks it, and looks for the
// name); the resource, the audit event and the feed's row with the group's changes are stored, and others are notified. What isthmus would
// have to work out for the columns is constant, and as long as it is there.
const (
	specJSON   = `{"consulDatacenter":"w64-1-12-345","consulPartition":"default","drift":"correct","runtime":"vm"}`
	labelsJSON = `{"env":"bench"}`
	statusJSON = `{"agent":"unknown","agentSince":"` + instant + `","conditions":[` +
		`{"lastTransitionTime":"` + instant + `","message":"no agent is enrolled: make a token with isthmus join-token create --datacenter w64-1-12-345","observedGeneration":1,"reason":"NoAgent","status":"false","type":"Ready"},` +
		`{"lastTransitionTime":"` + instant + `","message":"its agents know everything that is wanted of them","observedGeneration":1,"reason":"Current","status":"true","type":"AgentCurrent"},` +
		`{"lastTransitionTime":"` + instant + `","message":"nothing waits for an operator","observedGeneration":1,"reason":"NothingHeld","status":"false","type":"RemovalsHeld"},` +
		`{"lastTransitionTime":"` + instant + `","message":"its agent has not told what Consul does with a call that no intention names","observedGeneration":1,"reason":"Unknown","status":"unknown","type":"DefaultDeny"}]}`
	eventJSON = `{"action":"create","actor":"api-token/admin","changes":[{"after":"\"bench\"","field":"labels.env"},{"after":"\"w64-1-12-345\"","field":"spec.consulDatacenter"},` +
		`{"after":"\"default\"","field":"spec.consulPartition"},{"after":"\"correct\"","field":"spec.drift"},{"after":"\"vm\"","field":"spec.runtime"}],"digestAfter":"` + hash + `",` +
		`"kind":"Datacenter","requestId":"` + uid + `","role":"admin","target":"%s"}`
	uid     = "4a0c37a1-95c8-4b8e-9f6c-7e1c2ad5a8f1"
	instant = "2026-11-21T22:30:00.123456789Z"
	// shape and hash are as long as digests are.
	shape = "c2f1e0d4b3a29788796a5b4c3d2e1f00"
	hash  = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
)

const (
	lockRevision = `SELECT epoch, "index", compacted, events, chain_head FROM revision`
	bumpRevision = `UPDATE revision SET "index" = $1, events = $2, chain_head = $3`
	// moveRevision is refused when the revision is not where it is thought to be: the index may not be null.
	moveRevision = `UPDATE revision SET "index" = CASE WHEN "index" = $1 THEN CAST($2 AS bigint) END, events = $3, chain_head = $4`
)

// The statements of a group, whose rows come as arrays: nothing is faster to parse.
const (
	putResources = `INSERT INTO resources (kind, name, uid, labels, generation, "index", create_time, update_time, spec, status, shape, datacenters)
		SELECT 'Datacenter', v.name, '` + uid + `', '` + labelsJSON + `', 1, v.i, '` + instant + `', '` + instant + `', '` + specJSON + `', '` + statusJSON + `', '` + shape + `',
		jsonb_build_array(v.name) FROM unnest($1::text[], $2::bigint[]) AS v (name, i)`
	putEvents = `INSERT INTO events (number, "index", create_time, actor, action, kind, target, spec, previous_hash, hash)
		SELECT v.i, v.i, '` + instant + `', 'token:admin', 'create', 'Datacenter', v.name, v.spec::jsonb, '` + hash + `', '` + hash + `'
		FROM unnest($1::text[], $2::bigint[], $3::text[]) AS v (name, i, spec)`
	putCommit = `INSERT INTO commits (last_index, number, changes, preceding) VALUES ($1, $2, $3,
		coalesce((SELECT c.preceding + c.number FROM commits c ORDER BY c.last_index DESC LIMIT 1), 0))`
)

// changesOf is the feed's text for datacenters that were created at indexes from first on.
func changesOf(names []string, first int64) string {
	var out strings.Builder
	for i, name := range names {
		separator := ","
		if i == 0 {
			separator = "["
		}
		at := first + int64(i)
		fmt.Fprintf(&out, `%s[%d,"Datacenter",%q,"`+uid+`","put","all",[%q]],[%d,"Event","%012d","","put","all",[]]`, separator, at, name, name, at, at)
	}
	out.WriteByte(']')
	return out.String()
}

// storeGroup is one transaction that creates all of names, in one round trip when the index of the one before is known, as the store of
// isthmus makes it.
func storeGroup(ctx context.Context, conn *pgx.Conn, names []string, known *int64) (last int64, err error) {
	put := &pgx.Batch{}
	if known == nil {
		index, err := lookUp(ctx, conn, names)
		if err != nil {
			return 0, err
		}
		known = &index
	} else {
		put.Queue("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
	}
	indexes, specs := make([]int64, len(names)), make([]string, len(names))
	for i, name := range names {
		indexes[i], specs[i] = *known+int64(i)+1, fmt.Sprintf(eventJSON, name)
	}
	last = *known + int64(len(names))
	put.Queue(moveRevision, *known, last, last, hash)
	put.Queue(putResources, names, indexes)
	put.Queue(putEvents, names, indexes, specs)
	put.Queue(putCommit, last, 2*len(names), changesOf(names, *known+1))
	put.Queue(`SELECT pg_notify('isthmus', $1)`, fmt.Sprint(last))
	put.Queue("COMMIT")
	return last, conn.SendBatch(ctx, put).Close()
}

// lookUp begins a transaction: it locks the revision, and looks for a name.
func lookUp(ctx context.Context, conn *pgx.Conn, names []string) (index int64, err error) {
	var epoch, head string
	var compacted, events int64
	look := &pgx.Batch{}
	look.Queue("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
	look.Queue(lockRevision + " FOR UPDATE").QueryRow(func(row pgx.Row) error { return row.Scan(&epoch, &index, &compacted, &events, &head) })
	look.Queue(findOne, names[0]).Query(func(rows pgx.Rows) error {
		if rows.Next() {
			return fmt.Errorf("%s is taken", names[0])
		}
		return rows.Err()
	})
	return index, conn.SendBatch(ctx, look).Close()
}

// byIndex keeps a connection from plans that were made while the tables were small, as isthmus's store does.
func byIndex(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off`)
	return err
}

// maxGrouped is how many creates a transaction takes, as isthmus's store does.
const maxGrouped = 512

// groupedPostgres has clients whose creates are stored together when they come together: while one transaction is on its way, the next
// one gathers.
func groupedPostgres(ctx context.Context, url string) ([]creator, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, err
	}
	if err := byIndex(ctx, conn); err != nil {
		return nil, err
	}
	type ticket struct {
		name string
		done chan error
	}
	waiting := make(chan ticket, maxGrouped)
	go func() {
		var known *int64
		for first := range waiting {
			group, names := []ticket{first}, []string{first.name}
			for more := true; more && len(group) < maxGrouped; {
				select {
				case t := <-waiting:
					group, names = append(group, t), append(names, t.name)
				default:
					more = false
				}
			}
			last, err := storeGroup(context.WithoutCancel(ctx), conn, names, known)
			if err == nil {
				known = &last
			}
			for _, t := range group {
				t.done <- err
			}
		}
	}()
	return repeated(func(_ context.Context, name string) error {
		t := ticket{name, make(chan error, 1)}
		waiting <- t
		return <-t.done
	}), nil
}

func repeated(c creator) []creator {
	out := make([]creator, maxClients)
	for i := range out {
		out[i] = c
	}
	return out
}

// singlePostgres has clients with a connection each, which make a transaction for each create; the revision's row puts them in order.
func singlePostgres(ctx context.Context, url string) ([]creator, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config.MaxConns, config.AfterConnect = maxClients, byIndex
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	return repeated(func(ctx context.Context, name string) error {
		conn, err := pool.Acquire(ctx)
		if err != nil {
			return err
		}
		defer conn.Release()
		_, err = storeGroup(ctx, conn.Conn(), []string{name}, nil)
		return err
	}), nil
}

// sqliteSettings are those of isthmus's store: what is acknowledged is on disk.
const sqliteSettings = "?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)"

// The statements of one create at SQLite.
const (
	findOne     = `SELECT uid FROM resources WHERE kind = 'Datacenter' AND name = $1`
	putResource = `INSERT INTO resources (kind, name, uid, labels, generation, "index", create_time, update_time, spec, status, shape, datacenters)
		VALUES ('Datacenter', $1, '` + uid + `', '` + labelsJSON + `', 1, $2, '` + instant + `', '` + instant + `', '` + specJSON + `', '` + statusJSON + `', '` + shape + `', $3)`
	putEvent = `INSERT INTO events (number, "index", create_time, actor, action, kind, target, spec, previous_hash, hash)
		VALUES ($2, $2, '` + instant + `', 'token:admin', 'create', 'Datacenter', $1, $3, '` + hash + `', '` + hash + `')`
)

// singleSQLite has clients that share the one connection that may write, a transaction for each create.
func singleSQLite(ctx context.Context, path string) ([]creator, error) {
	db, err := sql.Open("sqlite", "file:"+path+sqliteSettings)
	if err != nil {
		return nil, err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	prepared := map[string]*sql.Stmt{}
	for _, text := range []string{lockRevision, findOne, putResource, putEvent, putCommit, bumpRevision} {
		if prepared[text], err = conn.PrepareContext(ctx, text); err != nil { //nolint:sqlclosecheck // for the life of the process
			return nil, err
		}
	}
	turn := make(chan struct{}, 1)
	return repeated(func(ctx context.Context, name string) error {
		turn <- struct{}{}
		defer func() { <-turn }()
		if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
			return err
		}
		var epoch, head, taken string
		var at, compacted, events int64
		if err := prepared[lockRevision].QueryRowContext(ctx).Scan(&epoch, &at, &compacted, &events, &head); err != nil {
			return err
		}
		if err := prepared[findOne].QueryRowContext(ctx, name).Scan(&taken); err == nil {
			return fmt.Errorf("%s is taken", name)
		}
		at++
		array := `["` + name + `"]`
		for _, s := range []struct {
			text string
			args []any
		}{
			{putResource, []any{name, at, array}},
			{putEvent, []any{name, at, fmt.Sprintf(eventJSON, name)}},
			{putCommit, []any{at, 2, changesOf([]string{name}, at)}},
			{bumpRevision, []any{at, at, hash}},
		} {
			if _, err := prepared[s.text].ExecContext(ctx, s.args...); err != nil {
				return fmt.Errorf("%s: %w", strings.Fields(s.text)[2], err)
			}
		}
		_, err := conn.ExecContext(ctx, "COMMIT")
		return err
	}), nil
}
