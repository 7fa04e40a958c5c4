package integration

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hexalith/eventstores-go/integration/servers"
)

// simple sends a request that any web page can make a browser send without a preflight: its body
// claims to be text, and it has no token.
func simple(t *testing.T, d *servers.Daprd, method, path, body string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, fmt.Sprintf("http://127.0.0.1:%d/%s", d.HTTPPort, path), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "text/plain")
	r.Header.Set("Origin", "https://example.com")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	return answer.StatusCode
}

// sidecarWith starts a sidecar with a configuration of this project. Without a file it has none of
// the rules.
func sidecarWith(t *testing.T, file, token string) *servers.Daprd {
	t.Helper()
	config := servers.DaprdConfig{AppID: "bank", APIToken: token, Components: []string{servers.InMemoryState("statestore")}}
	if file != "" {
		content, err := os.ReadFile(filepath.Join(root(t), file))
		if err != nil {
			t.Fatal(err)
		}
		config.Config = string(content)
	}
	return servers.StartDaprd(t, config)
}

func TestNoWebPageChangesStateThroughTheSidecarsHTTPAPI(t *testing.T) {
	t.Parallel()
	for _, file := range []string{
		"components/config.yaml",
		"deploy/compose/config.yaml",
		"deploy/kubernetes/base/configuration.yaml",
		"deploy/kubernetes/plain-sidecar/configuration.yaml",
	} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			d := sidecarWith(t, file, "")
			client := d.Client(t)
			if err := client.SaveState(t.Context(), "statestore", "key", []byte("kept"), nil); err != nil {
				t.Fatalf("gRPC: %v", err)
			}
			for _, request := range []struct{ method, path, body string }{
				{"POST", "v1.0/state/statestore", `[{"key":"key","value":"changed"}]`},
				{"PUT", "v1.0/state/statestore", `[{"key":"key","value":"changed"}]`},
				{"POST", "v1.0/state/statestore/", `[{"key":"key","value":"changed"}]`},
				{"POST", "v1.0//state/statestore", `[{"key":"key","value":"changed"}]`},
				{"POST", "v1.0/state/statestore/transaction", `{"operations":[{"operation":"delete","request":{"key":"key"}}]}`},
				{"POST", "v1.0/state/statestore/bulk", `{"keys":["key"]}`},
				{"POST", "v1.0-alpha1/state/statestore/query", `{}`},
				{"GET", "v1.0/state/statestore/key", ""},
				{"DELETE", "v1.0/state/statestore/key", ""},
				{"POST", "v1.0-alpha1/lock/lockstore", `{"resourceId":"key","lockOwner":"page","expiryInSeconds":60}`},
				{"POST", "v1.0-alpha1/unlock/lockstore", `{"resourceId":"key","lockOwner":"page"}`},
				{"GET", "v1.0/secrets/kubernetes/redis", ""},
				{"POST", "v1.0/invoke/bank/method/api/v1/accounts", `{}`},
				{"POST", "v1.0/bindings/any", `{}`},
				{"POST", "v1.0/publish/pubsub/topic", `{}`},
				{"POST", "v1.0/shutdown", ""},
			} {
				if status := simple(t, d, request.method, request.path, request.body); status != http.StatusNotFound && status != http.StatusMethodNotAllowed {
					t.Errorf("%s /%s is answered with %d", request.method, request.path, status)
				}
			}
			for _, path := range []string{"v1.0/healthz", "v1.0/healthz/outbound"} {
				if status := simple(t, d, http.MethodGet, path, ""); status != http.StatusNoContent {
					t.Errorf("GET /%s is answered with %d", path, status)
				}
			}
			item, err := client.GetState(t.Context(), "statestore", "key", nil)
			if err != nil || string(item.Value) != "kept" {
				t.Errorf("the key is %q, %v", item.Value, err)
			}
		})
	}
	t.Run("and without the rules it does", func(t *testing.T) {
		t.Parallel()
		d := sidecarWith(t, "", "")
		if status := simple(t, d, "POST", "v1.0/state/statestore", `[{"key":"key","value":"changed"}]`); status != http.StatusNoContent {
			t.Errorf("the answer is %d, so the test above would find nothing", status)
		}
	})
}

func TestHealthIsAnsweredWithoutTheToken(t *testing.T) {
	t.Parallel()
	d := sidecarWith(t, "deploy/compose/config.yaml", "secret")
	for path, want := range map[string]int{
		"v1.0/healthz":          http.StatusNoContent,
		"v1.0/healthz/outbound": http.StatusNoContent,
		"v1.0/metadata":         http.StatusUnauthorized,
	} {
		if status := simple(t, d, http.MethodGet, path, ""); status != want {
			t.Errorf("GET /%s is answered with %d, want %d", path, status, want)
		}
	}
}
