package service

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// pass lets faked time pass.
func pass(d time.Duration) { <-time.After(d) }

func TestConnectingIsTriedAgainAtGrowingIntervals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, began := New(quiet(), "sidecar"), time.Now()
		h := s.Handler(nil)
		var tries []time.Duration
		var connected bool
		go func() {
			connected = s.Connect(t.Context(), func(context.Context) (Bank, error) {
				tries = append(tries, time.Since(began))
				if len(tries) < 9 {
					return Bank{}, errors.New("nobody there")
				}
				return Bank{Reach: func(context.Context) error { return nil }}, nil
			})
		}()
		synctest.Wait()
		if now := answers[health](t, call(t, h, "GET /readyz", ""), 503); now.Away != "sidecar" {
			t.Errorf("before there is a store: %+v", now)
		}
		refuses(t, call(t, h, "GET /api/v1/accounts", ""), 503, "not-connected")
		answers[health](t, call(t, h, "GET /livez", ""), 200)

		pass(time.Minute)
		synctest.Wait()
		ms := time.Millisecond
		if want := []time.Duration{0, 100 * ms, 300 * ms, 700 * ms, 1500 * ms, 3100 * ms, 6300 * ms, 11300 * ms, 16300 * ms}; !slices.Equal(tries, want) {
			t.Errorf("tried at %v, want %v", tries, want)
		}
		if !connected {
			t.Error("not connected")
		}
		answers[health](t, call(t, h, "GET /readyz", ""), 200)
	})
}

func TestATryToConnectDoesNotTakeForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s, tries := New(quiet(), "sidecar"), 0
		ended := make(chan bool)
		go func() {
			ended <- s.Connect(ctx, func(ctx context.Context) (Bank, error) {
				tries++
				<-ctx.Done()
				return Bank{}, ctx.Err()
			})
		}()
		pass(tryTimeout + firstWait + time.Second)
		synctest.Wait()
		if tries != 2 {
			t.Errorf("tried %d times, want 2", tries)
		}
		cancel()
		if <-ended {
			t.Error("it says that it is connected")
		}
	})
}

func TestReadinessSaysWhatIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := New(quiet(), "sidecar")
		h := s.Handler(nil)
		answer := func(context.Context) error { return nil }
		s.Connect(t.Context(), func(context.Context) (Bank, error) {
			return Bank{Reach: func(ctx context.Context) error { return answer(ctx) }}, nil
		})
		ready := func(status int, away string) {
			t.Helper()
			if now := answers[health](t, call(t, h, "GET /readyz", ""), status); now.Away != away || away != "" && now.Detail == "" {
				t.Errorf("%+v, want %q to be away", now, away)
			}
		}
		ready(200, "")
		answer = func(context.Context) error { return &AwayError{Part: "state store", Cause: errors.New("no")} }
		ready(503, "state store")
		answer = func(context.Context) error { return errors.New("no") }
		ready(503, "store")
		began := time.Now()
		answer = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		ready(503, "store")
		if took := time.Since(began); took != readyTimeout {
			t.Errorf("the answer took %v", took)
		}
		answer = func(context.Context) error { return nil }
		ready(200, "")
		s.Drain()
		ready(503, "service")
		answers[health](t, call(t, h, "GET /livez", ""), 200)
	})
}
