package console

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
)

const (
	maxWatchers = 64                     // pages with live updates
	tellEvery   = 250 * time.Millisecond // at most so often
	readAgain   = 2 * time.Second        // pause before a feed is read again after an error
	beatEvery   = 15 * time.Second       // interval at which an idle connection sends something, so that it is not considered dead
	sendTimeout = 10 * time.Second       // time limit of one write to a viewer
	watchFor    = time.Hour              // time limit of one request; the browser then sends another
)

// live holds what the requests for live updates share.
type live struct {
	mu       sync.Mutex
	watchers int
	servers  map[*http.Server]chan struct{} // closed when the server shuts down
}

// news is what a page is told.
type news int

const (
	began   news = iota // the feed can be read, and tells what happens from now on
	changed             // something has happened
	away                // the feed cannot be read
)

// livePath returns the address of the live updates of a stream, or of all streams.
func (c *console) livePath(stream string) string {
	q := url.Values{}
	if stream != "" {
		q.Set("stream", stream)
	}
	return withQuery(c.prefix+"/live", q)
}

// seen returns what a page about a stream shows, for comparison.
func seen(version int64, state string) string { return fmt.Sprintf("%d %s", version, state) }

// watch sends server-sent events: "at" with what the page should show when the updates begin,
// "changed", and "away" while the feed cannot be read.
func (c *console) watch(w http.ResponseWriter, r *http.Request) {
	now := c.now
	options := []feed.ReadOption{feed.FromNow(), feed.Live(), feed.WithProgress(), feed.AsRaw()}
	if name := r.URL.Query().Get("stream"); name != "" {
		stream, err := eventstore.ParseStream(name)
		if err != nil {
			c.fail(w, r, errBadStream)
			return
		}
		options = append(options, feed.OfStream(stream))
		now = func(ctx context.Context) (string, error) { return c.nowOf(ctx, stream) }
	}
	if !c.live.enter() {
		w.Header().Set("Retry-After", "5")
		c.fail(w, r, errTooMany)
		return
	}
	defer c.live.leave()
	ctx, stop := context.WithTimeout(r.Context(), watchFor)
	defer stop()
	told := make(chan news, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.follow(ctx, options, told)
	}()
	defer func() { stop(); <-done }()

	beat := time.NewTicker(beatEvery)
	defer beat.Stop()
	ending := c.live.ending(r)
	sender := http.NewResponseController(w)
	_ = sender.SetReadDeadline(time.Time{})                                     // requests may have a deadline; not every writer supports one
	defer func() { _ = sender.SetWriteDeadline(time.Now().Add(sendTimeout)) }() // for the end of the answer
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // for proxies that buffer answers
	if r.Method == http.MethodHead {
		return
	}
	for text := "retry: 2000\n\n"; ; {
		_ = sender.SetWriteDeadline(time.Now().Add(sendTimeout)) // replaces the deadline for answers that end
		if _, err := w.Write([]byte(text)); err != nil {
			return
		}
		if err := sender.Flush(); err != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-ending:
			return
		case <-beat.C:
			text = ": still here\n\n"
		case n := <-told:
			text = c.textOf(ctx, n, now)
			pause(ctx, tellEvery)
		}
	}
}

// textOf returns the event that tells news.
func (c *console) textOf(ctx context.Context, n news, now func(context.Context) (string, error)) string {
	switch n {
	case changed:
		return "event: changed\ndata:\n\n"
	case began:
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		if at, err := now(ctx); err == nil {
			return "event: at\ndata: " + at + "\n\n"
		}
	}
	return "event: away\ndata:\n\n"
}

// now returns what the page about all streams shows.
func (c *console) now(ctx context.Context) (string, error) {
	end, err := c.feed.End(ctx)
	return seenAt(end), err
}

// seenAt returns what the page about all streams shows when the feed has this end.
func seenAt(end feed.Position) string { return strconv.FormatInt(int64(end), 10) }

// nowOf returns what the page about a stream shows.
func (c *console) nowOf(ctx context.Context, stream eventstore.Stream) (string, error) {
	var v streamView
	err := c.describe(ctx, c.feed.Provider().Reader(stream), &v)
	return seen(v.Version, v.State), err
}

// follow tells what happens in the feed until ctx ends. Only the latest news counts: after each,
// the page looks for itself.
func (c *console) follow(ctx context.Context, options []feed.ReadOption, told chan news) {
	tell := func(n news) {
		select {
		case <-told: // drops news that was not received
		default:
		}
		told <- n
	}
	for ctx.Err() == nil {
		fresh := true
		for item, err := range c.feed.Read(ctx, options...) {
			if err != nil {
				break
			}
			if fresh {
				tell(began)
				fresh = false
			}
			if item.What != feed.Progress {
				tell(changed)
			}
		}
		if ctx.Err() == nil {
			tell(away)
			pause(ctx, readAgain)
		}
	}
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

func (l *live) enter() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.watchers >= maxWatchers {
		return false
	}
	l.watchers++
	return true
}

func (l *live) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watchers--
}

// ending returns a channel that is closed when the request's server shuts down. The shutdown waits
// for requests, so live updates must end.
func (l *live) ending(r *http.Request) <-chan struct{} {
	server, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	if !ok {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.servers == nil {
		l.servers = map[*http.Server]chan struct{}{}
	}
	ending, known := l.servers[server]
	if !known {
		ending = make(chan struct{})
		l.servers[server] = ending
		server.RegisterOnShutdown(sync.OnceFunc(func() { close(ending) }))
	}
	return ending
}
