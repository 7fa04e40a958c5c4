package bench

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	wmill "github.com/ThreeDotsLabs/watermill"
	millsql "github.com/ThreeDotsLabs/watermill-sql/v4/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"
)

// watermill is what a Go user might pick instead of a feed: a table of events, and watermill-sql as
// an outbox. The message is written in the transaction of its event.
type watermill struct {
	db     *sql.DB
	topic  string
	schema millsql.DefaultPostgreSQLSchema
}

// millPoll replaces the second that a subscriber waits by default when there is nothing to do. It
// is the shortest time that a feed waits.
const millPoll = 20 * time.Millisecond

// startWatermill makes a table of events and a topic.
func startWatermill(t testing.TB, source string) *watermill {
	t.Helper()
	w := &watermill{db: openDB(t, "pgx", source), topic: "t" + strings.ReplaceAll(uuid.NewString(), "-", "")}
	must(w.db.ExecContext(t.Context(), `CREATE TABLE `+w.table()+` (stream VARCHAR(36), version BIGINT, type TEXT, data JSON, PRIMARY KEY (stream, version))`))(t)
	s := must(w.subscriber("nobody"))(t)
	if err := s.SubscribeInitialize(w.topic); err != nil {
		t.Fatal(err)
	}
	return w
}

func hasWatermill(s *store) bool { return s.watermill != nil }

func (w *watermill) table() string { return `"events_` + w.topic + `"` }

// append stores events and their messages in one transaction.
func (w *watermill) append(ctx context.Context, id string, from int, all ...any) error {
	tx, err := w.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	messages := make([]*message.Message, len(all))
	for i, e := range all {
		data, err := json.Marshal(e)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO `+w.table()+` (stream, version, type, data) VALUES ($1, $2, $3, $4)`, id, from+i, "deposited", data); err != nil {
			return err
		}
		messages[i] = message.NewMessage(uuid.NewString(), data)
		messages[i].Metadata.Set("event", eventName(id, int64(from+i)))
	}
	p, err := millsql.NewPublisher(millsql.TxFromStdSQL(tx), millsql.PublisherConfig{SchemaAdapter: w.schema}, wmill.NopLogger{})
	if err != nil {
		return err
	}
	if err := p.Publish(w.topic, messages...); err != nil {
		return err
	}
	return tx.Commit()
}

func (w *watermill) subscriber(group string) (*millsql.Subscriber, error) {
	return millsql.NewSubscriber(millsql.BeginnerFromStdSQL(w.db), millsql.SubscriberConfig{
		ConsumerGroup: group, PollInterval: millPoll, SchemaAdapter: w.schema, OffsetsAdapter: millsql.DefaultPostgreSQLOffsetsAdapter{},
	}, wmill.NopLogger{})
}

// receive calls handle for each message that a new consumer group gets, in order, until it returns
// false.
func (w *watermill) receive(ctx context.Context, handle func(event string) bool) error {
	s, err := w.subscriber(uuid.NewString())
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	messages, err := s.Subscribe(ctx, w.topic)
	if err != nil {
		return err
	}
	for m := range messages {
		var d deposited
		if err := json.Unmarshal(m.Payload, &d); err != nil {
			return err
		}
		more := handle(m.Metadata.Get("event"))
		m.Ack()
		if !more {
			return nil
		}
	}
	return ctx.Err()
}

// line starts a subscriber, and waits until it works.
func (w *watermill) line(ctx context.Context, t testing.TB) *line {
	t.Helper()
	d := newDelivered()
	receiving, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() {
		done <- w.receive(receiving, func(event string) bool { d.tell(delivery{event, time.Now()}); return true })
	}()
	t.Cleanup(func() { cancel(); <-done })
	ids, versions := make([]string, appenders), make([]int, appenders)
	for i := range ids {
		ids[i] = newName()
	}
	made := &line{mill, d, func(caller int) error {
		versions[caller]++
		err := w.append(ctx, ids[caller], versions[caller], event())
		d.commit(eventName(ids[caller], int64(versions[caller])))
		return err
	}}
	for i := range ids {
		if err := made.append(i); err != nil {
			t.Fatal(err)
		}
	}
	must(d.wait(ctx))(t)
	return made
}

// millAppend compares an append to a stream in a feed with an insert and its message.
func millAppend(l *lab) []side {
	w, id, version := l.watermill(l.t), newName(), 0
	ours := l.part(true)
	return []side{appendLoop(ours)[0], {mill, func(ctx context.Context) (time.Duration, int, error) {
		version++
		e := event()
		took, err := timed(ctx, func() error { return w.append(ctx, id, version, e) })
		return took, 1, err
	}, nil}}
}

// millCatchUp compares reading a feed from its beginning with a new consumer group.
func millCatchUp(l *lab) []side {
	w := l.watermill(l.t)
	ctx := l.t.Context()
	l.check(eachAtOnce(l.many/perStream, func(int) error {
		id := newName()
		for from := 1; from < perStream; from += perCommit {
			if err := w.append(ctx, id, from, events(perCommit)...); err != nil {
				return err
			}
		}
		return nil
	}))
	p, f := l.followed()
	return []side{p.catchingUp(f), {mill, func(ctx context.Context) (time.Duration, int, error) {
		n := 0
		took, err := timed(ctx, func() error {
			return w.receive(ctx, func(string) bool { n++; return n < l.many })
		})
		if err == nil && n != l.many {
			err = fmt.Errorf("%d messages arrived, want %d", n, l.many)
		}
		return took, n, err
	}, nil}}
}
