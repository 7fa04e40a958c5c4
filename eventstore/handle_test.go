package eventstore

import (
	"errors"
	"slices"
	"testing"

	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

// missing makes bulk reads of the lab report all keys as absent. That happens if the connection to
// a SQL database breaks before the first row and the component does not notice.
func (l *lab) missing() {
	l.Caps.BulkMisses = true
	l.on(func(r *memstate.Request) bool { return r.Op == "getmany" }, -1, func(r *memstate.Request, next func() error) error {
		err := next()
		for i := range r.Items {
			r.Items[i].Value, r.Items[i].ETag = nil, ""
		}
		return err
	})
}

func TestWhatABulkReadDidNotGetToIsNotAbsent(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.mixed()
		l.missing()
		s := l.open()
		for name, r := range map[string]*Reader{"a session": s.Reader, "a reader": l.reader()} {
			l.reads(r, "a", "b", "c", "d", "e", "f")
			if version, err := r.Version(t.Context()); version != 6 || err != nil {
				t.Errorf("%s: version %d, %v", name, version, err)
			}
			if versions, err := r.Snapshots(t.Context()); !slices.Equal(versions, []int64{2, 4}) || err != nil {
				t.Errorf("%s: snapshots %v, %v", name, versions, err)
			}
			if snapshot, err := r.Snapshot(t.Context(), 2); snapshot.Version != 2 || err != nil {
				t.Errorf("%s: snapshot %+v, %v", name, snapshot, err)
			}
			if snapshot, _, err := r.Load(t.Context()); snapshot.Version != 4 || err != nil {
				t.Errorf("%s: loaded from %+v, %v", name, snapshot, err)
			}
		}
		if found := l.verify(); !found.Sound() || found.Events != 6 {
			t.Errorf("verified as %+v", found)
		}
		l.add(s, "g")
		if found, err := l.rebuild(); err != nil || found.Damage != nil || found.Version != 7 {
			t.Errorf("rebuilt %+v, %v", found, err)
		}
		if err := s.DeleteStream(t.Context(), ExpectVersion(7)); err != nil {
			t.Fatal(err)
		}
		if n := len(l.Values()); n != 2 {
			t.Errorf("%d keys are left", n)
		}
	})
}

func TestAHeadThatABulkReadDidNotGetToAndThatCanNotBeReadIsNoEmptyStream(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.mixed()
		l.missing()
		l.on(func(r *memstate.Request) bool { return r.Op == "get" }, -1, lost)
		_, err := l.reader().Version(t.Context())
		if want[*StorageError](t, err); !errors.Is(err, errLost) {
			t.Errorf("%v", err)
		}
	})
}

func TestABulkReadThatMissesDoesNotGoOnAfterAFailure(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.fill(1200)
		l.missing()
		head := func(r *memstate.Request) bool { return r.Has(":head") || r.Has(":snapshots") }
		l.on(func(r *memstate.Request) bool { return r.Op == "get" && !head(r) }, -1, lost)
		l.Trace()
		var err error
		for _, err = range l.reader().Read(t.Context()) {
		}
		if want[*StorageError](t, err); !errors.Is(err, errLost) || len(err.Error()) > 500 {
			t.Errorf("the error has %d bytes: %.500s", len(err.Error()), err)
		}
		if n := len(l.Trace()); n > 2*proveAtOnce {
			t.Errorf("%d requests were sent, most of them after the first had failed", n)
		}
	})
}

// Only if the head itself is missing, a request has to be repeated.
func TestOpeningAStreamWithAHeadTakesOneRequest(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.fill(2) // without snapshots
		l.Caps.BulkMisses = true
		l.Trace()
		s := l.open()
		l.traced("get head")
		if _, _, err := s.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		l.traced("get snapshots")
	})
}
