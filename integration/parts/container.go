package parts

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	containertypes "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	testlog "github.com/testcontainers/testcontainers-go/log"
)

// engine says once whether a Docker engine answers.
var engine = func() func(context.Context) error {
	var once sync.Once
	var failure error
	return func(ctx context.Context) error {
		once.Do(func() {
			// The reaper's image may not be there to pull, and every part is removed by its own test.
			_ = os.Setenv("TESTCONTAINERS_RYUK_DISABLED", "true")
			if _, err := os.Stat("/.dockerenv"); err == nil && os.Getenv("TESTCONTAINERS_HOST_OVERRIDE") == "" {
				_ = os.Setenv("TESTCONTAINERS_HOST_OVERRIDE", "127.0.0.1")
			}
			testlog.SetDefault(testlog.NewNoopLogger())
			ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
			defer cancel()
			var c *client.Client
			if c, failure = testcontainers.NewDockerClient(); failure == nil {
				_, failure = c.Ping(ctx, client.PingOptions{})
			}
		})
		return failure
	}
}()

// imageOf finds the image of a program: the one named in the environment, the public one where it is there or can be pulled,
// or one that is built from what this machine has.
func imageOf(ctx context.Context, p program) (image, how string, err error) {
	image = p.image
	named := os.Getenv("EVENTSTORES_" + strings.ToUpper(p.name) + "_IMAGE")
	if named != "" {
		image = named
	}
	images.Lock()
	defer images.Unlock()
	if found, ok := images.found[image]; ok {
		return found.image, found.how, nil
	}
	defer func() {
		if err == nil {
			images.found[image] = imageFound{image, how}
		}
	}()
	provider, err := testcontainers.NewDockerProvider()
	if err != nil {
		return "", "", err
	}
	defer provider.Close()
	if _, err := provider.Client().ImageInspect(ctx, image); err == nil {
		return image, "it was there", nil
	}
	pulling, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	pullErr := provider.PullImage(pulling, image)
	if pullErr == nil {
		return image, "pulled", nil
	}
	if named != "" {
		return "", "", fmt.Errorf("image %s can't be pulled: %w", image, pullErr)
	}
	executable, err := p.local()
	if err != nil {
		return "", "", fmt.Errorf("image %s can't be pulled (%w), nor built here: %w", image, pullErr, err)
	}
	archive, err := buildContext(executable, p.inImage)
	if err != nil {
		return "", "", err
	}
	built, err := provider.BuildImage(ctx, &testcontainers.ContainerRequest{FromDockerfile: testcontainers.FromDockerfile{
		ContextArchive: bytes.NewReader(archive),
		Repo:           "eventstores-go/" + p.name,
		Tag:            "local",
		KeepImage:      true,
	}})
	if err != nil {
		return "", "", fmt.Errorf("image %s can't be pulled (%w), nor built here: %w", image, pullErr, err)
	}
	return built, "built from this machine's " + filepath.Base(executable), nil
}

type imageFound struct{ image, how string }

var images = struct {
	sync.Mutex
	found map[string]imageFound
}{found: map[string]imageFound{}}

var library = regexp.MustCompile(`(/\S+) \(0x`)

// buildContext makes what an image FROM scratch of one executable and its shared libraries is built of.
func buildContext(executable, inImage string) ([]byte, error) {
	files := map[string]string{inImage: executable}
	if out, err := exec.Command("ldd", executable).Output(); err == nil { // fails for a static one
		for _, match := range library.FindAllStringSubmatch(string(out), -1) {
			files[match[1]] = match[1]
		}
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	add := func(name string, content []byte, mode int64) error {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: int64(len(content))}); err != nil {
			return err
		}
		_, err := w.Write(content)
		return err
	}
	for to, from := range files {
		content, err := os.ReadFile(from)
		if err != nil {
			return nil, err
		}
		if err := add(filepath.Join("root", to), content, 0o755); err != nil {
			return nil, err
		}
	}
	if err := add("root/tmp/.keep", nil, 0o644); err != nil {
		return nil, err
	}
	if err := add("Dockerfile", []byte("FROM scratch\nCOPY root/ /\n"), 0o644); err != nil {
		return nil, err
	}
	return buf.Bytes(), w.Close()
}

// container is a program in a container.
type container struct {
	program
	image string
	c     testcontainers.Container
}

func newContainer(p program, image string) *container { return &container{program: p, image: image} }

func (c *container) start(ctx context.Context) error {
	if c.c != nil {
		return c.docker(func(d client.APIClient) error {
			_, err := d.ContainerStart(ctx, c.c.GetContainerID(), client.ContainerStartOptions{})
			return err
		})
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
			ConfigModifier: func(config *containertypes.Config) {
				config.User = "0:0" // owns the folders that are mounted
			},
			HostConfigModifier: func(host *containertypes.HostConfig) {
				host.NetworkMode = "host"
				for _, folder := range c.folders {
					host.Binds = append(host.Binds, folder+":"+folder)
				}
			},
		},
	})
	c.c = started
	return err
}

func (c *container) docker(f func(client.APIClient) error) error {
	provider, err := testcontainers.NewDockerProvider()
	if err != nil {
		return err
	}
	defer provider.Close()
	return f(provider.Client())
}

func (c *container) kill(ctx context.Context) error {
	return c.docker(func(d client.APIClient) error {
		wait := d.ContainerWait(ctx, c.c.GetContainerID(), client.ContainerWaitOptions{Condition: containertypes.WaitConditionNotRunning})
		if _, err := d.ContainerKill(ctx, c.c.GetContainerID(), client.ContainerKillOptions{Signal: "SIGKILL"}); err != nil {
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
	return c.docker(func(d client.APIClient) error {
		_, err := d.ContainerPause(ctx, c.c.GetContainerID(), client.ContainerPauseOptions{})
		return err
	})
}

func (c *container) resume(ctx context.Context) error {
	return c.docker(func(d client.APIClient) error {
		_, err := d.ContainerUnpause(ctx, c.c.GetContainerID(), client.ContainerUnpauseOptions{})
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
	_ = c.docker(func(d client.APIClient) error {
		_, err := d.ContainerRemove(ctx, c.c.GetContainerID(), client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
		return err
	})
}
