package page

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hexalith/eventstores-go/cmd/demo/bank"
	"github.com/hexalith/eventstores-go/cmd/demo/bank/banktest"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
)

// bankOfTest is a bank whose accounts all have the same version. It tells no change but what a test
// tells. It counts how often it is asked, and who reads its feed.
type bankOfTest struct {
	mu      sync.Mutex
	version int64
	err     error // of all that is asked
	asked   int
	reads   []feed.Position // where reads of the feed began
	reading int             // how many reads there are now
	wants   func(string) bool
	changes chan told
}

// told is what a read of the feed tells, or how it ends.
type told struct {
	bank.Changed
	err error
}

func newBankOfTest(version int64) *bankOfTest {
	return &bankOfTest{version: version, changes: make(chan told)}
}

func (b *bankOfTest) ask(context.Context, string) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	return b.version, b.err
}

func (b *bankOfTest) follow(ctx context.Context, after feed.Position, wants func(string) bool) iter.Seq2[bank.Changed, error] {
	return func(yield func(bank.Changed, error) bool) {
		b.mu.Lock()
		b.reads, b.wants, b.reading = append(b.reads, after), wants, b.reading+1
		err := b.err
		b.mu.Unlock()
		defer func() {
			b.mu.Lock()
			b.reading--
			b.mu.Unlock()
		}()
		if err != nil && !final(err) {
			yield(bank.Changed{}, &eventstore.StorageError{Cause: err})
			return
		}
		if !yield(bank.Changed{Position: max(after, 100)}, nil) {
			return
		}
		for {
			select {
			case <-ctx.Done():
				yield(bank.Changed{}, ctx.Err())
				return
			case c := <-b.changes:
				if c.err == nil && !wants(c.Number) {
					continue
				}
				if !yield(c.Changed, c.err) || c.err != nil {
					return
				}
			}
		}
	}
}

// changed tells that an account has changed.
func (b *bankOfTest) changed(number string, version int64, position feed.Position) {
	b.changes <- told{Changed: bank.Changed{Number: number, Version: version, Position: position}}
	synctest.Wait()
}

// breaks ends the present read of the feed.
func (b *bankOfTest) breaks(err error) {
	b.changes <- told{err: err}
	synctest.Wait()
}

func (b *bankOfTest) set(version int64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.version, b.err = version, err
}

func (b *bankOfTest) count() (asked, reads, reading int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.asked, len(b.reads), b.reading
}

// page returns the pages of the bank.
func (b *bankOfTest) page() *page {
	log := slog.New(slog.DiscardHandler)
	p := &page{live: newLive(nil, log), views: parseViews(), log: log}
	p.live.version, p.live.follow = b.ask, b.follow
	return p
}

// viewer is a browser that watches an account until it leaves.
type viewer struct {
	*httptest.ResponseRecorder
	leave context.CancelFunc
	ended chan struct{}
}

func watching(ctx context.Context, p *page) *viewer {
	return watchingAs(ctx, p, "A1", "192.0.2.1:1", "")
}

// watchingAs is a viewer with an address, which comes back if it has the id of the last event.
func watchingAs(ctx context.Context, p *page, number, addr, lastID string) *viewer {
	ctx, leave := context.WithCancel(ctx)
	v := &viewer{httptest.NewRecorder(), leave, make(chan struct{})}
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/accounts/"+number+"/live", nil)
	r.SetPathValue("number", number)
	r.RemoteAddr = addr
	if lastID != "" {
		r.Header.Set("Last-Event-ID", lastID)
	}
	go func() {
		defer close(v.ended)
		p.watch(v, r)
	}()
	synctest.Wait()
	return v
}

// said is what was sent, without what keeps the connection.
func (v *viewer) said() string {
	text := strings.NewReplacer("retry: 2000\n", "", ": still here\n\n", "", "id: ", "", "\nevent: ", " ", "event: ", "", "\ndata: ", " ", "\n\n", ";").Replace(v.Body.String())
	return strings.TrimSuffix(text, ";")
}

func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestAllWhoWatchShareOneReadOfTheFeedWhichEndsWithTheLast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // which fails if a goroutine is left
		b := newBankOfTest(3)
		p := b.page()
		var all []*viewer
		for i := range 100 {
			number := "A" + strconv.Itoa(1+i%10)
			all = append(all, watchingAs(t.Context(), p, number, fmt.Sprintf("192.0.2.%d:1", i), ""))
		}
		b.changed("A1", 4, 101)
		b.changed("A2", 4, 102)
		b.changed("NOBODYS", 9, 103)
		pass(time.Hour - time.Minute)
		if asked, reads, reading := b.count(); asked != 10 || reads != 1 || reading != 1 {
			t.Errorf("100 watched 10 accounts for an hour: the store was asked %d times, with %d reads of the feed, of which %d go on", asked, reads, reading)
		}
		for i, v := range all {
			want := "version 3"
			if i%10 < 2 {
				want += fmt.Sprintf(";%d version 4", 101+i%10)
			}
			if v.said() != want {
				t.Errorf("viewer %d was told %q, want %q", i, v.said(), want)
			}
			v.leave()
			<-v.ended
		}
		synctest.Wait()
		if _, _, reading := b.count(); reading != 0 || len(p.live.accounts) != 0 || p.live.reader != nil {
			t.Errorf("all have left, %d reads go on, of %v", reading, p.live.accounts)
		}
		again := watching(t.Context(), p)
		if again.leave(); again.said() != "version 3" {
			t.Errorf("who comes later is told %q", again.said())
		}
		<-again.ended
	})
}

func TestWhoComesLaterIsToldWhatIsKnownAndWhatTheFeedTellsLateIsNotToldTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBankOfTest(5) // the feed has not told of the last versions yet
		p := b.page()
		one := watching(t.Context(), p)
		b.changed("A1", 4, 101)
		b.changed("A1", 5, 102)
		b.changed("A1", 6, 103)
		two := watching(t.Context(), p)
		b.changed("A1", 7, 104)
		for v, want := range map[*viewer]string{one: "version 5;103 version 6;104 version 7", two: "103 version 6;104 version 7"} {
			if v.leave(); v.said() != want {
				t.Errorf("told %q, want %q", v.said(), want)
			}
			<-v.ended
		}
		if asked, _, _ := b.count(); asked != 1 {
			t.Errorf("the store was asked %d times", asked)
		}
		if got := one.Header().Get("Content-Type"); got != "text/event-stream" {
			t.Errorf("content type %s", got)
		}
	})
}

func TestWhoComesBackIsToldOnlyWhatIsNew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBankOfTest(3)
		p := b.page()
		other := watching(t.Context(), p)
		b.changed("A1", 4, 101)
		back := map[string]*viewer{}
		for _, id := range []string{"101", "102", "100", "", "x", "-1", "99999999999999999999"} {
			back[id] = watchingAs(t.Context(), p, "A1", "192.0.2.2:1", id)
		}
		b.changed("A1", 5, 102)
		for id, v := range back {
			want := "101 version 4;102 version 5"
			if id == "101" || id == "102" {
				want = ": nothing new;102 version 5" // even if that was the id, because the store may be another one
			}
			if v.leave(); v.said() != want || v.Code != http.StatusOK {
				t.Errorf("with id %q: told %q, want %q", id, v.said(), want)
			}
			<-v.ended
		}
		other.leave()
		<-other.ended
		// This instance knows nothing of the account any more, so it asks.
		alone := watchingAs(t.Context(), p, "A1", "192.0.2.2:1", "102")
		if alone.leave(); alone.said() != "version 3" {
			t.Errorf("told %q", alone.said())
		}
		<-alone.ended
	})
}

// stalled is a viewer whose connection takes nothing until it is released.
type stalled struct {
	*httptest.ResponseRecorder
	released chan struct{}
}

func (s stalled) Write(p []byte) (int, error) {
	<-s.released
	return s.ResponseRecorder.Write(p)
}

func TestASlowViewerIsToldTheLatestAndHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBankOfTest(3)
		p := b.page()
		ctx, leave := context.WithCancel(t.Context())
		slow := stalled{httptest.NewRecorder(), make(chan struct{})}
		ended := make(chan struct{})
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/accounts/A1/live", nil)
		r.SetPathValue("number", "A1")
		go func() {
			defer close(ended)
			p.watch(slow, r)
		}()
		quick := watching(t.Context(), p)
		for version := range int64(50) {
			b.changed("A1", 4+version, feed.Position(101+version))
		}
		close(slow.released)
		synctest.Wait()
		if got := (&viewer{ResponseRecorder: slow.ResponseRecorder}).said(); got != "version 3;150 version 53" {
			t.Errorf("the slow one was told %q", got)
		}
		if got := strings.Count(quick.said(), "version"); got != 51 {
			t.Errorf("the quick one was told %d versions, want 51", got)
		}
		leave()
		<-ended
		quick.leave()
		<-quick.ended
	})
}

func TestWhoWatchesIsToldThatTheStoreIsAwayAndBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBankOfTest(3)
		p := b.page()
		v := watching(t.Context(), p)
		b.changed("A1", 4, 101)
		away := errors.New("connection refused")
		b.set(0, away)
		b.breaks(&eventstore.StorageError{Cause: away})
		late := watchingAs(t.Context(), p, "A2", "192.0.2.1:1", "")
		pass(time.Minute)
		_, before, _ := b.count()
		if before < 60/5 || before > 2+60/5+4 {
			t.Errorf("the feed was tried %d times in a minute", before)
		}
		b.set(4, nil)
		pass(readRarely)
		b.changed("A1", 5, 102) // after what was told before the store was away
		b.set(0, bank.ErrNoAccount)
		b.changed("A1", 0, 103)
		<-v.ended
		if v.said() != "version 3;101 version 4;away ;101 version 4;102 version 5;gone " {
			t.Errorf("told %q", v.said())
		}
		if late.leave(); late.said() != "away ;version 4" {
			t.Errorf("who came while it was away was told %q", late.said())
		}
		<-late.ended
		for i, after := range b.reads {
			if want := feed.Position(101); i > 0 && after != want || i == 0 && after != bank.FromNow {
				t.Errorf("read %d began after %d", i, after)
			}
		}
	})
}

func TestAFeedThatLostSomethingIsReadFromNowOnAndAllAccountsAreAskedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBankOfTest(3)
		v := watching(t.Context(), b.page())
		b.changed("A1", 4, 101)
		b.set(2, nil) // the store was brought back from a backup
		b.breaks(&eventstore.LostWritesError{})
		pass(readAgain)
		b.changed("A1", 3, 50)
		if v.leave(); v.said() != "version 3;101 version 4;away ;version 2;50 version 3" {
			t.Errorf("told %q", v.said())
		}
		<-v.ended
		if !slices.Equal(b.reads, []feed.Position{bank.FromNow, bank.FromNow}) {
			t.Errorf("reads began after %d", b.reads)
		}
	})
}

func TestAnAccountThatCannotBeAskedForIsAskedForAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBankOfTest(3)
		p := b.page()
		first := watching(t.Context(), p) // the feed can be read
		p.live.version = func(ctx context.Context, number string) (int64, error) {
			if asked, _, _ := b.count(); asked < 4 {
				_, _ = b.ask(ctx, number)
				return 0, errors.New("this key only")
			}
			return b.ask(ctx, number)
		}
		v := watchingAs(t.Context(), p, "A2", "192.0.2.1:1", "")
		pass(3 * askAgain)
		if v.leave(); v.said() != "away ;away ;away ;version 3" {
			t.Errorf("told %q", v.said())
		}
		<-v.ended
		first.leave()
		<-first.ended
	})
}

// Without an indexer the feed tells nothing. The pages show what they have, and the rest when there
// is one again.
func TestWithoutAnIndexerNothingIsToldUntilThereIsOne(t *testing.T) {
	t.Parallel()
	state := banktest.NewMemory(t)
	accounts := banktest.In(t, banktest.NewProvider(t, state))
	stop := banktest.Index(t, accounts)
	s := siteOf(t, accounts)
	s.open("Ada", 2)
	stop()
	before, err := feedOf(t, state).End(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s)
	defer server.Close()
	answer, err := server.Client().Get(server.URL + "/accounts/A1/live")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	next := func() string {
		for lines.Scan() {
			if version, is := strings.CutPrefix(lines.Text(), "data: "); is {
				return version
			}
		}
		t.Fatal(lines.Err())
		return ""
	}
	if got := next(); got != "2" {
		t.Errorf("at first it is told %s", got)
	}
	if _, err := s.Deposit(t.Context(), "A1", 1, bank.Command{ExpectedVersion: -1}); err != nil {
		t.Fatal(err)
	}
	s.wants(s.get("/accounts/A1"), http.StatusOK, `data-version="3"`)
	if end, err := feedOf(t, state).End(t.Context()); err != nil || end != before {
		t.Errorf("without an indexer the feed is at %d, %v, want %d", end, err, before)
	}
	banktest.Index(t, accounts)
	if got := next(); got != "3" {
		t.Errorf("then it is told %s", got)
	}
}

func feedOf(t *testing.T, state driver.State) *feed.Feed {
	t.Helper()
	f, err := feed.Open(banktest.NewProvider(t, state))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestAConnectionOnWhichNothingHappensIsKeptAlive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := watching(t.Context(), newBankOfTest(3).page())
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
		b := newBankOfTest(3)
		p := b.page()
		WithWatchers(2, 5)(p)
		from := func(addr string) *viewer { return watchingAs(t.Context(), p, "A1", addr, "") }
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
		if asked, reads, _ := b.count(); asked != 1 || reads != 1 {
			t.Errorf("five watched for 5 seconds, the store was asked %d times, with %d reads of the feed", asked, reads)
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
		v := watching(t.Context(), newBankOfTest(3).page())
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
		var deletion sync.WaitGroup
		if outlives { // it goes on until the account is gone
			deletion.Go(func() {
				<-w.began
				if err := s.Delete(ctx, "A1", -1); err != nil {
					t.Error(err)
				}
			})
		}
		s.ServeHTTP(w, r)
		deletion.Wait() // the viewer may know before it has ended
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
		s := siteOf(t, banktest.In(t, banktest.NewProvider(t, silent{})))
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
