package eventstore

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

func TestAWrongOptionFailsWhenTheProviderIsMade(t *testing.T) {
	t.Parallel()
	state := memstate.Transactional()
	settings := func(change func(*Settings)) Option {
		s := DefaultSettings()
		change(&s)
		return WithSettings(s)
	}
	for _, c := range []struct {
		state  driver.State
		option Option
		says   string
	}{
		{nil, WithSettings(DefaultSettings()), "state"},
		{state, nil, "option"},
		{state, WithLocker(nil), "WithLocker"},
		{state, WithRegistry(nil), "WithRegistry"},
		{state, WithLogger(nil), "WithLogger"},
		{state, WithSettings(Settings{}), "Settings.DefaultDatabase"},
		{state, settings(func(s *Settings) { s.DefaultDatabase = " \t" }), "Settings.DefaultDatabase"},
		{state, settings(func(s *Settings) { s.DefaultDatabase = strings.Repeat("x", 201) }), "Settings.DefaultDatabase"},
		{state, settings(func(s *Settings) { s.OpenTimeout = -1 }), "Settings.OpenTimeout"},
		{state, settings(func(s *Settings) { s.RequestTimeout = -1 }), "Settings.RequestTimeout"},
		{state, settings(func(s *Settings) { s.SessionTimeout = 0 }), "Settings.SessionTimeout"},
		{state, settings(func(s *Settings) { s.SessionTimeout = -time.Second }), "Settings.SessionTimeout"},
		{state, settings(func(s *Settings) { s.CommitTimeout = 0 }), "Settings.CommitTimeout"},
	} {
		_, err := NewProvider(c.state, c.option)
		if !isA[*ArgumentError](err) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("the error does not name %s: %v", c.says, err)
		}
	}
	if _, err := NewProvider(state, settings(func(s *Settings) { s.OpenTimeout = 0 })); err != nil {
		t.Errorf("an OpenTimeout of 0 is possible: %v", err)
	}
	if trace := state.Trace(); len(trace) > 0 {
		t.Errorf("the store was asked for %q", trace)
	}
}

func TestTheDefaultsAreWhatIsDocumented(t *testing.T) {
	t.Parallel()
	if got, want := DefaultSettings(), (Settings{"EventStores", 5 * time.Second, time.Minute, 5 * time.Second, 15 * time.Second, 8}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestAStreamThatCannotBeIsRefusedWhenItIsOpened(t *testing.T) {
	t.Parallel()
	state := memstate.Transactional()
	state.Caps.MaxKeyBytes = 255
	p, err := NewProvider(state)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		stream Stream
		says   string
	}{
		{Stream{"", "t", "i"}, "database: it is blank"},
		{Stream{"d", " \t\u00a0", "i"}, "aggregate type: it is blank"},
		{Stream{"d", "t", "\n"}, "aggregate id: it is blank"},
		{Stream{"d", "t", "\xc3\x28"}, "UTF-8"},
		{Stream{"d", "t", strings.Repeat("x", 1000)}, "1000 bytes, at most 200"},
		{Stream{"d", "t", strings.Repeat("😀", 51)}, "204 bytes, at most 200"},
		{Stream{"d", "t", strings.Repeat("😀", 20)}, "the store takes at most 255"},
	} {
		s := c.stream
		_, openErr := p.Open(t.Context(), s)
		_, readErr := p.Reader(s).Version(t.Context())
		for _, err := range []error{openErr, readErr} {
			if !isA[*ArgumentError](err) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("the error does not say %q: %v", c.says, err)
			}
		}
	}
	if trace := state.Trace(); len(trace) > 0 {
		t.Errorf("the store was asked for %q", trace)
	}
}

func TestAStreamIsOpenedForTheMetadataThatNamesIt(t *testing.T) {
	t.Parallel()
	p, err := NewProvider(memstate.Transactional())
	if err != nil {
		t.Fatal(err)
	}
	var m Metadata
	m.Message.AggregateType, m.Message.AggregateID = "account", "1"
	for database, want := range map[string]string{"": "EventStores", "tenant": "tenant"} {
		m.Context.PartitionID = database
		s, err := p.Open(t.Context(), p.StreamOf(m))
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Stream(); got != (Stream{want, "account", "1"}) {
			t.Errorf("partition %q opened %v", database, got)
		}
	}
	m.Message.AggregateID = ""
	if _, err := p.Open(t.Context(), p.StreamOf(m)); !isA[*ArgumentError](err) {
		t.Errorf("metadata without an aggregate id: %v", err)
	}
}

func TestAProviderThatWasNotMadeIsAnErrorNotAPanic(t *testing.T) {
	t.Parallel()
	var p Provider
	_, err := p.Open(context.Background(), Stream{Database: "d", Type: "t", ID: "i"})
	if !isA[*ArgumentError](err) || !strings.Contains(err.Error(), "NewProvider") {
		t.Error(err)
	}
	_, err = p.Open(context.Background(), p.Stream("t", "i"))
	if !isA[*ArgumentError](err) || !strings.Contains(err.Error(), "NewProvider") {
		t.Error(err)
	}
	_, err = p.Reader(p.Stream("t", "i")).Version(t.Context())
	if !isA[*ArgumentError](err) || !strings.Contains(err.Error(), "NewProvider") {
		t.Error(err)
	}
}

// The same holds for a reader that no provider returned.
func TestAReaderThatWasNotMadeRefusesEverything(t *testing.T) {
	t.Parallel()
	for _, r := range []*Reader{nil, {}} {
		for name, operation := range operations {
			switch name {
			case "Append", "AppendRecorded", "Retry", "VersionsOf", "Refresh", "SaveSnapshot", "SaveRecordedSnapshot", "ClearSnapshot", "ClearSnapshots", "BuildSnapshots":
				continue
			}
			if err := operation(t.Context(), &Session{Reader: r}); !isA[*NotOpenError](err) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if s := r.Stream(); s != (Stream{}) {
			t.Errorf("its stream is %v", s)
		}
	}
}
