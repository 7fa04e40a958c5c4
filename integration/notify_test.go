package integration

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/integration/servers"
)

// notifySidecar returns the configuration of the sidecar of demo notify, with the files of
// dapr.yaml. Redis only delivers sooner what was not handled.
func notifySidecar(t *testing.T, r *servers.Redis) servers.DaprdConfig {
	t.Helper()
	read := func(file string, replace ...string) string {
		t.Helper()
		content, err := os.ReadFile(filepath.Join(root(t), file))
		if err != nil {
			t.Fatal(err)
		}
		text := string(content)
		for pair := range len(replace) / 2 {
			if strings.Count(text, replace[2*pair]) != 1 {
				t.Fatalf("%s does not say %q once", file, replace[2*pair])
			}
			text = strings.Replace(text, replace[2*pair], replace[2*pair+1], 1)
		}
		return text
	}
	address := []string{"value: localhost:6379\n", fmt.Sprintf("value: %q\n", r.Addr)}
	return servers.DaprdConfig{AppID: "notify", Resiliency: read("deploy/run/resiliency.yaml"), Components: []string{
		read("components/redis/pubsub.yaml", append(address, "value: 15s\n", "value: 2s\n", "value: 5s\n", "value: 1s\n")...),
		read("deploy/run/noticestore.yaml", address...),
	}}
}

func TestEachTransferIsANoticeOnceWhileTheReceiverIsKilled(t *testing.T) {
	t.Setenv("REDIS_PASSWORD", "")
	demo, r := buildDemo(t), servers.StartRedis(t)
	bank := servers.StartDaprd(t, servers.DaprdConfig{AppID: "bank", Components: componentFiles(t, filepath.Join(root(t), "components", "redis"), r)})
	other := servers.StartDaprd(t, notifySidecar(t, r))
	ports := servers.FreePorts(t, 2)
	url := func(n int) string { return fmt.Sprintf("http://127.0.0.1:%d", ports[n]) }
	run := func(n int, command string, d *servers.Daprd) (kill func()) {
		t.Helper()
		var out output
		service := exec.Command(demo, command, "-addr", fmt.Sprintf("127.0.0.1:%d", ports[n]))
		service.Env = append(service.Environ(), fmt.Sprintf("DAPR_GRPC_PORT=%d", d.GRPCPort))
		service.Stdout, service.Stderr = &out, &out
		service.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := service.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() { defer close(ended); _ = service.Wait() }()
		kill = func() { _ = service.Process.Kill(); <-ended }
		t.Cleanup(func() {
			kill()
			if t.Failed() {
				t.Logf("demo %s:\n%s", command, &out)
			}
		})
		ready(t, http.DefaultClient, url(n), ended)
		return kill
	}
	run(0, "serve", bank)
	kill := run(1, "notify", other)
	for _, number := range []string{"A", "B"} {
		call(t, http.DefaultClient, "POST", url(0)+"/api/v1/accounts", `{"number":"`+number+`","owner":"Ada","amount":100000}`, http.StatusCreated)
	}
	const transfers = 40 // the page shows 50
	for n := range transfers {
		if status := post(t, http.DefaultClient, url(0)+"/api/v1/accounts/A/transfers", fmt.Sprintf(`{"to":"B","amount":%d}`, 100+n)); status/100 != 2 {
			t.Fatalf("transfer %d: status %d", n, status)
		}
		if n%10 == 9 {
			kill()
			kill = run(1, "notify", other)
		}
	}
	var page string
	for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(200 * time.Millisecond) {
		page = string(call(t, http.DefaultClient, "GET", url(1)+"/", "", http.StatusOK))
		if strings.Count(page, `<th scope="row">`) >= transfers {
			break
		}
	}
	for n := range transfers {
		if got := strings.Count(page, fmt.Sprintf(`>%d.%02d<`, (100+n)/100, (100+n)%100)); got != 1 {
			t.Errorf("the transfer of %d is %d notices", 100+n, got)
		}
	}
}
