package page

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hexalith/eventstores-go/cmd/demo/bank"
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
