package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
)

// process is a program that runs as a child process.
type process struct {
	program
	path string

	cmd  *exec.Cmd
	gone chan struct{} // closed when cmd has ended
	out  buffer

	unlimit func() // removes the limit of its memory; nil if there is none
}

func (p *process) start(context.Context) error {
	cmd := exec.Command(p.path, p.args...)
	cmd.Env = append(os.Environ(), p.env...)
	cmd.Stdout, cmd.Stderr = &p.out, &p.out
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.user}
	endWithParent(cmd.SysProcAttr)
	started, gone := make(chan error), make(chan struct{})
	go func() {
		defer close(gone)
		// The process ends with the thread that started it, so keep this thread until then.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	p.cmd, p.gone = cmd, gone
	if p.memory == 0 {
		return nil
	}
	remove, err := LimitMemory(cmd.Process.Pid, p.memory)
	if err != nil {
		fmt.Printf("servers: the memory of %s is not limited: %v\n", p.name, err)
		return nil
	}
	p.unlimit = remove
	return nil
}

func (p *process) alive(context.Context) error {
	select {
	case <-p.gone:
		return errors.New(p.cmd.ProcessState.String())
	default:
		return nil
	}
}

func (p *process) kill(ctx context.Context) error { return p.end(ctx, syscall.SIGKILL) }

func (p *process) end(ctx context.Context, signal syscall.Signal) error {
	if err := p.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
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
	if p.cmd == nil {
		return
	}
	defer func() {
		if p.unlimit != nil {
			p.unlimit()
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if p.quit != 0 && p.end(ctx, p.quit) == nil {
		return
	}
	_ = p.kill(context.Background())
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
