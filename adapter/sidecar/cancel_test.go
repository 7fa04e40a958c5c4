package sidecar_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// hung is a sidecar that answers a request only after the client has given up.
func hung(ctx context.Context, _ proto.Message) (proto.Message, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestARequestToASidecarThatHangsEndsWithItsContext(t *testing.T) {
	t.Parallel()
	one := []driver.Write{{Key: "a", Value: []byte("1")}}
	two := append(slices.Clone(one), driver.Write{Key: "b", Value: []byte("1")})
	for name, request := range map[string]func(context.Context, *sidecar.State, *sidecar.Locker) error{
		"get": func(ctx context.Context, s *sidecar.State, _ *sidecar.Locker) error {
			_, err := s.Get(ctx, "p", "a")
			return err
		},
		"get many": func(ctx context.Context, s *sidecar.State, _ *sidecar.Locker) error {
			_, err := s.GetMany(ctx, "p", []string{"a", "b"})
			return err
		},
		"swap": func(ctx context.Context, s *sidecar.State, _ *sidecar.Locker) error {
			return s.Swap(ctx, "p", driver.Swap{Key: "a", Value: []byte("1")})
		},
		"write":  func(ctx context.Context, s *sidecar.State, _ *sidecar.Locker) error { return s.Write(ctx, "p", one) },
		"writes": func(ctx context.Context, s *sidecar.State, _ *sidecar.Locker) error { return s.Write(ctx, "p", two) },
		"commit": func(ctx context.Context, s *sidecar.State, _ *sidecar.Locker) error {
			return s.Commit(ctx, "p", driver.Swap{Key: "head", Value: []byte("1")}, one)
		},
		"lock": func(ctx context.Context, _ *sidecar.State, l *sidecar.Locker) error {
			_, err := l.TryLock(ctx, "a", "b", time.Minute)
			return err
		},
		"unlock": func(ctx context.Context, _ *sidecar.State, l *sidecar.Locker) error {
			_, err := l.Unlock(ctx, "a", "b")
			return err
		},
		"a session": func(ctx context.Context, s *sidecar.State, l *sidecar.Locker) error {
			p, err := eventstore.NewProvider(s, eventstore.WithLocker(l))
			if err != nil {
				return err
			}
			_, err = p.Open(ctx, p.Stream("account", "1"))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f, client := start(t, "state.in-memory", "ETAG", "TRANSACTIONAL")
				s, err := sidecar.NewState(t.Context(), client, "statestore", sidecar.WithoutProbe())
				if err != nil {
					t.Fatal(err)
				}
				l, err := sidecar.NewLocker(t.Context(), client, "lockstore")
				if err != nil {
					t.Fatal(err)
				}
				f.answer = hung
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Second, cancel)
				began := time.Now()
				err = request(ctx, s, l)
				if took := time.Since(began); took < time.Second || took > time.Second+100*time.Millisecond {
					t.Errorf("it took %s, and its context ended after 1s", took)
				}
				if !errors.Is(err, context.Canceled) || errors.Is(err, driver.ErrRefused) {
					t.Errorf("it ended with %v", err)
				}
				// The bubble fails if a goroutine is left when the client is closed.
			})
		})
	}
}
