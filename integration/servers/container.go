package servers

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	containertypes "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
)

// container is a program in a container.
type container struct {
	program
	image string
	c     testcontainers.Container
}

func (c *container) start(ctx context.Context) error {
	if c.c != nil {
		return c.docker(func(d client.APIClient, id string) error {
			_, err := d.ContainerStart(ctx, id, client.ContainerStartOptions{})
			return err
		})
	}
	if _, err := startReaper(); err != nil {
		return err
	}
	env := map[string]string{}
	for _, e := range c.env {
		name, value, _ := strings.Cut(e, "=")
		env[name] = value
	}
	started, err := testcontainers.GenericContainer(ctx, testcontainers.GenericContainerRequest{
		Started: true,
		ContainerRequest: testcontainers.ContainerRequest{
			Image:      c.image,
			Entrypoint: []string{c.inImage},
			Cmd:        c.args,
			Env:        env,
			Labels:     map[string]string{ownLabel: ""},
			ConfigModifier: func(config *containertypes.Config) {
				config.User = fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid()) // the owner of the folders
			},
			HostConfigModifier: func(host *containertypes.HostConfig) {
				host.NetworkMode = "host"
				host.Memory, host.MemorySwap = c.memory, c.memory
				for _, folder := range c.folders {
					host.Binds = append(host.Binds, folder+":"+folder)
				}
			},
		},
	})
	c.c = started
	return err
}

// docker calls the engine for this container.
func (c *container) docker(f func(d client.APIClient, id string) error) error {
	provider, err := testcontainers.NewDockerProvider()
	if err != nil {
		return err
	}
	defer provider.Close()
	return f(provider.Client(), c.c.GetContainerID())
}

func (c *container) alive(ctx context.Context) error {
	state, err := c.c.State(ctx)
	if err != nil || state.Running {
		return nil // if the engine does not answer, the container may still run
	}
	return fmt.Errorf("exit code %d %s", state.ExitCode, state.Error)
}

func (c *container) kill(ctx context.Context) error {
	return c.docker(func(d client.APIClient, id string) error {
		wait := d.ContainerWait(ctx, id, client.ContainerWaitOptions{Condition: containertypes.WaitConditionNotRunning})
		if _, err := d.ContainerKill(ctx, id, client.ContainerKillOptions{Signal: "SIGKILL"}); err != nil {
			return err
		}
		select {
		case <-wait.Result:
			return nil
		case err := <-wait.Error:
			return err
		}
	})
}

func (c *container) pause(ctx context.Context) error {
	return c.docker(func(d client.APIClient, id string) error {
		_, err := d.ContainerPause(ctx, id, client.ContainerPauseOptions{})
		return err
	})
}

func (c *container) resume(ctx context.Context) error {
	return c.docker(func(d client.APIClient, id string) error {
		_, err := d.ContainerUnpause(ctx, id, client.ContainerUnpauseOptions{})
		return err
	})
}

func (c *container) log() string {
	if c.c == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	logs, err := c.c.Logs(ctx)
	if err != nil {
		return err.Error()
	}
	defer logs.Close()
	all, _ := io.ReadAll(logs)
	return string(all)
}

func (c *container) remove() {
	if c.c == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	_ = c.docker(func(d client.APIClient, id string) error {
		_, err := d.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
		return err
	})
}
