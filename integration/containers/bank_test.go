package containers

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// bank is the service as its users see it over HTTP, and what it has acknowledged to them.
type bank struct {
	url  string
	acks []acknowledged

	stranger bool // sends no key
}

// acknowledged is a command that the bank has acknowledged.
type acknowledged struct{ account, key string }

// answer is the answer to any request: an account or a problem.
type answer struct {
	status  int
	Version int64
	Balance json.RawMessage
	Type    string
	Away    string
	Events  []struct {
		Version  int64
		Metadata struct{ IdempotencyKey string }
	}
	Next string
}

// ask sends a request. An error means that the service did not answer.
func (b *bank) ask(ctx context.Context, method, path, body, idempotencyKey string) (answer, error) {
	var a answer
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, b.url+path, strings.NewReader(body))
	if err != nil {
		return a, err
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if idempotencyKey != "" {
		r.Header.Set("Idempotency-Key", idempotencyKey)
	}
	if !b.stranger {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return a, err
	}
	defer response.Body.Close()
	var content bytes.Buffer
	if _, err := content.ReadFrom(response.Body); err != nil {
		return a, err
	}
	a.status = response.StatusCode
	if err := json.Unmarshal(content.Bytes(), &a); err != nil {
		return a, fmt.Errorf("%s %s: %w: %s", method, path, err, &content)
	}
	return a, nil
}

// must sends a request and fails the test unless the answer has that status.
func (b *bank) must(t *testing.T, status int, method, path, body, key string) answer {
	t.Helper()
	a, err := b.ask(t.Context(), method, path, body, key)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	if a.status != status {
		t.Fatalf("%s %s %s: status %d, want %d: %+v", method, path, body, a.status, status, a)
	}
	if account, ok := strings.CutPrefix(path, "/api/v1/accounts/"); ok && key != "" && status == http.StatusOK {
		account, _, _ = strings.Cut(account, "/")
		b.acks = append(b.acks, acknowledged{account, key})
	}
	return a
}

// readyTimeout is more than a container needs to start and its sidecar needs to find Redis.
const readyTimeout = time.Minute

// becomesReady waits until the service says that it is ready.
func (b *bank) becomesReady(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), readyTimeout)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		a, err := b.ask(ctx, http.MethodGet, "/readyz", "", "")
		if err == nil && a.status == http.StatusOK {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the service is not ready: %+v, %v", a, err)
		case <-tick.C:
		}
	}
}

// walkThrough opens an account and uses every operation on it.
func (b *bank) walkThrough(t *testing.T, number string) {
	t.Helper()
	path := "/api/v1/accounts/" + number
	b.must(t, 404, "GET", path, "", "")
	opened := b.must(t, 201, "POST", "/api/v1/accounts", fmt.Sprintf(`{"number": %q, "owner": "Ada", "amount": 10000}`, number), number+"-open")
	b.acks = append(b.acks, acknowledged{number, number + "-open"})
	b.must(t, 409, "POST", "/api/v1/accounts", fmt.Sprintf(`{"number": %q, "owner": "Eve", "amount": 100}`, number), "")
	deposited := b.must(t, 200, "POST", path+"/deposits", `{"amount": 2050}`, number+"-deposit")
	if deposited.Version <= opened.Version {
		t.Errorf("after a deposit at version %d the version is %d", opened.Version, deposited.Version)
	}
	b.must(t, 200, "POST", path+"/deposits", `{"amount": 2050}`, number+"-deposit") // delivered twice, executed once
	b.must(t, 409, "POST", path+"/withdrawals", fmt.Sprintf(`{"amount": 100, "expectedVersion": %d}`, opened.Version), "")
	b.must(t, 200, "POST", path+"/withdrawals", fmt.Sprintf(`{"amount": 50, "expectedVersion": %d}`, deposited.Version), number+"-withdraw")
	b.must(t, 422, "POST", path+"/withdrawals", `{"amount": 100000}`, "")
	if now, want := string(b.must(t, 200, "GET", path, "", "").Balance), `12000`; now != want {
		t.Errorf("the balance is %s, want %s", now, want)
	}
	if then, want := string(b.must(t, 200, "GET", fmt.Sprintf("%s?version=%d", path, opened.Version), "", "").Balance), `10000`; then != want {
		t.Errorf("the balance at the first version is %s, want %s", then, want)
	}
	b.holds(t, number)
}

// holds compares an account's history with what was acknowledged. It must have each command once,
// in order, and nothing else.
func (b *bank) holds(t *testing.T, number string) {
	t.Helper()
	var want, got []string
	for _, ack := range b.acks {
		if ack.account == number && !slices.Contains(want, ack.key) {
			want = append(want, ack.key)
		}
	}
	for path := "/api/v1/accounts/" + number + "/events"; path != ""; {
		page := b.must(t, 200, "GET", path, "", "")
		for _, event := range page.Events {
			got = append(got, event.Metadata.IdempotencyKey)
			if event.Version != int64(len(got)) {
				t.Errorf("event %d has version %d", len(got), event.Version)
			}
		}
		path = page.Next
	}
	if !slices.Equal(got, want) {
		t.Errorf("account %s has %v, acknowledged were %v", number, got, want)
	}
}
