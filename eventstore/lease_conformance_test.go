package eventstore_test

import (
	"testing"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
	"github.com/hexalith/eventstores-go/eventstore/storetest"
)

func TestTheLeaseIsALock(t *testing.T) {
	for name, kind := range map[string]func() *memstate.Store{"transactional": memstate.Transactional, "redis": memstate.Redis} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.TestLocker(t, eventstore.NewLease(kind()))
		})
	}
}
