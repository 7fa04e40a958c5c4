package embedded_test

import (
	"io"
	"path/filepath"
	"testing"

	"github.com/hexalith/eventstores-go/adapter/embedded/memory"
	"github.com/hexalith/eventstores-go/adapter/embedded/sqlite"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/internal/embeddedtest"
)

// store is what all embedded stores have in common.
type store interface {
	driver.State
	io.Closer
}

// The same tests run on Redis in the module integration, which starts servers.
func TestWhatAllStoresHaveInCommon(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(t *testing.T) (embeddedtest.Store, error){
		"in memory": func(*testing.T) (embeddedtest.Store, error) { return memory.New(), nil },
		"in a SQLite file": func(t *testing.T) (embeddedtest.Store, error) {
			return sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "events.db"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			embeddedtest.Test(t, open)
		})
	}
}
