package transfer

import (
	"fmt"
	"testing"

	"github.com/hexalith/eventstores-go/eventstore"
)

func TestErrorsOfACopyHaveTheirAdvice(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want eventstore.Advice
	}{
		{&BusyError{}, eventstore.AdviceRetry},
		{&BusyError{Cause: &eventstore.OpenTimeoutError{}}, eventstore.AdviceRetry},
		{&DiffersError{}, eventstore.AdviceGiveUp},
	} {
		if got := eventstore.Advise(fmt.Errorf("copy: %w", c.err)); got != c.want {
			t.Errorf("%T: %s, want %s", c.err, got, c.want)
		}
	}
}
