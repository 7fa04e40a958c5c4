package eventstore

import (
	"context"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
)

// flushDelay is how long lies between two writes of entries at least, so that many of them take one
// request. An entry is written at once if none were for that long, or if half a window of them
// waits.
const flushDelay = 10 * time.Millisecond

// flusher is the state of the goroutine that writes entries after their commits. It runs only while
// there are entries to write.
type flusher struct {
	running bool
	kick    chan struct{} // holds a token if there are many entries
	wrote   time.Time     // when it began to write last; belongs to the goroutine
}

// flushSoon sees to it that the entries are written soon. The caller holds j.mu.
func (j *journals) flushSoon() {
	if j.waiting() >= journal.Window/2 {
		select {
		case j.flusher.kick <- struct{}{}:
		default:
		}
	}
	if !j.flusher.running {
		j.flusher.running = true
		go j.keepFlushing()
	}
}

// keepFlushing writes entries until all stand. If the store takes none for a while, it stops, and
// the next commit starts it again.
func (j *journals) keepFlushing() {
	// Nothing waits for these requests, so they have no context of a caller. Each has a time limit.
	ctx := context.Background()
	failures := 0
	for {
		wait := time.Until(j.flusher.wrote.Add(flushDelay))
		if failures > 0 {
			wait = flushDelay << min(failures, 9)
		}
		timer := time.NewTimer(wait)
		if failures > 0 {
			<-timer.C
		} else {
			select {
			case <-j.flusher.kick:
				timer.Stop()
			case <-timer.C:
				select { // what it writes now answers this token too
				case <-j.flusher.kick:
				default:
				}
			}
		}
		j.flusher.wrote = time.Now()
		err := j.flush(ctx)
		if err != nil {
			failures++
		} else {
			failures = 0
		}
		j.mu.Lock()
		waiting := j.waiting()
		if waiting == 0 || failures > flushTries {
			j.flusher.running = false
			j.mu.Unlock()
			if failures > flushTries {
				j.logHandle().log.WarnContext(ctx, "entries of the feed wait until the next append", "count", waiting, "error", err)
			}
			return
		}
		j.mu.Unlock()
	}
}

// flushTries is how many failures in a row end the goroutine, after about 10 s.
const flushTries = 9
