package servers

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

// The reaper removes the containers, networks and volumes of a test process that was killed before
// it could remove them, for example by Ctrl+C or a test's timeout. It is another process of this
// executable. It waits for the end of its standard input, which the test process holds open. The
// reaper of testcontainers is a container, and its image is not available everywhere.

// reaperVariable holds, in the environment of a reaper, the label of everything to remove.
const reaperVariable = "EVENTSTORES_SERVERS_REAPER"

func init() {
	if label := os.Getenv(reaperVariable); label != "" {
		_, _ = io.Copy(io.Discard, os.Stdin)
		reap(label)
		os.Exit(0)
	}
}

// ownLabel marks everything that the engine creates for this process.
var ownLabel = "eventstores-go.servers." + uuid.NewString()

// startReaper starts the reaper of this process. It returns the other end of the reaper's standard
// input, which stays open until this process ends.
var startReaper = sync.OnceValues(func() (io.WriteCloser, error) {
	executable, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(executable)
	cmd.Env = append(os.Environ(), reaperVariable+"="+ownLabel)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // protects it from Ctrl+C
	alive, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	return alive, cmd.Start()
})

// Label returns the name of a label. The reaper removes containers, networks and volumes with this
// label when the process has ended. The label needs no value.
func Label() (string, error) {
	_, err := startReaper()
	return ownLabel, err
}

// reap removes all containers, networks and volumes with the label.
func reap(label string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	docker, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return
	}
	defer docker.Close()
	labelled := make(client.Filters).Add("label", label)
	if left, err := docker.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: labelled}); err == nil {
		for _, c := range left.Items {
			_, _ = docker.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
		}
	}
	if left, err := docker.NetworkList(ctx, client.NetworkListOptions{Filters: labelled}); err == nil {
		for _, n := range left.Items {
			_, _ = docker.NetworkRemove(ctx, n.ID, client.NetworkRemoveOptions{})
		}
	}
	if left, err := docker.VolumeList(ctx, client.VolumeListOptions{Filters: labelled}); err == nil {
		for _, v := range left.Items {
			_, _ = docker.VolumeRemove(ctx, v.Name, client.VolumeRemoveOptions{Force: true})
		}
	}
}
