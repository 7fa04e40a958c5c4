package transfer_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
	"github.com/hexalith/eventstores-go/eventstore/transfer"
)

func TestACopyIsTheStreamWithAllThatGoesWithIt(t *testing.T) {
	inHouses(t, func(t *testing.T, from, to *memstate.Store) {
		source, target := newHouse(t, from), newHouse(t, to)
		for i, stream := range []eventstore.Stream{
			plain,
			{Database: "EventStores", Type: "account", ID: "11"},
			{Database: "a:b", Type: "{c}", ID: "||/\\?#%2F\n\t ü"},
			{Database: strings.Repeat("ü", 100), Type: "..", ID: "head"},
		} {
			source.fill(stream, 23)
			source.snapshot(stream, 3, 20)
			if i%2 == 1 {
				source.close(stream)
			}
			result := must(t, source, target, stream, transfer.WithBatches(7, 1<<20))
			var bytes int64
			for _, e := range source.content(stream).Events {
				bytes += int64(len(e.Data.(eventstore.Raw).Payload))
			}
			want := transfer.Result{Stream: stream, Version: 23, Copied: 23, Bytes: bytes, Verified: 23, Snapshots: 2, Saved: 2, Closed: i%2 == 1}
			if !reflect.DeepEqual(result, want) {
				t.Errorf("the result is %+v, want %+v", result, want)
			}
			alike(t, source, target, stream)
		}
	})
}

func TestACopyThatIsThereAlreadyIsComparedAndNothingIsWritten(t *testing.T) {
	inHouses(t, func(t *testing.T, from, to *memstate.Store) {
		source, target := newHouse(t, from), newHouse(t, to)
		source.fill(plain, 23)
		source.snapshot(plain, 5)
		source.close(plain)
		must(t, source, target, plain)
		before := target.kept()
		target.Trace()
		result := must(t, source, target, plain)
		want := transfer.Result{Stream: plain, Version: 23, Before: 23, Verified: 23, Snapshots: 1, Closed: true}
		if !reflect.DeepEqual(result, want) {
			t.Errorf("the result is %+v, want %+v", result, want)
		}
		for _, request := range target.Trace() {
			if !strings.HasPrefix(request, "get") {
				t.Errorf("the target was asked to %s", request)
			}
		}
		if !reflect.DeepEqual(before, target.kept()) {
			t.Error("the target has changed")
		}
	})
}

// One request of the source or the target fails, each in turn. Whatever its effect was, the next
// copy completes the target.
func TestACopyGoesOnAfterWhateverRequestFailed(t *testing.T) {
	failures := map[string]func(cancel func()) func(next func() error) error{
		"never arrives": func(func()) func(func() error) error {
			return func(func() error) error { return errLost }
		},
		"is not answered": func(func()) func(func() error) error {
			return func(next func() error) error { _ = next(); return errLost }
		},
		"is the last before the end": func(cancel func()) func(func() error) error {
			return func(next func() error) error { cancel(); return next() }
		},
	}
	inHouses(t, func(t *testing.T, from, to *memstate.Store) {
		for name, failure := range failures {
			t.Run(name, func(t *testing.T) {
				failed := 0
				for n, reached := 1, true; reached; n++ {
					synctest.Test(t, func(t *testing.T) {
						source, target := newHouse(t, like(from)), newHouse(t, like(to))
						source.fill(plain, 12)
						source.snapshot(plain, 4, 12)
						source.close(plain)
						ctx, cancel := context.WithCancel(t.Context())
						defer cancel()
						f := &nth{n: n, do: failure(cancel)}
						source.Around, target.Around = f.around, f.around
						result, err := transfer.Copy(ctx, source.Provider, target.Provider, plain, transfer.WithBatches(5, 1<<20))
						source.Around, target.Around = nil, nil
						if reached = f.reached(); err != nil {
							failed++
						} else {
							alike(t, source, target, plain)
						}
						there, err := target.reader(plain).Version(t.Context())
						if err != nil {
							t.Fatal(err)
						}
						if there < result.Copied {
							t.Errorf("at request %d: it says that %d events were copied, there are %d", n, result.Copied, there)
						}
						pass(2 * time.Minute) // a lease that was not released expires
						result = must(t, source, target, plain)
						if result.Before != there || result.Copied != 12-there || result.Verified != 12 || result.Snapshots != 2 || !result.Closed {
							t.Errorf("at request %d: the next copy found %d events and gave %+v", n, there, result)
						}
						alike(t, source, target, plain)
					})
				}
				if failed < 10 {
					t.Errorf("only %d copies failed", failed)
				}
			})
		}
	})
}

// like returns a new store of the same kind.
func like(s *memstate.Store) *memstate.Store {
	fresh := memstate.Transactional()
	if s.Caps.CountedETags {
		fresh = memstate.Redis()
	}
	fresh.Caps = s.Caps
	return fresh
}

// A store like Dapr's SQL stores may miss a key in a bulk read. Even there the idempotency ids of a
// batch are looked up in one request.
func TestTheIdempotencyIDsOfABatchAreLookedUpInOneRequest(t *testing.T) {
	t.Parallel()
	source, target := newHouse(t, memstate.Transactional()), memstate.Transactional()
	target.Caps.BulkMisses = true
	source.as(plain, func(s *eventstore.Session) (err error) {
		events := make([]any, 30)
		for i := range events {
			e := eventstore.Event{Data: eventstore.Raw{Type: "t", Payload: []byte("x")}}
			e.Metadata.Context.IdempotencyID = fmt.Sprint(i)
			events[i] = e
		}
		_, err = s.Append(t.Context(), eventstore.ExpectAny(), events...)
		return err
	})
	to := newHouse(t, target)
	must(t, source, to, plain, transfer.WithBatches(10, 1<<20))
	lookups := 0
	for _, request := range target.Trace() {
		if strings.HasPrefix(request, "get") && strings.Contains(request, "idem:") {
			lookups++
		}
	}
	if lookups != 3+1 { // one for each batch, and one for each chunk when the copy is verified
		t.Errorf("%d requests looked ids up", lookups)
	}
}

func TestALongStreamIsCopiedInBoundedPieces(t *testing.T) {
	t.Parallel()
	source, target := newHouse(t, memstate.Transactional()), newHouse(t, memstate.Transactional())
	source.as(plain, func(s *eventstore.Session) (err error) {
		events := make([]any, 1000)
		for i := range events {
			events[i] = eventstore.Raw{Type: "t", Payload: make([]byte, 3000+i)}
		}
		for range 10 {
			_, err = s.Append(t.Context(), eventstore.ExpectAny(), events...)
		}
		return err
	})
	largest, bulk := 0, 0
	target.Around = func(_ context.Context, r *memstate.Request, next func() error) error {
		size := len(r.Swap.Value)
		for _, w := range r.Writes {
			size += len(w.Value)
		}
		largest = max(largest, size)
		return next()
	}
	answer := 0
	source.Around = func(_ context.Context, r *memstate.Request, next func() error) error {
		bulk = max(bulk, len(r.Keys))
		err := next()
		size := 0
		for _, item := range r.Items {
			size += len(item.Value)
		}
		answer = max(answer, size)
		return err
	}
	result := must(t, source, target, plain)
	if result.Copied != 10_000 || result.Verified != 10_000 {
		t.Errorf("the result is %+v", result)
	}
	if largest > 1<<20+500*300 || bulk > 1000 {
		t.Errorf("one request to the target has %d bytes, one to the source %d keys", largest, bulk)
	}
	if answer > 5<<20/4 {
		t.Errorf("one answer of the source has %d bytes", answer)
	}
	for _, bounds := range [][2]int{{3, 1 << 20}, {100, 3500 * 3}} {
		requests := 0
		target = newHouse(t, memstate.Transactional())
		source := newHouse(t, memstate.Transactional())
		source.as(plain, func(s *eventstore.Session) (err error) {
			for range 30 {
				_, err = s.Append(t.Context(), eventstore.ExpectAny(), eventstore.Raw{Type: "t", Payload: make([]byte, 3500)})
			}
			return err
		})
		target.Around = func(_ context.Context, r *memstate.Request, next func() error) error {
			if r.Op == "commit" {
				requests++
			}
			return next()
		}
		if must(t, source, target, plain, transfer.WithBatches(bounds[0], bounds[1])); requests != 10 {
			t.Errorf("with WithBatches(%v) it took %d appends, want 10", bounds, requests)
		}
	}
}

func TestWhatIsTooLargeForOneRequestIsDivided(t *testing.T) {
	t.Parallel()
	for name, kind := range kinds {
		source, target := newHouse(t, kind()), newHouse(t, kind())
		target.Caps.MaxRequestBytes = 10_000
		source.fill(plain, 100)
		if result := must(t, source, target, plain); result.Copied != 100 {
			t.Errorf("%s: %+v", name, result)
		}
		alike(t, source, target, plain)

		other := plain
		other.ID = "large"
		source.as(other, func(s *eventstore.Session) error {
			_, err := s.Append(t.Context(), eventstore.ExpectAny(), event(1), eventstore.Raw{Type: "t", Payload: make([]byte, 20_000)})
			return err
		})
		result, err := transfer.Copy(t.Context(), source.Provider, target.Provider, other)
		if want[*eventstore.BatchTooLargeError](t, err); result.Copied != 1 {
			t.Errorf("%s: %+v", name, result)
		}
	}
}

func TestADamagedSourceIsRefusedBeforeAnythingIsWritten(t *testing.T) {
	for name, test := range map[string]struct {
		spoil   func(h *house)
		version int64
	}{
		"a missing event": {func(h *house) { h.Set(h.key(plain, 8), nil) }, 8},
		"a changed byte": {func(h *house) {
			v, _ := h.Value(h.key(plain, 8))
			v = slices.Clone(v)
			v[len(v)-1] ^= 1
			h.Set(h.key(plain, 8), v)
		}, 8},
		"an event elsewhere": {func(h *house) { v, _ := h.Value(h.key(plain, 7)); h.Set(h.key(plain, 8), v) }, 8},
		"one above the head": {func(h *house) { v, _ := h.Value(h.key(plain, 7)); h.Set(h.key(plain, 13), v) }, 13},
		"a missing head":     {func(h *house) { h.Set(h.key(plain, "head"), nil) }, 0},
		"an unreadable head": {func(h *house) { h.Set(h.key(plain, "head"), []byte("x")) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source, target := newHouse(t, memstate.Transactional()), newHouse(t, memstate.Redis())
			source.fill(plain, 12)
			test.spoil(source)
			_, err := transfer.Copy(t.Context(), source.Provider, target.Provider, plain)
			if damage := want[*eventstore.DamagedError](t, err); damage.Version != test.version {
				t.Errorf("it names version %d, want %d: %v", damage.Version, test.version, err)
			}
			if left := target.Values(); len(left) > 0 {
				t.Errorf("the target holds %v", left)
			}
		})
	}
}

func TestWhatIsMadeFromEventsIsNoHindranceWhereItIsDamaged(t *testing.T) {
	t.Parallel()
	source, target := newHouse(t, memstate.Transactional()), newHouse(t, memstate.Transactional())
	source.fill(plain, 12)
	source.snapshot(plain, 2, 4, 6)
	source.Set(source.key(plain, "snapshot:2"), []byte("x"))
	source.Set(source.key(plain, "snapshot:6"), nil)
	source.Set(source.key(plain, "idem:id%201"), nil)
	result := must(t, source, target, plain)
	if result.Snapshots != 1 || !slices.Equal(result.Unusable, []int64{2, 6}) {
		t.Errorf("%+v", result)
	}
	if version, err := target.reader(plain).VersionOf(t.Context(), "id 1"); version != 1 || err != nil {
		t.Errorf("the idempotency id leads to %d, %v", version, err)
	}
	source.Set(source.key(plain, "snapshots"), []byte("x"))
	if result = must(t, source, target, plain); result.Snapshots != 0 {
		t.Errorf("with a list that can't be read: %+v", result)
	}
	if versions, err := target.reader(plain).Snapshots(t.Context()); len(versions) > 0 || err != nil {
		t.Errorf("the target still has snapshots at %v, %v", versions, err)
	}
}

func TestATargetThatHasSomethingElseIsRefusedAndLeftAlone(t *testing.T) {
	for name, test := range map[string]struct {
		before  int // events that were copied before
		change  func(t *testing.T, target *house)
		version int64
		says    string
	}{
		"another event": {5, func(t *testing.T, target *house) { target.fill(plain, 1) }, 6, "metadata"}, // ids and sessions are new
		"other content": {4, func(t *testing.T, target *house) {
			target.as(plain, func(s *eventstore.Session) error {
				e, err := houseOf(t, 12).reader(plain).Event(t.Context(), 5, eventstore.AsRaw())
				if err != nil {
					return err
				}
				raw := e.Data.(eventstore.Raw)
				raw.Payload = []byte("{}")
				e.Data = raw
				_, err = s.AppendRecorded(t.Context(), eventstore.ExpectAny(), e)
				return err
			})
		}, 5, "metadata"},
		"more than there is":     {12, func(t *testing.T, target *house) { target.fill(plain, 2) }, 13, "the source ends at"},
		"an end of its own":      {5, func(t *testing.T, target *house) { target.close(plain) }, 6, "was closed at version 5"},
		"the same, but closed":   {12, func(t *testing.T, target *house) { target.close(plain) }, 13, "was closed at version 12"},
		"that it was deleted":    {5, func(t *testing.T, target *house) { target.delete(plain) }, 0, "deleted in the target"},
		"nothing but a deletion": {0, func(t *testing.T, target *house) { target.delete(plain) }, 0, "deleted in the target"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source, target := houseOf(t, 12), newHouse(t, memstate.Transactional())
			copyFirst(t, source, target, test.before)
			test.change(t, target)
			before := target.kept()
			_, err := transfer.Copy(t.Context(), source.Provider, target.Provider, plain)
			differs := want[*transfer.DiffersError](t, err)
			if differs.Stream != plain || differs.Version != test.version || !strings.Contains(differs.Error(), test.says) {
				t.Errorf("it is %+v: %v", differs, differs)
			}
			if !errors.As(err, new(*transfer.DiffersError)) || errors.As(err, new(*transfer.BusyError)) {
				t.Errorf("it does not match its kind: %v", err)
			}
			if !reflect.DeepEqual(before, target.kept()) {
				t.Error("the target has changed")
			}
		})
	}
}

// houseOf returns a store with n events.
func houseOf(t *testing.T, n int) *house {
	h := newHouse(t, memstate.Transactional())
	h.fill(plain, n)
	return h
}

// copyFirst copies the first n events.
func copyFirst(t *testing.T, source, target *house, n int) {
	t.Helper()
	if n == 0 {
		return
	}
	events, err := source.reader(plain).Slice(t.Context(), 1, int64(n), eventstore.AsRaw())
	if err != nil {
		t.Fatal(err)
	}
	target.as(plain, func(s *eventstore.Session) error {
		_, err := s.AppendRecorded(t.Context(), eventstore.ExpectVersion(0), events...)
		return err
	})
}

func TestWhatTheSourceGetsMeanwhileComesWithTheNextCopy(t *testing.T) {
	inHouses(t, func(t *testing.T, from, to *memstate.Store) {
		source, target := newHouse(t, from), newHouse(t, to)
		source.fill(plain, 12)
		reads := 0
		source.Around = func(_ context.Context, r *memstate.Request, next func() error) error {
			if err := next(); err != nil {
				return err
			}
			if reads++; reads%3 == 0 {
				source.Around = nil
				source.fill(plain, 1)
				source.snapshot(plain, 12, 13)
			}
			return nil
		}
		result := must(t, source, target, plain)
		source.Around = nil
		if result.Version != 12 || result.Copied != 12 {
			t.Errorf("the first copy gave %+v", result)
		}
		source.fill(plain, 4)
		source.snapshot(plain, 13)
		if result = must(t, source, target, plain); result.Version != 17 || result.Before != 12 || result.Copied != 5 || result.Verified != 17 {
			t.Errorf("the second copy gave %+v", result)
		}
		alike(t, source, target, plain)
	})
}

func TestATargetToWhichSomebodyElseWritesIsBusy(t *testing.T) {
	inHouses(t, func(t *testing.T, from, to *memstate.Store) {
		source, target := newHouse(t, from), newHouse(t, to)
		source.fill(plain, 12)
		appends := 0
		target.Around = func(_ context.Context, r *memstate.Request, next func() error) error {
			if (r.Op == "swap" || r.Op == "commit") && r.Has(":head") {
				if appends++; appends == 2 {
					target.Around = nil
					s, err := target.Open(t.Context(), plain, eventstore.Shared())
					if err == nil {
						_, err = s.Append(t.Context(), eventstore.ExpectAny(), event(1000))
					}
					if err != nil {
						t.Error(err)
					}
				}
			}
			return next()
		}
		result, err := transfer.Copy(t.Context(), source.Provider, target.Provider, plain, transfer.WithBatches(5, 1000))
		if busy := want[*transfer.BusyError](t, err); busy.Stream != plain {
			t.Errorf("%+v", busy)
		}
		if result.Copied != 5 {
			t.Errorf("%+v", result)
		}
		_, err = transfer.Copy(t.Context(), source.Provider, target.Provider, plain)
		if differs := want[*transfer.DiffersError](t, err); differs.Version != 6 {
			t.Errorf("the next copy: %v", err)
		}
	})
}

func TestATargetThatSomebodyElseHoldsIsBusy(t *testing.T) {
	t.Parallel()
	source, target := houseOf(t, 12), newHouse(t, memstate.Transactional())
	target.as(plain, func(*eventstore.Session) error {
		_, err := transfer.Copy(t.Context(), source.Provider, target.Provider, plain)
		if busy := want[*transfer.BusyError](t, err); !strings.Contains(busy.Error(), "stop the writers") {
			t.Errorf("%v", busy)
		}
		return nil
	})
	must(t, source, target, plain)
}

func TestADeletedStreamIsDeletedInATargetThatHasNothingOfIt(t *testing.T) {
	inHouses(t, func(t *testing.T, from, to *memstate.Store) {
		source, target := newHouse(t, from), newHouse(t, to)
		source.fill(plain, 12)
		source.delete(plain)
		for range 2 {
			result := must(t, source, target, plain)
			if want := (transfer.Result{Stream: plain, Deleted: true}); !reflect.DeepEqual(result, want) {
				t.Errorf("the result is %+v", result)
			}
			_, err := target.reader(plain).Version(t.Context())
			want[*eventstore.StreamDeletedError](t, err)
		}
	})
}

func TestADeletedStreamOfWhichTheTargetHasEventsIsLeftToThePersonInCharge(t *testing.T) {
	t.Parallel()
	source, target := houseOf(t, 12), newHouse(t, memstate.Transactional())
	must(t, source, target, plain)
	source.delete(plain)
	before := target.kept()
	_, err := transfer.Copy(t.Context(), source.Provider, target.Provider, plain)
	if differs := want[*transfer.DiffersError](t, err); !strings.Contains(differs.Error(), "Session.DeleteStream") {
		t.Errorf("%v", err)
	}
	if !reflect.DeepEqual(before, target.kept()) {
		t.Error("the target has changed")
	}
}

func TestAnEmptyStreamIsNothingToCopy(t *testing.T) {
	t.Parallel()
	source, target := newHouse(t, memstate.Transactional()), newHouse(t, memstate.Transactional())
	if result := must(t, source, target, plain); !reflect.DeepEqual(result, transfer.Result{Stream: plain}) {
		t.Errorf("%+v", result)
	}
	if left := target.Values(); len(left) > 0 {
		t.Errorf("the target holds %v", left)
	}
	target.fill(plain, 1)
	_, err := transfer.Copy(t.Context(), source.Provider, target.Provider, plain)
	if differs := want[*transfer.DiffersError](t, err); differs.Version != 1 {
		t.Errorf("%v", err)
	}
}

func TestSnapshotsBecomeThoseOfTheSource(t *testing.T) {
	inHouses(t, func(t *testing.T, from, to *memstate.Store) {
		source, target := newHouse(t, from), newHouse(t, to)
		source.fill(plain, 12)
		source.snapshot(plain, 2, 4, 6)
		must(t, source, target, plain)
		target.snapshot(plain, 4, 5) // at another time, and one that only the target has
		target.Set(target.key(plain, "snapshot:6"), nil)
		if result := must(t, source, target, plain); result.Snapshots != 3 || result.Saved != 2 {
			t.Errorf("%+v", result)
		}
		alike(t, source, target, plain)
		target.Set(target.key(plain, "snapshots"), []byte("x"))
		source.as(plain, func(s *eventstore.Session) error { return s.ClearSnapshot(t.Context(), 2) })
		if result := must(t, source, target, plain); result.Snapshots != 2 {
			t.Errorf("%+v", result)
		}
		if got := target.content(plain).Snapshots; len(got) != 2 {
			t.Errorf("the target has %v", got)
		}
	})
}

// The copy takes longer than one session lasts.
func TestALongCopyOutlivesItsSessions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source, target := houseOf(t, 100), newHouse(t, memstate.Redis(), func(s *eventstore.Settings) { s.SessionTimeout = 10 * time.Second })
		target.Around = func(_ context.Context, _ *memstate.Request, next func() error) error {
			pass(time.Second)
			return next()
		}
		result := must(t, source, target, plain, transfer.WithBatches(5, 1000))
		target.Around = nil
		if result.Copied != 100 {
			t.Errorf("%+v", result)
		}
		sessions := strings.Count(fmt.Sprint(target.Trace()), "swap lease") / 2
		if sessions < 5 {
			t.Errorf("it opened %d sessions", sessions)
		}
		alike(t, source, target, plain)
	})
}

func TestWhatTheTargetDoesNotGiveBackIsNoticed(t *testing.T) {
	for name, test := range map[string]struct {
		lose func(target *house)
		want any // for errors.As
	}{
		"an event that is gone": {func(target *house) { target.Set(target.key(plain, 8), nil) }, new(*eventstore.DamagedError)},
		"an event that changed": {func(target *house) {
			other := newHouse(t, memstate.Transactional())
			other.fill(plain, 12)
			v, _ := other.Value(other.key(plain, 8))
			target.Set(target.key(plain, 8), v)
		}, new(*transfer.DiffersError)},
		"an idempotency id that leads nowhere": {func(target *house) { target.Set(target.key(plain, "idem:id%207"), nil) }, new(*eventstore.DamagedError)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source, target := houseOf(t, 12), newHouse(t, memstate.Transactional())
			written := false
			target.Around = func(_ context.Context, r *memstate.Request, next func() error) error {
				if written && r.Op == "getmany" && r.Has(":8") {
					test.lose(target)
				}
				written = written || r.Op == "commit"
				return next()
			}
			_, err := transfer.Copy(t.Context(), source.Provider, target.Provider, plain)
			if !errors.As(err, test.want) {
				t.Errorf("got %v, want it to be found as a %T", err, test.want)
			}
		})
	}
}

func TestProgressIsTold(t *testing.T) {
	t.Parallel()
	source, target := houseOf(t, 1200), newHouse(t, memstate.Transactional())
	copyFirst(t, source, target, 600)
	var told []string
	must(t, source, target, plain, transfer.WithBatches(400, 1<<20), transfer.WithProgress(func(p transfer.Progress) {
		told = append(told, fmt.Sprintf("%s %d/%d", p.Stage, p.Done, p.Of))
		if p.Stream != plain {
			t.Errorf("it is of %s", p.Stream)
		}
	}))
	want := []string{"checking 32/1200", "checking 128/1200", "checking 416/1200", "checking 1200/1200", "comparing 500/600", "comparing 600/600", "copying 400/600", "copying 600/600", "verifying 500/600", "verifying 600/600"}
	if !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

func TestWrongArgumentsAreRefused(t *testing.T) {
	t.Parallel()
	a, b := newHouse(t, memstate.Transactional()).Provider, newHouse(t, memstate.Transactional()).Provider
	for name, call := range map[string]func() error{
		"one provider": func() error { _, err := transfer.Copy(t.Context(), a, a, plain); return err },
		"no provider":  func() error { _, err := transfer.Copy(t.Context(), a, nil, plain); return err },
		"a blank name": func() error { _, err := transfer.Copy(t.Context(), a, b, eventstore.Stream{}); return err },
		"a nil option": func() error { _, err := transfer.Copy(t.Context(), a, b, plain, nil); return err },
		"empty batches": func() error {
			_, err := transfer.Copy(t.Context(), a, b, plain, transfer.WithBatches(0, 1))
			return err
		},
		"nobody to tell": func() error {
			_, err := transfer.Copy(t.Context(), a, b, plain, transfer.WithProgress(nil))
			return err
		},
	} {
		if err := call(); !errors.As(err, new(*eventstore.ArgumentError)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTwoProvidersOfOneStoreDoNoHarm(t *testing.T) {
	t.Parallel()
	source := houseOf(t, 12)
	same := newHouse(t, source.Store)
	before := source.kept()
	if result := must(t, source, same, plain); result.Before != 12 || result.Copied != 0 {
		t.Errorf("%+v", result)
	}
	if !reflect.DeepEqual(before, source.kept()) {
		t.Error("it has changed")
	}
}
