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
	toBroker  *link // nil if the sidecar needs no broker; the link to the store if that is the broker

	launch   func(at *station) (*child, error)
	process  *child
	restarts int
}

// man starts a station that has faults. The function launch starts its process, now and after each
// kill.
func (r *run) man(kind string, number int, launch func(at *station) (*child, error)) {
	r.stations = append(r.stations, r.station(kind, number, false, launch))
}

// station starts a station, whose sidecar may reach the broker.
func (r *run) station(kind string, number int, withBroker bool, launch func(at *station) (*child, error)) *station {
	id := fmt.Sprintf("%s-%d", kind, number)
	at := &station{run: r, name: fmt.Sprintf("%s %d", kind, number), number: number, launch: launch}
	at.toStore = startLink(r.t, "store-of-"+id, r.store.addr)
	components := r.store.components(at.toStore.addr())
	if withBroker {
		at.toBroker = at.toStore
		if r.store.broker.Addr != r.store.addr {
			at.toBroker = startLink(r.t, "broker-of-"+id, r.store.broker.Addr)
		}
		components = append(components, servers.Component("pubsub", "pubsub.redis", "v1", map[string]string{
			"redisHost": at.toBroker.addr(), "redisPassword": "", "concurrency": "1", "processingTimeout": "10s", "redeliverInterval": "2s",
		}))
	}
	at.sidecar = servers.StartDaprd(r.t, servers.DaprdConfig{AppID: id, Components: components})
	at.toSidecar = startLink(r.t, "sidecar-of-"+id, at.sidecar.GRPCAddr())
	if err := at.start(); err != nil {
		r.t.Fatal(err)
	}
	return at
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
