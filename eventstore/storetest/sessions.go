package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
)

// testOneSessionAtATime opens a stream that another session holds, with and without waiting.
func testOneSessionAtATime(t *testing.T, target Target) {
	p := target.provider(t)
	id := unique()
	s := open(t, p, id)
	_, err := target.provider(t, withTimeouts(0, time.Minute)).Open(contextOf(t), eventstore.Stream{Database: "EventStores", Type: "account", ID: id})
	if e := want[*eventstore.OpenTimeoutError](t, err); e.Stream != s.Stream() {
		t.Errorf("%+v", e)
	}
	_, err = target.provider(t, withTimeouts(300*time.Millisecond, time.Minute)).Open(contextOf(t), eventstore.Stream{Database: "EventStores", Type: "account", ID: id})
	if e := want[*eventstore.OpenTimeoutError](t, err); e.Waited < 300*time.Millisecond {
		t.Errorf("waited %s, want at least 300ms", e.Waited)
	}
	second := make(chan error, 1)
	go func() {
		s, err := p.Open(context.WithoutCancel(contextOf(t)), p.Stream("account", id))
		if err == nil {
			err = s.Close()
		}
		second <- err
	}()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-second; err != nil {
		t.Errorf("the session that waited: %v", err)
	}
}

// testSessionEndsByItself abandons a session and expects the next one to open soon after its time.
func testSessionEndsByItself(t *testing.T, target Target) {
	id := unique()
	died := open(t, target.provider(t, withTimeouts(0, time.Second)), id)
	appendOne(t, died, opened{})
	s, err := target.provider(t, withTimeouts(6*time.Second, time.Minute)).Open(contextOf(t), eventstore.Stream{Database: "EventStores", Type: "account", ID: id})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, err = died.Append(contextOf(t), eventstore.ExpectAny(), deposited{})
	if e := want[*eventstore.SessionExpiredError](t, err); e.Session != died.ID() || !e.ExpiredAt.Equal(died.ExpiresAt()) {
		t.Errorf("%+v", e)
	}
	for _, err := range died.Read(contextOf(t)) {
		want[*eventstore.SessionExpiredError](t, err)
	}
	want[*eventstore.SessionExpiredError](t, died.Close())
	appendOne(t, s, deposited{})
	wantVersions(t, collect(t, s.Read(contextOf(t))), upTo(2))
}

// testWaysToOpen names one stream in every possible way, and checks that databases are separate.
func testWaysToOpen(t *testing.T, target Target) {
	p := target.provider(t)
	id := unique()
	s, err := p.Open(contextOf(t), eventstore.Stream{Database: "tenant", Type: "account", ID: id})
	if err != nil {
		t.Fatal(err)
	}
	appendOne(t, s, opened{"tenant"})
	s.Close()
	var m eventstore.Metadata
	m.Message.AggregateType, m.Message.AggregateID, m.Context.PartitionID = "account", id, "tenant"
	if s, err = p.Open(contextOf(t), p.StreamOf(m)); err != nil {
		t.Fatal(err)
	}
	wantVersions(t, collect(t, s.Read(contextOf(t))), upTo(1))
	s.Close()
	s = open(t, p, id)
	if want := (eventstore.Stream{Database: "EventStores", Type: "account", ID: id}); s.Stream() != want {
		t.Errorf("Open opened %v, want %v", s.Stream(), want)
	}
	wantVersions(t, collect(t, s.Read(contextOf(t))), []int64{})
	r := p.Reader(eventstore.Stream{Database: "tenant", Type: "account", ID: id})
	wantVersions(t, collect(t, r.Read(contextOf(t))), upTo(1))
}

// testNotOpen uses sessions that were never opened or are closed.
func testNotOpen(t *testing.T, target Target) {
	var never eventstore.Session
	_, err := never.Append(contextOf(t), eventstore.ExpectAny(), opened{})
	want[*eventstore.NotOpenError](t, err)
	want[*eventstore.NotOpenError](t, never.Close())
	s := open(t, target.provider(t), unique())
	s.Close()
	_, err = s.Append(contextOf(t), eventstore.ExpectAny(), opened{})
	if e := want[*eventstore.NotOpenError](t, err); e.Stream != s.Stream() || e.Session != s.ID() {
		t.Errorf("%+v", e)
	}
	for _, err := range s.Read(contextOf(t)) {
		want[*eventstore.NotOpenError](t, err)
	}
	_, err = s.Version(contextOf(t))
	want[*eventstore.NotOpenError](t, err)
	want[*eventstore.NotOpenError](t, s.SaveSnapshot(contextOf(t), 1, account{}))
}

// testExpired uses a session after it has expired.
func testExpired(t *testing.T, target Target) {
	id := unique()
	s := open(t, target.provider(t, withTimeouts(0, 50*time.Millisecond)), id)
	<-time.After(time.Until(s.ExpiresAt()))
	_, err := s.Append(contextOf(t), eventstore.ExpectAny(), opened{})
	if e := want[*eventstore.SessionExpiredError](t, err); e.Stream != s.Stream() || e.Session != s.ID() || !e.ExpiredAt.Equal(s.ExpiresAt()) {
		t.Errorf("%+v", e)
	}
	_, err = s.Version(contextOf(t))
	want[*eventstore.SessionExpiredError](t, err)
	want[*eventstore.SessionExpiredError](t, s.Close())
	wantVersions(t, collect(t, reader(t, target.provider(t), id).Read(contextOf(t))), []int64{})
}

// testSessionLost lets another session overtake one, and expects the first to notice.
func testSessionLost(t *testing.T, target Target) {
	p := Target{State: target.State, Locker: noLock{}}.provider(t)
	id := unique()
	a, b := open(t, p, id), open(t, p, id)
	appendOne(t, a, opened{})
	_, err := b.Append(contextOf(t), eventstore.ExpectVersion(0), opened{})
	want[*eventstore.VersionMismatchError](t, err)
	_, err = b.Append(contextOf(t), eventstore.ExpectAny(), opened{})
	if e := want[*eventstore.SessionLostError](t, err); e.Stream != b.Stream() || e.Session != b.ID() {
		t.Errorf("%+v", e)
	}
	want[*eventstore.SessionLostError](t, b.Close())
	appendOne(t, a, deposited{})
}

// testOpenTimeout waits for a stream that stays held, until a timeout and until a deadline.
func testOpenTimeout(t *testing.T, target Target) {
	id := unique()
	s := open(t, target.provider(t), id)
	_, err := target.provider(t, withTimeouts(20*time.Millisecond, time.Minute)).Open(contextOf(t), eventstore.Stream{Database: "EventStores", Type: "account", ID: id})
	if e := want[*eventstore.OpenTimeoutError](t, err); e.Stream != s.Stream() || e.Waited < 20*time.Millisecond || e.Cause != nil {
		t.Errorf("%+v", e)
	}
	ctx, cancel := context.WithTimeout(contextOf(t), 200*time.Millisecond)
	defer cancel()
	_, err = target.provider(t, withTimeouts(time.Minute, time.Minute)).Open(ctx, eventstore.Stream{Database: "EventStores", Type: "account", ID: id})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with a deadline: %v", err)
	}
	appendOne(t, s, opened{}) // the holder has not lost the stream
}
