package feed_test

import (
	"context"
	"fmt"
	"regexp"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

// TestWhatAnEntryCosts holds how many bytes of keys and values the store keeps for ever for each
// commit and for each stream.
func TestWhatAnEntryCosts(t *testing.T) {
	const commits = 1000
	for name, c := range map[string]struct {
		every       time.Duration // between commits
		batch, page int           // at most so many bytes for each commit
	}{
		"busy": {0, 90, 90}, "one commit a second": {time.Second, 450, 90},
	} {
		t.Run(name, func(t *testing.T) {
			inLabOn(t, memstate.Transactional(), func(l *lab) {
				l.stop()
				if c.every > 0 {
					l.index()
				}
				for i := range commits {
					l.add(fmt.Sprintf("%09d", i%100), deposited{i})
					if c.every > 0 {
						pass(c.every)
					}
				}
				l.stop()
				l.index()
				l.settle()
				bytes := map[string]int{}
				kind := regexp.MustCompile(`^\{:feed:all\}:([a-z]*)`)
				for key, value := range l.store.Values() {
					if found := kind.FindStringSubmatch(key); found != nil {
						bytes[found[1]] += len(key) + len(value)
					}
				}
				l.Logf("%d bytes of batches and %d of pages for each commit; %d of names for each stream", bytes[""]/commits, bytes["page"]/commits, (bytes["names"]+bytes["name"])/100)
				if n := bytes[""] / commits; n > c.batch || n == 0 {
					l.Errorf("batches have %d bytes for each commit", n)
				}
				if n := bytes["page"] / commits; n > c.page || n == 0 {
					l.Errorf("pages have %d bytes for each commit", n)
				}
				if n := (bytes["names"] + bytes["name"]) / 100; n > 220 || n == 0 {
					l.Errorf("the catalogue has %d bytes for each stream", n)
				}
			})
		})
	}
}

// TestWhatIsIdleAsksOnceASecond holds how many requests an indexer sends while nothing happens.
func TestWhatIsIdleAsksOnceASecond(t *testing.T) {
	inLab(t, func(l *lab) {
		l.stop()
		var rounds atomic.Int64
		l.store.Intervene(func(_ context.Context, r *memstate.Request, next func() error) error {
			if r.Op == "get" && r.Has("{:feed}:journals") {
				rounds.Add(1)
			}
			return next()
		})
		l.index()
		l.add("a", deposited{1})
		pass(time.Minute)
		before := rounds.Load()
		pass(time.Minute)
		if n := rounds.Load() - before; n < 55 || n > 75 {
			l.Errorf("an idle indexer looked %d times in a minute", n)
		}
	})
}
