// Package sqlite runs Dapr's component state.sqlite inside this process, on one file. It suits
// local work and services that run once.
//
//	state, err := sqlite.Open(ctx, "bank.db")
//	if err != nil {
//		return err
//	}
//	defer state.Close()
//	provider, err := eventstore.NewProvider(state)
//
// [WithReadOnly] opens a file to read it, for example a backup.
//
// A sidecar puts a prefix before every key, and this package does not. A stream that was written
// through a sidecar is found here only if the sidecar's component has keyPrefix: none.
//
// # Examples
//
//   - example_test.go: a history in a file
//   - readonly_test.go: read a backup that cannot be written
package sqlite

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	contrib "github.com/dapr/components-contrib/state/sqlite"

	"github.com/hexalith/eventstores-go/adapter/embedded/internal/component"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// State is a store in a SQLite file. It implements [driver.State] and is safe for concurrent use.
//
// A request returns as soon as its context ends. The component may be busy with it for some seconds
// more, and a write may still take effect.
type State struct{ *base }

type base = component.State

var _ driver.State = (*State)(nil)

// Option configures [Open].
type Option func(*config) error

type config struct{ readOnly, withoutProbe bool }

// WithReadOnly opens the store to read it. The file must exist and hold what [Open] or Dapr's
// state.sqlite made, and any other file is refused. Nothing is created or changed, neither the file
// nor what lies beside it. So the file, its folder and its disk may be write-protected.
//
// Writes fail with [driver.ErrRefused]. Other processes may write to the file meanwhile, and reads
// see their writes. By default the store is opened to read and write.
func WithReadOnly() Option {
	return func(c *config) error {
		c.readOnly = true
		return nil
	}
}

// WithoutProbe opens the store without trying it out. Then Open writes only what creates a store
// where there is none. Use it in a program that only reads, or that may not write at that time, for
// example because the disk is full. By default [Open] tries the store out. Together with
// [WithReadOnly] it changes nothing.
func WithoutProbe() Option {
	return func(c *config) error {
		c.withoutProbe = true
		return nil
	}
}

// Open opens the store in a SQLite file. The path is a plain one, not a URL. If the file does not
// exist, Open creates it for its owner alone (mode 0600). The folder must exist.
//
// Acknowledged events survive the end of the process and a power cut, because SQLite syncs its
// write-ahead log with every commit. The log stands beside the file as path-wal and path-shm, and
// belongs to it. Several processes of one machine may have the file open. It must not lie on a
// network file system.
//
// Open tries the store out with at most 7 requests. They use keys that no stream can have, and Open
// removes these keys. An unfit store is refused with the reason. A full disk and a write-protected
// file are errors that say so. [WithoutProbe] turns that off.
//
// A writer waits up to 10 s while another process has the file locked. If that is not enough, the
// append certainly did not take effect.
func Open(ctx context.Context, path string, options ...Option) (*State, error) {
	var c config
	for _, option := range options {
		if option == nil {
			return nil, errors.New("sqlite: an option is nil")
		}
		if err := option(&c); err != nil {
			return nil, fmt.Errorf("sqlite: %w", err)
		}
	}
	if strings.TrimSpace(path) == "" {
		return nil, errors.New("sqlite: the path of the file is blank")
	}
	if c.readOnly {
		state, err := openReadOnly(ctx, path)
		if err != nil {
			return nil, fmt.Errorf("sqlite: cannot read the file %s: %w", path, err)
		}
		return &State{state}, nil
	}
	if strings.HasPrefix(path, ":memory:") || strings.HasPrefix(path, "file:") {
		return nil, fmt.Errorf("sqlite: %q is no path of a file: give a plain path, or use memory.New", path)
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("sqlite: the file %s: %w", path, err)
	}
	createPrivately(absolute)
	state, err := start(ctx, absolute)
	if err != nil {
		return nil, fmt.Errorf("sqlite: cannot open the file %s, is its folder there, and may this process write to it? %w", path, err)
	}
	if !c.withoutProbe {
		if err := component.Probe(ctx, state); err != nil {
			return nil, fmt.Errorf("sqlite: the file %s: %w", path, err)
		}
	}
	return &State{state}, nil
}

// sqliteBusy is how long one writer waits for another.
const sqliteBusy = 10 * time.Second

// start starts the component. It tries again while another process is just creating the file,
// because SQLite does not wait for that.
func start(ctx context.Context, path string) (*component.State, error) {
	began := time.Now()
	state, err := startOnce(ctx, path)
	for wait := time.Millisecond; busy(err) && time.Since(began) < sqliteBusy; wait = min(2*wait, 100*time.Millisecond) {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
		state, err = startOnce(ctx, path)
	}
	return state, err
}

func startOnce(ctx context.Context, path string) (*component.State, error) {
	file := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: url.Values{"_pragma": {"synchronous(FULL)"}}.Encode()}
	store := contrib.NewSQLiteStateStore(component.Logger()).(component.Store)
	return component.Start(ctx, store, map[string]string{
		"connectionString": file.String(),
		"disableWAL":       "false",
		"busyTimeout":      sqliteBusy.String(),
	}, component.Config{
		Package:      "sqlite",
		Capabilities: driver.Capabilities{Store: "state.sqlite", Atomic: true, UniqueETags: true, BulkMisses: true},
		SendsOnce:    true,
	})
}

// busy reports whether SQLite refused something because another has the file for itself
// (SQLITE_BUSY).
func busy(err error) bool {
	var coded interface{ Code() int }
	return errors.As(err, &coded) && coded.Code()&0xff == 5
}

// Close closes the file. Requests after it fail, and another Close does nothing and returns nil.
// End all requests before.
func (s *State) Close() error { return s.base.Close() }
