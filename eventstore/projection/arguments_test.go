package projection_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
	"github.com/hexalith/eventstores-go/eventstore/projection"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
)

func TestWrongArgumentsAreRefused(t *testing.T) {
	_, f := open(t, memstate.Transactional())
	apply := func(context.Context, *projection.Documents[account], feed.Item) error { return nil }
	for name, c := range map[string]struct {
		says  string
		begin func() (*projection.Projection[account], error)
	}{
		"no feed":    {"feed", func() (*projection.Projection[account], error) { return projection.New(nil, "a", apply) }},
		"no handler": {"handler", func() (*projection.Projection[account], error) { return projection.New[account](f, "a", nil) }},
		"no name":    {"name", func() (*projection.Projection[account], error) { return projection.New(f, " ", apply) }},
		"a long name": {"name", func() (*projection.Projection[account], error) {
			return projection.New(f, strings.Repeat("a", 201), apply)
		}},
		"a version's name": {"WithVersion", func() (*projection.Projection[account], error) { return projection.New(f, "a@2", apply) }},
		"version 0": {"WithVersion", func() (*projection.Projection[account], error) {
			return projection.New(f, "a", apply, projection.WithVersion(0))
		}},
		"no store": {"WithStore", func() (*projection.Projection[account], error) {
			return projection.New(f, "a", apply, projection.WithStore(nil))
		}},
		"no option": {"option", func() (*projection.Projection[account], error) { return projection.New(f, "a", apply, nil) }},
		"a wrong option": {"WithPartitions", func() (*projection.Projection[account], error) {
			return projection.New(f, "a", apply, projection.With(subscription.WithPartitions(0)))
		}},
		"a view of nothing": {"versions", func() (*projection.Projection[account], error) {
			_, err := projection.NewView[account]()
			return nil, err
		}},
		"a view of two": {"versions", func() (*projection.Projection[account], error) {
			other, err := projection.New(f, "other", apply)
			if err != nil {
				return nil, nil
			}
			_, err = projection.NewView(balances(t, f), other)
			return nil, err
		}},
	} {
		p, err := c.begin()
		if p != nil || !errors.As(err, new(*eventstore.ArgumentError)) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, %v", name, p, err)
		}
	}
}

func TestAVersionIsNamedAfterItsProjection(t *testing.T) {
	_, f := open(t, memstate.Transactional())
	if got := balances(t, f).Subscription().Name(); got != "balances" {
		t.Error(got)
	}
	if got := balances(t, f, projection.WithVersion(2)).Subscription().Name(); got != "balances@2" {
		t.Error(got)
	}
	if _, err := projection.New(f, "ada@home", func(context.Context, *projection.Documents[account], feed.Item) error { return nil }); err != nil {
		t.Error(err)
	}
}
