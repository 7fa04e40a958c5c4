package servers_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/integration/servers"
)

// childVariable names, in the environment of a child process, the test of children that it runs.
const childVariable = "EVENTSTORES_SERVERS_CHILD"

// children are tests that fail or hang. They run in processes that other tests start.
var children = map[string]func(*testing.T){
	"fails": func(t *testing.T) {
		fmt.Println("redis:", servers.StartRedis(t).Addr)
		t.Fatal("as it should")
	},
	"hangs": func(t *testing.T) {
		fmt.Println("redis:", servers.StartRedis(t).Addr)
		select {}
	},
	"starts": func(t *testing.T) { servers.StartRedis(t) },
}

func TestMain(m *testing.M) {
	if run, ok := children[os.Getenv(childVariable)]; ok {
		matchAll := func(string, string) (bool, error) { return true, nil }
		testing.Main(matchAll, []testing.InternalTest{{Name: "child", F: run}}, nil, nil)
	}
	os.Exit(m.Run())
}

// child returns a command that runs one of children with this executable.
func child(t *testing.T, name string, env ...string) *exec.Cmd {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), executable)
	cmd.Env = append(append(os.Environ(), childVariable+"="+name), env...)
	return cmd
}

// redisOf returns the address of the Redis that a child has started. It reads the address from the
// child's output.
func redisOf(t *testing.T, out io.Reader) string {
	t.Helper()
	var all []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if addr, ok := strings.CutPrefix(lines.Text(), "redis: "); ok {
			return addr
		}
		all = append(all, lines.Text())
	}
	t.Fatalf("no Redis was started:\n%s", strings.Join(all, "\n"))
	return ""
}

// silent waits until nothing listens at an address any more.
func silent(t *testing.T, addr string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); time.Since(began) < 20*time.Second; <-tick.C {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		_ = c.Close()
	}
	t.Errorf("a server still listens on %s", addr)
}

func TestAPartIsGoneWhenItsTestEnds(t *testing.T) {
	t.Parallel()
	var addr string
	t.Run("a test", func(t *testing.T) { addr = servers.StartRedis(t).Addr })
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Errorf("a server still listens on %s", addr)
	}
}

func TestAPartIsGoneWhenItsTestFails(t *testing.T) {
	t.Parallel()
	out, err := child(t, "fails").CombinedOutput()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Fatalf("%v\n%s", err, out)
	}
	addr := redisOf(t, strings.NewReader(string(out)))
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Errorf("a server still listens on %s", addr)
	}
	for _, want := range []string{"as it should", "log of redis", "Redis is starting"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the output does not say %q:\n%s", want, out)
		}
	}
}

func TestAPartIsGoneWhenTheProcessOfItsTestIsKilled(t *testing.T) {
	t.Parallel()
	cmd := child(t, "hangs")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	addr := redisOf(t, out)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	silent(t, addr)
}

// This test changes the environment, so it can't be parallel.
func TestAPartThatCannotBeHadFailsItsTestAndSaysWhatToDo(t *testing.T) {
	for name, test := range map[string]struct {
		env  []string
		says []string
	}{
		"no Redis, and no way to install it": {
			[]string{"EVENTSTORES_SERVERS=process", "PATH=" + t.TempDir()},
			[]string{"redis-server is not on the PATH", "apt-get install redis-server"},
		},
		"a container without an engine": {
			[]string{"EVENTSTORES_SERVERS=container", "DOCKER_HOST=unix:///nonexistent.sock"},
			[]string{"no Docker engine is available", "apt-get install docker.io", "EVENTSTORES_SERVERS=process"},
		},
		"a way that there is not": {
			[]string{"EVENTSTORES_SERVERS=magic"},
			[]string{`"magic"`, "auto, container or process"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := child(t, "starts", test.env...).CombinedOutput()
			if err == nil {
				t.Fatalf("the test passes:\n%s", out)
			}
			for _, want := range append(test.says, "--- FAIL") {
				if !strings.Contains(string(out), want) {
					t.Errorf("the output does not say %q:\n%s", want, out)
				}
			}
		})
	}
}

func TestWithoutAnEngineAPartIsAProcess(t *testing.T) {
	t.Parallel()
	out, err := child(t, "starts", "EVENTSTORES_SERVERS=auto", "DOCKER_HOST=unix:///nonexistent.sock").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "servers: redis runs as a local process, redis-server\n") {
		t.Errorf("%v\n%s", err, out)
	}
}

// redis is a connection to a Redis server.
type redis struct {
	net.Conn
	in *bufio.Reader
}

func dial(t *testing.T, addr string) redis {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return redis{c, bufio.NewReader(c)}
}

func (r redis) ask(t *testing.T, command string) {
	t.Helper()
	if _, err := io.WriteString(r, command+"\r\n"); err != nil {
		t.Fatal(err)
	}
}

func (r redis) wants(t *testing.T, answer string) {
	t.Helper()
	if line, err := r.in.ReadString('\n'); err != nil || line != answer+"\r\n" {
		t.Fatalf("Redis answers %q, %v, want %q", line, err, answer)
	}
}

func TestARedisThatIsKilledComesBackWithWhatItAnsweredFor(t *testing.T) {
	t.Parallel()
	r := servers.StartRedis(t, servers.Durable())
	c := dial(t, r.Addr)
	c.ask(t, "INCRBY n 41")
	c.wants(t, ":41")
	r.Kill(t)
	if _, err := net.Dial("tcp", r.Addr); err == nil {
		t.Error("it still listens after Kill")
	}
	r.Restart(t)
	c = dial(t, r.Addr)
	c.ask(t, "INCR n")
	c.wants(t, ":42")
}

func TestAPausedPartAnswersWhenItIsResumed(t *testing.T) {
	t.Parallel()
	r := servers.StartRedis(t)
	c := dial(t, r.Addr)
	c.ask(t, "PING")
	c.wants(t, "+PONG")
	r.Pause(t)
	c.ask(t, "PING")
	_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if line, err := c.in.ReadString('\n'); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("it answers %q, %v while paused", line, err)
	}
	r.Resume(t)
	_ = c.SetReadDeadline(time.Time{})
	c.wants(t, "+PONG")
}

func TestASidecarThatIsKilledComesBackOnItsPort(t *testing.T) {
	t.Parallel()
	d := servers.StartDaprd(t, servers.DaprdConfig{AppID: "bank", Components: []string{servers.InMemoryState("statestore")}})
	d.Kill(t)
	if _, err := net.Dial("tcp", d.GRPCAddr()); err == nil {
		t.Error("it still listens after Kill")
	}
	d.Restart(t)
	metadata, err := d.Client(t).GetMetadata(t.Context())
	if err != nil || metadata.ID != "bank" || len(metadata.RegisteredComponents) != 1 {
		t.Errorf("the sidecar says %+v, %v", metadata, err)
	}
}
