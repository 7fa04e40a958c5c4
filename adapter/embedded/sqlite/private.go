package sqlite

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// createPrivately creates an empty file that only its owner may read and write, unless something of
// that name exists. SQLite treats the file as a new database, and gives its log the same mode.
// SQLite itself would create a file that everyone can read.
//
// If createPrivately cannot create the file, SQLite reports why later. The file is closed before it
// gets its name, because closing it later would release the locks that SQLite holds on it in this
// process.
func createPrivately(path string) {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".new-*") // its mode is 0600
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
	// The file system has no hard links.
	if file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err == nil {
		_ = file.Close()
	}
}
