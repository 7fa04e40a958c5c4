package page

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"

	"github.com/hexalith/eventstores-go/cmd/demo/bank"
	"github.com/hexalith/eventstores-go/cmd/demo/service"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
)

const (
	askTimeout = 5 * time.Second        // time limit of asking for the version of an account
	askAgain   = time.Second            // pause before the store is asked again after an error
	askAtOnce  = 16                     // number of accounts that are asked for at the same time
	readAgain  = 500 * time.Millisecond // the same for the feed; each further pause is twice as long,
	readRarely = 5 * time.Second        // up to this
	beatEvery  = 15 * time.Second       // interval at which an idle connection sends something, so that it is not considered dead

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

// news is what a watcher is told.
type news struct {
	version  int64
	position feed.Position // of the change in the feed; 0 if the account was asked for
	err      error         // of the store
}

// live tells the watchers of an account when its version has changed. One read of the feed serves
// all watchers of all accounts. An account is asked for its version only when the first comes to
// watch it, because the feed tells the rest.
type live struct {
	version func(ctx context.Context, number string) (int64, error)
	follow  func(ctx context.Context, after feed.Position, wants func(number string) bool) iter.Seq2[bank.Changed, error]
	log     *slog.Logger
	asking  chan struct{} // holds a token for each account that is asked for

	mu       sync.Mutex
	accounts map[string]*watched
	reader   *reader        // nil while no one watches
	clients  map[string]int // number of watchers per client
	all      int

	perClient, inAll int
	watching         metric.Int64UpDownCounter
	refused          metric.Int64Counter

	servers map[*http.Server]chan struct{} // closed when the server shuts down
}

// watched is an account that is watched.
type watched struct {
	ctx      context.Context // ends when the last watcher leaves
	stop     context.CancelFunc
	watchers map[chan news]bool
	latest   *news // nil until the account is known
}

// reader is a read of the feed. It starts with the first watcher and ends with the last.
type reader struct {
	stop  context.CancelFunc
	began bool // the feed tells what happens from now on
	away  bool // the feed could not be read, and has not begun again
}

func newLive(accounts *bank.Accounts, log *slog.Logger) *live {
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
	l := &live{
		log:       log,
		asking:    make(chan struct{}, askAtOnce),
		perClient: WatchersPerClient, inAll: WatchersInAll,
		watching: watching, refused: refused,
		clients:  map[string]int{},
		accounts: map[string]*watched{},
		servers:  map[*http.Server]chan struct{}{},
	}
	if accounts != nil {
		l.version, l.follow = accounts.Version, accounts.Follow
	}
	return l
}

// watch returns a channel with the news of an account. It starts with the latest news, if there are
// any. A slow reader gets only the latest. Call leave at the end.
func (l *live) watch(number string) (watcher chan news, leave func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reader == nil {
		ctx, stop := context.WithCancel(context.Background())
		l.reader = &reader{stop: stop}
		go l.read(ctx, l.reader)
	}
	at := l.accounts[number]
	if at == nil {
		at = &watched{watchers: map[chan news]bool{}}
		at.ctx, at.stop = context.WithCancel(context.Background())
		l.accounts[number] = at
		if l.reader.began { // otherwise it is asked for when the read begins
			go l.ask(number, at)
		}
	}
	watcher = make(chan news, 1)
	at.watchers[watcher] = true
	if l.reader.away {
		watcher <- news{err: errNoFeed}
	} else if at.latest != nil {
		watcher <- *at.latest
	}
	return watcher, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(at.watchers, watcher)
		if len(at.watchers) == 0 && l.accounts[number] == at {
			at.stop()
			delete(l.accounts, number)
		}
		if len(l.accounts) == 0 && l.reader != nil {
			l.reader.stop()
			l.reader = nil
		}
	}
}

// tell tells all watchers of an account. The caller holds l.mu.
func (at *watched) tell(n news) {
	for watcher := range at.watchers {
		select {
		case <-watcher: // drops news that was not received
		default:
		}
		watcher <- n
	}
}

// errNoFeed is told while the feed cannot be read. The log says why.
var errNoFeed = errors.New("the feed cannot be read")

// read reads the feed until ctx ends. After an error of the store it goes on where it was.
func (l *live) read(ctx context.Context, r *reader) {
	after := bank.FromNow
	for failures := 0; ctx.Err() == nil; failures++ {
		fresh, err := after == bank.FromNow, error(nil)
		var changed bank.Changed
		for changed, err = range l.follow(ctx, after, l.watches) {
			if err != nil {
				break
			}
			l.begin(r, fresh)
			fresh, failures = false, 0
			after = changed.Position
			l.change(changed)
		}
		if ctx.Err() != nil {
			return
		}
		l.fail(ctx, r, err)
		if !errors.As(err, new(*eventstore.StorageError)) {
			after = bank.FromNow // the store may have lost a part of the feed
		}
		pause(ctx, min(readAgain<<min(failures, 10), readRarely))
	}
}

// watches reports whether an account is watched.
func (l *live) watches(number string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.accounts[number] != nil
}

// begin notes that the feed can be read. If the read is a fresh one, it does not tell what happened
// before, so all accounts are asked for.
func (l *live) begin(r *reader, fresh bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reader != r || r.began {
		return
	}
	r.began, r.away = true, false
	for number, at := range l.accounts {
		if fresh {
			at.latest = nil
		}
		if at.latest != nil {
			at.tell(*at.latest) // what was told last is that the feed is away
		} else {
			go l.ask(number, at)
		}
	}
}

// fail tells all watchers that the feed cannot be read.
func (l *live) fail(ctx context.Context, r *reader, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reader != r || r.away {
		return
	}
	l.log.WarnContext(ctx, "the live updates pause, because the feed cannot be read", "error", err)
	r.began, r.away = false, true
	for _, at := range l.accounts {
		at.tell(news{err: errNoFeed})
	}
}

// change tells the watchers of an account what the feed has told.
func (l *live) change(changed bank.Changed) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.accounts[changed.Number]
	switch {
	case at == nil:
	case changed.Version == 0:
		at.latest = nil
		go l.ask(changed.Number, at)
	case at.latest == nil || changed.Version > at.latest.version: // otherwise the account was asked for in between
		at.latest = &news{version: changed.Version, position: changed.Position}
		at.tell(*at.latest)
	}
}

// ask asks for the version of an account until there is an answer, and tells it.
func (l *live) ask(number string, at *watched) {
	for at.ctx.Err() == nil {
		version, err := l.askOnce(at.ctx, number)
		again := err != nil && !final(err)
		l.mu.Lock()
		switch {
		case at.ctx.Err() != nil:
		case again:
			at.tell(news{err: err})
		case err != nil || at.latest == nil || version > at.latest.version: // otherwise the feed was faster
			at.latest = &news{version: version, err: err}
			at.tell(*at.latest)
		}
		l.mu.Unlock()
		if !again {
			return
		}
		pause(at.ctx, askAgain)
	}
}

func (l *live) askOnce(ctx context.Context, number string) (int64, error) {
	select {
	case l.asking <- struct{}{}:
		defer func() { <-l.asking }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	version, err := l.version(ctx, number)
	if err == nil && version == 0 {
		err = bank.ErrNoAccount
	}
	return version, err
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
// does not answer, and "gone" when the account cannot be read any more. The id of an event is its
// position in the feed. A viewer that comes back with the id of the last event is not told the same
// again, nor what was before.
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

	seen, err := strconv.ParseInt(r.Header.Get("Last-Event-ID"), 10, 64)
	if err != nil {
		seen = 0
	}
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
			case n.position > 0 && n.position <= feed.Position(seen):
				text = ": nothing new\n\n"
			default:
				text = fmt.Sprintf("event: version\ndata: %d\n\n", n.version)
				if n.position > 0 {
					text = fmt.Sprintf("id: %d\n", n.position) + text
				}
			}
			seen = 0 // what comes now is new, even if the positions are those of another store
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
