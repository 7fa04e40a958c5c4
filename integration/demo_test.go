package integration

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/integration/servers"
)

// buildDemo builds the demo as a user does.
func buildDemo(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "demo")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./cmd/demo")
	build.Dir = root(t)
	build.Env = append(build.Environ(), "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build ./cmd/demo: %v\n%s", err, out)
	}
	return binary
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := servers.Root()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// demoTimeout is longer than a tour ever takes.
const demoTimeout = 2 * time.Minute

// besideSidecar runs a command with a sidecar, in the environment that the Dapr CLI would give it.
func besideSidecar(t *testing.T, d *servers.Daprd, dir string, command ...string) (out string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), demoTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir = dir
	cmd.Env = append(cmd.Environ(), fmt.Sprintf("DAPR_GRPC_PORT=%d", d.GRPCPort), fmt.Sprintf("DAPR_HTTP_PORT=%d", d.HTTPPort))
	all, err := cmd.CombinedOutput()
	return string(all), err
}

// componentFiles returns the project's own component files of a folder, with the address of the
// test's Redis.
func componentFiles(t *testing.T, folder string, r *servers.Redis) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(names) == 0 {
		t.Fatalf("there are no component files in %s", folder)
	}
	files := make([]string, len(names))
	for i, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files[i] = string(content)
		if r == nil {
			continue
		}
		const address = "value: localhost:6379\n"
		if strings.Count(files[i], address) != 1 {
			t.Fatalf("%s must contain %q once, to be replaced with the address of the test's Redis", name, address)
		}
		files[i] = strings.Replace(files[i], address, fmt.Sprintf("value: %q\n", r.Addr), 1)
	}
	return files
}

// says checks that a tour succeeded and printed all the wanted texts.
func says(t *testing.T, out string, err error, wants ...string) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range append(wants, "Every step had the expected result.") {
		if !strings.Contains(out, want) {
			t.Errorf("the tour does not say %q:\n%s", want, out)
		}
	}
}

func TestTheDemoRunsBesideASidecarInMemory(t *testing.T) {
	demo, dir := buildDemo(t), t.TempDir()
	d := servers.StartDaprd(t, servers.DaprdConfig{AppID: "bank", Components: componentFiles(t, filepath.Join(root(t), "components", "in-memory"), nil)})
	out, err := besideSidecar(t, d, dir, demo)
	says(t, out, err, `app "bank"`, "(state.in-memory)", `no lock component "lockstore"`, "Earlier runs left no accounts.", "   123456000 is at version 5\n")
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("with a sidecar the demo leaves files behind: %v, %v", left, err)
	}
}

// Two services with this project's component files share streams and locks.
func TestTheDemoRunsBesideSidecarsWithRedis(t *testing.T) {
	t.Setenv("REDIS_PASSWORD", "")
	demo, dir := buildDemo(t), t.TempDir()
	r := servers.StartRedis(t)
	files := componentFiles(t, filepath.Join(root(t), "components", "redis"), r)
	bank := servers.StartDaprd(t, servers.DaprdConfig{AppID: "bank", Components: files})
	audit := servers.StartDaprd(t, servers.DaprdConfig{AppID: "audit", Components: files})

	out, err := besideSidecar(t, bank, dir, demo)
	says(t, out, err, `app "bank"`, "(state.redis)", `Sessions use the lock component "lockstore"`, "Earlier runs left no accounts.")
	out, err = besideSidecar(t, audit, dir, demo)
	says(t, out, err, `app "audit"`, "Accounts opened by earlier runs: 1.", "The last one is 123456000,", "has exclusive access to account 123456001",
		"   123456000 is at version 5\n   123456001 is at version 5\n")

	provider, err := eventstore.NewProvider(state(t, bank), eventstore.WithLocker(locker(t, bank)))
	if err != nil {
		t.Fatal(err)
	}
	session, err := provider.Open(t.Context(), provider.Stream("BankAccount", "123456002"))
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	out, err = besideSidecar(t, audit, dir, demo)
	says(t, out, err, "has exclusive access to account 123456003")
}

func TestTheComponentFilesTakeTheRedisPasswordFromTheEnvironment(t *testing.T) {
	t.Setenv("EVENTSTORES_SERVERS", "process") // the environment would not reach a sidecar in a container
	t.Setenv("REDIS_PASSWORD", "secret")
	r := servers.StartRedis(t)
	setPassword(t, r, "secret")
	d := servers.StartDaprd(t, servers.DaprdConfig{AppID: "bank", Components: componentFiles(t, filepath.Join(root(t), "components", "redis"), r)})
	out, err := besideSidecar(t, d, t.TempDir(), buildDemo(t))
	says(t, out, err, "(state.redis)")
}

// setPassword makes a Redis require a password from now on.
func setPassword(t *testing.T, r *servers.Redis, password string) {
	t.Helper()
	c, err := net.DialTimeout("tcp", r.Addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "CONFIG SET requirepass %s\r\n", password)
	if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.HasPrefix(line, "+OK") {
		t.Fatalf("CONFIG SET requirepass: %q, %v", line, err)
	}
}

func TestTheDemoSaysWhichComponentTheSidecarLacks(t *testing.T) {
	d := servers.StartDaprd(t, servers.DaprdConfig{AppID: "bank", Components: []string{servers.InMemoryState("other")}})
	out, err := besideSidecar(t, d, t.TempDir(), buildDemo(t))
	if err == nil || !strings.Contains(err.Error(), "exit status 1") || !strings.Contains(out, `no state component "statestore"`) || !strings.Contains(out, `"other"`) {
		t.Errorf("%v:\n%s", err, out)
	}
}
