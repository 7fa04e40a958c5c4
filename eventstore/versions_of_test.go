package eventstore

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

func openShared(t *testing.T, p *Provider, stream Stream) *Session {
	t.Helper()
	s, err := p.Open(t.Context(), stream, Shared())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestVersionsOfSeveralIDs(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		for _, event := range []Event{once("x", "a"), once("y", "b"), once("z", "c")} {
			if _, err := s.Append(t.Context(), ExpectAny(), event); err != nil {
				t.Fatal(err)
			}
		}
		l.Trace()
		got, err := s.VersionsOf(t.Context(), "z", "never", "x", "no")
		if err != nil || !maps.Equal(got, map[string]int64{"x": 1, "z": 3}) {
			t.Errorf("%v, %v", got, err)
		}
		if requests := l.Trace(); len(requests) != 1 {
			t.Errorf("it took the requests %q", requests)
		}
		_, err = s.VersionsOf(t.Context(), "x", " ")
		want[*ArgumentError](t, err)
		if got, err := s.VersionsOf(t.Context()); len(got) > 0 || err != nil || len(l.Trace()) > 0 {
			t.Errorf("of no ids: %v, %v", got, err)
		}
	})
}

func TestRule9AnAppendDoesNotLookUpIDsAgain(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := openShared(t, l.provider(), labStream)
		l.add(s, "a")
		pass(etagTrust)
		if got, err := s.VersionsOf(t.Context(), "x", "y"); err != nil || len(got) > 0 {
			t.Fatal(got, err)
		}
		l.Trace()
		if _, err := s.Append(t.Context(), ExpectVersion(1), once("x", "b"), once("y", "c")); err != nil {
			t.Fatal(err)
		}
		if requests := l.Trace(); requests[0] != "get head" || slices.ContainsFunc(requests, func(r string) bool { return r == "getmany idem:x idem:y" }) {
			t.Errorf("it sent %q", requests)
		}
		// The ids of the earlier head are used now, whether its tail has them or their keys.
		for range 2 {
			_, err := s.Append(t.Context(), ExpectAny(), once("y", "d"))
			if e := want[*IdempotencyIDUsedError](t, err); e.Version != 3 {
				t.Errorf("%+v", e)
			}
			l.add(s, "more")
			pass(etagTrust)
		}
		l.holds("a", "b", "c", "more", "more")
	})
}

// Another session stores the id after each request in turn of a look-up and an append. It also
// stores so many more events, so that the tail of the head may no longer have the id.
func TestRule9AnIDThatIsStoredAfterItsLookUpIsFound(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.Around = nil // it checks one stream only
		for more := range 3 {
			for at := 1; ; at++ {
				stream := labStream
				stream.ID = fmt.Sprint("stored after request ", at, ", and then ", more)
				p := l.provider()
				s := openShared(t, p, stream)
				if _, err := s.Append(t.Context(), ExpectVersion(0), noted{"a"}); err != nil {
					t.Fatal(err)
				}
				pass(etagTrust)
				requests := 0
				l.Around = func(_ context.Context, _ *memstate.Request, next func() error) error {
					err := next()
					if requests++; requests != at {
						return err
					}
					_, theirs := p.Append(t.Context(), stream, ExpectAny(), once("x", "theirs"))
					if theirs != nil && !isA[*IdempotencyIDUsedError](theirs) {
						t.Error(theirs)
					}
					for range more {
						if _, err := p.Append(t.Context(), stream, ExpectAny(), noted{"more"}); err != nil {
							t.Error(err)
						}
					}
					return err
				}
				versions, err := s.VersionsOf(t.Context(), "x")
				if err == nil && versions["x"] == 0 {
					_, err = s.Append(t.Context(), ExpectAny(), once("x", "ours"))
				}
				l.Around = nil
				if err != nil && !isA[*IdempotencyIDUsedError](err) {
					t.Error(err)
				}
				n := 0
				for event, err := range p.Reader(stream).Read(t.Context()) {
					if err != nil {
						t.Fatal(err)
					}
					if event.Metadata.Context.IdempotencyID == "x" {
						n++
					}
				}
				if n != 1 {
					t.Errorf("%s: the id is in %d events", stream.ID, n)
				}
				if requests < at {
					if at < 4 {
						t.Errorf("there were %d requests", requests)
					}
					break
				}
			}
		}
	})
}

func TestRefreshFindsWhatOthersHaveAppended(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		p := l.provider()
		s := openShared(t, p, labStream)
		l.add(s, "a")
		if _, err := p.Append(t.Context(), labStream, ExpectAny(), noted{"b"}, noted{"c"}); err != nil {
			t.Fatal(err)
		}
		if v, err := s.Version(t.Context()); v != 1 || err != nil {
			t.Errorf("before, the session is at version %d, %v", v, err)
		}
		l.Trace()
		if v, err := s.Refresh(t.Context()); v != 3 || err != nil {
			t.Errorf("%d, %v", v, err)
		}
		if requests := l.Trace(); len(requests) > 2 {
			t.Errorf("it took the requests %q", requests)
		}
		l.reads(s.Reader, "a", "b", "c")
		exclusive := openShared(t, p, labStream)
		if err := exclusive.CloseStream(t.Context(), ExpectAny()); err != nil {
			t.Fatal(err)
		}
		if v, err := s.Refresh(t.Context()); v != 3 || err != nil {
			t.Errorf("when the stream is closed: %d, %v", v, err)
		}
		if err := exclusive.DeleteStream(t.Context(), ExpectAny()); err != nil {
			t.Fatal(err)
		}
		_, err := s.Refresh(t.Context())
		want[*StreamDeletedError](t, err)
	})
}

func TestRefreshOfAnExclusiveSessionFindsThatItLostItsStream(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		l.add(s, "a")
		other := l.open()
		if v, err := s.Refresh(t.Context()); v != 1 || err != nil {
			t.Errorf("%d, %v", v, err)
		}
		l.add(other, "b")
		_, err := s.Refresh(t.Context())
		want[*SessionLostError](t, err)
	})
}

// The store loses an event, and has another one at its version.
func TestRefreshFindsThatTheStoreHoldsOtherEvents(t *testing.T) {
	inRuins(t, func(t *testing.T, r *ruin) {
		s := r.open(true)
		r.add(s, "a")
		r.Trace()
		r.add(s, "b")
		r.restart(len(slices.DeleteFunc(r.Trace(), func(r string) bool { return strings.HasPrefix(r, "get") })))
		if _, err := r.p.Append(t.Context(), labStream, ExpectVersion(1), noted{"c"}); err != nil {
			t.Fatal(err)
		}
		_, err := s.Refresh(t.Context())
		if e := want[*LostWritesError](t, err); e.Version != 2 || e.Actual != 2 {
			t.Errorf("%+v", e)
		}
	})
}
