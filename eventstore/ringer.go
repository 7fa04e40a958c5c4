package eventstore

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/frame"
	"github.com/hexalith/eventstores-go/eventstore/internal/pause"
)

// A provider with a bell tells other processes when entries stand in its journals, and when the log
// has grown. Whoever hears that looks at once. Nothing depends on it.

// News is what a message of a bell tells.
type News string

const (
	NewsOfJournals News = "written" // entries stand in a journal: news for the indexer
	NewsOfLog      News = "logged"  // the log has grown: news for readers
)

const (
	// ringEvery is the shortest time between two messages of one provider that tell the same.
	ringEvery = 20 * time.Millisecond

	// After an error a provider does not ring for a while, each time twice as long.
	ringAfterError     = 100 * time.Millisecond
	longestAfterErrors = 30 * time.Second
)

// ringer sends the messages of one provider. A goroutine of it runs only while there is something
// to send.
type ringer struct {
	bell  driver.Bell
	about string // the feed, as the messages name it
	self  string // the provider, as the messages name it
	limit time.Duration
	of    func() *streamHandle // of the log; its logger

	// indexing counts the indexers of this provider that work. They need no message to know what
	// this provider has written.
	indexing atomic.Int64

	mu       sync.Mutex
	due      map[News]bool
	running  chan struct{} // closed when the goroutine ends; nil if there is none
	silent   time.Time     // until when nothing is sent
	failures int           // in a row
}

func newRinger(bell driver.Bell, feed string, limit time.Duration, of func() *streamHandle) *ringer {
	return &ringer{bell: bell, about: frame.Escape(feed), self: uuid.NewString(), limit: limit, of: of, due: map[News]bool{}}
}

// ring sends a message soon. It never blocks.
func (r *ringer) ring(what News) {
	if r == nil || what == NewsOfJournals && r.indexing.Load() > 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Now().Before(r.silent) {
		return
	}
	r.due[what] = true
	if r.running == nil {
		r.running = make(chan struct{})
		go r.run(r.running)
	}
}

// run sends what is due, until nothing more is or the bell does not work.
func (r *ringer) run(done chan struct{}) {
	defer close(done)
	for {
		r.mu.Lock()
		due := r.due
		r.due = map[News]bool{}
		if len(due) == 0 {
			r.running = nil
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
		for what := range due {
			if !r.send(what) {
				return
			}
		}
		timer := time.NewTimer(ringEvery)
		<-timer.C
	}
}

// send sends one message. It reports false if the goroutine has to end.
func (r *ringer) send(what News) bool {
	// Nothing waits for the message, so it has no context of a caller.
	ctx, stop := driver.WithTimeout(context.Background(), r.limit)
	defer stop()
	err := r.bell.Ring(ctx, r.about+" "+string(what)+" "+r.self)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		if r.failures > 0 {
			r.of().log.DebugContext(ctx, "the bell of the feed rings again", "count", r.failures)
		}
		r.failures = 0
		return true
	}
	if r.failures == 0 {
		r.of().log.WarnContext(ctx, "the bell of the feed does not ring, so other processes look by themselves", "error", err)
	}
	r.silent = time.Now().Add(min(ringAfterError<<min(r.failures, 10), longestAfterErrors))
	r.failures++
	clear(r.due)
	r.running = nil
	return false
}

// wait waits until nothing is being sent, for as long as one request may take.
func (r *ringer) wait(ctx context.Context) {
	if r == nil {
		return
	}
	r.mu.Lock()
	running := r.running
	r.mu.Unlock()
	if running == nil {
		return
	}
	timer := time.NewTimer(r.limit)
	defer timer.Stop()
	select {
	case <-running:
	case <-timer.C: // others go on ringing
	case <-ctx.Done():
	}
}

// listen calls written or logged when another provider tells of such news, until ctx ends.
func (r *ringer) listen(ctx context.Context, written, logged func()) {
	for failures := 0; ctx.Err() == nil; failures++ {
		began := time.Now()
		err := r.bell.Listen(ctx, func(message string) {
			about, rest, _ := strings.Cut(message, " ")
			what, from, _ := strings.Cut(rest, " ")
			switch {
			case about != r.about || from == r.self:
			case News(what) == NewsOfJournals:
				written()
			case News(what) == NewsOfLog:
				logged()
			}
		})
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > longestAfterErrors {
			failures = 0
		}
		if failures == 0 {
			r.of().log.WarnContext(ctx, "the bell of the feed is not heard, so this process looks by itself", "error", err)
		}
		pause.For(ctx, min(ringAfterError<<min(failures, 10), longestAfterErrors))
	}
}
