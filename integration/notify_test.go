package integration

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	dapr "github.com/dapr/go-sdk/client"

	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/integration/servers"
)

// notifySidecar returns the configuration of the sidecar of demo notify, with the files of dapr.yaml.
// Redis only delivers sooner what was not handled.
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

// The policy in deploy/run is what keeps the sidecar from losing messages.
func TestNoMessageIsLostWhenItsReceiversAreKilled(t *testing.T) {
	t.Setenv("REDIS_PASSWORD", "")
	config := notifySidecar(t, servers.StartRedis(t))
	if published, lost := killReceivers(t, config); lost > 0 {
		t.Errorf("%d of %d messages are lost", lost, published)
	}
	t.Run("and without the policy some are", func(t *testing.T) {
		config := notifySidecar(t, servers.StartRedis(t))
		config.Resiliency = ""
		if published, lost := killReceivers(t, config); lost == 0 {
			t.Errorf("none of %d messages is lost: is the policy still needed?", published)
		}
	})
}

// killReceivers publishes messages while one receiver after the other dies. It returns how many no
// receiver has handled.
func killReceivers(t *testing.T, config servers.DaprdConfig) (published, lost int) {
	t.Helper()
	const receivers, life = 10, 300 * time.Millisecond
	d := servers.StartDaprd(t, config)
	publisher, err := sidecar.NewBroker(t.Context(), d.Client(t), "pubsub")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var last time.Time // when a new message was handled
	handled := map[string]bool{}
	receive := func() (kill func()) {
		ctx, cancel := context.WithCancel(t.Context())
		client, err := dapr.NewClientWithAddressContext(ctx, d.GRPCAddr())
		if err != nil {
			t.Fatal(err)
		}
		broker, err := sidecar.NewBroker(ctx, client, "pubsub")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			_ = broker.Subscribe(ctx, "transfers", func(ctx context.Context, m driver.Message) error {
				select {
				case <-ctx.Done(): // it dies at work
					return ctx.Err()
				case <-time.After(5 * time.Millisecond):
				}
				mu.Lock()
				defer mu.Unlock()
				if !handled[m.ID] {
					handled[m.ID], last = true, time.Now()
				}
				return nil
			})
		}()
		return func() { client.Close(); cancel() }
	}
	for range receivers {
		kill := receive()
		for began := time.Now(); time.Since(began) < life; published++ {
			if err := publisher.Publish(t.Context(), "transfers", driver.Message{ID: fmt.Sprint(published), Source: "test", Type: "Test", Data: []byte("1")}); err != nil {
				t.Fatal(err)
			}
		}
		kill()
	}
	defer receive()()
	last = time.Now()
	for {
		time.Sleep(100 * time.Millisecond)
		mu.Lock()
		lost, quiet := published-len(handled), time.Since(last)
		mu.Unlock()
		if lost == 0 || quiet > 15*time.Second {
			return published, lost
		}
	}
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
