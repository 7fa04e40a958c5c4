package servers

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/moby/moby/client"
)

// Peak returns the most bytes of memory that the program has had since it was started.
func (p *Part) Peak(t testing.TB) int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	pid, err := p.runner.pid(ctx)
	if err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
	peak, err := PeakOf(pid)
	if err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
	return peak
}

// PeakOf returns the most bytes of memory that a process has had.
func PeakOf(pid int) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("process %d has ended", pid)
}

func (p *process) pid(context.Context) (int, error) { return p.cmd.Process.Pid, nil }

func (c *container) pid(ctx context.Context) (pid int, err error) {
	err = c.docker(func(d client.APIClient, id string) error {
		inspected, err := d.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
		if err == nil {
			pid = inspected.Container.State.Pid
		}
		return err
	})
	return pid, err
}
