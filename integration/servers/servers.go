// Package servers starts the real programs that the tests run against: Redis, PostgreSQL, MariaDB,
// etcd and the Dapr sidecar. They run in containers where a Docker engine answers and an image is
// available, and otherwise as local processes. The package prints once for each program how it
// runs. If a program is not available, the test fails and says what to install.
//
// Everything listens on free ports of loopback only. The test that starts a program also stops it.
// If the process of the tests is killed, its programs end with it.
package servers

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// startTimeout is how long a part may take until it answers.
const startTimeout = 30 * time.Second

// program is a part before it runs. A container uses the host's network, and has its folders
// mounted at the same paths. The arguments are therefore the same in a container and as a process.
type program struct {
	name    string
	local   func() (string, error) // path of the local executable
	image   string                 // public image; without one, the program always runs as a process
	inImage string                 // path of the executable in images
	args    []string
	env     []string
	folders []string            // mounted into the container
	user    *syscall.Credential // that a process runs as; nil: this process's user
	memory  int64               // most bytes that it may take, where that can be limited; 0: no limit
	quit    syscall.Signal      // ends a process that must not be killed; 0: kill it
	ready   func(context.Context) error
}

// Part is a running program.
type Part struct {
	program
	runner runner
}

// runner runs a program, in a container or as a process.
type runner interface {
	start(context.Context) error
	alive(context.Context) error // nil while it runs
	kill(context.Context) error
	pause(context.Context) error
	resume(context.Context) error
	remove()
	log() string
	pid(context.Context) (int, error) // on this machine
}

// start runs a program until the test ends.
func start(t testing.TB, p program) *Part {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute) // pulling an image or installing a package takes time
	defer cancel()
	r, way, err := choose(ctx, p)
	if err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
	announce(p.name, way)
	part := &Part{program: p, runner: r}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of %s:\n%s", p.name, tail(r.log(), 60))
		}
		r.remove()
	})
	part.up(t)
	return part
}

// Kill ends the program at once, like a power cut, and waits until it is gone.
func (p *Part) Kill(t testing.TB) { t.Helper(); p.do(t, "kill", p.runner.kill) }

// Restart starts the program again after Kill, on the same port and with the same data.
func (p *Part) Restart(t testing.TB) { t.Helper(); p.up(t) }

// Pause stops the program where it is, until Resume.
func (p *Part) Pause(t testing.TB) { t.Helper(); p.do(t, "pause", p.runner.pause) }

// Resume continues a paused program.
func (p *Part) Resume(t testing.TB) { t.Helper(); p.do(t, "resume", p.runner.resume) }

// Log returns what the program has printed so far.
func (p *Part) Log() string { return p.runner.log() }

func (p *Part) do(t testing.TB, what string, f func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if err := f(ctx); err != nil {
		t.Fatalf("%s %s: %v", what, p.name, err)
	}
}

// up starts the program and waits until it answers.
func (p *Part) up(t testing.TB) {
	t.Helper()
	p.do(t, "start", p.runner.start)
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := p.ready(ctx)
		if err == nil {
			return
		}
		if gone := p.runner.alive(ctx); gone != nil {
			t.Fatalf("%s ended before it answered: %v", p.name, gone)
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s does not answer: %v", p.name, err)
		case <-tick.C:
		}
	}
}

// choose returns a container where one is possible, and otherwise a process. EVENTSTORES_SERVERS
// can force either.
func choose(ctx context.Context, p program) (runner, string, error) {
	want := os.Getenv("EVENTSTORES_SERVERS")
	switch want {
	case "", "auto", "container", "process":
	default:
		return nil, "", fmt.Errorf("EVENTSTORES_SERVERS is %q, want auto, container or process", want)
	}
	if want != "process" && p.image != "" {
		if err := engine(ctx); err == nil {
			image, how, err := imageOf(ctx, p)
			if err != nil {
				return nil, "", fmt.Errorf("%w; set EVENTSTORES_SERVERS=process to use no containers", err)
			}
			return &container{program: p, image: image}, "as a container, image " + image + " (" + how + ")", nil
		} else if want == "container" {
			return nil, "", fmt.Errorf("no Docker engine is available, start dockerd (apt-get install docker.io) or set EVENTSTORES_SERVERS=process: %w", err)
		}
	}
	path, err := p.local()
	if err != nil {
		return nil, "", err
	}
	return &process{program: p, path: path}, "as a local process, " + filepath.Base(path), nil
}

var announced sync.Map

func announce(name, way string) {
	if _, before := announced.LoadOrStore(name+way, true); !before {
		fmt.Printf("servers: %s runs %s\n", name, way)
	}
}

func tail(s string, lines int) string {
	all := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// taken holds the ports that FreePorts has returned, because a part that is down keeps its port.
var taken sync.Map

// FreePorts returns n ports of loopback on which nothing listens. They are below the range that the
// system uses for outgoing connections. A connection therefore never takes the port of a part that
// starts, or starts again.
func FreePorts(t testing.TB, n int) []int {
	t.Helper()
	const first, last = 20000, 32767
	var ports []int
	var failure error
	for range 1000 {
		if len(ports) == n {
			return ports
		}
		port := first + rand.IntN(last-first+1)
		if _, before := taken.LoadOrStore(port, true); before {
			continue
		}
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			failure = err
			continue
		}
		_ = l.Close()
		ports = append(ports, port)
	}
	t.Fatalf("not enough free ports: want %d from %d to %d: %v", n, first, last, failure)
	return nil
}

// Root returns the folder of the checkout.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "eventstore", "storetest")); err == nil {
			return dir, nil
		}
		if filepath.Dir(dir) == dir {
			return "", errors.New("the test does not run inside the checkout")
		}
		dir = filepath.Dir(dir)
	}
}
