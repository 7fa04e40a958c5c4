// Package sqlite runs Dapr's component state.sqlite in this process, on one file. It suits local
// work, and services that run as a single process.
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
// A sidecar puts a prefix before every key, and this package does not. It finds a stream that was
// written through a sidecar only if the sidecar's component has keyPrefix: none.
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

// WithReadOnly opens the store to read it. The file must exist and must have been written by [Open]
// or by Dapr's state.sqlite. Open refuses any other file. It creates and changes nothing, neither
// the file nor anything next to it. So the file, its folder and its disk may be write-protected.
//
// Writes fail with [driver.ErrRefused]. Other processes may write to the file meanwhile, and reads
// see their writes. By default the store is opened to read and write.
func WithReadOnly() Option {
	return func(c *config) error {
		c.readOnly = true
		return nil
	}
}

// WithoutProbe opens the store without testing it. Then Open writes only if the file is no store
// yet, to create one. Use it in a program that only reads, or that must not write yet, for example
// because the disk is full. By default [Open] tests the store. Together with [WithReadOnly] it
// changes nothing.
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
// write-ahead log with every commit. The log is in the files path-wal and path-shm and belongs to
// the database. Several processes of one machine may open the file. It must not be on a network
// file system.
//
// Open tests the store with at most 7 requests. They use keys that no stream can have, and Open
// removes these keys. Open refuses an unsuitable store and says why. It also reports a full disk
// and a write-protected file. [WithoutProbe] turns the test off.
//
// A writer waits up to 10 s while another process has the file locked. If that is not enough, the
// append fails, and it certainly did not take effect.
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
		return nil, errors.New("sqlite: the path is blank")
	}
	if c.readOnly {
		state, err := openReadOnly(ctx, path)
		if err != nil {
			return nil, fmt.Errorf("sqlite: cannot read %s: %w", path, err)
		}
		return &State{state}, nil
	}
	if strings.HasPrefix(path, ":memory:") || strings.HasPrefix(path, "file:") {
		return nil, fmt.Errorf("sqlite: %q is not the path of a file: give a plain path, or use memory.New", path)
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("sqlite: the file %s: %w", path, err)
	}
	createPrivately(absolute)
	state, err := start(ctx, absolute)
	if err != nil {
		return nil, fmt.Errorf("sqlite: cannot open %s (does its folder exist, and may this process write to it?): %w", path, err)
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

// start starts the component. It tries again while another process is creating the file, because
// SQLite does not wait for that.
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
		Capabilities: driver.Capabilities{Store: "state.sqlite", Atomic: true, Conditions: true, UniqueETags: true, BulkMisses: true, AnyPartition: true},
		SendsOnce:    true,
	})
}

// busy reports whether SQLite refused a request because another connection has the file locked
// (SQLITE_BUSY).
func busy(err error) bool {
	var coded interface{ Code() int }
	return errors.As(err, &coded) && coded.Code()&0xff == 5
}

// Close closes the file. End all requests first, because later ones fail. Closing again does
// nothing and returns nil.
func (s *State) Close() error { return s.base.Close() }
