package sealed_test

import (
	"log/slog"
	"testing"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
	"github.com/hexalith/eventstores-go/eventstore/sealed"
)

type address struct {
	Street string `json:"street" sealed:"data"`
	City   string `json:"city"`
}

// registered is an event with personal data.
type registered struct {
	Customer string            `json:"customer" sealed:"subject"`
	Name     string            `json:"name" sealed:"data"`
	Age      int               `json:"age,omitempty" sealed:"data"`
	Phones   []string          `json:"phones,omitempty" sealed:"data"`
	Home     address           `json:"home"`
	Work     *address          `json:"work,omitempty"`
	Country  string            `json:"country"`
	Notes    map[string]string `json:"notes,omitempty"`
}

type bought struct {
	Item  string `json:"item"`
	Cents int64  `json:"cents"`
}

// noted has no subject field. Its subject is the stream's aggregate.
type noted struct {
	Text string `json:"text" sealed:"data"`
}

// letter is sealed as a whole.
type letter struct{ To, Text string }

// profile sets its own replacement values when it is erased.
type profile struct {
	Name string `json:"name" sealed:"data"`
	Gone bool   `json:"gone"`
}

func (p *profile) Erased() { p.Name, p.Gone = "somebody", true }

type customer struct {
	ID    string `json:"id" sealed:"subject"`
	Name  string `json:"name" sealed:"data"`
	Spent int64  `json:"spent"`
}

func ada() registered {
	return registered{
		Customer: "c-1", Name: "Ada Lovelace-Marker", Age: 36, Phones: []string{"555-0100-Marker"},
		Home: address{"12 Marker Lane", "London"}, Work: &address{"1 Marker Square", "Paris"},
		Country: "GB", Notes: map[string]string{"a": "b"},
	}
}

type lab struct {
	events, keyStore *memstate.Store
	keys             *sealed.StateKeys
	registry         *eventstore.Registry
	provider         *eventstore.Provider
}

func must[T any](t *testing.T) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func newLab(t *testing.T, options ...sealed.KeysOption) *lab {
	t.Helper()
	l := &lab{events: memstate.Transactional(), keyStore: memstate.Transactional()}
	l.open(t, options...)
	return l
}

// open opens the same stores again, as another process does.
func (l *lab) open(t *testing.T, options ...sealed.KeysOption) {
	t.Helper()
	l.keys = must[*sealed.StateKeys](t)(sealed.NewStateKeys(l.keyStore, options...))
	codec := must[eventstore.Codec](t)(sealed.New(l.keys))
	whole := must[eventstore.Codec](t)(sealed.New(l.keys, sealed.WithWholePayload()))
	l.registry = must[*eventstore.Registry](t)(eventstore.NewRegistry(
		eventstore.Type[registered]("Registered", eventstore.WithCodec(codec, eventstore.JSON)),
		eventstore.Type[bought]("Bought"),
		eventstore.Type[noted]("Noted", eventstore.WithCodec(codec)),
		eventstore.Type[*letter]("Letter", eventstore.WithCodec(whole)),
		eventstore.Type[profile]("Profile", eventstore.WithCodec(codec)),
		eventstore.Type[customer]("Customer", eventstore.WithCodec(codec)),
	))
	l.provider = must[*eventstore.Provider](t)(eventstore.NewProvider(l.events,
		eventstore.WithRegistry(l.registry), eventstore.WithLogger(slog.New(slog.DiscardHandler))))
}

func (l *lab) append(t *testing.T, stream eventstore.Stream, events ...any) {
	t.Helper()
	must[int64](t)(l.provider.Append(t.Context(), stream, eventstore.ExpectAny(), events...))
}

func (l *lab) read(t *testing.T, stream eventstore.Stream) (events []eventstore.Event) {
	t.Helper()
	r := l.provider.Reader(stream)
	for event, err := range r.Read(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, event)
	}
	return events
}
