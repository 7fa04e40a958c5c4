package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"regexp"
	"testing"
	"time"
)

// announcer sends on the address that the console prints.
type announcer struct {
	bytes.Buffer
	at chan string
}

var announced = regexp.MustCompile(`http://\S+/`)

func (a *announcer) Write(b []byte) (int, error) {
	if address := announced.Find(b); address != nil {
		a.at <- string(address)
	}
	return a.Buffer.Write(b)
}

// served runs the console until the test ends, and returns its address.
func served(t *testing.T, args ...string) string {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	out, code := &announcer{at: make(chan string, 1)}, make(chan int, 1)
	var errs bytes.Buffer
	go func() {
		code <- run(ctx, append([]string{"console", "--listen", "127.0.0.1:0"}, args...), nil, out, &errs)
	}()
	t.Cleanup(func() {
		stop()
		if got := <-code; got != exitWell || errs.Len() > 0 {
			t.Errorf("exit code %d: %s", got, &errs)
		}
	})
	select {
	case address := <-out.at:
		return address
	case got := <-code:
		code <- got
		t.Fatalf("exit code %d: %s", got, &errs)
	case <-time.After(time.Minute):
		t.Fatal("the console does not say where it is")
	}
	return ""
}

func page(t *testing.T, r *http.Request) (int, string) {
	t.Helper()
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

func requestOf(t *testing.T, address string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTheConsoleShowsAStore(t *testing.T) {
	_, store := withFeed(t)
	address := served(t, "--store", store)
	code, body := page(t, requestOf(t, address))
	wants(t, code, http.StatusOK, body, "Ada Lövelace", "Read-only", "sqlite:")
	code, body = page(t, requestOf(t, address+"streams/EventStores:order:9"))
	wants(t, code, http.StatusOK, body, "closed", `id="e3"`)
	code, body = page(t, requestOf(t, address+"health"))
	wants(t, code, http.StatusOK, body, "Catalogue")

	foreign := requestOf(t, address)
	foreign.Host = "evil.example"
	code, body = page(t, foreign)
	wants(t, code, http.StatusMisdirectedRequest, body, "Unknown host")

	answer, err := http.DefaultClient.Do(requestOf(t, address+"live")) // which the end of the test ends
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatal(answer, err)
	}
	t.Cleanup(func() { _ = answer.Body.Close() })
}

func TestTheConsoleAsksForItsToken(t *testing.T) {
	_, store := withFeed(t)
	t.Setenv("CONSOLE_TOKEN", "0123456789abcdef")
	address := served(t, "--store", store, "--token-env", "CONSOLE_TOKEN", "--allow-changes")
	code, body := page(t, requestOf(t, address))
	wants(t, code, http.StatusUnauthorized, body, "Sign in")
	known := requestOf(t, address)
	known.Header.Set("Authorization", "Bearer 0123456789abcdef")
	code, body = page(t, known)
	wants(t, code, http.StatusOK, body, "Changes are allowed", "Sign out")
}

func TestTheConsoleRefusesWhatWouldOpenTheStoreToAll(t *testing.T) {
	_, store := withFeed(t)
	t.Setenv("SHORT_TOKEN", "0123")
	for _, c := range []struct {
		says string
		args []string
	}{
		{"only on loopback", []string{"--listen", "0.0.0.0:0"}},
		{"only on loopback", []string{"--listen", ":0"}},
		{"only on loopback", []string{"--listen", "192.0.2.1:0"}},
		{"needs host:port", []string{"--listen", "8090"}},
		{"shorter than 16 bytes", []string{"--token-env", "SHORT_TOKEN"}},
		{"NO_SUCH_TOKEN is not set", []string{"--token-env", "NO_SUCH_TOKEN"}},
		{"unexpected arguments", []string{"account:1"}},
	} {
		code, _, errs := runs(t, "", append([]string{"console", "--store", store}, c.args...)...)
		wants(t, code, exitUsage, errs, c.says)
	}
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	code, _, errs := runs(t, "", "console", "--store", store, "--listen", taken.Addr().String())
	wants(t, code, exitNot, errs, "address already in use; name another address with --listen")
}
