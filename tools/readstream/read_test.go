package readstream_test

import (
	"path/filepath"
	"testing"

	"github.com/hexalith/eventstores-go/adapter/embedded/sqlite"
	"github.com/hexalith/eventstores-go/internal/readstreamtest"
)

func TestTheReaderOnSQLite(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a b?#%.db")
	state, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = state.Close() })
	readstreamtest.Test(t, state, path)
}
