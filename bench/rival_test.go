package bench

import (
	"context"
	"database/sql"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hallgren/eventsourcing/core"
	eventsql "github.com/hallgren/eventsourcing/eventstore/sql"
)

// rival is a library that a Go user might pick instead: github.com/hallgren/eventsourcing over
// database/sql, without a sidecar.
type rival struct{ core.EventStore }

func startRival(t testing.TB, driverName, source string) *rival {
	t.Helper()
	db := openDB(t, driverName, source)
	if driverName == "pgx" {
		return &rival{must(eventsql.NewPostgres(db))(t)}
	}
	return &rival{must(eventsql.NewSQLite(db))(t)}
}

func hasRival(s *store) bool { return s.rival != nil }

// rivalLimit returns the limit on one store. On other stores the comparison is for information.
func rivalLimit(name string, to limit) func(*store) limit {
	return func(s *store) limit {
		if s.name != name {
			return limit{}
		}
		return to
	}
}

// append encodes and saves n events, the first of them at version from.
func (r *rival) append(id string, from, n int) error {
	batch := make([]core.Event, n)
	for i := range batch {
		data, err := json.Marshal(event())
		if err != nil {
			return err
		}
		messageID, err := uuid.NewV7()
		if err != nil {
			return err
		}
		metadata, err := json.Marshal(map[string]any{"id": messageID.String()})
		if err != nil {
			return err
		}
		batch[i] = core.Event{AggregateID: id, AggregateType: aggregate, Version: core.Version(from + i), Timestamp: time.Now().UTC(),
			Reason: "deposited", Data: data, Metadata: metadata}
	}
	return r.Save(batch)
}

// read loads and decodes all events of a stream.
func (r *rival) read(ctx context.Context, id string) (n int, err error) {
	all, err := r.Get(ctx, id, aggregate, 0)
	if err != nil {
		return 0, err
	}
	defer all.Close()
	for all.Next() {
		e, err := all.Value()
		if err != nil {
			return n, err
		}
		var d deposited
		if err := json.Unmarshal(e.Data, &d); err != nil {
			return n, err
		}
		var metadata map[string]any
		if err := json.Unmarshal(e.Metadata, &metadata); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// rivalAppend compares the event store's side of another comparison with the rival. n returns how
// many events the rival appends at once.
func rivalAppend(sides func(*lab) []side, n func(sizes) int) func(*lab) []side {
	return func(l *lab) []side {
		r, id, version := l.rival(l.t), newName(), 0
		save := func(n int) error {
			if err := r.append(id, version+1, n); err != nil {
				return err
			}
			version += n
			return nil
		}
		l.check(save(short))
		return []side{sides(l)[0], {"hallgren", func(ctx context.Context) (time.Duration, int, error) {
			took, err := timed(ctx, func() error { return save(n(l.sizes)) })
			return took, n(l.sizes), err
		}, nil}}
	}
}

func one(sizes) int     { return 1 }
func batch(z sizes) int { return z.batch }

func rivalRead(l *lab) []side {
	r, id := l.rival(l.t), newName()
	for version := 1; version <= l.many; version += l.batch {
		l.check(r.append(id, version, l.batch))
	}
	return []side{l.reading(l.stream(l.many)), {"hallgren", func(ctx context.Context) (time.Duration, int, error) {
		var n int
		took, err := timed(ctx, func() (err error) {
			n, err = r.read(ctx, id)
			return err
		})
		return took, n, err
	}, nil}}
}

// askVersion asks a database for its version.
func askVersion(t testing.TB, db *sql.DB, query string) (version string) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), query).Scan(&version); err != nil {
		t.Fatal(err)
	}
	return version
}
