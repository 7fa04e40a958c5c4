package chaos

import (
	"fmt"
	"syscall"

	"github.com/hexalith/eventstores-go/integration/servers"
)

// station is a process with its sidecar, and the links between them.
type station struct {
	run       *run
	name      string
	number    int // among those of its kind
	toStore   *link
	sidecar   *servers.Daprd
	toSidecar *link

	launch   func(at *station) (*child, error)
	process  *child
	restarts int
}

// man starts a station. The function launch starts its process, now and after each kill.
func (r *run) man(kind string, number int, launch func(at *station) (*child, error)) {
	id := fmt.Sprintf("%s-%d", kind, number)
	at := &station{run: r, name: fmt.Sprintf("%s %d", kind, number), number: number, launch: launch}
	at.toStore = startLink(r.t, "store-of-"+id, r.store.addr)
	at.sidecar = servers.StartDaprd(r.t, servers.DaprdConfig{AppID: id, Components: r.store.components(at.toStore.addr())})
	at.toSidecar = startLink(r.t, "sidecar-of-"+id, at.sidecar.GRPCAddr())
	r.stations = append(r.stations, at)
	if err := at.start(); err != nil {
		r.t.Fatal(err)
	}
}

func (at *station) start() (err error) {
	at.process, err = at.launch(at)
	at.restarts++
	return err
}

// sessions returns how the process keeps its sessions apart from those of others.
func (at *station) sessions() sessions {
	return at.run.store.sessions[at.number%len(at.run.store.sessions)]
}

// seed returns the seed of the process, which is another one after each restart.
func (at *station) seed() uint64 {
	return at.run.seed + uint64(at.number)<<32 + uint64(at.restarts)<<40
}

func (at *station) kill() error {
	if err := at.alive(); err != nil {
		return err
	}
	if err := at.process.cmd.Process.Kill(); err != nil {
		return err
	}
	<-at.process.done
	return at.process.read
}

// alive returns an error if the process has ended, although nothing has killed it.
func (at *station) alive() error {
	select {
	case <-at.process.done:
		return fmt.Errorf("%s has ended unexpectedly: %w", at.name, at.process.err)
	default:
		return nil
	}
}

func (at *station) stop() error { return at.process.cmd.Process.Signal(syscall.SIGSTOP) }
func (at *station) goOn() error { return at.process.cmd.Process.Signal(syscall.SIGCONT) }
