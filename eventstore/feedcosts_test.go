package eventstore

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

// TestAFeedCostsAFewRequestsAMinute holds what WithFeed says about a process that goes on.
func TestAFeedCostsAFewRequestsAMinute(t *testing.T) {
	for name, c := range map[string]struct {
		every time.Duration
		most  int // in ten minutes
	}{
		"busy":                         {10 * time.Second, 10 * 2},
		"an append after a long pause": {2 * time.Minute, 5 * 3},
		"one append":                   {10 * time.Minute, 3},
	} {
		t.Run(name, func(t *testing.T) {
			inLabs(t, func(t *testing.T, l *lab) {
				p := l.feeding()
				l.add(l.session(p, Shared()), "first")
				l.flushed(p)
				l.index()
				asked := 0
				l.on(func(r *memstate.Request) bool {
					return r.Partition == journal.RootPartition || strings.HasPrefix(r.Partition, ":journal:") && r.Op != "write"
				}, -1, func(_ *memstate.Request, next func() error) error { asked++; return next() })
				for since := time.Duration(0); since < 10*time.Minute; since += c.every {
					<-time.After(c.every)
					l.add(l.session(p, Shared()), "x")
					l.flushed(p)
					l.index()
				}
				if asked > c.most || asked < c.most*3/4 {
					t.Errorf("it took %d requests in ten minutes, want about %d", asked, c.most)
				}
			})
		})
	}
}

// TestClosingAProviderTakesFewRequests holds what Provider.Close says.
func TestClosingAProviderTakesFewRequests(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		p := l.feeding()
		takes := func(what string, want int) {
			t.Helper()
			l.Trace()
			if err := p.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			if trace := l.Trace(); len(trace) != want {
				t.Errorf("%s: it took %q, want %d requests", what, trace, want)
			}
		}
		takes("nothing was appended", 0)
		s := l.session(p, Shared())
		l.add(s, "a")
		l.flushed(p)
		takes("everything is told", 1)
		takes("it is closed", 0)
		l.add(s, "b")
		synctest.Wait() // it is written at once, and the next one soon
		l.add(s, "c")
		send := 1
		if l.carriesEntries() {
			send = 0
		}
		takes("something is to be sent", 1+send)
		for range 3 {
			l.unknown(l.session(p, Shared()), "x")
		}
		takes("three outcomes are unknown, so there is no end", 3)
	})
}
