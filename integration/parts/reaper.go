package parts

import (
	"context"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
)

// The reaper removes the containers of a test process that was killed before it could, as by Ctrl+C or a test's
// timeout. It is this executable once more, waiting for the end of its standard input, which is that of the
// process that started it. The reaper of testcontainers is a container, whose image is not everywhere to be had.

// reaperVariable holds the label of the containers to remove, in the environment of a reaper.
const reaperVariable = "EVENTSTORES_PARTS_REAPER"

func init() {
	if label := os.Getenv(reaperVariable); label != "" {
		_, _ = io.Copy(io.Discard, os.Stdin)
		reap(label)
		os.Exit(0)
	}
}

// ownLabel marks the containers of this process, and belongs to no other.
var ownLabel = "eventstores-go.parts." + uuid.NewString()

// startReaper starts the reaper of this process. It returns the end of the reaper's standard input, which is kept and never
// closed but by the end of this process.
var startReaper = sync.OnceValues(func() (io.WriteCloser, error) {
	executable, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(executable)
	cmd.Env = append(os.Environ(), reaperVariable+"="+ownLabel)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // Ctrl+C is not for it
	alive, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	return alive, cmd.Start()
})

// reap removes all containers with the label.
func reap(label string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	docker, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return
	}
	defer docker.Close()
	left, err := docker.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: make(client.Filters).Add("label", label)})
	if err != nil {
		return
	}
	for _, c := range left.Items {
		_, _ = docker.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	}
}
