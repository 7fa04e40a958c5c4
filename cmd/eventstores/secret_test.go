package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/adapter/embedded/memory"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
)

const hunter = `hunter2 "/ä@`

// telling is a store that answers with errors that quote its password, from one request on.
type telling struct {
	*memory.State
	left *atomic.Int64 // requests that succeed
}

func (s telling) password() string { return hunter }

func (s telling) request() error {
	if s.left.Add(-1) >= 0 {
		return nil
	}
	return fmt.Errorf("dial redis://user:%s@localhost: no such host", hunter)
}

func (s telling) Get(ctx context.Context, partition, key string) (driver.Item, error) {
	if err := s.request(); err != nil {
		return driver.Item{}, err
	}
	return s.State.Get(ctx, partition, key)
}

func (s telling) GetMany(ctx context.Context, partition string, keys []string) ([]driver.Item, error) {
	items, err := s.State.GetMany(ctx, partition, keys)
	for i := range items {
		if failed := s.request(); failed != nil {
			items[i] = driver.Item{Key: items[i].Key, Err: failed}
		}
	}
	return items, err
}

func (s telling) Swap(ctx context.Context, partition string, swap driver.Swap) error {
	if err := s.request(); err != nil {
		return err
	}
	return s.State.Swap(ctx, partition, swap)
}

func (s telling) Write(ctx context.Context, partition string, writes []driver.Write) error {
	if err := s.request(); err != nil {
		return err
	}
	return s.State.Write(ctx, partition, writes)
}

func (s telling) Commit(ctx context.Context, partition string, swap driver.Swap, writes []driver.Write) error {
	if err := s.request(); err != nil {
		return err
	}
	return s.State.Commit(ctx, partition, swap, writes)
}

func (s telling) ListKeys(ctx context.Context, suffix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for key, err := range s.State.ListKeys(ctx, suffix) {
			if err == nil {
				err = s.request()
			}
			if !yield(key, err) || err != nil {
				return
			}
		}
	}
}

// Whatever a store answers, and whenever it does, no command prints its password.
func TestNoCommandPrintsThePasswordThatAnErrorQuotes(t *testing.T) {
	t.Parallel()
	var told atomic.Int64
	t.Cleanup(func() {
		if !t.Failed() && told.Load() == 0 {
			t.Error("no command met an error, so that this shows nothing")
		}
	})
	eachJob(t, [][]byte{[]byte(`{}`)}, func(t *testing.T, j job, w *memory.State) {
		for _, succeed := range []int64{0, 1, 2, 4, 8, 16, 32} {
			ctx, cancel := context.WithTimeoutCause(t.Context(), 2*time.Minute, errors.New("enough"))
			from, to := telling{clone(t, w), new(atomic.Int64)}, telling{memory.New(), new(atomic.Int64)}
			from.left.Store(succeed)
			to.left.Store(succeed)
			out, errs := &output{}, &output{}
			if strings.HasPrefix(j.args, "console") {
				out.each = cancel // no time passes in a bubble that listens
			}
			run(ctx, j.of(t, lend(t, from), lend(t, to), t.TempDir()), strings.NewReader(j.stdin), out, errs)
			cancel()
			said := out.said.String() + errs.said.String()
			if strings.Contains(said, "***") {
				told.Add(1)
			}
			if strings.Contains(said, "hunter") {
				t.Fatalf("after %d requests it says\n%s", succeed, said)
			}
		}
	})
}

func TestAReasonForParkingIsShownWithoutThePassword(t *testing.T) {
	t.Parallel()
	for _, as := range []format{asText, asJSON} {
		var out bytes.Buffer
		c := &call{stdout: &printer{w: &out}, stderr: &printer{w: io.Discard}}
		c.hide(hunter)
		what := unparking{projecting: projecting{format: as}}
		if err := what.list(c, []subscription.Parked{{Stream: eventstore.Stream{Database: "d", Type: "t", ID: "1"}, Reason: "dial user:" + hunter + "@host"}}); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out.String(), "hunter") || !strings.Contains(out.String(), "dial user:***@host") {
			t.Errorf("%s: %s", as, &out)
		}
	}
}
