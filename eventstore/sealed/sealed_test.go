package sealed_test

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/aggregate"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
	"github.com/hexalith/eventstores-go/eventstore/sealed"
	"github.com/hexalith/eventstores-go/eventstore/transfer"
)

var stream = eventstore.Stream{Database: "EventStores", Type: "Customer", ID: "c-1"}

// holds reports whether a store holds a text anywhere.
func holds(s *memstate.Store, text string) bool {
	for _, value := range s.Values() {
		if bytes.Contains(value, []byte(text)) {
			return true
		}
	}
	return false
}

func TestWhatIsSealedComesBackAndIsNotReadableInTheStore(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	given := []any{ada(), bought{"book", 12_50}, noted{"likes Marker"}, &letter{"Ada", "Marker"}, profile{Name: "Marker"}}
	l.append(t, stream, given...)
	l.open(t) // with nothing in memory
	for i, event := range l.read(t, stream) {
		if !reflect.DeepEqual(event.Data, given[i]) || event.Erased {
			t.Errorf("got %+v, erased %v; want %+v", event.Data, event.Erased, given[i])
		}
	}
	if holds(l.events, "Marker") || holds(l.events, "555-0100") {
		t.Error("the store of the events holds personal data")
	}
	if !holds(l.events, "London") || !holds(l.events, `"country":"GB"`) {
		t.Error("what is not tagged is not readable")
	}
}

func TestAfterForgettingReadsGiveMarksAndNeverFail(t *testing.T) {
	t.Parallel()
	for _, elsewhere := range []bool{false, true} {
		l := newLab(t)
		l.append(t, stream, ada(), bought{"book", 12_50}, noted{"likes Marker"}, &letter{"Ada", "Marker"}, profile{Name: "Marker"})
		other := eventstore.Stream{Database: "EventStores", Type: "Customer", ID: "c-2"}
		grace := ada()
		grace.Customer, grace.Name = "c-2", "Grace"
		l.append(t, other, grace)
		if err := l.keys.Forget(t.Context(), "c-1"); err != nil {
			t.Fatal(err)
		}
		if elsewhere {
			l.open(t)
		}
		want := []any{
			registered{Customer: "c-1", Name: sealed.Marker, Home: address{sealed.Marker, "London"}, Work: &address{sealed.Marker, "Paris"}, Country: "GB", Notes: map[string]string{"a": "b"}},
			bought{"book", 12_50}, noted{sealed.Marker}, &letter{}, profile{Name: "somebody", Gone: true},
		}
		for i, event := range l.read(t, stream) {
			if _, plain := event.Data.(bought); !reflect.DeepEqual(event.Data, want[i]) || event.Erased == plain {
				t.Errorf("got %+v, erased %v; want %+v", event.Data, event.Erased, want[i])
			}
		}
		if events := l.read(t, other); !reflect.DeepEqual(events[0].Data, grace) || events[0].Erased {
			t.Errorf("somebody else's event is %+v", events[0])
		}
	}
}

// Custom metadata is not sealed, as docs/privacy.md says.
func TestCustomMetadataIsStoredInTheClear(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	custom := map[string]string{"campaign=1\n": "in the clear"}
	event := eventstore.Event{Data: noted{"Marker"}, Metadata: eventstore.Metadata{Custom: custom}}
	l.append(t, stream, event)
	if err := l.keys.Forget(t.Context(), "c-1"); err != nil {
		t.Fatal(err)
	}
	for _, e := range l.read(t, stream) {
		if e.Data != (noted{sealed.Marker}) || !e.Erased || !reflect.DeepEqual(e.Metadata.Custom, custom) {
			t.Errorf("it is read as %+v", e)
		}
	}
}

func TestNothingNewIsStoredOfWhoWasForgotten(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	if err := l.keys.Forget(t.Context(), "c-1"); err != nil { // it never had a key
		t.Fatal(err)
	}
	_, err := l.provider.Append(t.Context(), stream, eventstore.ExpectAny(), ada())
	if !errors.As(err, new(*eventstore.ArgumentError)) || !errors.As(err, new(*sealed.ForgottenError)) || strings.Contains(err.Error(), "Marker") {
		t.Errorf("got %v", err)
	}
	l.append(t, stream, bought{"book", 1}, noted{sealed.Marker}, registered{Customer: "c-1", Country: "GB"}) // they hold no personal data
	if n := len(l.read(t, stream)); n != 3 {
		t.Errorf("there are %d events, want 3", n)
	}
}

func TestACiphertextIsWorthNothingInAnotherPlace(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.append(t, stream, noted{"first"}, noted{"second"})
	other := eventstore.Stream{Database: "EventStores", Type: "Customer", ID: "c-2"}
	r := l.provider.Reader(l.provider.Stream("Customer", "c-1"))
	var raws []eventstore.Event
	for event, err := range r.Read(t.Context(), eventstore.AsRaw()) {
		raws = append(raws, must[eventstore.Event](t)(event, err))
	}
	for what, event := range map[string]any{
		"another stream": raws[0].Data,
		"another event":  eventstore.Event{Data: raws[0].Data, Metadata: eventstore.Metadata{Message: eventstore.MessageMetadata{ID: raws[1].Metadata.Message.ID}}},
	} {
		s := other
		if what == "another event" {
			s = stream
		}
		if _, err := l.provider.Append(t.Context(), s, eventstore.ExpectAny(), event); !errors.Is(err, eventstore.ErrNotAuthentic) {
			t.Errorf("%s: got %v", what, err)
		}
	}
	// If it gets past the checks of Append, reading it reports damage.
	moved := raws[0]
	moved.Metadata.Message.AggregateID = ""
	session := must[*eventstore.Session](t)(l.provider.Open(t.Context(), other, eventstore.Shared()))
	must[int64](t)(session.AppendRecorded(t.Context(), eventstore.ExpectVersion(0), moved))
	for _, err := range session.Read(t.Context()) {
		if !errors.As(err, new(*eventstore.DamagedError)) || !errors.Is(err, eventstore.ErrNotAuthentic) {
			t.Errorf("got %v", err)
		}
	}
}

func TestALostKeyIsAnErrorAndNoErasure(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.append(t, stream, noted{"text"})
	l.keyStore = memstate.Transactional()
	l.open(t)
	r := l.provider.Reader(l.provider.Stream("Customer", "c-1"))
	for _, err := range r.Read(t.Context()) {
		if !errors.As(err, new(*eventstore.StorageError)) || !errors.As(err, new(*sealed.NoKeyError)) {
			t.Errorf("got %v", err)
		}
	}
}

func TestWhatCanNotBeSealedIsRefused(t *testing.T) {
	t.Parallel()
	type untagged struct{ A string }
	type wrongTag struct {
		A string `sealed:"yes"`
	}
	type hidden struct {
		a string `sealed:"data"`
	}
	type inList struct {
		L []noted
	}
	type twice struct {
		A string `sealed:"subject"`
		B string `sealed:"subject"`
		C string `sealed:"data"`
	}
	type collides struct {
		A string `json:"$sealed"`
		B string `sealed:"data"`
	}
	l := newLab(t)
	codec := must[eventstore.Codec](t)(sealed.New(l.keys))
	for says, value := range map[string]any{
		`has the tag sealed:"data"`: untagged{"x"}, `use "subject" or "data"`: wrongTag{"x"}, "export it": hidden{"x"}, "tag the field itself": inList{[]noted{{"x"}}},
		"one field of a string type": twice{"a", "b", "c"}, "$sealed": collides{"a", "b"},
	} {
		definition := eventstore.TypeOf(reflect.TypeOf(value), "T", eventstore.WithCodec(codec), eventstore.WithoutFields())
		registry, err := eventstore.NewRegistry(definition)
		if err == nil {
			_, err = registry.EncodeFor(t.Context(), eventstore.About{Stream: stream}, value)
		}
		if _, isHidden := value.(hidden); isHidden && err != nil {
			continue // JSON cannot hold it anyway
		}
		if !errors.As(err, new(*eventstore.ArgumentError)) || !strings.Contains(err.Error(), says) {
			t.Errorf("%T: got %v, want it to say %s", value, err, says)
		}
	}
	if _, err := l.registry.Encode(noted{"x"}); !errors.As(err, new(*eventstore.ArgumentError)) || !strings.Contains(err.Error(), "whose data") {
		t.Errorf("without a subject: %v", err)
	}
	for _, err := range []error{
		second(sealed.New(nil)), second(sealed.New(l.keys, nil)), second(sealed.NewStateKeys(l.keyStore, nil)), second(sealed.New(l.keys, sealed.WithInner(nil))), second(sealed.New(l.keys, sealed.WithInner(codec))), second(sealed.New(l.keys, sealed.WithSubject(nil))),
		second(sealed.NewStateKeys(nil)), second(sealed.NewStateKeys(l.keyStore, sealed.WithWrapper(nil))), second(sealed.NewStateKeys(l.keyStore, sealed.WithCache(-1, 0))),
	} {
		if !errors.As(err, new(*eventstore.ArgumentError)) {
			t.Errorf("got %v", err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestHistoryFromBeforeSealingIsReadAndUpcastersSeePlainPayloads(t *testing.T) {
	t.Parallel()
	type old struct {
		Name string `json:"name"`
		Town string `json:"town"`
	}
	type oldSealed struct {
		Name string `json:"name" sealed:"data"`
		Town string `json:"town"`
	}
	type today struct {
		FullName string `json:"fullName" sealed:"data"`
		Town     string `json:"town"`
	}
	l := newLab(t)
	codec := must[eventstore.Codec](t)(sealed.New(l.keys))
	with := func(definition eventstore.TypeDefinition) *eventstore.Provider {
		t.Helper()
		registry := must[*eventstore.Registry](t)(eventstore.NewRegistry(definition))
		return must[*eventstore.Provider](t)(eventstore.NewProvider(l.events, eventstore.WithRegistry(registry)))
	}
	must[int64](t)(with(eventstore.Type[old]("T")).Append(t.Context(), stream, eventstore.ExpectVersion(0), old{"Ada", "London"}))
	must[int64](t)(with(eventstore.Type[oldSealed]("T", eventstore.WithCodec(codec))).Append(t.Context(), stream, eventstore.ExpectVersion(1), oldSealed{"Grace", "Paris"}))
	l.provider = with(eventstore.Type[today]("T", eventstore.WithCodec(codec, eventstore.JSON), eventstore.WithSchemaVersion(2),
		eventstore.WithUpcastJSON(1, func(o old) (today, error) { return today{o.Name, o.Town}, nil })))
	check := func(want ...today) {
		t.Helper()
		for i, event := range l.read(t, stream) {
			if event.Data != any(want[i]) {
				t.Errorf("got %+v, want %+v", event.Data, want[i])
			}
		}
	}
	check(today{"Ada", "London"}, today{"Grace", "Paris"})
	if err := l.keys.Forget(t.Context(), "c-1"); err != nil {
		t.Fatal(err)
	}
	check(today{"Ada", "London"}, today{sealed.Marker, "Paris"})
}

func fold(c customer, event eventstore.Event) (customer, error) {
	switch e := event.Data.(type) {
	case registered:
		c.ID, c.Name = e.Customer, e.Name
	case bought:
		c.Spent += e.Cents
	}
	return c, nil
}

func TestASnapshotOfWhoWasForgottenIsNotUsed(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.append(t, stream, ada(), bought{"book", 12_50})
	session := must[*eventstore.Session](t)(l.provider.Open(t.Context(), l.provider.Stream("Customer", "c-1")))
	defer session.Close()
	state := customer{"c-1", "Ada Lovelace-Marker", 12_50}
	if err := session.SaveSnapshot(t.Context(), 2, state); err != nil {
		t.Fatal(err)
	}
	if s := must[eventstore.Snapshot](t)(session.LastSnapshot(t.Context())); s.Data != any(state) {
		t.Errorf("got %+v", s.Data)
	}
	if holds(l.events, "Marker") {
		t.Error("the snapshot is readable")
	}
	if err := l.keys.Forget(t.Context(), "c-1"); err != nil {
		t.Fatal(err)
	}
	if s, err := session.LastSnapshot(t.Context()); !errors.As(err, new(*eventstore.SnapshotNotFoundError)) {
		t.Errorf("got %+v, %v", s, err)
	}
	snapshot, events, err := session.Load(t.Context())
	if err != nil || snapshot.Version != 0 {
		t.Fatalf("got %+v, %v", snapshot, err)
	}
	var folded customer
	for event, err := range events {
		folded, _ = fold(folded, must[eventstore.Event](t)(event, err))
	}
	if want := (customer{"c-1", sealed.Marker, 12_50}); folded != want {
		t.Errorf("got %+v, want %+v", folded, want)
	}
	if err := session.SaveSnapshot(t.Context(), 2, folded); err != nil {
		t.Fatal(err)
	}
	if s := must[eventstore.Snapshot](t)(session.LastSnapshot(t.Context())); s.Data != any(folded) {
		t.Errorf("got %+v", s.Data)
	}
}

func TestAnAggregateOfWhoWasForgottenGoesOn(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	customers := must[*aggregate.Repository[customer]](t)(aggregate.NewRepository(l.provider, "Customer", fold, aggregate.WithSnapshotEvery(2)))
	update := func(events ...any) aggregate.Aggregate[customer] {
		t.Helper()
		return must[aggregate.Aggregate[customer]](t)(customers.Update(t.Context(), "c-1", func(customer) ([]any, error) { return events, nil }))
	}
	update(ada(), bought{"book", 1}, bought{"pen", 2})
	if err := l.keys.Forget(t.Context(), "c-1"); err != nil {
		t.Fatal(err)
	}
	if got, want := update(bought{"ink", 4}).State, (customer{"c-1", sealed.Marker, 7}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	update(bought{"ink", 8}, bought{"ink", 16})
	loaded := must[aggregate.Aggregate[customer]](t)(customers.Load(t.Context(), "c-1"))
	if want := (customer{"c-1", sealed.Marker, 31}); loaded.State != want || loaded.Snapshot == 0 {
		t.Errorf("got %+v", loaded)
	}
}

// By default a repository keeps no state that holds personal data. With a cache it keeps the state
// for half of the time of a session.
func TestAnAggregateInMemoryIsErasedWhenItIsDropped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		customers := must[*aggregate.Repository[customer]](t)(aggregate.NewRepository(l.provider, "Customer", fold, aggregate.WithCache(1)))
		update := func(events ...any) customer {
			t.Helper()
			return must[aggregate.Aggregate[customer]](t)(customers.Update(t.Context(), "c-1", func(customer) ([]any, error) { return events, nil })).State
		}
		update(ada())
		if err := l.keys.Forget(t.Context(), "c-1"); err != nil {
			t.Fatal(err)
		}
		if got := update(bought{"pen", 2}); got.Name == sealed.Marker {
			t.Errorf("at once it is %+v", got)
		}
		<-time.After(30 * time.Second) // on the fake clock
		if got := update(bought{"ink", 4}); got.Name != sealed.Marker {
			t.Errorf("after 30 s it is %+v", got)
		}
	})
}

// noKeys fails the test when asked for a key.
type noKeys struct{ t *testing.T }

func (k noKeys) Create(context.Context, string) ([]byte, error) { return k.asked() }
func (k noKeys) Find(context.Context, string) ([]byte, error)   { return k.asked() }
func (k noKeys) Forget(context.Context, string) error           { _, err := k.asked(); return err }

func (k noKeys) asked() ([]byte, error) {
	k.t.Error("a key was asked for")
	return nil, errors.New("there are no keys")
}

func TestVerifyingAndCopyingNeedNoKeys(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.append(t, stream, ada(), bought{"book", 12_50}, &letter{"Ada", "Marker"})
	session := must[*eventstore.Session](t)(l.provider.Open(t.Context(), stream, eventstore.Shared()))
	if err := session.SaveSnapshot(t.Context(), 2, customer{"c-1", "Marker", 12_50}); err != nil {
		t.Fatal(err)
	}
	codec := must[eventstore.Codec](t)(sealed.New(noKeys{t}))
	registry := must[*eventstore.Registry](t)(eventstore.NewRegistry(
		eventstore.Type[registered]("Registered", eventstore.WithCodec(codec)), eventstore.Type[bought]("Bought"),
		eventstore.Type[letter]("Letter", eventstore.WithCodec(codec)), eventstore.Type[customer]("Customer", eventstore.WithCodec(codec))))
	target := memstate.Transactional()
	from := must[*eventstore.Provider](t)(eventstore.NewProvider(l.events, eventstore.WithRegistry(registry)))
	to := must[*eventstore.Provider](t)(eventstore.NewProvider(target, eventstore.WithRegistry(registry)))
	must[transfer.Result](t)(transfer.Copy(t.Context(), from, to, stream))
	for _, p := range []*eventstore.Provider{from, to} {
		r := p.Reader(p.Stream("Customer", "c-1"))
		v := must[eventstore.Verification](t)(r.Verify(t.Context(), nil))
		if !v.Sound() || len(v.Unreadable) > 0 || v.Events != 3 || len(v.Snapshots) != 1 {
			t.Errorf("got %+v", v)
		}
	}
	if holds(target, "Marker") {
		t.Error("the copy is readable")
	}
	l.events = target // with the keys, the copy reads like the original
	l.open(t)
	if events := l.read(t, stream); !reflect.DeepEqual(events[0].Data, ada()) {
		t.Errorf("got %+v", events[0].Data)
	}
	if err := l.keys.Forget(t.Context(), "c-1"); err != nil {
		t.Fatal(err)
	}
	if events := l.read(t, stream); !events[0].Erased {
		t.Errorf("the copy is not erased: %+v", events[0].Data)
	}
}
