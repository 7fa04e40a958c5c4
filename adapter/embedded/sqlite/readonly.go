package sqlite

import (
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/dapr/components-contrib/metadata"
	"github.com/dapr/components-contrib/state"
	_ "modernc.org/sqlite" // the driver that the component uses as well

	"github.com/hexalith/eventstores-go/adapter/embedded/internal/component"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// openReadOnly opens a file as [WithReadOnly] describes.
func openReadOnly(ctx context.Context, path string) (*component.State, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	// SQLite keeps its log next to the file itself, not next to a link to it.
	if absolute, err = filepath.EvalSymlinks(absolute); err != nil {
		return nil, fmt.Errorf("no such file: %w", err)
	}
	store := &readOnlySQLite{path: absolute}
	store.BulkStore = state.NewDefaultBulkStore(store)
	if err := store.Init(ctx, state.Metadata{}); err != nil {
		_ = store.Close()
		return nil, err
	}
	return component.New(store, component.Config{
		Package:      "sqlite",
		Capabilities: driver.Capabilities{Store: "state.sqlite", Atomic: true, AnyPartition: true},
	}), nil
}

// readOnlySQLite reads the table of Dapr's component for SQLite. The component itself cannot be
// used, because it creates its tables and so needs a writable file.
type readOnlySQLite struct {
	state.BulkStore // for methods that are never called
	path            string

	mu sync.RWMutex // read-locked while db is in use
	db *sql.DB
	as footprint // the file when db was opened
}

// footprint shows whether a SQLite file was written to.
type footprint struct {
	file string // size and time of change
	// guarded means that SQLite itself keeps readers and writers apart, by locks on the file or by
	// an existing log.
	guarded bool
}

// footprintOf returns the footprint of the file and its log, and changes nothing.
func footprintOf(path string) (f footprint, err error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return f, err
	case !info.Mode().IsRegular():
		return f, errors.New("not a regular file")
	}
	f.file = fmt.Sprint(info.Size(), info.ModTime().UnixNano())
	logs, err := logsAhead(path)
	if err != nil || !logs {
		f.guarded = true
		return f, err
	}
	log, err := os.Stat(path + "-wal")
	switch {
	case err == nil:
		f.guarded = log.Size() > 0 || exists(path+"-shm")
	case !errors.Is(err, fs.ErrNotExist):
		return f, err
	}
	return f, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// dsn returns the data source name that opens the file without creating anything. A file in WAL
// mode without a log is opened as immutable, because SQLite would create the log otherwise. If
// another process writes to it nevertheless, its footprint shows that.
func (s *readOnlySQLite) dsn(as footprint) (string, error) {
	parameters := url.Values{"_pragma": {
		"query_only(1)", "busy_timeout(" + strconv.FormatInt(sqliteBusy.Milliseconds(), 10) + ")",
	}}
	parameters.Set("mode", "ro")
	if !as.guarded {
		parameters.Set("immutable", "1")
	} else if exists(s.path+"-wal") && !exists(s.path+"-shm") {
		return "", errors.New("the log (-wal) exists without its index (-shm): open the file once with the app, or copy all three files")
	}
	file := url.URL{Scheme: "file", Path: filepath.ToSlash(s.path), RawQuery: parameters.Encode()}
	return file.String(), nil
}

// logsAhead reports whether the header of a SQLite file says that it is in WAL mode.
func logsAhead(path string) (bool, error) {
	file, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer file.Close()
	header := make([]byte, 20)
	switch _, err := file.ReadAt(header, 0); {
	case err != nil && !errors.Is(err, io.EOF):
		return false, err
	case err != nil || string(header[:16]) != "SQLite format 3\x00":
		return false, errNoEventStore
	}
	return header[18] == 2, nil
}

var errNoEventStore = errors.New("not a SQLite file with an event store: check the name")

// open opens the file in its present state. The caller holds mu, or has not shared the store yet.
func (s *readOnlySQLite) open(ctx context.Context) error {
	as, err := footprintOf(s.path)
	if err != nil {
		return err
	}
	dsn, err := s.dsn(as)
	if err != nil {
		return err
	}
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return err
	}
	db.SetMaxIdleConns(component.BulkParallelism) // while one is open, no writer removes the log
	// Another program may have a table of this name, so look for the columns.
	var columns int
	err = db.QueryRowContext(ctx, `SELECT COUNT(*) FROM pragma_table_info('state') WHERE name IN ('key', 'value', 'is_binary', 'etag', 'expiration_time')`).Scan(&columns)
	if err == nil && columns != 5 {
		err = errNoEventStore
	}
	if err != nil {
		return errors.Join(err, db.Close())
	}
	if s.db != nil {
		_ = s.db.Close()
	}
	s.db, s.as = db, as
	return nil
}

// reopenings bounds how often a read is repeated because another process wrote to the file.
const reopenings = 100

// read runs a read. If the file was opened as immutable and has changed since, read opens it again
// and repeats the read.
func (s *readOnlySQLite) read(ctx context.Context, do func(*sql.DB) error) error {
	for range reopenings {
		s.mu.RLock()
		db, as := s.db, s.as
		err := do(db)
		s.mu.RUnlock()
		if as.guarded {
			return err // SQLite ensures consistency
		}
		now, statErr := footprintOf(s.path)
		if statErr != nil {
			return statErr
		}
		if now == as {
			return err
		}
		s.mu.Lock()
		if s.as == as {
			err = s.open(ctx)
		}
		s.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return errors.New("the file keeps changing")
}

const selectRows = `SELECT key, value, is_binary, etag FROM state WHERE (expiration_time IS NULL OR expiration_time > CURRENT_TIMESTAMP) AND key IN (`

// BulkGet implements [state.BulkStore].
func (s *readOnlySQLite) BulkGet(ctx context.Context, requests []state.GetRequest, _ state.BulkGetOpts) (found []state.BulkGetResponse, err error) {
	keys := make([]any, len(requests))
	for i, r := range requests {
		keys[i] = r.Key
	}
	query := selectRows + strings.TrimSuffix(strings.Repeat("?,", len(keys)), ",") + ")"
	err = s.read(ctx, func(db *sql.DB) error {
		found = nil
		there := make(map[string]bool, len(keys))
		rows, err := db.QueryContext(ctx, query, keys...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var (
				answer state.BulkGetResponse
				etag   string
				binary bool
			)
			if err := rows.Scan(&answer.Key, &answer.Data, &binary, &etag); err != nil {
				return err
			}
			answer.ETag = &etag
			if binary {
				n, err := base64.StdEncoding.Decode(answer.Data, answer.Data)
				if answer.Data = answer.Data[:n]; err != nil {
					answer.Error = fmt.Sprintf("the value is not base64: %v", err)
				}
			}
			found, there[answer.Key] = append(found, answer), true
		}
		if err := rows.Err(); err != nil {
			return err
		}
		for _, r := range requests {
			if !there[r.Key] {
				found = append(found, state.BulkGetResponse{Key: r.Key})
			}
		}
		return nil
	})
	return found, err
}

// Get implements [state.Store].
func (s *readOnlySQLite) Get(ctx context.Context, request *state.GetRequest) (*state.GetResponse, error) {
	found, err := s.BulkGet(ctx, []state.GetRequest{*request}, state.BulkGetOpts{})
	if err != nil {
		return nil, err
	}
	if found[0].Error != "" {
		return nil, errors.New(found[0].Error)
	}
	return &state.GetResponse{Data: found[0].Data, ETag: found[0].ETag}, nil
}

// Init implements [state.Store].
func (s *readOnlySQLite) Init(ctx context.Context, _ state.Metadata) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open(ctx)
}

// Close implements [state.Store].
func (s *readOnlySQLite) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db == nil {
		return nil
	}
	return s.db.Close()
}

var errReadOnly = fmt.Errorf("the file was opened read-only: %w", driver.ErrRefused)

// Set implements [state.Store].
func (s *readOnlySQLite) Set(context.Context, *state.SetRequest) error { return errReadOnly }

// Delete implements [state.Store].
func (s *readOnlySQLite) Delete(context.Context, *state.DeleteRequest) error { return errReadOnly }

// Multi implements [state.TransactionalStore].
func (s *readOnlySQLite) Multi(context.Context, *state.TransactionalStateRequest) error {
	return errReadOnly
}

// Features implements [state.Store].
func (s *readOnlySQLite) Features() []state.Feature {
	return []state.Feature{state.FeatureETag, state.FeatureTransactional}
}

// GetComponentMetadata implements [state.Store]. There is nothing to configure.
func (s *readOnlySQLite) GetComponentMetadata() metadata.MetadataMap { return nil }
