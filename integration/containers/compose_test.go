package containers

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.yaml.in/yaml/v3"

	"github.com/hexalith/eventstores-go/integration/servers"
)

const root = "../.."

// password is the password of the tests' Redis.
const password = "a password of the tests"

// key is the tests' API key for the bank, and keys is the bank's list of keys.
const (
	key  = "a-key-of-the-tests"
	keys = "tests admin " + key
)

// apiToken is the token that the tests' sidecar requires.
const apiToken = "a token of the tests"

// compose runs Docker Compose with compose.yaml, for one project.
type compose struct {
	command     []string
	environment []string
	files       []string
	project     string
}

// newCompose finds Docker Compose and makes sure that the base images exist.
func newCompose(t *testing.T) *compose {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	if err := servers.Engine(ctx); err != nil {
		t.Fatalf("no Docker engine is available: start dockerd (on Debian: apt-get install docker.io): %v", err)
	}
	c := &compose{command: []string{"docker", "compose"}, project: "eventstores-go-" + uuid.NewString()}
	if err := exec.CommandContext(ctx, c.command[0], append(c.command[1:], "version")...).Run(); err != nil {
		path, err := servers.Installed("docker-compose", "docker-compose")
		if err != nil {
			t.Fatalf("Docker Compose is not installed: %v", err)
		}
		c.command = []string{path}
	}
	golang, how, err := golangImage(ctx, t)
	if err != nil {
		t.Fatal(err)
	}
	announce(golang, how)
	redis, how, err := redisImage(ctx)
	if err != nil {
		t.Fatal(err)
	}
	announce(redis, how)
	ports := servers.FreePorts(t, 2)
	c.environment = append(os.Environ(),
		"REDIS_PASSWORD="+password, "DAPR_API_TOKEN="+apiToken, "BANK_KEYS="+keys,
		"GO_IMAGE="+golang, "REDIS_IMAGE="+redis, "DEMO_IMAGE="+demoImage, "DAPRD_IMAGE="+daprdImage,
		"PORT="+fmt.Sprint(ports[0]), "NOTIFY_PORT="+fmt.Sprint(ports[1]),
		"COMPOSE_DOCKER_CLI_BUILD=0", // the older Compose then builds by itself, as the newer one does
	)
	c.files = []string{filepath.Join(root, "compose.yaml"), c.override(t)}
	return c
}

var announced sync.Map

func announce(image, how string) {
	if _, before := announced.LoadOrStore(image, true); !before {
		fmt.Printf("containers: image %s (%s)\n", image, how)
	}
}

// override returns a file with what the tests need in addition to compose.yaml. Builds can reach
// this process, and everything has a label by which it is removed.
func (c *compose) override(t *testing.T) string {
	t.Helper()
	label, err := servers.Label()
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string]any{"labels": map[string]string{label: ""}}
	build := map[string]any{"labels": map[string]string{label: ""}, "build": map[string]string{"network": "host"}}
	content, err := yaml.Marshal(map[string]any{
		"services": map[string]any{"demo": build, "daprd": build, "notify": labels, "notify-daprd": labels, "redis": labels},
		"networks": map[string]any{"front": labels, "sidecar": labels, "notify-sidecar": labels, "data": labels},
		"volumes":  map[string]any{"redis-data": labels},
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "override.yaml")
	if err := os.WriteFile(file, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// run runs one command of Compose and returns its output.
func (c *compose) run(t *testing.T, arguments ...string) string {
	t.Helper()
	out, err := c.try(t.Context(), arguments...)
	if err != nil {
		t.Fatalf("docker compose %s: %v\n%s", strings.Join(arguments, " "), err, out)
	}
	return out
}

func (c *compose) try(ctx context.Context, arguments ...string) (string, error) {
	all := append([]string{}, c.command[1:]...)
	for _, file := range c.files {
		all = append(all, "--file", file)
	}
	all = append(all, "--project-name", c.project, "--project-directory", root)
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, c.command[0], append(all, arguments...)...)
	command.Env = c.environment
	var both bytes.Buffer
	command.Stdout, command.Stderr = &both, &both
	err := command.Run()
	return both.String(), err
}

// port returns the host port of the service.
func (c *compose) port() string {
	for _, variable := range c.environment {
		if port, ok := strings.CutPrefix(variable, "PORT="); ok {
			return port
		}
	}
	return ""
}

// TestComposeServesAndItsHistoryOutlivesTheContainers uses compose.yaml as a new user does.
func TestComposeServesAndItsHistoryOutlivesTheContainers(t *testing.T) {
	c := newCompose(t)
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := c.try(context.Background(), "logs", "--no-color", "--tail", "60")
			t.Log(out)
		}
		if out, err := c.try(context.Background(), "down", "--volumes"); err != nil {
			t.Errorf("docker compose down: %v\n%s", err, out)
		}
	})
	c.run(t, "build")
	c.run(t, "up", "--detach")
	s := &bank{url: "http://127.0.0.1:" + c.port()}
	s.becomesReady(t)
	s.walkThrough(t, "COMPOSE1")
	stranger := &bank{url: s.url, stranger: true}
	stranger.must(t, 401, "GET", "/api/v1/accounts/COMPOSE1", "", "")

	for setting, want := range map[string]string{"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"} {
		if got := c.run(t, "exec", "-T", "redis", "redis-cli", "CONFIG", "GET", setting); !strings.Contains(got, want) {
			t.Errorf("Redis has %s", got)
		}
	}

	c.run(t, "down")
	c.run(t, "up", "--detach")
	s.becomesReady(t)
	s.holds(t, "COMPOSE1")
	s.walkThrough(t, "COMPOSE2")
}

func TestComposeAsksForItsSecrets(t *testing.T) {
	t.Parallel()
	for _, secret := range []string{"REDIS_PASSWORD", "DAPR_API_TOKEN", "BANK_KEYS"} {
		c := newCompose(t)
		c.environment = append(c.environment, secret+"=")
		if out, err := c.try(t.Context(), "config"); err == nil || !strings.Contains(out, "make compose makes one up") {
			t.Errorf("compose.yaml without %s: %v\n%s", secret, err, out)
		}
	}
}
