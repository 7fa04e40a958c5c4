package eventstore

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

// hangs makes a store stop answering after the first n requests of a call, while the call's context
// stays alive. It reports whether the call made more than n requests.
func hangs(t *testing.T, s *slow, name string, n int) (reached bool) {
	t.Helper()
	call := s.calls(t)[name]
	s.prepare(name)
	settings := s.provider.settings
	s.after(n, false)
	began := time.Now()
	err := call(t.Context())
	took := time.Since(began)
	select {
	case <-s.arrived:
	default:
		if err != nil {
			t.Errorf("%d requests were answered: %v", n, err)
		}
		return false
	}
	limit := 2*settings.RequestTimeout + settings.CommitTimeout // the commit, its lookup, and the requests after it
	if strings.HasPrefix(name, "Provider.Open") {
		limit = settings.OpenTimeout + settings.RequestTimeout + heeded
	}
	if took > limit {
		t.Errorf("%d requests answered: it took %s, at most %s is promised: %v", n, took, limit, err)
	}
	if err == nil && s.wrote { // requests after the commit can wait
		return true
	}
	if err == nil && strings.HasSuffix(name, ".Load") { // Load can do without a snapshot that cannot be read
		return true
	}
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		t.Errorf("%d requests answered: the error does not say that time ran out: %v", n, err)
	}
	return true
}

func TestNothingWaitsForEverOnAStoreThatStandsStill(t *testing.T) {
	t.Parallel()
	for _, kind := range slices.Sorted(maps.Keys(labKinds)) {
		for _, name := range allCalls() {
			t.Run(kind+"/"+name, func(t *testing.T) {
				t.Parallel()
				requests := 0
				for reached := true; reached; requests++ {
					synctest.Test(t, func(t *testing.T) {
						reached = hangs(t, newSlow(t, labKinds[kind]()), name, requests)
					})
				}
				if requests < 2 {
					t.Error("it made no request")
				}
			})
		}
	}
}

// mute is a locker that does not answer.
type mute struct{}

func (mute) TryLock(ctx context.Context, _, _ string, _ time.Duration) (driver.Lock, error) {
	<-ctx.Done()
	return driver.Lock{}, ctx.Err()
}

func (mute) Unlock(ctx context.Context, _, _ string) (driver.UnlockStatus, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

func TestOpenDoesNotWaitForEverOnALockThatStandsStill(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]time.Duration{"no patience": 0, "the default": 5 * time.Second, "patience without end": 1<<63 - 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				settings := DefaultSettings()
				settings.OpenTimeout, settings.RequestTimeout = open, 3*time.Second
				p, err := NewProvider(memstate.Redis(), WithLocker(mute{}), WithSettings(settings))
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				_, err = p.Open(t.Context(), labStream)
				if want[*StorageError](t, err); !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
				if took := time.Since(began); took > 4*time.Second+heeded { // one request, and returning the lock
					t.Errorf("it took %s", took)
				}
			})
		})
	}
}

func TestTheTimeOfARequestIsASettingWithADefault(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ set, want time.Duration }{
		"as it is set":                      {2 * time.Second, 2 * time.Second},
		"settings from before there was it": {0, 15 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				settings := DefaultSettings()
				settings.RequestTimeout = test.set
				s := newSlow(t, memstate.Transactional(), WithSettings(settings))
				reader := s.provider.Reader(labStream)
				s.after(0, false)
				began := time.Now()
				_, err := reader.Version(t.Context())
				if took := time.Since(began); took != test.want {
					t.Errorf("it took %s, want %s", took, test.want)
				}
				want[*StorageError](t, err)
				if !strings.Contains(err.Error(), "Settings.RequestTimeout") || !strings.Contains(err.Error(), test.want.String()) {
					t.Errorf("the error does not say what to set: %v", err)
				}
			})
		})
	}
}

// portioned is a state whose bulk reads take several requests, each of them shorter than the limit.
type portioned struct {
	driver.State
	takes time.Duration
}

func (p portioned) GetMany(ctx context.Context, partition string, keys []string) ([]driver.Item, error) {
	for range 5 {
		timer := time.NewTimer(p.takes)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		case <-timer.C:
		}
		driver.Progress(ctx)
	}
	return p.State.GetMany(ctx, partition, keys)
}

func TestTheTimeOfARequestBeginsAnewWithEachPartThatIsAnswered(t *testing.T) {
	t.Parallel()
	for takes, answered := range map[time.Duration]bool{14 * time.Second: true, 16 * time.Second: false} {
		t.Run(takes.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p, err := NewProvider(portioned{memstate.Redis(), takes})
				if err != nil {
					t.Fatal(err)
				}
				reader := p.Reader(labStream)
				if _, err := reader.Version(t.Context()); (err == nil) != answered {
					t.Errorf("five parts of %s: %v", takes, err)
				}
				driver.Progress(t.Context()) // outside any request
			})
		})
	}
}
