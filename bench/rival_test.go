package bench

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hallgren/eventsourcing/core"
	eventsql "github.com/hallgren/eventsourcing/eventstore/sql"
	"github.com/jackc/pgx/v5/pgconn"
)

// rival is a library that a Go user might pick instead: github.com/hallgren/eventsourcing over
// database/sql, without a sidecar.
type rival struct {
	core.EventStore
	fetch func(start core.Version) core.Fetcher // reads all events
}

func startRival(t testing.TB, driverName, source string) *rival {
	t.Helper()
	db := openDB(t, driverName, source)
	if driverName == "pgx" {
		s := must(eventsql.NewPostgres(db))(t)
		return &rival{s, s.All}
	}
	s := must(eventsql.NewSQLiteSingelWriter(db))(t) // as its README advises for concurrent writers
	return &rival{s, s.All}
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
func (r *rival) append(id string, from, n int) error { return r.save(id, from, events(n)...) }

// save encodes and saves events, the first of them at version from.
func (r *rival) save(id string, from int, all ...any) error {
	batch := make([]core.Event, len(all))
	for i := range batch {
		data, err := json.Marshal(all[i])
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
func (r *rival) read(ctx context.Context, id string, each func(deposited)) (n int, err error) {
	all, err := r.Get(ctx, id, aggregate, 0)
	if err != nil {
		return 0, err
	}
	return decodeAll(all, each)
}

// allAfter reads and decodes the events of all streams after a place in the order of the database.
func (r *rival) allAfter(place core.Version, each func(deposited)) (n int, err error) {
	all, err := r.fetch(place + 1)()
	if err != nil {
		return 0, err
	}
	return decodeAll(all, each)
}

// end returns the place of the last event.
func (r *rival) end() (place core.Version, err error) {
	all, err := r.fetch(1)()
	if err != nil {
		return 0, err
	}
	defer all.Close()
	for all.Next() {
		e, err := all.Value()
		if err != nil {
			return 0, err
		}
		place = e.GlobalVersion
	}
	return place, nil
}

func decodeAll(all core.Iterator, each func(deposited)) (n int, err error) {
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
		each(d)
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
	return []side{l.reading("ours", l.events, l.stream(l.many)), {"hallgren", func(ctx context.Context) (time.Duration, int, error) {
		var n int
		took, err := timed(ctx, func() (err error) {
			n, err = r.read(ctx, id, func(deposited) {})
			return err
		})
		return took, n, err
	}, nil}}
}

// update does what the library's repository does: it loads an aggregate from all of its events,
// decides, and saves an event. It starts again if another update was saved first.
func (r *rival) update(ctx context.Context, id string, e any) (version int, err error) {
	for {
		var a account
		if version, err = r.read(ctx, id, a.deposit); err != nil {
			return 0, err
		}
		if a.Deposits != version {
			return 0, fmt.Errorf("the state of version %d has %d events", version, a.Deposits)
		}
		if err = r.save(id, version+1, e); !isConflict(err) {
			return version + 1, err
		}
	}
}

// isConflict reports whether another update was saved first. On PostgreSQL that may also show as a
// violation of the table's unique key.
func isConflict(err error) bool {
	const uniqueViolation = "23505"
	var failed *pgconn.PgError
	return errors.Is(err, core.ErrConcurrency) || errors.As(err, &failed) && failed.Code == uniqueViolation
}

// aggregates returns a supply of the rival's aggregates.
func (r *rival) aggregates(from, until int) *supply {
	return &supply{
		from:  from,
		until: until,
		fill:  func(_ context.Context, id string) error { return r.append(id, 1, from) },
		count: func(ctx context.Context, id string) (int, error) { return r.read(ctx, id, func(deposited) {}) },
	}
}

func rivalCommand(l *lab) []side {
	r := l.rival(l.t)
	return []side{command(l)[0], r.aggregates(middling, grown).updated(l.t, "hallgren", r.update)}
}

func rivalHot16(l *lab) []side {
	r := l.rival(l.t)
	return []side{hot16(l)[0], r.aggregates(middling, middling).updatedBy("hallgren", l.writers, r.update)}
}

// rivalCatchUp compares reading a feed from its beginning with the library's All.
func rivalCatchUp(l *lab) []side {
	r := l.rival(l.t)
	before := must(r.end())(l.t)
	for range l.many / perStream {
		id := newName()
		for from := 1; from < perStream; from += perCommit {
			l.check(r.append(id, from, perCommit))
		}
	}
	p, f := l.followed()
	return []side{p.catchingUp(f), {"hallgren", func(ctx context.Context) (time.Duration, int, error) {
		n := 0
		took, err := timed(ctx, func() (err error) {
			n, err = r.allAfter(before, func(deposited) {})
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
