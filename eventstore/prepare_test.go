package eventstore

import (
	"reflect"
	"testing"
	"time"
)

// asAny returns the events in the form that Append takes.
func asAny(events []Event) []any {
	values := make([]any, len(events))
	for i, event := range events {
		values[i] = event
	}
	return values
}

func TestWhatIsPreparedIsStoredAndReadAsItIs(t *testing.T) {
	zone := time.FixedZone("far", -7*3600)
	full := recorded(0, "an id")
	full.Metadata.Message.SchemaVersion, full.Metadata.Context.SequenceNumber = 0, 0
	full.Data = Raw{Type: "noted", SchemaVersion: 1, ContentType: "application/json", Payload: []byte(`{"Text":"a"}`)}
	local := Event{Data: noted{"local"}}
	local.Metadata.Message.Created, local.Metadata.Context.Timestamp = time.Now(), time.Date(1999, 12, 31, 23, 59, 59, 1, zone)
	local.Metadata.Context.Scopes = []string{}
	placed := Event{Version: 3, Data: &noted{"placed"}}
	tests := map[string][]any{
		"a value and a pointer":           {noted{"a"}, &noted{"b"}},
		"all metadata":                    {full},
		"times of this machine, no scope": {local},
		"a Raw of no registered type":     {Raw{Type: "foreign\n"}},
		"an event that names its version": {placed, noted{"next"}},
	}
	for name, events := range tests {
		t.Run(name, func(t *testing.T) {
			inLabs(t, func(t *testing.T, l *lab) {
				s := l.open()
				l.add(s, "first", "second")
				l.Trace()
				prepared, err := s.Prepare(2, events...)
				if err != nil {
					t.Fatal(err)
				}
				l.traced()
				version, err := s.Append(t.Context(), ExpectVersion(2), asAny(prepared)...)
				if err != nil || version != int64(2+len(events)) {
					t.Fatalf("version %d, %v", version, err)
				}
				read, err := l.reader().Slice(t.Context(), 3, version, AsRaw())
				if err != nil || !reflect.DeepEqual(read, prepared) {
					t.Errorf("prepared were\n%+v\nread are\n%+v, %v", prepared, read, err)
				}
			})
		})
	}
}

func TestWhatCouldNotBeAppendedCanNotBePrepared(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		l.add(s, "a")
		l.Trace()
		foreign := Event{Data: noted{}}
		foreign.Metadata.Message.AggregateID = "2"
		twice := Event{Data: noted{}}
		twice.Metadata.Context.IdempotencyID = "same"
		for name, events := range map[string][]any{
			"no events": nil, "nil": {nil}, "of another stream": {foreign}, "one idempotency id for two": {twice, twice},
		} {
			_, err := s.Prepare(1, events...)
			if want[*ArgumentError](t, err); err == nil {
				t.Errorf("%s: prepared", name)
			}
		}
		_, err := s.Prepare(-1, noted{})
		want[*ArgumentError](t, err)
		_, err = s.Prepare(1, struct{}{})
		want[*TypeNotRegisteredError](t, err)
		_, err = s.Prepare(1, noted{}, Event{Version: 4, Data: noted{}})
		if mismatch := want[*VersionMismatchError](t, err); mismatch.Actual != 1 || mismatch.Expected != 2 {
			t.Errorf("%v", err)
		}
		l.traced()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		_, err = s.Prepare(1, noted{})
		want[*NotOpenError](t, err)
		_, err = (*Session)(nil).Prepare(1, noted{})
		want[*NotOpenError](t, err)
	})
}

func TestAStateIsReadWithAVersionAndMustExistAlone(t *testing.T) {
	for name, test := range map[string]struct {
		options []ReadOption
		version int64 // -1 if it is refused
	}{
		"no option":                    {nil, 0},
		"a version":                    {[]ReadOption{ToVersion(7)}, 7},
		"two versions, the last holds": {[]ReadOption{ToVersion(7), ToVersion(3)}, 3},
		"version 0":                    {[]ReadOption{ToVersion(0)}, -1},
		"nil":                          {[]ReadOption{nil}, -1},
		"AsRaw":                        {[]ReadOption{AsRaw()}, -1},
		"Backwards after a version":    {[]ReadOption{ToVersion(7), Backwards()}, -1},
		"from where reads begin":       {[]ReadOption{FromVersion(1)}, -1},
		"after no version":             {[]ReadOption{After(0)}, -1},
		"a stream that exists":         {[]ReadOption{ToVersion(7), MustExist()}, 7},
		"from a version":               {[]ReadOption{FromVersion(2), ToVersion(7)}, -1},
	} {
		t.Run(name, func(t *testing.T) {
			version, err := AsOf(test.options...)
			if test.version < 0 {
				want[*ArgumentError](t, err)
			} else if err != nil || version != test.version {
				t.Errorf("version %d, %v, want %d", version, err, test.version)
			}
		})
	}
}
