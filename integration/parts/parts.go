// Package parts starts the real programs that the tests run against: Redis, PostgreSQL, the Dapr sidecar. They
// run in containers where a Docker engine answers and an image can be had, as local processes otherwise;
// which of the two is printed once for each. A part that can't be had at all fails the test with
// what to install.
//
// Everything listens on loopback only, on free ports, and is stopped by the test that started it.
package parts

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// startTimeout is how long a part may take until it answers.
const startTimeout = 30 * time.Second

// program is a part before it runs. In a container it runs on the host's network, with its folders mounted under
// the same paths, so that its arguments are the same both ways.
type program struct {
	name    string
	local   func() (string, error) // path of the local executable
	image   string                 // public image
	inImage string                 // path of the executable in images
	args    []string
	env     []string
	folders []string // mounted into the container
	user    *syscall.Credential
	ready   func(context.Context) error
}

// Part is a program that runs.
type Part struct {
	program
	runner runner
}

// runner is one of the two ways to run a program.
type runner interface {
	start(context.Context) error
	kill(context.Context) error
	pause(context.Context) error
	resume(context.Context) error
	remove()
	log() string
}

// start runs a program until the test ends.
func start(t testing.TB, p program) *Part {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
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
	part.up(t, r.start)
	return part
}

// Kill ends the program at once, as a power cut would, and waits until it is gone.
func (p *Part) Kill(t testing.TB) { p.do(t, "kill", p.runner.kill) }

// Restart starts the program again after Kill, on the same port and with the same data.
func (p *Part) Restart(t testing.TB) { p.up(t, p.runner.start) }

// Pause stops the program in its tracks, until Resume.
func (p *Part) Pause(t testing.TB) { p.do(t, "pause", p.runner.pause) }

// Resume lets a paused program go on.
func (p *Part) Resume(t testing.TB) { p.do(t, "resume", p.runner.resume) }

func (p *Part) do(t testing.TB, what string, f func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if err := f(ctx); err != nil {
		t.Fatalf("%s %s: %v", what, p.name, err)
	}
}

// up starts the program and waits until it answers.
func (p *Part) up(t testing.TB, f func(context.Context) error) {
	t.Helper()
	p.do(t, "start", f)
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := p.ready(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s does not answer: %v; its log:\n%s", p.name, err, tail(p.runner.log(), 60))
		case <-tick.C:
		}
	}
}

// choose takes the container way where it can be had, as EVENTSTORES_PARTS says.
func choose(ctx context.Context, p program) (runner, string, error) {
	want := os.Getenv("EVENTSTORES_PARTS")
	switch want {
	case "", "auto", "container", "process":
	default:
		return nil, "", fmt.Errorf("EVENTSTORES_PARTS is %q: it can be auto, container or process", want)
	}
	if want != "process" && p.image != "" {
		if err := engine(ctx); err == nil {
			image, how, err := imageOf(ctx, p)
			if err != nil {
				return nil, "", fmt.Errorf("a Docker engine answers but there is no image: %w; set EVENTSTORES_PARTS=process to do without", err)
			}
			return newContainer(p, image), "as a container, image " + image + " (" + how + ")", nil
		} else if want == "container" {
			return nil, "", fmt.Errorf("no Docker engine answers, start dockerd (apt-get install docker.io) or set EVENTSTORES_PARTS=process: %w", err)
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
		fmt.Printf("parts: %s runs %s\n", name, way)
	}
}

// process is a program as a child of this one.
type process struct {
	program
	path string

	cmd  *exec.Cmd
	gone chan struct{} // closed when cmd has ended
	out  buffer
}

func (p *process) start(context.Context) error {
	p.cmd = exec.Command(p.path, p.args...)
	p.cmd.Env = append(os.Environ(), p.env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.user, Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	p.gone = make(chan struct{})
	go func(cmd *exec.Cmd, gone chan struct{}) {
		_ = cmd.Wait()
		close(gone)
	}(p.cmd, p.gone)
	return nil
}

func (p *process) kill(ctx context.Context) error {
	if p.cmd == nil {
		return nil
	}
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.gone:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *process) pause(context.Context) error  { return p.cmd.Process.Signal(syscall.SIGSTOP) }
func (p *process) resume(context.Context) error { return p.cmd.Process.Signal(syscall.SIGCONT) }
func (p *process) log() string                  { return p.out.String() }

func (p *process) remove() {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	_ = p.kill(ctx)
}

// buffer keeps what a program prints.
type buffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func tail(s string, lines int) string {
	all := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// FreePorts finds loopback ports that nothing listens on.
func FreePorts(t testing.TB, n int) []int {
	t.Helper()
	ports := make([]int, n)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // all at the end, so that no two are the same
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports
}

// Root is the folder of the checkout.
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
			return "", errors.New("the test does not run within the checkout")
		}
		dir = filepath.Dir(dir)
	}
}
