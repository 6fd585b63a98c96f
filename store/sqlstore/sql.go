package sqlstore

import (
	"strconv"
	"strings"
	"sync"

	"isthmus/store"
)

// Column types, as PostgreSQL calls them.
const (
	typeText   = "text"
	typeBigint = "bigint"
	typeJSON   = "jsonb"
	typeBytes  = "bytea"
)

// maxRows of one statement. Statements come in sizes of powers of two up to it, so that few texts are ever prepared.
const maxRows = 64

// numbered writes a query with ? as the dialect wants it.
func (d Dialect) numbered(sql string) string {
	if !d.Numbered {
		return sql
	}
	var b strings.Builder
	n := 0
	for _, r := range sql {
		if r != '?' {
			b.WriteRune(r)
			continue
		}
		n++
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(n))
	}
	return b.String()
}

// maxColumn is how many rows one statement takes where they come as arrays: what the database copies of them at a time.
const maxColumn = 1024

// Column is a column of many rows: an array, for a database that takes them.
type Column struct {
	// Type of its elements, as PostgreSQL calls it: text, bigint, jsonb or bytea; in Go string, int64, string and []byte, or
	// nil.
	Type string
	// cells are those of all columns, row by row; this one's are at offset and then every stride.
	cells          []any
	offset, stride int
}

// Len is how many rows there are.
func (c Column) Len() int { return len(c.cells) / c.stride }

// At is the value in row i.
func (c Column) At(i int) any { return c.cells[i*c.stride+c.offset] }

// JSON tells whether its elements are JSON.
func (c Column) JSON() bool { return c.Type == typeJSON }

// Leads are the cells of all columns, and how many columns there are, for the first one of a statement; nothing for the others.
func (c Column) Leads() (cells []any, columns int) {
	if c.offset > 0 {
		return nil, 0
	}
	return c.cells, c.stride
}

// bulk is a statement over many rows: head, the rows, tail. The rows are a query by themselves: VALUES, or arrays where the
// dialect has them, so that one text serves any number.
type bulk struct {
	dialect    Dialect
	head, tail string
	// into is the table, with its columns, of a statement that only inserts rows.
	into  string
	types []string
	texts sync.Map // number of rows → SQL
}

func (d Dialect) bulk(head, tail string, types ...string) *bulk {
	for _, verb := range []string{"INSERT", "UPDATE"} {
		head = strings.Replace(head, verb+" ", verb+d.OrRollback+" ", 1)
		tail = strings.Replace(tail, ") "+verb+" ", ") "+verb+d.OrRollback+" ", 1)
	}
	return &bulk{dialect: d, head: head, tail: tail, types: types}
}

// inserts is a bulk that inserts rows, and does nothing else.
func (d Dialect) inserts(into string, types ...string) *bulk {
	b := d.bulk("INSERT INTO "+into+" ", "", types...)
	b.into = into
	return b
}

// statements for all rows, whose cells come one after the other; row is called with each row of the answers if it is set.
func (b *bulk) statements(cells []any, row func(scan func(dest ...any) error) error) []Statement {
	var out []Statement
	width := len(b.types)
	for len(cells) > 0 {
		size := len(cells) / width
		switch {
		case b.dialect.Numbered && b.into == "":
			size = min(maxColumn, size)
		case !b.dialect.Numbered:
			size = maxRows
			for size*width > len(cells) {
				size /= 2
			}
		}
		s := Statement{SQL: b.text(size), Args: cells[:size*width], Row: row}
		if b.dialect.Numbered {
			s.Into = b.into
			s.Args = make([]any, width)
			for i, t := range b.types {
				s.Args[i] = Column{Type: t, cells: cells[:size*width], offset: i, stride: width}
			}
		}
		out = append(out, s)
		cells = cells[size*width:]
	}
	return out
}

func (b *bulk) text(size int) string {
	if b.dialect.Numbered {
		size = 0 // the same for all
	}
	if text, ok := b.texts.Load(size); ok {
		return text.(string)
	}
	text := b.head + b.source(size) + b.tail
	b.texts.Store(size, text)
	return text
}

func (b *bulk) source(size int) string {
	if b.dialect.Numbered {
		columns := make([]string, len(b.types))
		for i, t := range b.types {
			columns[i] = "$" + strconv.Itoa(i+1) + "::" + t + "[]"
		}
		return "SELECT * FROM unnest(" + strings.Join(columns, ", ") + ")"
	}
	row := "(" + strings.TrimSuffix(strings.Repeat("?, ", len(b.types)), ", ") + ")"
	return "VALUES " + strings.TrimSuffix(strings.Repeat(row+", ", size), ", ")
}

// queries are all of the store's SQL.
type queries struct {
	lock, shareLease, fence, putCommit, bump, notify                       string
	revision, get, list, load, feed, feedObjects                           string
	byIndex, unhurried                                                     string
	secret, observations, observationsOf, forget, forgetPart               string
	acquire, held, release                                                 string
	compactAt, compacted, compactChanges, compactSecrets, renew, renewLost string

	// events are by what is asked for: see eventShape.
	events [eventShapes]string

	rows, claimHolders, referrers            *bulk
	putAll, putOver, putSpec, putStatus      *bulk
	deleteRows                               *bulk
	dropClaims, putClaims, dropRefs, putRefs *bulk
	putEvents, putSecrets, dropSecrets       *bulk
	putObservations, hearObservations        *bulk
}

const (
	resourceColumns = `r.kind, r.name, r.uid, r.labels, r.generation, r."index", r.create_time, r.update_time, r.delete_time, r.spec, r.status`
	eventColumns    = `number, "index", create_time, spec, previous_hash, hash`
)

// What a query for events asks for. Each shape has a text of its own, in which nothing stands that is not asked for: with "any kind, or this
// one" in it no index would be used.
const (
	eventsBackward = 1 << iota
	eventsByKind
	eventsByTarget
	eventsByActor
	eventsByAction
	eventsExceptKind
	eventShapes
)

func eventQueries(d Dialect) (out [eventShapes]string) {
	for shape := range out {
		order, from := "ASC", "number > ?"
		if shape&eventsBackward != 0 {
			order, from = "DESC", "number < ?"
		}
		text := []string{`SELECT ` + eventColumns + ` FROM events WHERE ` + from}
		for _, by := range []struct {
			bit   int
			where string
		}{
			{eventsByKind, "kind ="}, {eventsByTarget, "target ="}, {eventsByActor, "actor ="}, {eventsByAction, "action ="}, {eventsExceptKind, "kind <>"},
		} {
			if shape&by.bit != 0 {
				text = append(text, `AND `+by.where+` ?`)
			}
		}
		text = append(text, `ORDER BY number `+order+` LIMIT ?`)
		out[shape] = d.numbered(strings.Join(text, " "))
	}
	return out
}

// eventShape is which of the queries for events to use, and its parameters. after has been looked at.
func eventShape(q store.EventQuery, after uint64) (shape int, args []any) {
	args = []any{int64(after)}
	if q.Descending {
		shape |= eventsBackward
	}
	for _, by := range []struct {
		bit   int
		value string
	}{{eventsByKind, q.Kind}, {eventsByTarget, q.Target}, {eventsByActor, q.Actor}, {eventsByAction, q.Action}, {eventsExceptKind, q.ExceptKind}} {
		if by.value != "" {
			shape |= by.bit
			args = append(args, by.value)
		}
	}
	return shape, append(args, int64(q.Limit))
}

// returning gives back a row of which a part was put: what it has beside that part.
func returning(labels, spec, status string) string {
	return ` RETURNING resources.kind, resources.name, resources.uid, ` + labels + `, resources.generation, resources."index",
		resources.create_time, resources.update_time, resources.delete_time, ` + spec + `, ` + status
}

func newQueries(d Dialect) *queries {
	q := &queries{notify: d.Notify}
	q.reads(d)
	q.writes(d)
	q.bulks(d)
	return q
}

func (q *queries) reads(d Dialect) {
	q.revision = `SELECT epoch, "index", compacted FROM revision`
	q.get = d.numbered(`SELECT ` + resourceColumns + ` FROM resources r WHERE r.kind = ? AND r.name = ?`)
	q.list = d.numbered(`SELECT ` + resourceColumns + ` FROM resources r WHERE r.kind = ? AND r.name > ? ORDER BY r.name LIMIT ?`)
	q.load = `SELECT ` + resourceColumns + ` FROM resources r`
	// The transactions after an index, until there are so many changes. They begin with the one that the index is in, or
	// the next.
	part := ` FROM commits c WHERE c.last_index > ? AND c.preceding <= ? +
		(SELECT f.preceding FROM commits f WHERE f.last_index > ? ORDER BY f.last_index LIMIT 1)`
	q.feed = d.numbered(`SELECT c.changes` + part + ` ORDER BY c.last_index`)
	q.byIndex, q.unhurried = d.ByIndex, d.Unhurried
	q.feedObjects = d.numbered(`SELECT ` + resourceColumns + ` FROM (SELECT DISTINCT e.value ->> 1 AS kind, e.value ->> 2 AS name FROM
		(SELECT c.changes` + part + `) AS p, ` + d.Elements + ` AS e) AS changed
		JOIN resources r ON r.kind = changed.kind AND r.name = changed.name`)
	q.events = eventQueries(d)
	q.secret = d.numbered(`SELECT digest, kind, body, expire_time FROM secrets WHERE digest = ?`)
	const observed = `SELECT datacenter, part, agent, digest, body, receive_time, heard_time FROM observations `
	q.observations = d.numbered(observed + `WHERE receive_time >= ? OR heard_time >= ? ORDER BY datacenter, part`)
	q.observationsOf = d.numbered(observed + `WHERE datacenter = ? ORDER BY part`)
	q.compactAt = d.numbered(`SELECT last_index FROM commits WHERE preceding + number + ? <=
		(SELECT preceding + number FROM commits ORDER BY last_index DESC LIMIT 1) ORDER BY last_index DESC LIMIT 1`)
}

func (q *queries) writes(d Dialect) {
	q.lock = `SELECT epoch, "index", compacted, events, chain_head FROM revision` + d.LockRow
	q.shareLease = d.numbered(`SELECT holder, fencing FROM leases WHERE name = ?` + d.ShareRow)
	q.putCommit = d.numbered(`INSERT INTO commits (last_index, number, changes, preceding) VALUES (?, ?, ?,
		coalesce((SELECT c.preceding + c.number FROM commits c ORDER BY c.last_index DESC LIMIT 1), 0))`)
	// An index that is null is refused: somebody else has committed.
	q.bump = d.numbered(`UPDATE revision SET "index" = CASE WHEN epoch = ? AND "index" = ? AND events = ? AND chain_head = ? THEN CAST(? AS bigint) END,
		events = ?, chain_head = ?`)
	// A holder that is null is refused: somebody else has the lease, or nobody.
	q.fence = d.numbered(`INSERT INTO leases (name, holder, fencing, expires) SELECT '', NULL, 0, 0
		WHERE NOT EXISTS (SELECT 1 FROM leases WHERE name = ? AND holder = ? AND fencing = ?` + d.ShareRow + `)`)
	q.forget = d.numbered(`DELETE FROM observations WHERE datacenter = ?`)
	q.forgetPart = d.numbered(`DELETE FROM observations WHERE datacenter = ? AND part = ?`)
	q.acquire = d.numbered(strings.ReplaceAll(`INSERT INTO leases (name, holder, fencing, expires)
		VALUES (?, ?, 1, NOW + ?)
		ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires = excluded.expires,
			fencing = leases.fencing + CASE WHEN leases.holder = excluded.holder AND leases.expires > NOW THEN 0 ELSE 1 END
		WHERE leases.holder = excluded.holder OR leases.expires <= NOW
		RETURNING fencing, expires`, "NOW", d.Milliseconds))
	q.held = d.numbered(strings.ReplaceAll(`SELECT holder, fencing, expires FROM leases WHERE name = ? AND expires > NOW`, "NOW", d.Milliseconds))
	q.release = d.numbered(`UPDATE leases SET holder = '', expires = 0 WHERE name = ? AND holder = ? AND fencing = ?`)
	q.compacted = d.numbered(`UPDATE revision SET compacted = ? WHERE compacted < ?`)
	q.compactChanges = d.numbered(`DELETE FROM commits WHERE last_index <= ? AND last_index IN
		(SELECT last_index FROM commits WHERE last_index <= ? ORDER BY last_index LIMIT ?) RETURNING last_index`)
	q.compactSecrets = d.numbered(`DELETE FROM secrets WHERE expire_time <= ?`)
	q.renew = d.numbered(`UPDATE revision SET epoch = ?`)
	q.renewLost = d.numbered(`UPDATE revision SET epoch = ? WHERE epoch = ? AND "index" < ? RETURNING epoch`)
}

func (q *queries) bulks(d Dialect) {
	key := []string{typeText, typeText}
	q.rows = d.bulk(`WITH v (kind, name, shape) AS (`, `) SELECT r.kind, r.name, r.uid, r."index", r.datacenters, r.relations,
		CASE WHEN r.shape = v.shape THEN NULL ELSE r.spec END, CASE WHEN r.shape = v.shape THEN NULL ELSE r.status END
		FROM v JOIN resources r ON r.kind = v.kind AND r.name = v.name`, typeText, typeText, typeText)
	q.claimHolders = d.bulk(`SELECT scope, key, kind, name FROM claims WHERE (scope, key) IN (`, `)`, key...)
	q.referrers = d.bulk(`SELECT from_kind, from_name, field, to_kind, to_name FROM refs WHERE (to_kind, to_name) IN (`, `)`, key...)

	const whole = `(kind, name, uid, labels, generation, "index", create_time, update_time, delete_time, spec, status, shape, datacenters, relations)`
	wholeTypes := []string{
		typeText, typeText, typeText, typeJSON, typeBigint, typeBigint, typeText, typeText, typeText, typeJSON, typeJSON, typeText, typeJSON, typeText,
	}
	q.putAll = d.inserts(`resources `+whole, wholeTypes...)
	q.putOver = d.bulk(`WITH v `+whole+` AS (`, `) UPDATE resources SET uid = v.uid, labels = v.labels, generation = v.generation, "index" = v."index",
		create_time = v.create_time, update_time = v.update_time, delete_time = v.delete_time, spec = v.spec, status = v.status, shape = v.shape,
		datacenters = v.datacenters, relations = v.relations FROM v WHERE resources.kind = v.kind AND resources.name = v.name`, wholeTypes...)
	q.putSpec = d.bulk(`WITH v (kind, name, labels, generation, "index", update_time, delete_time, spec, shape, datacenters, relations) AS (`,
		`) UPDATE resources SET labels = v.labels, generation = v.generation, "index" = v."index", update_time = v.update_time,
		delete_time = v.delete_time, spec = v.spec, shape = v.shape, datacenters = v.datacenters, relations = v.relations
		FROM v WHERE resources.kind = v.kind AND resources.name = v.name`+returning("'{}'", "NULL", "resources.status"),
		typeText, typeText, typeJSON, typeBigint, typeBigint, typeText, typeText, typeJSON, typeText, typeJSON, typeText)
	q.putStatus = d.bulk(`WITH v (kind, name, "index", update_time, status, shape) AS (`,
		`) UPDATE resources SET "index" = v."index", update_time = v.update_time, status = v.status, shape = v.shape
		FROM v WHERE resources.kind = v.kind AND resources.name = v.name`+returning("resources.labels", "resources.spec", "NULL"),
		typeText, typeText, typeBigint, typeText, typeJSON, typeText)
	q.deleteRows = d.bulk(`DELETE FROM resources WHERE (kind, name) IN (`, `)`, key...)

	q.dropClaims = d.bulk(`DELETE FROM claims WHERE (scope, key) IN (`, `)`, key...)
	q.putClaims = d.inserts(`claims (scope, key, kind, name)`, typeText, typeText, typeText, typeText)
	q.dropRefs = d.bulk(`DELETE FROM refs WHERE (to_kind, to_name, from_kind, from_name, field) IN (`, `)`, typeText, typeText, typeText, typeText, typeText)
	q.putRefs = d.inserts(`refs (to_kind, to_name, from_kind, from_name, field)`, typeText, typeText, typeText, typeText, typeText)
	q.putEvents = d.inserts(`events (number, "index", create_time, actor, action, kind, target, spec, previous_hash, hash)`,
		typeBigint, typeBigint, typeText, typeText, typeText, typeText, typeText, typeJSON, typeText, typeText)
	q.putSecrets = d.bulk(`INSERT INTO secrets (digest, kind, body, expire_time) `, ` ON CONFLICT (digest) DO NOTHING`,
		typeText, typeText, typeBytes, typeText)
	q.dropSecrets = d.bulk(`DELETE FROM secrets WHERE digest IN (`, `)`, typeText)
	q.putObservations = d.bulk(`INSERT INTO observations (datacenter, part, agent, digest, body, receive_time, heard_time) `,
		` ON CONFLICT (datacenter, part) DO UPDATE SET agent = excluded.agent, digest = excluded.digest, body = excluded.body,
		receive_time = excluded.receive_time, heard_time = excluded.heard_time
		WHERE observations.agent <> excluded.agent OR observations.digest <> excluded.digest OR observations.body <> excluded.body
		OR observations.receive_time <> excluded.receive_time OR observations.heard_time <> excluded.heard_time`,
		typeText, typeText, typeText, typeText, typeText, typeText, typeText)
	q.hearObservations = d.bulk(`WITH v (datacenter, part, heard_time) AS (`, `) UPDATE observations SET heard_time = v.heard_time
		FROM v WHERE observations.datacenter = v.datacenter AND observations.part = v.part
		AND observations.heard_time <> v.heard_time`, typeText, typeText, typeText)
}
