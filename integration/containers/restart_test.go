package containers

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	containertypes "github.com/moby/moby/api/types/container"
	networktypes "github.com/moby/moby/api/types/network"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/network"

	"github.com/hexalith/eventstores-go/integration/servers"
)

// stopTimeout is more than any of the three containers needs to end.
const stopTimeout = 30 * time.Second

// TestNothingIsLostWhileEachOfTheThreeContainersIsStoppedAndStarted runs the service, its sidecar
// and Redis on one network, as a team would test its own service.
func TestNothingIsLostWhileEachOfTheThreeContainersIsStoppedAndStarted(t *testing.T) {
	newCompose(t).run(t, "build") // the images of compose.yaml
	label, err := servers.Label()
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string]string{label: ""}
	shared, err := network.New(t.Context(), network.WithLabels(labels))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := shared.Remove(context.Background()); err != nil {
			t.Error(err)
		}
	})
	run := func(name string, request testcontainers.ContainerRequest) testcontainers.Container {
		t.Helper()
		request.Networks, request.NetworkAliases, request.Labels = []string{shared.Name}, map[string][]string{shared.Name: {name}}, labels
		c, err := testcontainers.GenericContainer(t.Context(), testcontainers.GenericContainerRequest{ContainerRequest: request, Started: true})
		t.Cleanup(func() {
			if c == nil {
				return
			}
			if t.Failed() {
				t.Logf("log of %s:\n%s", name, log(c))
			}
			if err := c.Terminate(context.Background()); err != nil {
				t.Error(err)
			}
		})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return c
	}

	redisImage, _, err := redisImage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	redis := run("redis", testcontainers.ContainerRequest{
		Image: redisImage,
		Cmd: []string{"redis-server", "--dir", "/data", "--requirepass", password,
			"--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction"},
		ConfigModifier: func(config *containertypes.Config) { config.User = "999" },
	})
	var files []testcontainers.ContainerFile
	for _, name := range []string{"components/statestore.yaml", "components/lockstore.yaml", "config.yaml"} {
		files = append(files, testcontainers.ContainerFile{
			HostFilePath: filepath.Join(root, "deploy", "compose", name), ContainerFilePath: "/" + name, FileMode: 0o644})
	}
	daprd := run("daprd", testcontainers.ContainerRequest{
		Image: daprdImage,
		Cmd:   []string{"--app-id=bank", "--resources-path=/components", "--config=/config.yaml"},
		Env:   map[string]string{"REDIS_PASSWORD": password, "DAPR_API_TOKEN": apiToken},
		Files: files,
		HostConfigModifier: func(host *containertypes.HostConfig) {
			host.RestartPolicy.Name = containertypes.RestartPolicyUnlessStopped // it ends if it starts before Redis
		},
	})
	port := servers.FreePorts(t, 1)[0]
	http := networktypes.MustParsePort("8080/tcp")
	demo := run("demo", testcontainers.ContainerRequest{
		Image:        demoImage,
		ExposedPorts: []string{"8080/tcp"},
		Env:          map[string]string{"DAPR_GRPC_ENDPOINT": "daprd:50001", "DAPR_API_TOKEN": apiToken, "BANK_KEYS": keys},
		HostConfigModifier: func(host *containertypes.HostConfig) { // keeps the port of a container that is started again
			host.PortBindings = networktypes.PortMap{http: {{HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: strconv.Itoa(port)}}}
		},
	})

	s := &bank{url: fmt.Sprintf("http://127.0.0.1:%d", port)}
	s.becomesReady(t)
	s.walkThrough(t, "A1")

	for _, part := range []struct {
		name      string
		container testcontainers.Container
		away      string // what readyz reports as away; empty if it does not answer
	}{
		{"redis", redis, "state store"},
		{"daprd", daprd, "sidecar"},
		{"demo", demo, ""},
	} {
		timeout := stopTimeout
		if err := part.container.Stop(t.Context(), &timeout); err != nil {
			t.Fatalf("stop %s: %v", part.name, err)
		}
		switch ready, err := s.ask(t.Context(), "GET", "/readyz", "", ""); {
		case part.away == "" && err == nil:
			t.Errorf("without %s the service answers %d", part.name, ready.status)
		case part.away != "" && (err != nil || ready.status != 503 || ready.Away != part.away):
			t.Errorf("without %s: %+v, %v, want 503 and that the %s is away", part.name, ready, err, part.away)
		}
		if alive, err := s.ask(t.Context(), "GET", "/livez", "", ""); part.away != "" && (err != nil || alive.status != 200) {
			t.Errorf("without %s the service is not alive: %+v, %v", part.name, alive, err)
		}
		key := "while " + part.name + " is away"
		if refused, err := s.ask(t.Context(), "POST", "/api/v1/accounts/A1/deposits", `{"amount": 1}`, key); err == nil && refused.status < 500 {
			t.Errorf("without %s a deposit is answered with %+v", part.name, refused)
		}

		if err := part.container.Start(t.Context()); err != nil {
			t.Fatalf("start %s: %v", part.name, err)
		}
		s.becomesReady(t)
		s.must(t, 200, "POST", "/api/v1/accounts/A1/deposits", `{"amount": 1}`, key) // the same command again
		s.holds(t, "A1")
	}
	s.walkThrough(t, "A2")

	// The service ends by itself after "docker stop", with exit code 0.
	timeout := stopTimeout
	if err := demo.Stop(t.Context(), &timeout); err != nil {
		t.Fatal(err)
	}
	if state, err := demo.State(t.Context()); err != nil || state.ExitCode != 0 {
		t.Errorf("the service ended with %+v, %v", state, err)
	}
}

// log returns the last lines that a container has printed.
func log(c testcontainers.Container) string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	reader, err := c.Logs(ctx)
	if err != nil {
		return err.Error()
	}
	defer reader.Close()
	all, _ := io.ReadAll(reader)
	return string(all[max(0, len(all)-6000):])
}
