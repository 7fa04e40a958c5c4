package servers

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
)

var installing sync.Mutex

// install installs a Debian package. It requires root and apt-get.
func install(debian string) error {
	installing.Lock()
	defer installing.Unlock()
	apt, err := exec.LookPath("apt-get")
	switch {
	case err != nil:
		return errors.New("apt-get is missing")
	case os.Geteuid() != 0:
		return errors.New("only root can install it")
	}
	fmt.Printf("servers: installing %s\n", debian)
	for _, args := range [][]string{{"update"}, {"install", "-y", "--no-install-recommends", debian}} {
		command := exec.Command(apt, args...)
		// The package must not start its own server, because the tests start theirs.
		command.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "SYSTEMD_OFFLINE=1", "RUNLEVEL=1")
		if out, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s failed: %w: %s", args[0], err, tail(string(out), 5))
		}
	}
	return nil
}
