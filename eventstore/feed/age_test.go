package feed_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

// TestJournalsOfDeadProcessesDoNotHoldUpTheIndexer lets the root name many journals of processes
// that were killed. A bulk read takes time for each key.
func TestJournalsOfDeadProcessesDoNotHoldUpTheIndexer(t *testing.T) {
	inLabOn(t, memstate.Transactional(), func(l *lab) {
		l.stop()
		var root journal.Root
		for i := range 1500 {
			root = append(root, journal.Listed{ID: fmt.Sprintf("dead%06d", i)})
		}
		if err := l.store.Swap(l.Context(), journal.RootPartition, driver.Swap{Key: journal.RootKey, Value: root.Encode("all")}); err != nil {
			l.Fatal(err)
		}
		keys := 0
		l.store.Around = func(_ context.Context, r *memstate.Request, next func() error) error {
			keys += len(r.Keys)
			time.Sleep(time.Millisecond + time.Duration(len(r.Keys))*100*time.Microsecond)
			return next()
		}
		l.index()
		l.add("1", deposited{1})
		time.Sleep(2 * time.Second)
		if got := shown(l.read()); got != "1/1" {
			l.stop()
			l.Fatalf("it read %q", got)
		}
		time.Sleep(3 * time.Minute)
		l.add("1", deposited{2}) // it has been idle, and says that it is back
		time.Sleep(2 * time.Second)
		l.expect("1/1, 1/2")
		keys = 0
		time.Sleep(time.Minute)
		if perSecond := keys / 60; perSecond > 1200 {
			l.Errorf("looking at journals of dead processes takes %d keys a second", perSecond)
		}
	})
}
