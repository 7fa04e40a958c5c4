//go:build linux

package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestDaprRunServesTheBankTwice runs what the README tells a user to run, on the ports of dapr.yaml, and uses both instances at once.
func TestDaprRunServesTheBankTwice(t *testing.T) {
	n := newNetwork(t)
	client := n.client()
	var out output
	run := exec.Command("make", "run", "REDIS_DATA="+t.TempDir())
	run.Dir = root(t)
	run.Env = append(run.Environ(), "REDIS_PASSWORD=", "DAPR_HOST_IP=127.0.0.1") // there is no other interface to ask for an address
	run.Stdout, run.Stderr = &out, &out
	run.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := n.start(run); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = run.Wait() }()
	interrupt := func() bool { // as Ctrl+C does
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

	instances := [2]string{"http://127.0.0.1:8081", "http://127.0.0.1:8082"}
	for _, instance := range instances {
		ready(t, client, instance, ended)
	}

	// An account opened at one is there at the other.
	call(t, client, http.MethodPost, instances[0]+"/api/v1/accounts", `{"number":"123456000","owner":"Ada","amount":0}`, http.StatusCreated)
	const deposits = 25
	var all sync.WaitGroup
	for _, instance := range instances {
		for range 4 {
			all.Go(func() {
				for done := 0; done < deposits; {
					// Who is overtaken too often is told so, and nothing was stored.
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

	// Of two withdrawals as of the same version one is stored.
	statuses := make([]int, len(instances))
	for i, instance := range instances {
		all.Go(func() {
			statuses[i] = post(t, client, instance+"/api/v1/accounts/123456000/withdrawals", fmt.Sprintf(`{"amount":1,"expectedVersion":%d}`, 1+2*4*deposits))
		})
	}
	all.Wait()
	if statuses[0]+statuses[1] != http.StatusOK+http.StatusConflict {
		t.Errorf("two withdrawals as of one version: statuses %v, want one %d and one %d", statuses, http.StatusOK, http.StatusConflict)
	}

	if !interrupt() {
		t.Fatal("a minute after Ctrl+C it still runs")
	}
	for _, address := range append(instances[:], "http://127.0.0.1:6379") {
		if response, err := client.Get(address); err == nil {
			response.Body.Close()
			t.Errorf("after the end something still answers at %s", address)
		} else if !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("after the end, at %s: %v", address, err)
		}
	}
}

// ready waits until an instance of the bank reaches its store.
func ready(t *testing.T, client *http.Client, instance string, ended <-chan struct{}) {
	t.Helper()
	timeout := time.After(5 * time.Minute) // it is compiled first
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

// call makes a request whose status is known.
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

// post makes a request whose status is to be seen.
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
