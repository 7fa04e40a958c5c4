package page

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/hexalith/eventstores-go/cmd/demo/bank"
	"github.com/hexalith/eventstores-go/eventstore"
)

const (
	pollEvery   = time.Second      // how often the store is asked for the version of an account that someone watches
	pollTimeout = 5 * time.Second  // how long it may take to answer
	beatEvery   = 15 * time.Second // how often something is sent, so that a connection is not taken for dead
)

// news is what a poll has found out.
type news struct {
	version int64
	err     error // that of the store, instead
}

func (n news) equal(o news) bool {
	return n.version == o.version && (n.err == nil) == (o.err == nil)
}

// live tells those who watch an account when its version has changed. One poller asks for all who watch the same; it
// begins with the first and ends with the last.
type live struct {
	version func(ctx context.Context, number string) (int64, error)

	mu      sync.Mutex
	polls   map[string]*poll
	servers map[*http.Server]chan struct{} // each closed when that server is shut down
}

// poll is the polling of one account.
type poll struct {
	stop     context.CancelFunc
	watchers map[chan news]bool
	latest   *news // nil: the first answer is not there yet
}

func newLive(version func(context.Context, string) (int64, error)) *live {
	return &live{
		version: func(ctx context.Context, number string) (int64, error) {
			version, err := version(ctx, number)
			if err == nil && version == 0 {
				err = bank.ErrNoAccount
			}
			return version, err
		},
		polls:   map[string]*poll{},
		servers: map[*http.Server]chan struct{}{},
	}
}

// watch returns a channel on which news of an account come, those that there are already at once. Who does not keep up gets
// only the latest. Call leave in the end.
func (l *live) watch(number string) (watcher chan news, leave func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	watcher = make(chan news, 1)
	at := l.polls[number]
	if at == nil {
		ctx, stop := context.WithCancel(context.Background())
		at = &poll{stop: stop, watchers: map[chan news]bool{}}
		l.polls[number] = at
		go l.run(ctx, number, at)
	}
	at.watchers[watcher] = true
	if at.latest != nil {
		watcher <- *at.latest
	}
	return watcher, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(at.watchers, watcher)
		if len(at.watchers) == 0 && l.polls[number] == at {
			at.stop()
			delete(l.polls, number)
		}
	}
}

func (l *live) run(ctx context.Context, number string, at *poll) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		l.ask(ctx, number, at)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// ask asks once, and tells all who watch what is new.
func (l *live) ask(ctx context.Context, number string, at *poll) {
	asking, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	version, err := l.version(asking, number)
	l.mu.Lock()
	defer l.mu.Unlock()
	n := news{version: version, err: err}
	if ctx.Err() != nil || at.latest != nil && n.equal(*at.latest) {
		return
	}
	at.latest = &n
	for watcher := range at.watchers {
		select {
		case <-watcher: // what was not taken yet is old
		default:
		}
		watcher <- n
	}
}

// ending is closed when the server of a request is shut down, which waits for requests: one that watches must not hold it up.
func (l *live) ending(r *http.Request) <-chan struct{} {
	server, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	if !ok {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	ending, known := l.servers[server]
	if !known {
		ending = make(chan struct{})
		l.servers[server] = ending
		server.RegisterOnShutdown(sync.OnceFunc(func() { close(ending) }))
	}
	return ending
}

// watch sends server-sent events: "version" with the version of an account, "away" while the store does not
// answer, "gone" when the account can't be read any more.
func (p *page) watch(w http.ResponseWriter, r *http.Request) {
	watcher, leave := p.live.watch(r.PathValue("number"))
	defer leave()
	beat := time.NewTicker(beatEvery)
	defer beat.Stop()
	ending := p.live.ending(r)
	sender := http.NewResponseController(w)
	_ = sender.SetWriteDeadline(time.Time{}) // there may be one for answers that end; not every writer has one

	begun := false
	for {
		text := ": still here\n\n"
		gone := false
		select {
		case <-r.Context().Done():
			return
		case <-ending:
			return
		case <-beat.C:
		case n := <-watcher:
			gone = n.err != nil && final(n.err)
			switch {
			case gone && !begun:
				p.fail(w, r, n.err)
				return
			case gone:
				text = "event: gone\ndata: \n\n"
			case n.err != nil:
				text = "event: away\ndata: \n\n"
			default:
				text = fmt.Sprintf("event: version\ndata: %d\n\n", n.version)
			}
		}
		if !begun {
			begun = true
			w.Header().Set("Content-Type", "text/event-stream")
			w.Header().Set("X-Accel-Buffering", "no") // proxies that collect answers
			text = "retry: 2000\n" + text
		}
		if _, err := w.Write([]byte(text)); err != nil {
			return
		}
		if err := sender.Flush(); err != nil || gone {
			return
		}
	}
}

// final reports whether asking again would bring nothing else.
func final(err error) bool {
	return errors.Is(err, bank.ErrBadNumber) || errors.Is(err, bank.ErrNoAccount) || errors.Is(err, &eventstore.StreamDeletedError{})
}
