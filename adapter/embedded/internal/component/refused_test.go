package component

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/dapr/components-contrib/state"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// saying is a component that answers every request with an error.
type saying struct {
	state.Store
	text  string
	calls int
}

func (s *saying) answer() error { s.calls++; return errors.New(s.text) }

func (s *saying) Set(context.Context, *state.SetRequest) error { return s.answer() }
func (s *saying) Get(context.Context, *state.GetRequest) (*state.GetResponse, error) {
	return nil, s.answer()
}
func (s *saying) BulkGet(_ context.Context, requests []state.GetRequest, _ state.BulkGetOpts) ([]state.BulkGetResponse, error) {
	return []state.BulkGetResponse{{Key: requests[0].Key, Error: s.answer().Error()}}, nil
}
func (s *saying) Multi(context.Context, *state.TransactionalStateRequest) error { return s.answer() }

func TestWhatAServerSaysIsToldAsWhatItMeans(t *testing.T) {
	t.Parallel()
	const readOnly, noAuth, mismatch, cut = "failed to set key k: READONLY You can't write against a read only replica.", "NOAUTH Authentication required.",
		"possible etag mismatch", "read tcp 127.0.0.1:1->127.0.0.1:2: connection reset by peer"
	for _, test := range []struct {
		name, text      string
		once            bool
		refused, denied bool
		answered        bool
		readDenied      bool
	}{
		{name: "turned down, by a component that sends once", text: readOnly, once: true, refused: true},
		{name: "turned down, by a component that may send again", text: readOnly, denied: true},
		{name: "not let in", text: noAuth, denied: true, readDenied: true},
		{name: "a condition that did not hold", text: mismatch, once: true, answered: true},
		{name: "a connection that broke", text: cut, once: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			component := &saying{text: test.text}
			s := New(component, Config{Capabilities: driver.Capabilities{Atomic: true}, SendsOnce: test.once})
			for name, err := range map[string]error{
				"swap":   s.Swap(t.Context(), "p", driver.Swap{Key: "k", Value: []byte("v")}),
				"commit": s.Commit(t.Context(), "p", driver.Swap{Key: "k", Value: []byte("v")}, nil),
			} {
				if errors.Is(err, driver.ErrRefused) != test.refused || errors.Is(err, driver.ErrDenied) != test.denied || errors.Is(err, driver.ErrAnswered) != test.answered {
					t.Errorf("%s: refused %t, denied %t, answered %t: %v", name, errors.Is(err, driver.ErrRefused), errors.Is(err, driver.ErrDenied), errors.Is(err, driver.ErrAnswered), err)
				}
				if !strings.Contains(err.Error(), test.text) {
					t.Errorf("%s: the words of the server are not there: %v", name, err)
				}
			}
			_, one := s.Get(t.Context(), "p", "k")
			many, err := s.GetMany(t.Context(), "p", []string{"k"})
			if err != nil {
				t.Fatal(err)
			}
			for name, err := range map[string]error{"get": one, "an item": many[0].Err} {
				if err == nil || errors.Is(err, driver.ErrDenied) != test.readDenied || errors.Is(err, driver.ErrRefused) {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}

func TestOnlyWhatDoesNoHarmIsSentAgainWhenAConnectionBreaks(t *testing.T) {
	t.Parallel()
	const repeats = 3
	for text, repeated := range map[string]int{"EOF": repeats, "NOAUTH Authentication required.": 0} {
		component := &saying{text: text}
		s := New(component, Config{Capabilities: driver.Capabilities{Atomic: true}, SendsOnce: true, Repeats: repeats})
		for name, test := range map[string]struct {
			send func()
			want int
		}{
			"get":      {func() { _, _ = s.Get(t.Context(), "p", "k") }, 1 + repeated},
			"get many": {func() { _, _ = s.GetMany(t.Context(), "p", []string{"k"}) }, 1 + repeated},
			"write":    {func() { _ = s.Write(t.Context(), "p", []driver.Write{{Key: "k", Value: []byte("v")}}) }, 1 + repeated},
			"swap":     {func() { _ = s.Swap(t.Context(), "p", driver.Swap{Key: "k", Value: []byte("v")}) }, 1},
			"commit":   {func() { _ = s.Commit(t.Context(), "p", driver.Swap{Key: "k", Value: []byte("v")}, nil) }, 1},
		} {
			component.calls = 0
			if test.send(); component.calls != test.want {
				t.Errorf("%s after %q was sent %d times, want %d", name, text, component.calls, test.want)
			}
		}
	}
}
