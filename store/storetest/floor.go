package storetest

import (
	"context"
	"sync/atomic"
	"testing"

	"isthmus/store/sqlstore"
)

// transcript is what a store asked of its database: its write transactions, in their order.
type transcript struct {
	sqlstore.Database
	// on: only then it is written. The store writes one transaction at a time.
	on           atomic.Bool
	transactions []transaction
}

// transaction is one of them: what it ran, and then what it committed with.
type transaction struct{ ran, committed []sqlstore.Statement }

func (d *transcript) Begin(ctx context.Context) (sqlstore.Tx, error) {
	tx, err := d.Database.Begin(ctx)
	return &transcribed{Tx: tx, to: d}, err
}

type transcribed struct {
	sqlstore.Tx
	to  *transcript
	ran []sqlstore.Statement
}

func (t *transcribed) Run(ctx context.Context, statements ...sqlstore.Statement) error {
	t.ran = append(t.ran, silent(statements)...)
	return t.Tx.Run(ctx, statements...)
}

func (t *transcribed) Commit(ctx context.Context, statements ...sqlstore.Statement) error {
	if t.to.on.Load() {
		t.to.transactions = append(t.to.transactions, transaction{ran: t.ran, committed: silent(statements)})
	}
	return t.Tx.Commit(ctx, statements...)
}

// silent are statements whose answers nobody reads.
func silent(statements []sqlstore.Statement) []sqlstore.Statement {
	out := make([]sqlstore.Statement, len(statements))
	for i, s := range statements {
		out[i] = sqlstore.Statement{SQL: s.SQL, Args: s.Args}
	}
	return out
}

// benchFloor has writers create, and then plays the very same transactions to a fresh database: what it does by itself with
// the statements and the grouping of the store.
func benchFloor(b *testing.B, open func(b *testing.B, through Through) Subject, writers int) {
	b.Helper()
	var heard *transcript
	st := open(b, func(db sqlstore.Database) sqlstore.Database {
		heard = &transcript{Database: db}
		return heard
	})
	heard.on.Store(true)
	createMany(b, st, writers)
	heard.on.Store(false)
	var db sqlstore.Database
	fresh := open(b, func(d sqlstore.Database) sqlstore.Database {
		db = d
		return d
	})
	own, database := processorTimes(b, fresh)
	b.ResetTimer()
	for _, t := range heard.transactions {
		if err := play(b.Context(), db, t); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	report(b, fresh, own, database)
	b.ReportMetric(float64(b.N)/float64(len(heard.transactions)), "writes/group")
}

func play(ctx context.Context, db sqlstore.Database, t transaction) error {
	tx, err := db.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := tx.Run(ctx, t.ran...); err != nil {
		return err
	}
	return tx.Commit(ctx, t.committed...)
}
