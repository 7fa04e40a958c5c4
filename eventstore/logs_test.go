package eventstore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"maps"
	"math"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/internal/bell"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
	"github.com/hexalith/eventstores-go/eventstore/internal/permit"
)

// sentinel occurs only in payloads, snapshots and a user's metadata. It is also a number, because
// codecs quote numbers in their errors.
const sentinel = "86753094210"

// secret is an event and a snapshot whose contents must not get into a log.
type secret struct {
	Text   string
	Number int64
	When   time.Time
	Float  float64
	Pad    string
}

// confided returns an event whose contents only its readers may see.
func confided(text string) Event {
	return Event{Data: secret{Text: sentinel + text, Number: 86753094210}, Metadata: Metadata{Context: ContextMetadata{
		CorrelationID: sentinel, CausationID: sentinel, UserID: sentinel, Scopes: []string{sentinel},
	}, Custom: map[string]string{sentinel: sentinel, "key": sentinel}}}
}

// tattler fails to be encoded and decoded, and its errors quote its content.
type tattler struct{ Text string }

func (t tattler) MarshalJSON() ([]byte, error) { return nil, errors.New("can't write " + t.Text) }
func (t *tattler) UnmarshalJSON(data []byte) error {
	return fmt.Errorf("can't read %s", data)
}

// confidant is an event store on which everything goes wrong. It keeps the log records at debug
// level, and the errors.
type confidant struct {
	*memstate.Store
	t        *testing.T
	fault    atomic.Pointer[around] // nil means no fault
	provider *Provider
	feeding  *Provider    // the same with a feed
	log      bytes.Buffer // JSON
	text     bytes.Buffer // the same from another handler
	errors   []error
	silent   atomic.Bool // whether the bell of the feed works
}

func newConfidant(t *testing.T, s *memstate.Store, options ...Option) *confidant {
	c := &confidant{Store: s, t: t}
	s.Around = func(_ context.Context, r *memstate.Request, next func() error) error {
		if fault := c.fault.Load(); fault != nil {
			return (*fault)(r, next)
		}
		return next()
	}
	registry, err := NewRegistry(Type[secret]("secret"), Type[tattler]("tattler"))
	if err != nil {
		t.Fatal(err)
	}
	settings := DefaultSettings()
	settings.TailEvents = 1
	settings.OpenTimeout = 0
	all := &slog.HandlerOptions{Level: slog.LevelDebug}
	logger := slog.New(slog.NewMultiHandler(slog.NewJSONHandler(&c.log, all), slog.NewTextHandler(&c.text, all)))
	options = append(options, WithRegistry(registry), WithSettings(settings), WithLogger(logger))
	if c.provider, err = NewProvider(s, options...); err != nil {
		t.Fatal(err)
	}
	if c.feeding, err = NewProvider(s, append(options, WithFeed("all"), WithBell(&bell.Shared{Fails: func() error {
		if c.silent.Load() {
			return errLost
		}
		return nil
	}}))...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { waitForFlusher(c.feeding) }) // in fake time
	return c
}

func (c *confidant) open() *Session {
	c.t.Helper()
	s, err := c.provider.Open(c.t.Context(), labStream)
	if err != nil {
		c.t.Fatal(err)
	}
	return s
}

func (c *confidant) reader() *Reader {
	r := c.provider.Reader(labStream)
	return r
}

// ok is for calls that must succeed, and fails for calls that must fail. The confidant keeps the
// error.
func (c *confidant) ok(_ any, err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *confidant) fails(_ any, err error) {
	c.t.Helper()
	if err == nil {
		c.t.Error("there is no error")
		return
	}
	c.errors = append(c.errors, err)
}

// recorded appends events exactly as an earlier version of the service, or another store, recorded
// them.
func (c *confidant) recorded(s *Session, raws ...Raw) int64 {
	c.t.Helper()
	ctx := c.t.Context()
	last, err := s.Version(ctx)
	c.ok(nil, err)
	events := make([]Event, len(raws))
	for i, raw := range raws {
		events[i] = Event{Version: last + int64(i) + 1, Data: raw, Metadata: Metadata{
			Message: MessageMetadata{ID: sentinel, Created: time.Now()}, Context: ContextMetadata{Timestamp: time.Now(), SessionID: "s"}}}
	}
	last, err = s.AppendRecorded(ctx, ExpectVersion(last), events...)
	c.ok(nil, err)
	return last
}

// losing calls f while requests that match are lost.
func (c *confidant) losing(match func(*memstate.Request) bool, f func()) {
	fault := around(func(r *memstate.Request, next func() error) error {
		if match(r) {
			return errLost
		}
		return next()
	})
	c.fault.Store(&fault)
	f()
	c.fault.Store(nil)
}

// all provokes all log messages and all error types of the event store.
func (c *confidant) all() {
	ctx, k := c.t.Context(), keysOf(labStream)
	name := k.partition
	read := func() error {
		for _, err := range c.reader().Read(ctx) {
			if err != nil {
				return err
			}
		}
		return nil
	}

	// These calls succeed, or have bad arguments.
	c.Caps.MaxRequestBytes = 1_000
	s := c.open()
	c.fails(s.Append(ctx, ExpectAny(), confided(strings.Repeat(sentinel, 100))))
	c.ok(nil, s.Close())
	c.Caps.MaxRequestBytes = 0
	s = c.open()
	c.fails(s.Event(ctx, 1, MustExist()))
	first := confided("1")
	first.Metadata.Context.IdempotencyID = "once"
	c.ok(s.Append(ctx, ExpectVersion(0), first, confided("2")))
	c.ok(nil, s.SaveSnapshot(ctx, 1, secret{Text: sentinel}))
	c.ok(nil, read())
	c.fails(s.Append(ctx, ExpectVersion(9), confided("")))
	c.fails(s.Append(ctx, ExpectAny(), first))
	c.fails(s.Append(ctx, ExpectAny(), struct{ Text string }{sentinel}))
	c.fails(s.Append(ctx, ExpectAny(), tattler{sentinel}))
	c.fails(s.Append(ctx, ExpectAny(), secret{Text: sentinel, Float: math.NaN()}))
	c.fails(s.Append(ctx, ExpectAny(), secret{Text: sentinel + "\xff"}))
	c.fails(s.Append(ctx, ExpectAny(), []secret{{Text: sentinel}}))
	c.fails(s.Append(ctx, ExpectAny(), Raw{Payload: []byte(sentinel)}))
	c.fails(s.Append(ctx, ExpectAny(), Event{Data: Raw{Type: "t", Payload: []byte(sentinel)}, Version: -1}))
	c.fails(s.Append(ctx, ExpectAny(), Event{Data: secret{}, Metadata: Metadata{Custom: map[string]string{"key": sentinel + "\xff"}}}))
	c.fails(nil, s.SaveSnapshot(ctx, 1, secret{}, WithCustom(map[string]string{"key": sentinel + "\xff"})))
	c.ok(nil, s.SaveSnapshot(ctx, 1, secret{}, WithCustom(map[string]string{sentinel: sentinel})))
	c.fails(nil, s.SaveSnapshot(ctx, 9, secret{Text: sentinel}))
	c.fails(nil, s.SaveSnapshot(ctx, 1, tattler{sentinel}))
	c.fails(s.Event(ctx, 9))
	c.fails(s.Snapshot(ctx, 9))
	c.fails(s.VersionOf(ctx, "never"))
	c.fails(c.provider.Open(ctx, labStream)) // another session holds it

	// These requests are lost.
	c.losing(everything, func() { c.fails(s.Append(ctx, ExpectAny(), confided("refresh"))) })
	c.losing(everything, func() { c.fails(nil, s.SaveSnapshot(ctx, 1, secret{Text: sentinel})) })
	c.losing(writes, func() { c.ok(s.Append(ctx, ExpectAny(), confided("3"))) })
	lostTrim := 0
	c.losing(func(r *memstate.Request) bool {
		if commits(r) {
			lostTrim++
		}
		return lostTrim > 1 && commits(r)
	}, func() { c.ok(s.Append(ctx, ExpectAny(), confided("4"+strings.Repeat(sentinel, trimBytes/8)))) })
	cut := false
	c.losing(func(r *memstate.Request) bool { cut = cut || commits(r); return cut }, func() { c.fails(s.Append(ctx, ExpectAny(), confided("5"))) })
	var unknown *OutcomeUnknownError
	if !errors.As(c.errors[len(c.errors)-1], &unknown) {
		c.t.Fatalf("%v", c.errors[len(c.errors)-1])
	}
	c.losing(everything, func() { c.fails(s.Retry(ctx, unknown)) })
	c.ok(s.Retry(ctx, unknown))
	c.ok(nil, s.Close())
	c.fails(s.Append(ctx, ExpectAny(), confided("")))

	// These sessions end before their time.
	s = c.open()
	pass(time.Minute)
	c.fails(s.Append(ctx, ExpectAny(), confided("")))
	c.fails(nil, s.Close())
	s = c.open()
	c.Set(k.lease(), nil)
	other := c.open()
	c.ok(other.Append(ctx, ExpectAny(), confided("6")))
	c.fails(s.Append(ctx, ExpectAny(), confided("")))
	c.fails(nil, s.Close())
	c.Set(k.lease(), nil)
	c.fails(nil, other.Close())
	shared, err := c.provider.Open(ctx, other.Stream(), Shared())
	c.ok(nil, err)
	other = c.open()
	c.ok(other.Append(ctx, ExpectAny(), confided("7")))
	c.fails(shared.Append(ctx, ExpectVersion(shared.writer.head.version), confided("")))
	c.ok(nil, other.Close())

	// This store restarted from an older state.
	before := c.Values()[k.head()]
	c.ok(shared.Append(ctx, ExpectAny(), confided("8")))
	after := c.Values()[k.head()]
	c.Set(k.head(), before)
	pass(time.Second)
	c.fails(shared.Append(ctx, ExpectAny(), confided("")))
	c.fails(nil, shared.Close())
	c.Set(k.head(), after)

	// Damage.
	s = c.open()
	for _, payload := range []string{
		"", sentinel, `"` + sentinel + `"`, `{"Number":"` + sentinel + `"}`, `{"Text":` + sentinel + `}`, `{"Number":` + sentinel + `.5}`, `{"When":"` + sentinel + `"}`,
		`{"When":` + sentinel + `}`, `{"Text":"` + sentinel, `{"Text":"` + sentinel + `"}` + sentinel, `{"Float":` + sentinel + `e999}`, "{\"Text\":\"" + sentinel + "\x01\"}",
	} {
		for _, typeName := range []string{"secret", "tattler"} {
			if payload == "" && typeName == "tattler" {
				continue // "unexpected end of JSON input" before its method is called
			}
			raw := Raw{Type: typeName, SchemaVersion: 1, ContentType: "application/json", Payload: []byte(payload)}
			c.fails(s.Append(ctx, ExpectAny(), raw))
			c.fails(nil, s.SaveSnapshot(ctx, 1, raw))
			version := c.recorded(s, raw)
			c.fails(s.Event(ctx, version))
			c.ok(nil, s.SaveRecordedSnapshot(ctx, Snapshot{Version: version, Data: raw, Created: time.Now()}))
			c.fails(s.Snapshot(ctx, version))
			_, _, err := s.Load(ctx)
			c.ok(nil, err)
		}
	}
	last := c.recorded(s, Raw{Type: "other", Payload: []byte(sentinel)}, Raw{Type: "secret", ContentType: "other", Payload: []byte(sentinel)})
	c.fails(s.Event(ctx, last-1))
	c.fails(s.Event(ctx, last))
	damages := [][]byte{
		[]byte(sentinel), []byte("\n" + sentinel), []byte(sentinel + " " + sentinel + " " + sentinel + "\n" + sentinel),
		bytes.Replace(c.Values()[k.event(1)], []byte("1"), []byte("2"), 1),
		framedRecord(kindEvent, "stream="+name+"\nversion=1\n\n"+sentinel), framedRecord(kindSnapshot, "stream="+name+"\nversion=7\n\n"+sentinel),
		c.Values()[k.event(1)][:300],
	}
	for _, key := range []string{k.event(1), k.snapshot(1), k.snapshots(), k.head(), k.idempotency("once")} {
		was := c.Values()[key]
		for _, damage := range damages {
			c.Set(key, damage)
			switch key {
			case k.event(1):
				c.fails(nil, read())
			case k.snapshot(1):
				c.fails(s.Snapshot(ctx, 1))
				c.ok(nil, s.ClearSnapshot(ctx, last-2)) // one snapshot less to try
				_, _, err := s.Load(ctx)
				c.ok(nil, err)
				c.ok(nil, s.SaveRecordedSnapshot(ctx, Snapshot{Version: last - 2, Created: time.Now(),
					Data: Raw{Type: "tattler", ContentType: "application/json", Payload: []byte(sentinel)}}))
			case k.snapshots():
				c.fails(s.LastSnapshot(ctx))
				c.fails(nil, s.ClearSnapshot(ctx, 1))
				c.ok(nil, s.ClearSnapshots(ctx))
			case k.head():
				c.fails(c.reader().Version(ctx))
			default:
				c.fails(s.VersionOf(ctx, "once"))
			}
			found, err := c.reader().Verify(ctx, nil)
			c.ok(nil, err)
			for _, damage := range found.Damage {
				c.fails(nil, damage)
			}
			if found.Sound() && key != k.snapshots() {
				c.t.Errorf("%s was damaged", key)
			}
		}
		c.Set(key, was)
	}
	c.ok(nil, s.Close())
	c.Set(k.lease(), []byte(sentinel))
	c.fails(c.provider.Open(ctx, labStream))
	c.Set(k.lease(), nil)
	c.Set(k.head(), nil)
	c.fails(c.provider.Open(ctx, labStream))
	c.losing(everything, func() { c.fails(c.provider.RebuildHead(ctx, labStream, nil)) })
	c.ok(c.provider.RebuildHead(ctx, labStream, nil))
	c.ok(nil, (func() error { _, err := c.reader().Slice(ctx, 1, 2); return err })())

	// Last come events that only a newer version of a service can read, a feed, and the end of a
	// stream.
	without, err := c.provider.Open(ctx, labStream, Shared())
	c.ok(nil, err)
	c.provider = c.feeding
	s = c.open()
	last = c.recorded(s, Raw{Type: "secret", SchemaVersion: 2, ContentType: "application/json", Payload: []byte(`{"Text":"` + sentinel + `"}`)})
	c.fails(s.Event(ctx, last))
	c.ok(nil, s.Close())
	c.ok(without.Append(ctx, ExpectAny(), confided("9")))
	c.fails(nil, without.DeleteStream(ctx, ExpectAny()))
	pass(indexedWithin)
	s = c.open()
	c.losing(func(r *memstate.Request) bool { return r.Op == "write" }, func() {
		c.ok(s.Append(ctx, ExpectAny(), confided("10")))
		pass(20 * time.Second)
	})
	c.losing(everything, func() { c.fails(nil, c.provider.Close(ctx)) })
	c.silent.Store(true)
	listening, stop := context.WithTimeout(ctx, time.Minute)
	c.ok(s.Append(ctx, ExpectAny(), confided("11")))
	c.provider.Inside(permit.Permit{}).Listen(listening, nil, nil)
	stop()
	c.silent.Store(false)
	c.fails(nil, s.Close()) // it lasted too long
	s = c.open()
	c.ok(s.Append(ctx, ExpectAny(), confided("12")))
	pass(time.Second)
	c.ok(nil, c.provider.Inside(permit.Permit{}).Inline(permit.Permit{}, Inline{Name: "refusing", Apply: func(context.Context, *Beside, time.Time, []Committed) error {
		return errors.New("refused")
	}}))
	c.fails(s.Append(ctx, ExpectAny(), confided("13")))
	last, err = s.Version(ctx)
	c.ok(nil, err)
	c.ok(nil, s.CloseStream(ctx, ExpectVersion(last)))
	c.fails(s.Append(ctx, ExpectAny(), confided("")))
	c.losing(everything, func() { c.fails(nil, s.DeleteStream(ctx, ExpectVersion(last))) })
	c.ok(nil, s.DeleteStream(ctx, ExpectVersion(last)))
	c.fails(s.Append(ctx, ExpectAny(), confided("")))
	c.ok(nil, s.Close())
}

func TestNeitherLogsNorErrorsHoldPayloads(t *testing.T) {
	said, kinds := map[string]bool{}, map[string]bool{}
	for _, kind := range slices.Sorted(maps.Keys(labKinds)) {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newConfidant(t, labKinds[kind]())
				c.all()
				for line := range strings.Lines(c.text.String()) {
					if strings.Contains(line, sentinel) {
						t.Errorf("in the log: %s", line)
					}
				}
				for line := range strings.Lines(c.log.String()) {
					if strings.Contains(line, sentinel) {
						t.Errorf("in the log: %s", line)
					}
					var record struct{ Msg, Stream string }
					if err := json.Unmarshal([]byte(line), &record); err != nil {
						t.Fatal(err)
					}
					if record.Stream != labStream.String() && record.Stream != ":feed:all" {
						t.Errorf("the log does not say which stream: %s", line)
					}
					said[record.Msg] = true
				}
				for _, err := range c.errors {
					if text := fmt.Sprintf("%+v", err); strings.Contains(text, sentinel) {
						t.Errorf("in an error: %s", text)
					}
					kinds[reflect.TypeOf(err).Elem().Name()] = true
				}
			})
		})
	}
	messages, errorTypes := inSource(t)
	if got := slices.Sorted(maps.Keys(said)); !slices.Equal(got, messages) {
		t.Errorf("log messages:\n seen %q\nthere are %q", got, messages)
	}
	if got := slices.Sorted(maps.Keys(kinds)); !slices.Equal(got, errorTypes) {
		t.Errorf("errors:\n seen %q\nthere are %q", got, errorTypes)
	}
}

func TestACodecsErrorSaysWhatIsWrongWithoutThePayload(t *testing.T) {
	t.Parallel()
	r, err := NewRegistry(Type[secret]("secret"), Type[tattler]("tattler"), Type[map[string]any]("loose"))
	if err != nil {
		t.Fatal(err)
	}
	reading := func(typeName, payload string) error {
		_, err := r.decode(labStream, "key", 1, Raw{Type: typeName, ContentType: "application/json", Payload: []byte(payload)})
		return err
	}
	writing := func(value any) error { _, err := r.encode("event", labStream, value); return err }
	for says, err := range map[string]error{
		"JSON number does not fit Go type string of field secret.Text, at byte 19":     reading("secret", `{"Text":`+sentinel+`}`),
		"JSON array does not fit Go type eventstore.secret, at byte 1":                 reading("secret", `[]`),
		"invalid JSON at byte 12: unexpected end of JSON input":                        reading("secret", `{"Text":"ab`+"c"),
		"a *time.ParseError, left out because it may quote the payload: use errors.As": reading("secret", `{"When":"`+sentinel+`"}`),
		"a *errors.errorString, left out":                                              reading("tattler", `"`+sentinel+`"`),
		"a *json.MarshalerError, left out":                                             writing(tattler{sentinel}),
		"json: unsupported type: chan int":                                             writing(map[string]any{"": make(chan int)}),
		"json: unsupported value: +Inf":                                                writing(secret{Text: sentinel, Float: math.Inf(1)}),
	} {
		if !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), sentinel) {
			t.Errorf("the error does not say %q: %v", says, err)
		}
	}
	var whole *time.ParseError
	if err := reading("secret", `{"When":"`+sentinel+`"}`); !errors.As(err, &whole) || whole.Value != sentinel {
		t.Errorf("the codec's own error can't be had: %v", err)
	}
}

// mayLog lists the files that may import log/slog. The adapters log warnings about a store as a
// whole, when no stream is involved. Their own tests check that these contain no values.
var mayLog = []string{"provider.go", "handle.go", "hashids.go", "inside.go", "../adapter/embedded/redis/redis.go", "../adapter/sidecar/state.go"}

// inSource finds the messages of all log records about streams, and the types of errors, in the
// source.
func inSource(t *testing.T) (messages, errorTypes []string) {
	levels := []string{"DebugContext", "InfoContext", "WarnContext", "ErrorContext", "Log", "LogAttrs"}
	contextless := []string{"Debug", "Info", "Warn", "Error"}
	found := map[string]bool{}
	for _, folder := range []string{".", "driver", "../adapter/embedded/internal/component",
		"../adapter/embedded/memory", "../adapter/embedded/sqlite", "../adapter/embedded/redis", "../adapter/sidecar"} {
		files, err := filepath.Glob(filepath.Join(folder, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", folder, len(files), err)
		}
		for _, path := range files {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			fset := token.NewFileSet()
			file, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, imported := range file.Imports {
				if p := imported.Path.Value; p == `"log"` || p == `"log/slog"` && !slices.Contains(mayLog, filepath.ToSlash(path)) {
					t.Errorf("%s imports %s: what is about a stream is logged by streamHandle.log, which says which", path, p)
				}
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if f, ok := n.(*ast.FuncDecl); ok && path == "errors.go" && f.Name.Name == "Error" {
					errorTypes = append(errorTypes, f.Recv.List[0].Type.(*ast.StarExpr).X.(*ast.Ident).Name)
				}
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				method, ok := call.Fun.(*ast.SelectorExpr)
				if !ok || !slices.Contains(append(levels, contextless...), method.Sel.Name) {
					return true
				}
				if by, ok := method.X.(*ast.SelectorExpr); !ok || by.Sel.Name != "log" {
					return true
				}
				if slices.Contains(contextless, method.Sel.Name) {
					t.Errorf("%s: the log record goes without the operation's context, which knows its trace", fset.Position(call.Pos()))
				}
				i := slices.IndexFunc(call.Args, func(arg ast.Expr) bool { _, ok := arg.(*ast.BasicLit); return ok })
				if i < 0 {
					t.Errorf("%s: the message is no literal", fset.Position(call.Pos()))
					return true
				}
				message, err := strconv.Unquote(call.Args[i].(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				if !strings.HasPrefix(folder, "../adapter/") {
					found[message] = true
				}
				return true
			})
		}
	}
	slices.Sort(errorTypes)
	return slices.Sorted(maps.Keys(found)), errorTypes
}
