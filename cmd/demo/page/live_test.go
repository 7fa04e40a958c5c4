package page

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hexalith/eventstores-go/cmd/demo/bank"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// counted is a store's answer for every account, which counts how often it is asked.
type counted struct {
	mu      sync.Mutex
	version int64
	err     error
	asked   int
}

func (c *counted) ask(context.Context, string) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	return c.version, c.err
}

func (c *counted) set(version int64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.version, c.err = version, err
}

func (c *counted) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked
}

// viewer is a browser that watches account A1 until it leaves.
type viewer struct {
	*httptest.ResponseRecorder
	leave context.CancelFunc
	ended chan struct{}
}

func watching(ctx context.Context, p *page) *viewer {
	ctx, leave := context.WithCancel(ctx)
	v := &viewer{httptest.NewRecorder(), leave, make(chan struct{})}
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/accounts/A1/live", nil)
	r.SetPathValue("number", "A1")
	go func() {
		defer close(v.ended)
		p.watch(v, r)
	}()
	synctest.Wait()
	return v
}

// said is what was sent, without what keeps the connection.
func (v *viewer) said() string {
	text := strings.NewReplacer("retry: 2000\n", "", ": still here\n\n", "", "event: ", "", "\ndata: ", " ", "\n\n", ";").Replace(v.Body.String())
	return strings.TrimSuffix(text, ";")
}

func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestAllWhoWatchAnAccountShareOnePollerWhichEndsWithTheLast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // which fails if a goroutine is left
		store := &counted{version: 3}
		p := &page{live: newLive(store.ask)}
		one := watching(t.Context(), p)
		two := watching(t.Context(), p)
		pass(10*time.Second + time.Millisecond)
		if got := store.count(); got != 11 {
			t.Errorf("two watched for 10 seconds, the store was asked %d times, want 11", got)
		}
		store.set(4, nil)
		pass(pollEvery)
		one.leave()
		<-one.ended
		store.set(5, nil)
		pass(pollEvery)
		two.leave()
		<-two.ended
		synctest.Wait()
		before := store.count()
		pass(time.Minute)
		if got := store.count(); got != before {
			t.Errorf("nobody watches, the store was asked %d times", got-before)
		}
		if len(p.live.polls) != 0 {
			t.Errorf("polls are left: %v", p.live.polls)
		}
		if one.said() != "version 3;version 4" || two.said() != "version 3;version 4;version 5" {
			t.Errorf("one was told %q, two %q", one.said(), two.said())
		}
		if got := one.Header().Get("Content-Type"); got != "text/event-stream" {
			t.Errorf("content type %s", got)
		}
	})
}

func TestWhoWatchesIsToldThatTheStoreIsAwayAndBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &counted{version: 3}
		p := &page{live: newLive(store.ask)}
		v := watching(t.Context(), p)
		store.set(0, errors.New("connection refused"))
		pass(3 * pollEvery)
		store.set(3, nil)
		pass(pollEvery)
		store.set(0, bank.ErrNoAccount)
		pass(pollEvery)
		<-v.ended
		if v.said() != "version 3;away ;version 3;gone " {
			t.Errorf("told %q", v.said())
		}
	})
}

func TestAConnectionOnWhichNothingHappensIsKeptAlive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &counted{version: 3}
		v := watching(t.Context(), &page{live: newLive(store.ask)})
		pass(2*beatEvery + time.Millisecond)
		v.leave()
		<-v.ended
		if got := strings.Count(v.Body.String(), ": still here\n\n"); got != 2 {
			t.Errorf("%d beats, want 2", got)
		}
	})
}

func TestTooManyWhoWatchAreRefusedOfOneClientAndInAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &counted{version: 3}
		p := &page{live: newLive(store.ask), views: parseViews(), log: slog.New(slog.DiscardHandler)}
		WithWatchers(2, 5)(p)
		from := func(addr string) *viewer {
			ctx, leave := context.WithCancel(t.Context())
			v := &viewer{httptest.NewRecorder(), leave, make(chan struct{})}
			r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/accounts/A1/live", nil)
			r.SetPathValue("number", "A1")
			r.RemoteAddr = addr
			go func() {
				defer close(v.ended)
				p.watch(v, r)
			}()
			synctest.Wait()
			return v
		}
		var in []*viewer
		for _, c := range []struct {
			addr   string
			status int
		}{
			{"192.0.2.1:1", 200}, {"192.0.2.1:2", 200}, {"192.0.2.1:3", 429}, {"[::ffff:192.0.2.1]:4", 429},
			{"[2001:db8::1]:1", 200}, {"[2001:db8::2]:1", 200}, {"[2001:db8::ffff:3]:1", 429},
			{"[2001:db8:0:1::1]:1", 200}, {"192.0.2.9:1", 503},
		} {
			v := from(c.addr)
			if v.Code != c.status || (c.status != 200) != (v.Header().Get("Retry-After") != "" && v.Header().Get("Connection") == "close") {
				t.Errorf("%s: status %d, want %d: %s", c.addr, v.Code, c.status, v.Body)
			}
			if c.status == 200 {
				in = append(in, v)
			}
		}
		pass(5 * time.Second)
		if got := store.count(); got != 6 {
			t.Errorf("five watched for 5 seconds, the store was asked %d times, want 6", got)
		}
		in[0].leave()
		<-in[0].ended
		again := from("192.0.2.9:1") // there is room for one more
		if again.Code != 200 {
			t.Errorf("after one has left: status %d", again.Code)
		}
		for _, v := range append(in, again) {
			v.leave()
			<-v.ended
		}
		if p.live.all != 0 || len(p.live.clients) != 0 {
			t.Errorf("all have left, %d are counted, of %v", p.live.all, p.live.clients)
		}
	})
}

func TestWatchingEndsAfterAnHour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := watching(t.Context(), &page{live: newLive((&counted{version: 3}).ask)})
		pass(watchFor)
		<-v.ended
		v.leave()
	})
}

// deadlined is a writer that knows which deadlines were set.
type deadlined struct {
	*httptest.ResponseRecorder
	read, write []time.Time
	began       chan struct{}
}

func (d *deadlined) Flush() { d.began <- struct{}{} }

func (d *deadlined) SetReadDeadline(t time.Time) error  { d.read = append(d.read, t); return nil }
func (d *deadlined) SetWriteDeadline(t time.Time) error { d.write = append(d.write, t); return nil }

func TestOnlyTheRouteOfLiveUpdatesOutlivesTheServersTimeouts(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.open("Ada", 1)
	for target, outlives := range map[string]bool{
		"GET /accounts/A1/live": true, "GET /": false, "GET /accounts/A1": false, "POST /accounts/A1/deposit": false, "POST /accounts/A1/live": false, "GET /assets/live.js": false,
	} {
		method, path, _ := strings.Cut(target, " ")
		ctx, cancel := context.WithCancel(t.Context())
		r := httptest.NewRequestWithContext(ctx, method, path, nil)
		r.Header.Set("Accept", "text/event-stream")
		if IsWatch(r) != outlives {
			t.Errorf("%s is taken for what it is not", target)
		}
		w := &deadlined{ResponseRecorder: httptest.NewRecorder(), began: make(chan struct{}, 100)}
		if outlives { // it goes on until the account is gone
			go func() {
				<-w.began
				if err := s.Delete(ctx, "A1", -1); err != nil {
					t.Error(err)
				}
			}()
		}
		s.ServeHTTP(w, r)
		cancel()
		if outlives != (len(w.read) == 1 && w.read[0].IsZero()) || outlives != (len(w.write) > 0) {
			t.Errorf("%s: read deadlines %v, write deadlines %v", target, w.read, w.write)
		}
		for _, at := range w.write {
			if at.IsZero() {
				t.Errorf("%s: a viewer that does not read may hold it for ever", target)
			}
		}
	}
}

func TestLiveUpdatesTakeNoBody(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.open("Ada", 1)
	r := httptest.NewRequest(http.MethodGet, "/accounts/A1/live", strings.NewReader("slow"))
	s.wants(s.ask(r), http.StatusBadRequest, "must have no body")
}

func TestAPageThatTakesTooLongIsAnsweredHonestly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		registry, err := eventstore.NewRegistry(bank.Types()...)
		if err != nil {
			t.Fatal(err)
		}
		provider, err := eventstore.NewProvider(silent{}, eventstore.WithRegistry(registry), eventstore.WithLogger(slog.New(slog.DiscardHandler)))
		if err != nil {
			t.Fatal(err)
		}
		s := siteOf(t, provider)
		for _, ask := range []func() *httptest.ResponseRecorder{
			func() *httptest.ResponseRecorder { return s.get("/") },
			func() *httptest.ResponseRecorder { return s.get("/accounts/A1") },
			func() *httptest.ResponseRecorder {
				return s.post("/accounts/A1/deposit", "id", "form-1", "amount", "1")
			},
			func() *httptest.ResponseRecorder { return s.post("/accounts/A1/conflict") },
		} {
			began := time.Now()
			w := ask()
			if took := time.Since(began); took > requestTimeout || w.Code != http.StatusServiceUnavailable && w.Code != http.StatusGatewayTimeout || !strings.Contains(w.Body.String(), "<h1>") {
				t.Errorf("after %v: %d %s", took, w.Code, w.Body)
			}
		}
	})
}

// silent is a store that answers nothing as long as one waits.
type silent struct{ away }

func (silent) Get(ctx context.Context, _, _ string) (driver.Item, error) {
	<-ctx.Done()
	return driver.Item{}, ctx.Err()
}

func (silent) GetMany(ctx context.Context, _ string, _ []string) ([]driver.Item, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestWatchingDoesNotHoldUpAServerThatIsShutDown(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.open("Ada", 1)
	server := httptest.NewServer(s)
	defer server.Close()
	answer, err := server.Client().Get(server.URL + "/accounts/A1/live")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := server.Config.Shutdown(ctx); err != nil {
		t.Errorf("shutting down: %v", err)
	}
	if err := server.Config.Shutdown(ctx); err != nil {
		t.Errorf("shutting down again: %v", err)
	}
}
