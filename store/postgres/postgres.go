// Package postgres is the store for several servers: any number of them over one PostgreSQL.
//
// Owns: connections, timeouts, the notifications that wake other servers, and the driver's errors. Does not own: queries
// and rules (store/sqlstore), schema (migrations). Start reading at Open.
//
// A write is two round trips while the revision row is locked: one begins, locks and reads, the other writes and
// commits; or the other alone, when all that would be read is known since this server's last commit (sqlstore/recall.go). Many rows of one
// table are copied, in a round trip of their own. A reader's transaction is one round trip. Needs a connection of its own to listen on: behind PgBouncer,
// session pooling.
package postgres

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"isthmus/fault"
	"isthmus/migrations"
	"isthmus/store/sqlstore"
)

// channel is what servers notify each other on.
const channel = "isthmus"

const (
	// longestPause between tries to listen again.
	longestPause = 30 * time.Second
	// remindEvery is how often readers are sent to look while nobody listens.
	remindEvery = time.Second
)

// timeouts that the server keeps, so that a client that hangs cannot hold the revision for ever. An address may set others.
func timeouts() map[string]string {
	return map[string]string{
		"lock_timeout":                        "10s",
		"statement_timeout":                   "30s",
		"idle_in_transaction_session_timeout": "30s",
		"application_name":                    "isthmus",
	}
}

// Open opens the store at a PostgreSQL URL, and brings its schema up to date.
func Open(ctx context.Context, url string, log hclog.Logger) (*sqlstore.Store, error) {
	d, err := open(ctx, url, log)
	if err != nil {
		return nil, err
	}
	return sqlstore.New(d, d.dialect(), log), nil
}

func open(ctx context.Context, url string, log hclog.Logger) (*database, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		// The cause may quote the address, which holds a password.
		return nil, fault.New(fault.Invalid, "the store's address is not a PostgreSQL URL: postgres://user:password@host:5432/database")
	}
	if config.ConnConfig.ValidateConnect == nil {
		// Of several hosts, the primary: a standby can neither write nor promise to have seen what was written.
		config.ConnConfig.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	if err := migrate(ctx, config.ConnConfig); err != nil {
		return nil, err
	}
	for name, value := range timeouts() {
		if _, set := config.ConnConfig.RuntimeParams[name]; !set {
			config.ConnConfig.RuntimeParams[name] = value
		}
	}
	reads, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, mapped(ctx, err)
	}
	config = config.Copy()
	config.MaxConns = min(config.MaxConns, maxWriters)
	config.AfterConnect = prepareWriter
	writes, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		reads.Close()
		return nil, mapped(ctx, err)
	}
	life, end := context.WithCancel(context.Background())
	d := &database{reads: reads, writes: writes, log: log, self: uuid.NewString(), signals: make(chan struct{}, 1), end: end, done: make(chan struct{})}
	go d.listen(life)
	return d, nil
}

func (d *database) dialect() sqlstore.Dialect {
	return sqlstore.Dialect{
		Numbered: true,
		LockRow:  " FOR UPDATE", ShareRow: " FOR SHARE",
		Milliseconds: `CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)`,
		Elements:     `jsonb_array_elements(p.changes::jsonb)`,
		ByIndex: `SELECT set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
			set_config('enable_mergejoin', 'off', true), set_config('plan_cache_mode', 'force_generic_plan', true)`,
		Unhurried: `SELECT set_config('statement_timeout', '0', true)`,
		Notify:    `SELECT pg_notify('` + channel + `', $1 || '` + d.origin() + `')`,
	}
}

// migrate runs on a connection without the timeouts, whatever the address says: a migration takes the time that it takes.
func migrate(ctx context.Context, config *pgx.ConnConfig) (err error) {
	config = config.Copy()
	config.RuntimeParams["statement_timeout"] = "0"
	db := stdlib.OpenDB(*config)
	defer func() {
		if closing := db.Close(); err == nil && closing != nil {
			err = mapped(ctx, closing)
		}
	}()
	if err := db.PingContext(ctx); err != nil {
		return mapped(ctx, err)
	}
	return migrations.Up(ctx, migrations.Postgres, db)
}

// maxWriters is how many write transactions there are at a time: one commits, and leases and observations do not wait for it.
const maxWriters = 4

// prepareWriter makes sure that what is acknowledged is on disk, whatever the database's default; stronger settings stay.
// All that writers look for, they find by an index: plans that PostgreSQL made while a table was small would read the
// whole of it for ever, and making a plan each time costs more than a write.
func prepareWriter(ctx context.Context, conn *pgx.Conn) error {
	registerColumns(conn)
	_, err := conn.Exec(ctx, `SELECT set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'
		ELSE current_setting('synchronous_commit') END, false), set_config('plan_cache_mode', 'force_generic_plan', false),
		set_config('enable_seqscan', 'off', false), set_config('enable_hashjoin', 'off', false),
		set_config('enable_mergejoin', 'off', false), set_config('jit', 'off', false)`)
	return err
}

type database struct {
	reads, writes *pgxpool.Pool
	log           hclog.Logger
	// self tells this process's notifications from others'.
	self    string
	signals chan struct{}
	end     context.CancelFunc
	done    chan struct{}
}

// Signals implements sqlstore.Database.
func (d *database) Signals() <-chan struct{} { return d.signals }

// Ping implements sqlstore.Database.
func (d *database) Ping(ctx context.Context) error {
	if _, err := d.reads.Exec(ctx, `SELECT 1 FROM revision`); err != nil {
		return mapped(ctx, err)
	}
	return nil
}

// Close implements sqlstore.Database.
func (d *database) Close() error {
	d.end()
	<-d.done
	d.reads.Close()
	d.writes.Close()
	return nil
}

// origin ends the payload of this process's notifications.
func (d *database) origin() string { return " by " + d.self }

// listen turns notifications into signals. While it cannot, there is one each second, so that readers look.
func (d *database) listen(ctx context.Context) {
	defer close(d.done)
	pause := backoff.NewExponentialBackOff()
	pause.MaxInterval = longestPause
	remind := time.NewTicker(remindEvery)
	defer remind.Stop()
	go d.remind(ctx, remind.C)
	for {
		err := d.listenOnce(ctx, func() {
			remind.Stop()
			pause.Reset()
		})
		if ctx.Err() != nil {
			return
		}
		remind.Reset(remindEvery)
		wait := pause.NextBackOff()
		d.log.Debug("not listening for other servers' changes: polling each second", "error", err, "again-in", wait)
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

func (d *database) remind(ctx context.Context, due <-chan time.Time) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-due:
			d.signal()
		}
	}
}

func (d *database) signal() {
	select {
	case d.signals <- struct{}{}:
	default:
	}
}

func (d *database) listenOnce(ctx context.Context, listening func()) (err error) {
	conn, err := pgx.ConnectConfig(ctx, d.reads.Config().ConnConfig)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
		return err
	}
	listening()
	own := false
	for {
		// At once, for what came before is not notified of, and after each notification of another process.
		if !own {
			d.signal()
		}
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		own = strings.HasSuffix(n.Payload, d.origin())
	}
}
