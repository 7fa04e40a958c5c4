package feed_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/bell"
)

// ringing returns a process whose provider has a bell.
func ringing(l *lab, shared *bell.Shared) (*eventstore.Provider, *feed.Feed) {
	l.Helper()
	return open(l.T, l.store, eventstore.WithBell(shared))
}

func TestABellTellsOtherProcessesOfNewsAtOnce(t *testing.T) {
	inLab(t, func(l *lab) {
		l.stop()
		var shared bell.Shared
		writer, _ := ringing(l, &shared)
		_, indexer := ringing(l, &shared)
		_, reader := ringing(l, &shared)
		l.f = indexer
		l.index()
		came, end := l.follow(reader)
		add := func() {
			l.Helper()
			if _, err := writer.Append(l.Context(), writer.Stream("account", "a"), eventstore.ExpectAny(), deposited{1}); err != nil {
				l.Fatal(err)
			}
		}
		add()
		pass(time.Minute)
		came()
		for i := range 20 { // at moments that have nothing to do with the poll
			pass(3*time.Second + time.Duration(i)*137*time.Millisecond)
			add()
			pass(15 * time.Millisecond) // entries wait for others for 10 ms
			if got := came(); got == "" {
				l.Errorf("commit %d did not come at once", i)
			}
		}
		before := shared.Rings()
		pass(time.Hour)
		if n := shared.Rings() - before; n != 0 {
			l.Errorf("%d messages were sent in an hour without a commit", n)
		}
		if n := shared.Listeners(); n != 2 {
			l.Errorf("%d processes listen", n)
		}
		if err := end(); !errors.Is(err, context.Canceled) {
			l.Error(err)
		}
		l.stop()
		synctest.Wait()
		if n := shared.Listeners(); n != 0 {
			l.Errorf("%d processes listen although nothing waits for news", n)
		}
	})
}

func TestWithoutItsBellAProcessLooksByItself(t *testing.T) {
	inLab(t, func(l *lab) {
		l.stop()
		shared := bell.Shared{Fails: func() error { return errors.New("out of order") }}
		writer, _ := ringing(l, &shared)
		_, l.f = ringing(l, &shared)
		l.index()
		came, end := l.follow(l.f)
		for range 20 {
			pass(3 * time.Second)
			if _, err := writer.Append(l.Context(), writer.Stream("account", "a"), eventstore.ExpectAny(), deposited{1}); err != nil {
				l.Fatal(err)
			}
			pass(1100 * time.Millisecond)
			if came() == "" {
				l.Error("the commit did not come within the time of a poll")
			}
		}
		if err := end(); !errors.Is(err, context.Canceled) {
			l.Error(err)
		}
	})
}
