// Package sqlmodel is an example: a read model in SQL. Beside its tables it keeps the version of
// each stream, and changes both in one transaction. So each event is applied once, whatever dies.
package sqlmodel

import (
	"context"
	"database/sql"

	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
)

// Once returns a handler that calls apply for each item in a transaction, and takes effect once for
// each. It needs the table of [Setup]. The statements are understood by SQLite and PostgreSQL.
func Once(db *sql.DB, apply func(ctx context.Context, tx *sql.Tx, item feed.Item) error) subscription.Handler {
	return func(ctx context.Context, item feed.Item) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		// A stream that is closed or deleted has the version of its last event.
		place := 4*item.Version + int64(item.What)
		result, err := tx.ExecContext(ctx, `INSERT INTO seen (stream, place) VALUES ($1, $2)
			ON CONFLICT (stream) DO UPDATE SET place = $2 WHERE seen.place < $2`, item.Stream.String(), place)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 { // 0: it was applied before
			return err
		}
		if err := apply(ctx, tx, item); err != nil {
			return err
		}
		return tx.Commit()
	}
}

// Setup makes the tables, unless they exist.
func Setup(ctx context.Context, db *sql.DB) error {
	_, err := db.ExecContext(ctx, `
		CREATE TABLE IF NOT EXISTS seen (stream VARCHAR(700) PRIMARY KEY, place BIGINT NOT NULL);
		CREATE TABLE IF NOT EXISTS balances (account VARCHAR(200) PRIMARY KEY, amount BIGINT NOT NULL)`)
	return err
}

// Deposited is an event of an account.
type Deposited struct{ Amount int64 }

// Balances keeps the balance of each account.
func Balances(ctx context.Context, tx *sql.Tx, item feed.Item) error {
	if item.What == feed.Deleted {
		_, err := tx.ExecContext(ctx, `DELETE FROM balances WHERE account = $1`, item.Stream.ID)
		return err
	}
	deposited, ok := item.Event.Data.(Deposited)
	if !ok {
		return nil
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO balances (account, amount) VALUES ($1, $2)
		ON CONFLICT (account) DO UPDATE SET amount = balances.amount + $2`, item.Stream.ID, deposited.Amount)
	return err
}
