package sqlite_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/hexalith/eventstores-go/adapter/embedded/sqlite"
)

// modes returns the permissions of everything in a folder.
func modes(t *testing.T, folder string) map[string]fs.FileMode {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]fs.FileMode{}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		all[entry.Name()] = info.Mode().Perm()
	}
	return all
}

func TestAFileThatIsCreatedIsForItsOwnerAlone(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s := writable(t, filepath.Join(folder, "events.db"), "1")
	defer s.Close()
	all := modes(t, folder)
	if len(all) != 3 {
		t.Errorf("the folder holds %v", all)
	}
	for name, mode := range all {
		if mode != 0o600 {
			t.Errorf("%s has the mode %o", name, mode)
		}
	}
}

func TestAFileThatIsThereKeepsItsMode(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path := filepath.Join(folder, "events.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o640); err != nil { // despite the umask
		t.Fatal(err)
	}
	writable(t, path, "1").Close()
	if all := modes(t, folder); len(all) != 1 || all["events.db"] != 0o640 {
		t.Errorf("the folder holds %v", all)
	}
}

func TestAFileThatCanNotBeCreatedLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if err := os.Mkdir(filepath.Join(folder, "events.db"), 0o700); err != nil {
		t.Fatal(err)
	}
	if s, err := sqlite.Open(t.Context(), filepath.Join(folder, "events.db")); err == nil {
		s.Close()
		t.Error("a folder was opened")
	}
	if all := modes(t, folder); len(all) != 1 {
		t.Errorf("the folder holds %v", all)
	}
}
