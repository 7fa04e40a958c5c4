package sealed_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
	"github.com/hexalith/eventstores-go/eventstore/sealed"
)

// counting counts reads. It lets a test act between the store's answer and its arrival.
type counting struct {
	*memstate.Store
	mu    sync.Mutex
	reads int
	after func()
}

func (c *counting) Get(ctx context.Context, partition, key string) (driver.Item, error) {
	item, err := c.Store.Get(ctx, partition, key)
	c.mu.Lock()
	c.reads++
	after := c.after
	c.after = nil
	c.mu.Unlock()
	if after != nil {
		after()
	}
	return item, err
}

func TestProcessesThatMakeAKeyAtOnceAgreeOnIt(t *testing.T) {
	t.Parallel()
	store := memstate.Transactional()
	keys := make([][]byte, 20)
	var all sync.WaitGroup
	for i := range keys {
		all.Go(func() {
			k, err := sealed.NewStateKeys(store)
			if err == nil {
				keys[i], err = k.Create(context.Background(), "s")
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, key := range keys {
		if len(key) != sealed.KeySize || !bytes.Equal(key, keys[0]) {
			t.Errorf("a process has the key %x, another %x", key, keys[0])
		}
	}
}

func TestAnotherProcessForgetsWithinTheTimeOfItsMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memstate.Transactional()
		here := must[*sealed.StateKeys](t)(sealed.NewStateKeys(store))
		there := must[*sealed.StateKeys](t)(sealed.NewStateKeys(store))
		must[[]byte](t)(here.Create(t.Context(), "s"))
		must[[]byte](t)(there.Find(t.Context(), "s"))
		if err := here.Forget(t.Context(), "s"); err != nil {
			t.Fatal(err)
		}
		if _, err := here.Find(t.Context(), "s"); !errors.As(err, new(*sealed.ForgottenError)) {
			t.Errorf("here: %v", err)
		}
		<-time.After(sealed.DefaultCacheTime - time.Nanosecond) // on the fake clock
		if _, err := there.Find(t.Context(), "s"); err != nil {
			t.Errorf("there, before the time: %v", err)
		}
		<-time.After(time.Nanosecond)
		if _, err := there.Find(t.Context(), "s"); !errors.As(err, new(*sealed.ForgottenError)) {
			t.Errorf("there: %v", err)
		}
		if _, err := there.Create(t.Context(), "s"); !errors.As(err, new(*sealed.ForgottenError)) {
			t.Errorf("a new key: %v", err)
		}
	})
}

func TestAKeyThatIsBeingReadWhileItIsForgottenIsNotKept(t *testing.T) {
	t.Parallel()
	store := &counting{Store: memstate.Transactional()}
	keys := must[*sealed.StateKeys](t)(sealed.NewStateKeys(store))
	other := must[*sealed.StateKeys](t)(sealed.NewStateKeys(store.Store))
	must[[]byte](t)(other.Create(t.Context(), "s"))
	store.after = func() {
		if err := keys.Forget(t.Context(), "s"); err != nil {
			t.Error(err)
		}
	}
	must[[]byte](t)(keys.Find(t.Context(), "s")) // it was read before
	if _, err := keys.Find(t.Context(), "s"); !errors.As(err, new(*sealed.ForgottenError)) {
		t.Errorf("got %v", err)
	}
}

// Redis refuses to overwrite a key without an ETag if it was created with first-write.
func TestASubjectIsForgottenOnEveryKindOfStoreAndOftenAndAtOnce(t *testing.T) {
	t.Parallel()
	for name, store := range map[string]*memstate.Store{"transactional": memstate.Transactional(), "Redis": memstate.Redis()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var all sync.WaitGroup
			keys := must[*sealed.StateKeys](t)(sealed.NewStateKeys(store))
			must[[]byte](t)(keys.Create(t.Context(), "s"))
			for _, subject := range []string{"s", "never had a key"} {
				for range 8 {
					all.Go(func() {
						there, err := sealed.NewStateKeys(store)
						if err == nil {
							err = there.Forget(context.Background(), subject)
						}
						if err != nil {
							t.Error(err)
						}
					})
				}
			}
			all.Wait()
			for _, subject := range []string{"s", "never had a key"} {
				other := must[*sealed.StateKeys](t)(sealed.NewStateKeys(store))
				if _, err := other.Create(t.Context(), subject); !errors.As(err, new(*sealed.ForgottenError)) {
					t.Errorf("got %v", err)
				}
			}
		})
	}
}

func TestMemoryHoldsNoMoreKeysThanItMay(t *testing.T) {
	t.Parallel()
	store := &counting{Store: memstate.Transactional()}
	find := func(keys *sealed.StateKeys, subjects ...int) int {
		before := store.reads
		for _, s := range subjects {
			must[[]byte](t)(keys.Find(t.Context(), fmt.Sprint(s)))
		}
		return store.reads - before
	}
	keys := must[*sealed.StateKeys](t)(sealed.NewStateKeys(store, sealed.WithCache(2, time.Hour)))
	none := must[*sealed.StateKeys](t)(sealed.NewStateKeys(store, sealed.WithCache(0, time.Hour)))
	for s := range 3 {
		must[[]byte](t)(none.Create(t.Context(), fmt.Sprint(s)))
	}
	for _, c := range []struct {
		keys     *sealed.StateKeys
		subjects []int
		reads    int
	}{
		{keys, []int{0, 0, 0}, 1},
		{keys, []int{1, 0, 1}, 1},
		{keys, []int{2, 1}, 1}, // replaces 0
		{keys, []int{0}, 1},
		{none, []int{0, 0}, 2},
	} {
		if reads := find(c.keys, c.subjects...); reads != c.reads {
			t.Errorf("%v took %d reads, want %d", c.subjects, reads, c.reads)
		}
	}
}

func TestAnErrorOfTheKeyStoreIsReturnedAndNotKept(t *testing.T) {
	t.Parallel()
	store := memstate.Transactional()
	keys := must[*sealed.StateKeys](t)(sealed.NewStateKeys(store))
	down := errors.New("down")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(down)
	if _, err := keys.Find(ctx, "s"); err == nil || errors.As(err, new(*sealed.NoKeyError)) || errors.As(err, new(*sealed.ForgottenError)) {
		t.Errorf("find: %v", err)
	}
	if _, err := keys.Create(ctx, "s"); err == nil {
		t.Error("a key was made by a store that is down")
	}
	if err := keys.Forget(ctx, "s"); err == nil {
		t.Error("forgotten by a store that is down")
	}
	must[[]byte](t)(keys.Create(t.Context(), "s"))
	for key := range store.Values() {
		store.Set(key, []byte("garbage"))
	}
	other := must[*sealed.StateKeys](t)(sealed.NewStateKeys(store))
	if _, err := other.Find(t.Context(), "s"); err == nil || errors.As(err, new(*sealed.NoKeyError)) || errors.As(err, new(*sealed.ForgottenError)) {
		t.Errorf("garbage: %v", err)
	}
}

type xor struct{ broken bool }

func (x xor) Wrap(_ context.Context, key []byte) ([]byte, error) {
	if x.broken {
		return nil, errors.New("the vault is closed")
	}
	wrapped := bytes.Clone(key)
	for i := range wrapped {
		wrapped[i] ^= 0x55
	}
	return wrapped, nil
}

func (x xor) Unwrap(ctx context.Context, wrapped []byte) ([]byte, error) { return x.Wrap(ctx, wrapped) }

func TestAWrappedKeyNeedsItsWrapper(t *testing.T) {
	t.Parallel()
	store := memstate.Transactional()
	with := func(options ...sealed.KeysOption) *sealed.StateKeys {
		return must[*sealed.StateKeys](t)(sealed.NewStateKeys(store, options...))
	}
	if _, err := with(sealed.WithWrapper(xor{broken: true})).Create(t.Context(), "s"); err == nil || len(store.Values()) > 0 {
		t.Errorf("got %v, and the store has %v", err, store.Values())
	}
	key := must[[]byte](t)(with(sealed.WithWrapper(xor{})).Create(t.Context(), "s"))
	if again := must[[]byte](t)(with(sealed.WithWrapper(xor{})).Find(t.Context(), "s")); !bytes.Equal(again, key) {
		t.Errorf("got %x, want %x", again, key)
	}
	for _, keys := range []*sealed.StateKeys{with(), with(sealed.WithWrapper(xor{broken: true}))} {
		if _, err := keys.Find(t.Context(), "s"); err == nil || errors.As(err, new(*sealed.NoKeyError)) {
			t.Errorf("got %v", err)
		}
	}
	if err := with().Forget(t.Context(), "s"); err != nil { // needs no wrapper
		t.Fatal(err)
	}
	if _, err := with().Find(t.Context(), "s"); !errors.As(err, new(*sealed.ForgottenError)) {
		t.Errorf("got %v", err)
	}
}
