package page

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"

	"github.com/hexalith/eventstores-go/cmd/demo/bank"
	"github.com/hexalith/eventstores-go/cmd/demo/service"
	"github.com/hexalith/eventstores-go/eventstore"
)

const (
	pollEvery   = time.Second      // interval at which the store is asked for the version of a watched account
	pollTimeout = 5 * time.Second  // time limit of such a request
	beatEvery   = 15 * time.Second // interval at which an idle connection sends something, so that it is not considered dead

	sendTimeout = 10 * time.Second // time limit of one write to a viewer
	watchFor    = time.Hour        // time limit of one watching request; the browser then sends another
)

// The maximum numbers of watchers, unless [WithWatchers] sets others.
const (
	WatchersPerClient = 32
	WatchersInAll     = 1024
)

// watchRoute is the only route whose answers do not end.
const watchRoute = "GET /accounts/{number}/live"

var watches = func() *http.ServeMux {
	mux := http.NewServeMux()
	mux.Handle(watchRoute, http.NotFoundHandler())
	return mux
}()

// IsWatch reports whether a request is for live updates, which do not end. It decides by the path,
// not by the Accept header.
func IsWatch(r *http.Request) bool {
	_, pattern := watches.Handler(r)
	return pattern == watchRoute
}

// Option configures the pages.
type Option func(*page)

// WithWatchers limits how many requests may watch at the same time, per client and in total. The
// defaults are [WatchersPerClient] and [WatchersInAll]. A client is an IPv4 address or an IPv6
// network of 64 bits. All users of one proxy are one client.
func WithWatchers(perClient, inAll int) Option {
	return func(p *page) { p.live.perClient, p.live.inAll = perClient, inAll }
}

var (
	errTooManyOfOne = errors.New("too many pages from this address are watching; close some of them")
	errTooMany      = &service.Problem{Type: "urn:problem:bank:busy", Title: "Too many watchers", Status: http.StatusServiceUnavailable,
		Detail: "The service has reached its limit of watchers. The page works without live updates, and tries again."}
)

// news is the result of a poll.
type news struct {
	version int64
	err     error // error of the store
}

func (n news) equal(o news) bool {
	return n.version == o.version && (n.err == nil) == (o.err == nil)
}

// live tells the watchers of an account when its version has changed. One poller serves all
// watchers of an account. It starts with the first and ends with the last.
type live struct {
	version func(ctx context.Context, number string) (int64, error)

	mu      sync.Mutex
	polls   map[string]*poll
	clients map[string]int // number of watchers per client
	all     int

	perClient, inAll int
	watching         metric.Int64UpDownCounter
	refused          metric.Int64Counter

	servers map[*http.Server]chan struct{} // closed when the server shuts down
}

// poll is the polling of one account.
type poll struct {
	stop     context.CancelFunc
	watchers map[chan news]bool
	latest   *news // nil until the first answer
}

func newLive(version func(context.Context, string) (int64, error)) *live {
	meter := otel.Meter("github.com/hexalith/eventstores-go/cmd/demo/page")
	watching, err := meter.Int64UpDownCounter("bank.event_streams", metric.WithDescription("Open event streams, one per watching page."))
	if err != nil {
		otel.Handle(err)
	}
	refused, err := meter.Int64Counter("bank.event_streams.refused", metric.WithDescription("Event streams refused because there were too many."))
	if err != nil {
		otel.Handle(err)
	}
	watching.Add(context.Background(), 0) // so that the metrics exist from the start
	refused.Add(context.Background(), 0)
	return &live{
		perClient: WatchersPerClient, inAll: WatchersInAll,
		watching: watching, refused: refused,
		clients: map[string]int{},
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

// watch returns a channel with the news of an account. It starts with the latest news, if there are
// any. A slow reader gets only the latest. Call leave at the end.
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

// ask asks the store once, and tells all watchers what is new.
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
		case <-watcher: // drops news that was not received
		default:
		}
		watcher <- n
	}
}

// enter counts a watcher. Call leave at the end.
func (l *live) enter(r *http.Request) (leave func(), err error) {
	client := clientOf(r.RemoteAddr)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.clients[client] >= l.perClient {
		err = errTooManyOfOne
	} else if l.all >= l.inAll {
		err = errTooMany
	}
	if err != nil {
		l.refused.Add(r.Context(), 1)
		return nil, err
	}
	l.all++
	l.clients[client]++
	l.watching.Add(r.Context(), 1)
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.all--
		if l.clients[client]--; l.clients[client] == 0 {
			delete(l.clients, client)
		}
		l.watching.Add(context.WithoutCancel(r.Context()), -1)
	}, nil
}

// clientOf returns the client of an address. An IPv6 client has a whole network.
func clientOf(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	if ip = ip.Unmap().WithZone(""); ip.Is6() {
		network, _ := ip.Prefix(64)
		return network.String()
	}
	return ip.String()
}

// ending returns a channel that is closed when the request's server shuts down. The shutdown waits
// for requests, so watching requests must end.
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

// watch sends server-sent events: "version" with the version of an account, "away" while the store
// does not answer, and "gone" when the account cannot be read any more.
func (p *page) watch(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		w.Header().Set("Connection", "close")
		p.fail(w, r, errBody) // the body would never be read
		return
	}
	left, err := p.live.enter(r)
	if err != nil {
		w.Header().Set("Retry-After", "5")
		w.Header().Set("Connection", "close") // so that it does not hold a connection either
		p.fail(w, r, err)
		return
	}
	defer left()
	watcher, leave := p.live.watch(r.PathValue("number"))
	defer leave()
	beat := time.NewTicker(beatEvery)
	defer beat.Stop()
	end := time.NewTimer(watchFor)
	defer end.Stop()
	ending := p.live.ending(r)
	sender := http.NewResponseController(w)
	_ = sender.SetReadDeadline(time.Time{})                                     // requests may have a deadline; not every writer supports one
	defer func() { _ = sender.SetWriteDeadline(time.Now().Add(sendTimeout)) }() // for the end of the answer

	begun := false
	for {
		text := ": still here\n\n"
		gone := false
		select {
		case <-r.Context().Done():
			return
		case <-ending:
			return
		case <-end.C:
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
			w.Header().Set("X-Accel-Buffering", "no") // for proxies that buffer answers
			text = "retry: 2000\n" + text
		}
		_ = sender.SetWriteDeadline(time.Now().Add(sendTimeout)) // replaces the deadline for answers that end
		if _, err := w.Write([]byte(text)); err != nil {
			return
		}
		if err := sender.Flush(); err != nil || gone {
			return
		}
	}
}

// final reports whether asking again would give the same error.
func final(err error) bool {
	return errors.Is(err, bank.ErrBadNumber) || errors.Is(err, bank.ErrNoAccount) || errors.As(err, new(*eventstore.StreamDeletedError))
}
