package embedded_test

import (
	"path/filepath"
	"testing"

	"github.com/hexalith/eventstores-go/adapter/embedded/sqlite"
	"github.com/hexalith/eventstores-go/internal/embeddedtest"
)

func TestAFileThatIsOnlyReadListsItsKeys(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events.db")
	s, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	reader, err := sqlite.Open(t.Context(), path, sqlite.WithReadOnly())
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	embeddedtest.Listed(t, s, reader)
}
