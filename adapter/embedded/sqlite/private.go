package sqlite

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// createPrivately creates an empty file that only its owner may read and write, unless something of that name is there.
// SQLite takes it for a new database, and gives its log the same mode; by itself it lets everybody read.
//
// Where the file can't be created it is left to SQLite to say why. The file gets its name when it is closed already:
// to close it later would take SQLite's locks on it away from the rest of this process.
func createPrivately(path string) {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".new-*") // with the mode 0600
	if err != nil {
		return
	}
	defer os.Remove(file.Name())
	if err := file.Close(); err != nil {
		return
	}
	if err := os.Link(file.Name(), path); err == nil || errors.Is(err, fs.ErrExist) {
		return
	}
	// A file system without links.
	if file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err == nil {
		_ = file.Close()
	}
}
