package eventstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

var hashKey = bytes.Repeat([]byte("k"), 16)

// This provokes every log message and every error of the package, as the test for payloads does.
func TestNeitherLogsNorErrorsHoldAggregateIDsWhereTheyAreHashed(t *testing.T) {
	for _, kind := range slices.Sorted(maps.Keys(labKinds)) {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newConfidant(t, labKinds[kind](), WithHashedIDs(hashKey))
				c.all()
				name := c.provider.HashedStream(labStream)
				if !strings.HasPrefix(name, "EventStores:account:#") || strings.Count(name, ":") != 2 {
					t.Errorf("the stream is called %q", name)
				}
				for line := range strings.Lines(c.text.String() + c.log.String()) {
					if strings.Contains(line, labStream.String()) || !strings.Contains(line, name) && !strings.Contains(line, ":feed:all") {
						t.Errorf("in the log: %s", line)
					}
				}
				named := 0
				for _, err := range c.errors {
					if _, listed := err.(*DamagedError); listed { // in a Verification or HeadRebuild
						err = c.provider.HashIDs(err)
					}
					for _, text := range []string{err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%q", err), fmt.Sprint([]any{err})} {
						if strings.Contains(text, labStream.String()) {
							t.Errorf("in an error: %s", text)
						}
						if strings.Contains(text, name) {
							named++
						}
					}
				}
				if named == 0 {
					t.Error("no error says which stream")
				}
			})
		})
	}
}

func TestErrorsWithHashedIDsMatchAsEver(t *testing.T) {
	t.Parallel()
	var observed []error
	var log bytes.Buffer
	p, err := NewProvider(memstate.Transactional(), WithHashedIDs(hashKey), WithObserver(errorObserver{&observed}), WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	if err != nil {
		t.Fatal(err)
	}
	stream := Stream{Database: "EventStores", Type: "Customer", ID: "ada@example.org"}
	raw := Raw{Type: "t", ContentType: "text", Payload: []byte("x")}
	_, err = p.Append(t.Context(), stream, ExpectVersion(3), raw)
	var mismatch *VersionMismatchError
	if !errors.As(err, &mismatch) || mismatch.Stream != stream || Advise(err) != AdviceConflict {
		t.Errorf("got %v", err)
	}
	if len(observed) != 1 || observed[0] != err {
		t.Errorf("the observer got %v", observed)
	}
	_, readerErr := p.Reader(p.Stream("Customer", "ada@example.org"+strings.Repeat("x", 200))).Version(t.Context())
	if readerErr == nil {
		t.Fatal("an id that is too long was accepted")
	}
	s, err := p.Open(t.Context(), stream, Shared())
	if err != nil {
		t.Fatal(err)
	}
	_, otherErr := s.Append(t.Context(), ExpectAny(), Event{Data: raw, Metadata: Metadata{Message: MessageMetadata{AggregateID: "grace@example.org"}}})
	_, prepareErr := s.Prepare(1, Event{Data: raw, Version: 7})
	var readErr error
	for _, readErr = range s.Read(t.Context(), FromVersion(0)) {
	}
	p.Logger().With("stream", stream.String()).WithGroup("g").Warn("ada", slog.Group("in", "stream", stream, "of", errors.Join(mismatch)), "key", "{"+stream.String()+"}:7", "escaped", "EventStores%3ACustomer%3Aada%2540example.org")
	for _, text := range []string{fmt.Sprint(mismatchText(p, mismatch)), fmt.Sprint(readerErr), fmt.Sprint(otherErr), fmt.Sprint(prepareErr), fmt.Sprint(readErr), log.String()} {
		if text == "<nil>" || strings.Contains(text, "example.org") {
			t.Errorf("got %s", text)
		}
	}
}

func mismatchText(p *Provider, err error) error { return p.HashIDs(fmt.Errorf("wrapped: %w", err)) }

// errorObserver records errors.
type errorObserver struct{ errors *[]error }

func (o errorObserver) Begin(ctx context.Context, _ Operation) context.Context { return ctx }
func (o errorObserver) End(_ context.Context, _ Operation, r OperationResult) {
	if r.Err != nil {
		*o.errors = append(*o.errors, r.Err)
	}
}

func TestHashesDependOnTheKeyAndTheIDAlone(t *testing.T) {
	t.Parallel()
	provider := func(options ...Option) *Provider {
		p, err := NewProvider(memstate.Transactional(), options...)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	one, same, other, plain := provider(WithHashedIDs(hashKey)), provider(WithHashedIDs(hashKey)), provider(WithHashedIDs(bytes.Repeat([]byte("l"), 16))), provider()
	a, b := labStream, labStream
	b.ID = "12"
	if one.HashedStream(a) != same.HashedStream(a) || one.HashedStream(a) == one.HashedStream(b) || one.HashedStream(a) == other.HashedStream(a) || plain.HashedStream(a) != a.String() {
		t.Errorf("got %s, %s, %s, %s", one.HashedStream(a), same.HashedStream(a), one.HashedStream(b), other.HashedStream(a))
	}
	// The id of one stream may be a prefix of another stream's id.
	both := fmt.Errorf("both %w and %w", &StreamClosedError{Stream: a}, &StreamClosedError{Stream: b})
	hidden := one.HashIDs(both).Error()
	for _, s := range []Stream{a, b} {
		if !strings.Contains(hidden, one.HashedStream(s)) || strings.Contains(hidden, s.String()) {
			t.Errorf("got %s", hidden)
		}
	}
	if plain.HashIDs(both) != both || one.HashIDs(nil) != nil {
		t.Error("an error was changed that need not be")
	}
	if nothing := errors.New("nothing"); !reflect.DeepEqual(one.HashIDs(nothing), nothing) {
		t.Error("an error that names no stream was changed")
	}
	if _, err := one.Reader(one.Stream("account", "")).Version(t.Context()); err == nil || strings.Contains(err.Error(), "#") {
		t.Errorf("a blank id: %v", err)
	}
	if _, err := NewProvider(memstate.Transactional(), WithHashedIDs([]byte("short"))); !isA[*ArgumentError](err) {
		t.Errorf("a short key: %v", err)
	}
}
