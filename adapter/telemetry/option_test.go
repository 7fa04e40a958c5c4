package telemetry_test

import (
	"errors"
	"testing"

	"github.com/hexalith/eventstores-go/adapter/telemetry"
	"github.com/hexalith/eventstores-go/eventstore"
)

func TestWrongOptionsAreRefused(t *testing.T) {
	t.Parallel()
	refused := func(t *testing.T, argument string, err error) {
		t.Helper()
		var wrong *eventstore.ArgumentError
		if !errors.As(err, &wrong) || wrong.Argument != argument {
			t.Errorf("got %v, want an ArgumentError about %s", err, argument)
		}
	}
	for argument, option := range map[string]telemetry.Option{
		"option":             nil,
		"WithTracerProvider": telemetry.WithTracerProvider(nil),
		"WithMeterProvider":  telemetry.WithMeterProvider(nil),
		"WithPropagator":     telemetry.WithPropagator(nil),
		"WithComponent":      telemetry.WithComponent(" "),
		"WithSystem":         telemetry.WithSystem(""),
	} {
		t.Run(argument, func(t *testing.T) {
			t.Parallel()
			_, err := telemetry.State(inMemory(t), option)
			refused(t, argument, err)
			_, err = telemetry.Locker(free{}, option)
			refused(t, argument, err)
			_, err = telemetry.NewObserver(option)
			refused(t, argument, err)
			_, err = telemetry.DialOption(option)
			refused(t, argument, err)
		})
	}
	_, err := telemetry.State(nil)
	refused(t, "state", err)
	_, err = telemetry.Locker(nil)
	refused(t, "locker", err)
}
