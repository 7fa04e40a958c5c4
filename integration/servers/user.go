package servers

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// ownFolder makes a folder for the user of that name, and returns the user's credential. It does
// not use t.TempDir, because other users can't enter its parent folders.
func ownFolder(t testing.TB, name string) (dir string, credential *syscall.Credential) {
	t.Helper()
	dir, err := os.MkdirTemp("", "eventstores-"+name+"-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if credential, err = ownUser(name, dir); err != nil {
		t.Fatal(err)
	}
	return dir, credential
}

// runAs runs a program as that user, in that folder.
func runAs(t testing.TB, credential *syscall.Credential, dir, name string, args ...string) {
	t.Helper()
	command := exec.Command(name, args...)
	command.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	command.Dir = dir
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", filepath.Base(name), err, out)
	}
}

// ownUser returns the credential of the user of that name, and gives the user dir. If this process
// is not root, it does nothing and returns nil.
func ownUser(name, dir string) (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, os.Chown(dir, int(uid), int(gid))
}
