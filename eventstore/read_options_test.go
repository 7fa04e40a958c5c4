package eventstore

import (
	"context"
	"math"
	"slices"
	"testing"
)

func TestAfterReadsWhatFollowsAVersion(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.fill(4)
		for name, test := range map[string]struct {
			options []ReadOption
			want    []int64
		}{
			"from the beginning":            {[]ReadOption{After(0)}, []int64{1, 2, 3, 4, 5}},
			"after one":                     {[]ReadOption{After(3)}, []int64{4, 5}},
			"after the last":                {[]ReadOption{After(5)}, nil},
			"past the end":                  {[]ReadOption{After(7)}, nil},
			"after all that there could be": {[]ReadOption{After(math.MaxInt64)}, nil},
			"the last one holds":            {[]ReadOption{After(1), After(4)}, []int64{5}},
			"up to a version":               {[]ReadOption{After(1), ToVersion(3)}, []int64{2, 3}},
			"up to the same version":        {[]ReadOption{After(3), ToVersion(3)}, nil},
			"backwards":                     {[]ReadOption{Backwards(), After(3)}, []int64{5, 4}},
			"nothing backwards":             {[]ReadOption{Backwards(), After(3), ToVersion(3)}, nil},
		} {
			var got []int64
			for event, err := range l.reader().Read(t.Context(), test.options...) {
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				got = append(got, event.Version)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("%s: got %v, want %v", name, got, test.want)
			}
		}
	})
}

func TestAfterIsRefusedWhereItContradicts(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.fill(4)
		r := l.reader()
		first := func(options ...ReadOption) error {
			for _, err := range r.Read(t.Context(), options...) {
				return err
			}
			return nil
		}
		for name, err := range map[string]error{
			"negative":                      first(After(-1)),
			"with a first version":          first(After(2), FromVersion(3)),
			"with a first version before":   first(FromVersion(3), After(2)),
			"with the first version of all": first(FromVersion(1), After(0)),
			"after the last":                first(After(4), ToVersion(3)),
			"of a slice":                    second(r.Slice(t.Context(), 1, 2, After(0))),
			"of one event":                  second(r.Event(t.Context(), 1, After(0))),
			"of a snapshot":                 second(r.LastSnapshot(t.Context(), After(0))),
		} {
			if e := want[*ArgumentError](t, err); e.Argument != "After" {
				t.Errorf("%s: the argument is %q", name, e.Argument)
			}
		}
		_, _, err := r.Load(t.Context(), After(0))
		want[*ArgumentError](t, err)
		if sent := l.Trace(); len(sent) != 0 {
			t.Errorf("what is refused sent %q", sent)
		}
	})
}

// mustExist lists the reads that take MustExist.
var mustExist = map[string]func(context.Context, *Reader, ...ReadOption) error{
	"Read": func(ctx context.Context, r *Reader, options ...ReadOption) error {
		for _, err := range r.Read(ctx, options...) {
			if err != nil {
				return err
			}
		}
		return nil
	},
	"Slice": func(ctx context.Context, r *Reader, options ...ReadOption) error {
		return second(r.Slice(ctx, 1, 9, options...))
	},
	"Event": func(ctx context.Context, r *Reader, options ...ReadOption) error {
		return second(r.Event(ctx, 1, options...))
	},
	"Load": func(ctx context.Context, r *Reader, options ...ReadOption) error {
		_, _, err := r.Load(ctx, options...)
		return err
	},
	"LastSnapshot": func(ctx context.Context, r *Reader, options ...ReadOption) error {
		return second(r.LastSnapshot(ctx, options...))
	},
	"Snapshot": func(ctx context.Context, r *Reader, options ...ReadOption) error {
		return second(r.Snapshot(ctx, 1, options...))
	},
}

func TestAStreamThatDoesNotExistIsToldFromAnEmptyRangeInTheSameRequests(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		r := l.reader()
		for name, read := range mustExist {
			l.Trace()
			_ = read(t.Context(), r)
			plain := l.Trace()
			err := read(t.Context(), r, MustExist())
			if e := want[*StreamNotFoundError](t, err); e.Stream != labStream {
				t.Errorf("%s: %v", name, e)
			}
			if sent := l.Trace(); len(sent) == 0 || !slices.Equal(sent, plain) {
				t.Errorf("%s sent %q, and without the option %q", name, sent, plain)
			}
		}
		s := l.open()
		for _, read := range mustExist {
			want[*StreamNotFoundError](t, read(t.Context(), s.Reader, MustExist()))
		}
	})
}

func TestAStreamThatHasEventsExistsWhateverTheRange(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.fill(2)
		read := mustExist["Read"]
		for name, err := range map[string]error{
			"all":          read(t.Context(), l.reader(), MustExist()),
			"past the end": read(t.Context(), l.reader(), MustExist(), After(3)),
			"slice":        mustExist["Slice"](t.Context(), l.reader(), MustExist()),
			"load":         mustExist["Load"](t.Context(), l.reader(), MustExist()),
		} {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		want[*SnapshotNotFoundError](t, mustExist["Snapshot"](t.Context(), l.reader(), MustExist()))
		want[*SnapshotNotFoundError](t, mustExist["LastSnapshot"](t.Context(), l.reader(), MustExist()))
		s := l.open()
		if err := s.CloseStream(t.Context(), ExpectAny()); err != nil {
			t.Fatal(err)
		}
		if err := read(t.Context(), l.reader(), MustExist()); err != nil {
			t.Errorf("closed: %v", err)
		}
		if err := s.DeleteStream(t.Context(), ExpectAny()); err != nil {
			t.Fatal(err)
		}
		for _, read := range mustExist {
			want[*StreamDeletedError](t, read(t.Context(), l.reader(), MustExist()))
		}
	})
}

func TestCountBytesCountsPayloadsOfEventsAndSnapshots(t *testing.T) {
	const event, state = len(`{"Text":"1"}`), len(`{"Text":"a state"}`)
	inLabs(t, func(t *testing.T, l *lab) {
		l.fill(4)
		s := l.open()
		if err := s.SaveSnapshot(t.Context(), 3, noted{"a state"}); err != nil {
			t.Fatal(err)
		}
		count := func(read func(ReadOption)) (n int64) { read(CountBytes(&n)); return n }
		r := l.reader()
		for name, test := range map[string]struct {
			read func(ReadOption)
			want int
		}{
			"Slice":          {func(o ReadOption) { _, _ = r.Slice(t.Context(), 2, 3, o) }, 2 * event},
			"Slice, raw":     {func(o ReadOption) { _, _ = r.Slice(t.Context(), 2, 3, o, AsRaw()) }, 2 * event},
			"in the session": {func(o ReadOption) { _, _ = s.Slice(t.Context(), 2, 5, o) }, 4 * event},
			"no events":      {func(o ReadOption) { _, _ = r.Slice(t.Context(), 8, 9, o) }, 0},
			"a snapshot":     {func(o ReadOption) { _, _ = r.LastSnapshot(t.Context(), o) }, state},
			"Load": {func(o ReadOption) {
				_, events, err := r.Load(t.Context(), o)
				if err != nil {
					t.Error(err)
				}
				for range events {
				}
			}, state + 2*event},
		} {
			if got := count(test.read); got != int64(test.want) {
				t.Errorf("%s: %d bytes, want %d", name, got, test.want)
			}
		}
		_, err := r.Event(t.Context(), 1, CountBytes(nil))
		want[*ArgumentError](t, err)
		_, err = AsOf(CountBytes(new(int64)))
		want[*ArgumentError](t, err)
	})
}
