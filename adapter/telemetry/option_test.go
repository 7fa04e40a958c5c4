package telemetry_test

import (
	"testing"

	"github.com/hexalith/eventstores-go/adapter/embedded/memory"
	"github.com/hexalith/eventstores-go/adapter/telemetry"
	"github.com/hexalith/eventstores-go/eventstore"
)

func TestNilOptionsAndWhatIsNilInThemAreTheDefaults(t *testing.T) {
	t.Parallel()
	for name, option := range map[string]telemetry.Option{
		"a nil option":       nil,
		"no tracer provider": telemetry.WithTracerProvider(nil),
		"no meter provider":  telemetry.WithMeterProvider(nil),
		"no propagator":      telemetry.WithPropagator(nil),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inMemory := memory.New()
			defer inMemory.Close()
			state := telemetry.State(inMemory, option)
			locker := telemetry.Locker(free{}, option)
			provider, err := eventstore.NewProvider(state, eventstore.WithLocker(locker), eventstore.WithObserver(telemetry.NewObserver(option)))
			if err != nil {
				t.Fatal(err)
			}
			session, err := provider.Open(t.Context(), provider.Stream("account", "1"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := session.Append(t.Context(), eventstore.ExpectAny(), eventstore.Raw{Type: "opened", ContentType: "text/plain", Payload: []byte("Ada")}); err != nil {
				t.Error(err)
			}
			if err := session.Close(); err != nil {
				t.Error(err)
			}
			if telemetry.DialOption(option) == nil {
				t.Error("there is no dial option")
			}
		})
	}
}
