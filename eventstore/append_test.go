package eventstore

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestAnAppendThatCannotBeIsRefusedBeforeAnythingIsSent(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.Caps.MaxKeyBytes = 100
		s := l.open()
		l.add(s, "a")
		l.Trace()
		with := func(change func(*Event)) []any {
			e := Event{Data: noted{"x"}}
			change(&e)
			return []any{e}
		}
		var nilNoted *noted
		var nilEvent *Event
		for name, c := range map[string]struct {
			events []any
			says   string
		}{
			"no events":                        {nil, "none"},
			"a nil event":                      {[]any{noted{}, nil}, "events[1]: it is nil"},
			"a nil pointer":                    {[]any{nilNoted}, "events[0]: it is nil"},
			"a nil pointer to an Event":        {[]any{nilEvent}, "events[0]: it is nil"},
			"an Event without data":            {[]any{Event{}}, "events[0]: it is nil"},
			"a raw event without a type":       {[]any{Raw{Type: " "}}, "without a Type"},
			"a raw event without content type": {[]any{Raw{Type: "noted", Payload: []byte("{}")}}, `it is a Raw of type "noted" that could be stored but not read again: it has no content type`},
			"a raw event of another codec":     {[]any{Raw{Type: "noted", ContentType: "text/plain", Payload: []byte("{}")}}, "it has content type text/plain, but type \"noted\" is registered with application/json"},
			"a raw event that is no JSON":      {[]any{Raw{Type: "noted", ContentType: "application/json", Payload: []byte("{")}}, "not read again"},
			"a raw event that does not fit":    {[]any{Raw{Type: "noted", ContentType: "application/json", Payload: []byte("[]")}}, "not read again"},
			"a raw event of a newer schema":    {[]any{Raw{Type: "noted", SchemaVersion: 2, ContentType: "application/json", Payload: []byte("{}")}}, "not read again"},
			"text that is not UTF-8":           {[]any{noted{"a"}, noted{"\xff"}}, "events[1]: field Text of eventstore.noted is a string that is not valid UTF-8"},
			"a slice without dots":             {[]any{[]any{noted{"a"}}}, "events[0]: it is a []interface {}, which holds several events: pass it as events..."},
			"a slice of a type":                {[]any{[]noted{{"a"}}}, "it is a []eventstore.noted, which holds several events: pass it as events... with a []any"},
			"a slice of pointers":              {[]any{[]*noted{{"a"}}}, "pass it as events..."},
			"a slice of Events":                {[]any{noted{}, []Event{{Data: noted{"a"}}}}, "events[1]: it is a []eventstore.Event, which holds several events"},
			"a slice by a pointer":             {[]any{&[]any{noted{}}}, "pass it as events..."},
			"an Event of a slice":              {[]any{Event{Data: []any{noted{}}}}, "pass it as events..."},
			"a foreign aggregate id":           {with(func(e *Event) { e.Metadata.Message.AggregateID = "2" }), `its aggregate id is "2", the stream's is "1"`},
			"a foreign aggregate type":         {with(func(e *Event) { e.Metadata.Message.AggregateType = "x" }), "aggregate type"},
			"a foreign partition":              {with(func(e *Event) { e.Metadata.Context.PartitionID = "x" }), "partition id"},
			"a negative sequence number":       {with(func(e *Event) { e.Metadata.Context.SequenceNumber = -1 }), "negative"},
			"a negative version":               {with(func(e *Event) { e.Version = -1 }), "negative"},
			"two versions":                     {with(func(e *Event) { e.Version, e.Metadata.Context.SequenceNumber = 2, 3 }), "its version is 2 but its sequence number is 3"},
			"a number without room":            {append([]any{noted{}}, with(func(e *Event) { e.Version = 1 })...), "leaves no room for the 1 events before it"},
			"a blank idempotency id":           {with(func(e *Event) { e.Metadata.Context.IdempotencyID = " " }), "blank"},
			"a broken idempotency id":          {with(func(e *Event) { e.Metadata.Context.IdempotencyID = "\xff" }), "UTF-8"},
			"a long idempotency id":            {with(func(e *Event) { e.Metadata.Context.IdempotencyID = strings.Repeat("x", 201) }), "201 bytes"},
			"a key too long for a store":       {with(func(e *Event) { e.Metadata.Context.IdempotencyID = strings.Repeat("😀", 20) }), "the store takes at most 100"},
			"an idempotency id twice":          {[]any{once("i", "a"), noted{}, once("i", "b")}, "is also used by events[0]"},
			"a time after 9999":                {with(func(e *Event) { e.Metadata.Message.Created = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }), "years 1 to 9999"},
			"a time before 1":                  {with(func(e *Event) { e.Metadata.Context.Timestamp = time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC) }), "years 1 to 9999"},
		} {
			_, err := s.Append(t.Context(), ExpectAny(), c.events...)
			if want[*ArgumentError](t, err); !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: the message does not say %q: %v", name, c.says, err)
			}
		}
		_, err := s.Append(t.Context(), ExpectVersion(-1), noted{})
		want[*ArgumentError](t, err)
		_, err = s.Append(t.Context(), ExpectAny(), noted{}, struct{}{})
		want[*TypeNotRegisteredError](t, err)
		_, err = s.Append(t.Context(), ExpectAny(), []int{1})
		want[*TypeNotRegisteredError](t, err)
		_, err = s.Append(t.Context(), ExpectAny(), noted{}, &unregistered{})
		if e := want[*TypeNotRegisteredError](t, err); e.Type != "eventstore.unregistered" || e.Version != 0 || e.Stream != labStream {
			t.Errorf("%+v", e)
		}
		_, err = s.Retry(t.Context(), nil)
		want[*ArgumentError](t, err)
		_, err = s.Retry(t.Context(), &OutcomeUnknownError{Stream: labStream})
		want[*ArgumentError](t, err)
		_, err = s.Retry(t.Context(), &OutcomeUnknownError{Stream: Stream{"x", "y", "z"}, commit: commit{events: make([]record, 1)}})
		want[*ArgumentError](t, err)
		l.traced()
		l.holds("a")
	})
}

type unregistered struct{}

func TestAnEventGoesWhereItsMetadataSays(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		at := func(version int64) Event { return Event{Version: version, Data: noted{fmt.Sprint(version)}} }
		if _, err := s.Append(t.Context(), ExpectAny(), at(1), &Event{Data: noted{"2"}}, at(3)); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			events           []any
			expected, actual int64
			id               string
		}{
			{[]any{at(3)}, 2, 3, ""}, {[]any{at(5)}, 4, 3, ""}, {[]any{noted{"4"}, at(6)}, 4, 3, ""}, {[]any{at(4), at(4)}, 2, 3, ""},
		} {
			_, err := s.Append(t.Context(), ExpectAny(), c.events...)
			if e := want[*VersionMismatchError](t, err); e.Expected != c.expected || e.Actual != c.actual {
				t.Errorf("%+v", e)
			}
		}
		// An event that was read is not appended again by mistake.
		event, err := s.Event(t.Context(), 2)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Append(t.Context(), ExpectAny(), event)
		want[*VersionMismatchError](t, err)
		l.holds("1", "2", "3")
	})
}

func TestWhatIsWrongInSeveralWaysIsRefusedForTheFirst(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		if _, err := s.Append(t.Context(), ExpectAny(), once("i", "a")); err != nil {
			t.Fatal(err)
		}
		_, err := s.Append(t.Context(), ExpectVersion(5), once("i", "b"), nil)
		want[*ArgumentError](t, err)
		_, err = s.Append(t.Context(), ExpectVersion(5), once("i", "b"))
		want[*IdempotencyIDUsedError](t, err)
		_, err = s.Append(t.Context(), ExpectVersion(5), once("j", "b"))
		want[*VersionMismatchError](t, err)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		_, err = s.Append(t.Context(), ExpectVersion(5), nil)
		want[*NotOpenError](t, err)
	})
}

func TestMetadataIsFilledInAndTimesAreUTC(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		zone := time.FixedZone("x", 5400)
		e := Event{Data: noted{"a"}}
		e.Metadata.Message.Created = time.Now().Add(-time.Hour).In(zone)
		l.add(s, "b")
		if _, err := s.Append(t.Context(), ExpectAny(), e); err != nil {
			t.Fatal(err)
		}
		first, err := s.Event(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		second, err := s.Event(t.Context(), 2)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		if m := first.Metadata; !m.Message.Created.Equal(now) || !m.Context.Timestamp.Equal(now) || m.Message.Created.Location() != time.UTC ||
			m.Message.ID == "" || m.Message.ID == second.Metadata.Message.ID || m.Message.Type != "noted" || m.Message.SchemaVersion != 1 ||
			m.Message.AggregateType != "account" || m.Message.AggregateID != "1" || m.Context.PartitionID != "EventStores" ||
			m.Context.SessionID != s.ID() || m.Context.SequenceNumber != 1 {
			t.Errorf("%+v", m)
		}
		if m := second.Metadata; !m.Message.Created.Equal(e.Metadata.Message.Created) || !m.Context.Timestamp.Equal(m.Message.Created) || m.Message.Created.Location() != time.UTC {
			t.Errorf("%+v", m)
		}
	}, "the careful way")
}
