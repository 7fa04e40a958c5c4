package eventstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
	"github.com/hexalith/eventstores-go/eventstore/internal/permit"
)

// TestAHeadFromBeforeAnAdoptionSaysNothingOfACommitAfterIt: a stale read shows a head of the same
// version with an earlier ticket. The commit may be in effect all the same.
func TestAHeadFromBeforeAnAdoptionSaysNothingOfACommitAfterIt(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		p := l.feeding()
		l.add(l.session(p), "a")
		l.flushed(p)
		l.add(l.session(l.provider()), "b")
		before := l.heads[len(l.heads)-1]
		if err := p.Inside(permit.Permit{}).Adopt(t.Context(), "test", labStream.String()); err != nil {
			t.Fatal(err)
		}
		s := l.session(p, Shared())
		l.on(commits, 1, func(_ *memstate.Request, next func() error) error {
			err := next()
			l.replay(before, 1)
			if err == nil {
				err = errLost
			}
			return err
		})
		l.add(s, "c")
		l.flushed(p)
		l.holds("a", "b", "c")
		if got := numbers(p); !strings.HasSuffix(got, "free [] undecided [];") {
			t.Errorf("the numbers are %s", got)
		}
	})
}

// TestACommitThatCanBeRetriedKeepsItsNumber: an append of several leaves while their commit is on
// its way, and then the store refuses the commit. The one that left may send it again.
func TestACommitThatCanBeRetriedKeepsItsNumber(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		p := l.feeding()
		s := l.session(p, Shared())
		a := &appending{outcomes: map[string]appended{}, append: func(ctx context.Context, events ...any) (int64, error) {
			return s.Append(ctx, ExpectAny(), events...)
		}}
		ctx, cancel := context.WithCancel(t.Context())
		release := a.onTheWay(t, l, func() {
			a.begin(ctx, "a", noted{"a"})
			a.begin(t.Context(), "b", noted{"b"})
		})
		cancel()
		synctest.Wait()
		unknown := want[*OutcomeUnknownError](t, a.of("a").err)
		l.on(commits, 1, func(*memstate.Request, func() error) error { return driver.ErrRefused })
		release()
		want[*OutcomeUnknownError](t, a.of("b").err)
		other := labStream
		other.ID = "1" // the same stream, so that the lab checks that no number has two commits
		later, err := p.Open(t.Context(), other, Shared())
		if err != nil {
			t.Fatal(err)
		}
		n, err := p.journals.give(t.Context()) // as another append does
		if err != nil {
			t.Fatal(err)
		}
		if _, err := later.Retry(t.Context(), unknown); err != nil {
			t.Fatal(err)
		}
		if n.Slot == unknown.commit.ticket.Slot {
			t.Errorf("the number %s was given to another commit", n.Slot)
		}
		n.unused()
		l.flushed(p)
		l.holds("0", "a", "b")
		if got := numbers(p); !strings.HasSuffix(got, "undecided [];") {
			t.Errorf("the numbers are %s", got)
		}
		found := false
		for _, e := range l.standing() {
			found = found || e.To == 3 && e.From == 2
		}
		if !found {
			t.Error("the commit has no entry")
		}
	})
}

func TestACommitInWhichTheDriverPanicsHasNoEntry(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		p := l.feeding()
		s := l.session(p, Shared())
		l.add(s, "a")
		l.flushed(p)
		l.on(commits, 1, func(*memstate.Request, func() error) error { panic("the driver fails") })
		func() {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			_, _ = s.Append(t.Context(), ExpectVersion(1), noted{"b"})
		}()
		l.flushed(p)
		for _, e := range l.standing() {
			if e.To > 1 {
				t.Errorf("an entry stands for %s", told(e))
			}
		}
		if got := numbers(p); strings.HasSuffix(got, "undecided [];") {
			t.Errorf("the numbers are %s", fmt.Sprint(got))
		}
	})
}

// TestAnAppendThatLeavesBeforeItsCommitIsSentStoresNothing: otherwise it could send the commit
// itself, and the goroutine of the batch would store the events of the others once more.
func TestAnAppendThatLeavesBeforeItsCommitIsSentStoresNothing(t *testing.T) {
	inBoth(t, func(t *testing.T, l *lab, a *appending) {
		ctx, cancel := context.WithCancel(t.Context())
		first := l.gate(commits)
		a.begin(t.Context(), "0", noted{"0"})
		a.begin(ctx, "a", once("id", "a"))
		a.begin(t.Context(), "b", noted{"b"})
		l.on(func(r *memstate.Request) bool { return reads(r) && strings.Contains(r.String(), "id") }, -1, func(_ *memstate.Request, next func() error) error {
			pass(2 * etagTrust)
			return next()
		})
		look := l.gate(func(r *memstate.Request) bool {
			return isClosed(first.open) && r.Op == "get" && r.String() == "get head"
		})
		close(first.open)
		pass(3 * etagTrust)
		synctest.Wait()
		cancel()
		synctest.Wait()
		left := a.of("a").err
		if unknown := (*OutcomeUnknownError)(nil); errors.As(left, &unknown) {
			_, err := l.shared().Retry(t.Context(), unknown)
			t.Logf("retried: %v", err)
		} else if !errors.Is(left, driver.ErrRefused) {
			t.Errorf("a: %v", left)
		}
		close(look.open)
		a.wg.Wait()
		if got := a.of("b"); got.err != nil {
			t.Error(got.err)
		}
		l.holds("0", "b")
	}, carefully...) // elsewhere nothing is read between the plan and the commit
}
