//go:build linux

package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/integration/servers"
)

// TestDaprRunServesTheBankTwice runs the command of docs/running.md on the ports of dapr.yaml, and
// uses both instances at once.
func TestDaprRunServesTheBankTwice(t *testing.T) {
	n := newNetwork(t)
	client := n.client()
	var out output
	run := exec.Command("make", "run", "REDIS_DATA="+t.TempDir())
	run.Dir = root(t)
	run.Env = slices.DeleteFunc(append(run.Environ(), "REDIS_PASSWORD="), func(v string) bool {
		return strings.HasPrefix(v, "DAPR_HOST_IP=") || strings.HasPrefix(v, "DAPR_API_TOKEN=") // make run sets both
	})
	run.Stdout, run.Stderr = &out, &out
	run.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := n.start(run); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = run.Wait() }()
	interrupt := func() bool { // like Ctrl+C
		_ = syscall.Kill(-run.Process.Pid, syscall.SIGINT)
		select {
		case <-ended:
			return true
		case <-time.After(time.Minute):
			return false
		}
	}
	t.Cleanup(func() {
		if !interrupt() {
			_ = syscall.Kill(-run.Process.Pid, syscall.SIGKILL)
		}
		if t.Failed() {
			t.Logf("make run:\n%s", &out)
		}
	})

	instances, notices := [2]string{"http://127.0.0.1:8081", "http://127.0.0.1:8082"}, "http://127.0.0.1:8083"
	for _, instance := range append(instances[:], notices) {
		ready(t, client, instance, ended)
	}

	processes := func() []string { return nil }
	if os.Geteuid() == 0 { // in a network namespace of this test
		for _, address := range open(t, run.Process.Pid) {
			t.Errorf("a server listens on %s, want loopback only", address)
		}
		network := netOf(strconv.Itoa(run.Process.Pid))
		processes = func() []string { return processesIn(network) }
		if len(processes()) < 12 { // make, the CLI, Redis, and three of each: sidecar, go run, service
			t.Errorf("the network has only %q, so the check at the end would find nothing", processes())
		}
	}
	sidecars := regexp.MustCompile(`HTTP Port: (\d+)\. gRPC`).FindAllStringSubmatch(out.String(), -1)
	if len(sidecars) == 0 {
		t.Error("the CLI does not say where the sidecars listen")
	}
	for _, port := range sidecars {
		url := "http://127.0.0.1:" + port[1]
		call(t, client, http.MethodPost, url+"/v1.0/state/statestore", `[{"key":"k","value":"v"}]`, http.StatusUnauthorized)
		call(t, client, http.MethodGet, url+"/v1.0/healthz", "", http.StatusNoContent)
	}

	// An account opened at one instance is there at the other.
	call(t, client, http.MethodPost, instances[0]+"/api/v1/accounts", `{"number":"123456000","owner":"Ada","amount":0}`, http.StatusCreated)
	for _, instance := range instances {
		if list := call(t, client, http.MethodGet, instance+"/api/v1/accounts", "", http.StatusOK); string(list) != `{"numbers":["123456000"]}`+"\n" {
			t.Errorf("the list at %s is %s", instance, list)
		}
	}
	const deposits = 25
	var all sync.WaitGroup
	for _, instance := range instances {
		for range 4 {
			all.Go(func() {
				for done := 0; done < deposits; {
					// A deposit that other writers overtake too often fails with a conflict and
					// stores nothing.
					if status := post(t, client, instance+"/api/v1/accounts/123456000/deposits", `{"amount":1}`); status == http.StatusOK {
						done++
					} else if status != http.StatusConflict {
						t.Errorf("a deposit at %s: status %d", instance, status)
						return
					}
				}
			})
		}
	}
	all.Wait()
	for _, instance := range instances {
		var account struct{ Version, Balance int64 }
		if err := json.Unmarshal(call(t, client, http.MethodGet, instance+"/api/v1/accounts/123456000", "", http.StatusOK), &account); err != nil {
			t.Fatal(err)
		}
		if account.Balance != 2*4*deposits || account.Version != 1+2*4*deposits {
			t.Errorf("at %s the balance is %d at version %d, want %d at %d", instance, account.Balance, account.Version, 2*4*deposits, 1+2*4*deposits)
		}
	}

	// Two withdrawals expect the same version, so that only one is stored.
	statuses := make([]int, len(instances))
	for i, instance := range instances {
		all.Go(func() {
			statuses[i] = post(t, client, instance+"/api/v1/accounts/123456000/withdrawals", fmt.Sprintf(`{"amount":1,"expectedVersion":%d}`, 1+2*4*deposits))
		})
	}
	all.Wait()
	if statuses[0]+statuses[1] != http.StatusOK+http.StatusConflict {
		t.Errorf("two withdrawals at one version: statuses %v, want one %d and one %d", statuses, http.StatusOK, http.StatusConflict)
	}

	// The other service learns of a transfer.
	call(t, client, http.MethodPost, instances[0]+"/api/v1/accounts", `{"number":"123456001","owner":"Bob","amount":0}`, http.StatusCreated)
	if status := post(t, client, instances[1]+"/api/v1/accounts/123456000/transfers", `{"to":"123456001","amount":17}`); status/100 != 2 {
		t.Errorf("a transfer: status %d", status)
	}
	for timeout := time.After(time.Minute); ; {
		page := string(call(t, client, http.MethodGet, notices+"/", "", http.StatusOK))
		if strings.Count(page, "<bdi>123456001</bdi>") == 1 && strings.Contains(page, "0.17") {
			break
		}
		select {
		case <-timeout:
			t.Fatalf("the transfer is no notice after a minute: %s", page)
		case <-time.After(100 * time.Millisecond):
		}
	}

	if !interrupt() {
		t.Fatal("still running a minute after Ctrl+C")
	}
	if left := processes(); len(left) > 0 {
		t.Errorf("processes left after the end: %q", left)
	}
	for _, address := range append(instances[:], notices, "http://127.0.0.1:6379") {
		if response, err := client.Get(address); err == nil {
			response.Body.Close()
			t.Errorf("a server still answers at %s after the end", address)
		} else if !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("after the end, at %s: %v", address, err)
		}
	}
}

// open returns the addresses other than loopback on which something listens in the network of a
// process.
func open(t *testing.T, pid int) (found []string) {
	t.Helper()
	for _, family := range []string{"tcp", "tcp6"} {
		table, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, family))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(table)) {
			fields := strings.Fields(line) // sl local_address rem_address st …
			const listens = "0A"
			if len(fields) < 4 || fields[3] != listens {
				continue
			}
			switch host, _, _ := strings.Cut(fields[1], ":"); host {
			case "0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F":
			default:
				found = append(found, fields[1])
			}
		}
	}
	return found
}

// netOf returns the name of a process's network.
func netOf(pid string) string {
	name, _ := os.Readlink("/proc/" + pid + "/ns/net")
	return name
}

// processesIn returns the command lines of all processes in a network.
func processesIn(network string) (found []string) {
	all, _ := filepath.Glob("/proc/[0-9]*")
	for _, process := range all {
		if pid := filepath.Base(process); pid == strconv.Itoa(os.Getpid()) || netOf(pid) != network { // it may be a thread of this process
			continue
		}
		if line, _ := os.ReadFile(process + "/cmdline"); len(line) > 0 { // a process that has ended, but that its parent has not waited for, has none
			found = append(found, string(bytes.ReplaceAll(bytes.Trim(line, "\x00"), []byte{0}, []byte(" "))))
		}
	}
	return found
}

// TestMakeRunRefusesARedisThatForgets starts a Redis on the port of make run before it runs make
// run.
func TestMakeRunRefusesARedisThatForgets(t *testing.T) {
	server, err := servers.Installed("redis-server", "redis-server")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name     string
		settings []string
		any      string
		refused  bool
		says     string
	}{
		{"one that keeps everything", []string{"--appendonly", "yes", "--appendfsync", "always"}, "", false, ""},
		{"one that keeps nothing", nil, "", true, "appendonly is no"},
		{"one that syncs later", []string{"--appendonly", "yes"}, "", true, "set it to always"},
		{"one that evicts", []string{"--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "allkeys-lru"}, "", true, "set it to noeviction"},
		{"one that keeps nothing, and is wanted", nil, "1", false, "appendonly is no"},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := newNetwork(t)
			redis := exec.Command(server, append([]string{"--port", "6379", "--bind", "127.0.0.1", "--dir", t.TempDir(), "--save", ""}, test.settings...)...)
			redis.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
			if err := n.start(redis); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = redis.Process.Kill(); _ = redis.Wait() }()
			n.answers(t, "127.0.0.1:6379")
			var out output
			check := exec.Command("make", "check-redis", "ANY_REDIS="+test.any)
			check.Dir = root(t)
			check.Env = append(check.Environ(), "REDIS_PASSWORD=")
			check.Stdout, check.Stderr = &out, &out
			if err := n.start(check); err != nil {
				t.Fatal(err)
			}
			if refused := check.Wait() != nil; refused != test.refused {
				t.Errorf("refused is %t, want %t", refused, test.refused)
			}
			if !strings.Contains(out.String(), test.says) {
				t.Errorf("it does not say %q", test.says)
			}
			if t.Failed() {
				t.Log(out.String())
			}
		})
	}
}

// answers waits until a server listens at an address of the network.
func (n network) answers(t *testing.T, address string) {
	t.Helper()
	timeout := time.After(30 * time.Second)
	for {
		done := make(chan error)
		n.do <- func() {
			c, err := net.Dial("tcp", address)
			if err == nil {
				c.Close()
			}
			done <- err
		}
		if <-done == nil {
			return
		}
		select {
		case <-timeout:
			t.Fatalf("nothing listens at %s", address)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// ready waits until an instance of the bank reaches its store.
func ready(t *testing.T, client *http.Client, instance string, ended <-chan struct{}) {
	t.Helper()
	timeout := time.After(5 * time.Minute) // make run compiles it first
	for {
		if response, err := client.Get(instance + "/readyz"); err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-ended:
			t.Fatal("it ended before it was ready")
		case <-timeout:
			t.Fatalf("%s is not ready after 5 minutes", instance)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// call sends a request and fails the test unless the answer has the wanted status.
func call(t *testing.T, client *http.Client, method, url, body string, want int) []byte {
	t.Helper()
	status, answer, err := request(client, method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	if status != want {
		t.Fatalf("%s %s: status %d, want %d\n%s", method, url, status, want, answer)
	}
	return answer
}

// post sends a request and returns the status of the answer.
func post(t *testing.T, client *http.Client, url, body string) int {
	t.Helper()
	status, _, err := request(client, http.MethodPost, url, body)
	if err != nil {
		t.Error(err)
	}
	return status
}

func request(client *http.Client, method, url, body string) (int, []byte, error) {
	request, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	var answer bytes.Buffer
	_, err = answer.ReadFrom(response.Body)
	return response.StatusCode, answer.Bytes(), err
}
