package embedded_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/hexalith/eventstores-go/adapter/embedded/memory"
	"github.com/hexalith/eventstores-go/adapter/embedded/sqlite"
	"github.com/hexalith/eventstores-go/eventstore"
)

func TestNothingRunsOnWhenAStoreIsClosed(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(context.Context, string) (store, error){
		"in memory":        func(context.Context, string) (store, error) { return memory.New(), nil },
		"in a SQLite file": func(ctx context.Context, path string) (store, error) { return sqlite.Open(ctx, path) },
		"that can't be opened": func(ctx context.Context, path string) (store, error) {
			if _, err := sqlite.Open(ctx, filepath.Join(path, "none", "events.db")); err == nil {
				return nil, errors.New("it was opened")
			}
			return memory.New(), nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "events.db")
			synctest.Test(t, func(t *testing.T) {
				s, err := open(t.Context(), path)
				if err != nil {
					t.Fatal(err)
				}
				p, err := eventstore.NewProvider(s)
				if err != nil {
					t.Fatal(err)
				}
				session, err := p.Open(t.Context(), p.Stream("account", "1"))
				if err != nil {
					t.Fatal(err)
				}
				if _, err := session.Append(t.Context(), eventstore.ExpectVersion(0), eventstore.Raw{Type: "a"}, eventstore.Raw{Type: "b"}); err != nil {
					t.Error(err)
				}
				for _, err := range session.Read(t.Context(), eventstore.AsRaw()) {
					if err != nil {
						t.Error(err)
					}
					break
				}
				if err := session.Close(); err != nil {
					t.Error(err)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				// The bubble fails if a goroutine is left.
			})
		})
	}
}
