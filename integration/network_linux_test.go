package integration

import (
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// network is where a test starts servers on ports that it can't choose.
type network struct {
	do chan func() // functions that are sent here run in the network
}

// newNetwork makes a network for this test alone, with loopback and nothing else. Its ports are
// free, and other processes can't reach what listens there on all interfaces. This requires root.
// Other users get this machine's own network.
func newNetwork(t *testing.T) network {
	t.Helper()
	n := network{do: make(chan func())}
	made := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine, and the network with the thread
		err := error(nil)
		if os.Geteuid() == 0 {
			if err = unix.Unshare(unix.CLONE_NEWNET); err == nil {
				err = loopbackUp()
			}
		}
		made <- err
		for f := range n.do {
			f()
		}
	}()
	if err := <-made; err != nil {
		t.Fatalf("a network of the test's own: %v", err)
	}
	t.Cleanup(func() { close(n.do) })
	return n
}

func loopbackUp() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, lo)
}

// start starts a command in the network.
func (n network) start(cmd *exec.Cmd) error {
	started := make(chan error)
	n.do <- func() { started <- cmd.Start() }
	return <-started
}

// client returns an HTTP client whose connections are in the network.
func (n network) client() *http.Client {
	dial := func(ctx context.Context, kind, address string) (c net.Conn, err error) {
		done := make(chan struct{})
		n.do <- func() {
			defer close(done)
			c, err = (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, kind, address)
		}
		<-done
		return c, err
	}
	return &http.Client{Transport: &http.Transport{DialContext: dial, MaxIdleConnsPerHost: 16}, Timeout: time.Minute}
}
