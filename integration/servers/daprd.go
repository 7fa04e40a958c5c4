package servers

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	dapr "github.com/dapr/go-sdk/client"
	"google.golang.org/grpc"
)

// Daprd is a Dapr sidecar.
type Daprd struct {
	*Part
	GRPCPort int
	HTTPPort int
	Token    string
}

// DaprdConfig configures a sidecar.
type DaprdConfig struct {
	AppID       string
	Components  []string // component files
	APIToken    string   // default: none
	MaxBodySize string   // of one request, like "16Mi"; default: the sidecar's own, 4 MiB
	Folders     []string // of this machine that the components use; default: none
	Env         []string // NAME=value, for component files that read the environment; default: none
	Config      string   // content of the configuration file; default: one that keeps the sidecar off the network
	Resiliency  string   // a file of resiliency policies; default: none
	Memory      int64    // most bytes that it may take, where that can be limited; default: no limit
	Zipkin      string   // URL to which it sends all its spans; default: none
}

// configuration keeps the sidecar off the network. By default a sidecar announces itself to the
// local network by mDNS.
const configuration = `apiVersion: dapr.io/v1alpha1
kind: Configuration
metadata:
  name: servers
spec:
  nameResolution:
    component: nameformat
    version: v1
    configuration:
      format: "{appid}"
`

// tracing is added to the configuration of a sidecar that traces. It uses Zipkin's format, which a
// test can read without a library.
const tracing = `  tracing:
    samplingRate: "1"
    zipkin:
      endpointAddress: %q
`

// StartDaprd starts a sidecar: the daprd of this project's tools/daprd, or a released one in a
// container.
func StartDaprd(t testing.TB, config DaprdConfig) *Daprd {
	t.Helper()
	resources, settings := t.TempDir(), filepath.Join(t.TempDir(), "config.yaml")
	files := map[string]string{settings: cmp.Or(config.Config, configuration)}
	if config.Zipkin != "" {
		files[settings] += fmt.Sprintf(tracing, config.Zipkin)
	}
	for i, component := range config.Components {
		files[filepath.Join(resources, fmt.Sprintf("%d.yaml", i))] = component
	}
	if config.Resiliency != "" {
		files[filepath.Join(resources, "resiliency.yaml")] = config.Resiliency
	}
	for path, content := range files {
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ports := FreePorts(t, 3)
	d := &Daprd{GRPCPort: ports[0], HTTPPort: ports[1], Token: config.APIToken}
	p := program{
		name:    "daprd",
		local:   builtDaprd,
		image:   "daprio/daprd:1.18.0",
		inImage: "/daprd",
		args: []string{
			"--app-id", config.AppID,
			"--resources-path", resources,
			"--config", settings,
			"--dapr-listen-addresses", "127.0.0.1",
			"--dapr-grpc-port", strconv.Itoa(ports[0]),
			"--dapr-http-port", strconv.Itoa(ports[1]),
			"--dapr-internal-grpc-listen-address", "127.0.0.1",
			"--dapr-internal-grpc-port", strconv.Itoa(ports[2]),
			"--enable-metrics=false",
			"--log-level", "warn",
		},
		folders: append([]string{resources, filepath.Dir(settings)}, config.Folders...),
		ready:   func(ctx context.Context) error { return healthy(ctx, ports[1], config) },
	}
	if config.MaxBodySize != "" {
		p.args = append(p.args, "--max-body-size", config.MaxBodySize)
	}
	p.env = append(p.env, "DAPR_HOST_IP=127.0.0.1") // so that it looks for no address that others can reach, and needs no network
	p.env = append(p.env, config.Env...)
	if config.APIToken != "" {
		p.env = append(p.env, "DAPR_API_TOKEN="+config.APIToken)
	}
	p.memory = config.Memory
	d.Part = start(t, p)
	return d
}

func builtDaprd() (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	path := filepath.Join(root, "bin", "daprd")
	if _, err := os.Stat(path); err != nil {
		return "", errors.New("bin/daprd is missing: run `make daprd`, which builds it from source")
	}
	return path, nil
}

// healthy checks that the sidecar's components are up. Its health alone is not enough. A sidecar
// that ends because a component can't reach its store is healthy for a moment.
func healthy(ctx context.Context, port int, config DaprdConfig) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if _, err := ask(ctx, port, "healthz/outbound", http.StatusNoContent, config.APIToken); err != nil {
		return err
	}
	answer, err := ask(ctx, port, "metadata", http.StatusOK, config.APIToken)
	if err != nil {
		return err
	}
	var metadata struct{ Components []json.RawMessage }
	if err := json.Unmarshal(answer, &metadata); err != nil {
		return err
	}
	if up, want := len(metadata.Components), len(config.Components); up < want {
		return fmt.Errorf("%d of the sidecar's %d components are up", up, want)
	}
	return nil
}

// ask sends a request to the sidecar's HTTP API.
func ask(ctx context.Context, port int, path string, want int, token string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/v1.0/%s", port, path), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("dapr-api-token", token)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != want {
		return nil, fmt.Errorf("the sidecar answers %s to %s", answer.Status, path)
	}
	return io.ReadAll(answer.Body)
}

// GRPCAddr returns the address of the sidecar's gRPC API.
func (d *Daprd) GRPCAddr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(d.GRPCPort)) }

// Client returns a client of the sidecar, which is connected until the test ends.
func (d *Daprd) Client(t testing.TB, options ...grpc.DialOption) dapr.Client {
	t.Helper()
	c, err := dapr.NewClientWithAddressContext(t.Context(), d.GRPCAddr(), options...)
	if err != nil {
		t.Fatal(err)
	}
	if d.Token != "" {
		c.WithAuthToken(d.Token)
	}
	t.Cleanup(c.Close)
	return c
}

// InMemoryState returns the component file of a state store in the sidecar's memory.
func InMemoryState(name string) string {
	return Component(name, "state.in-memory", "v1", map[string]string{"keyPrefix": "none"})
}

// RedisState returns the component file of a state store on Redis. Its keys have no prefix, so that
// all sidecars share them.
func RedisState(name string, r *Redis) string {
	return Component(name, "state.redis", "v1", map[string]string{"redisHost": r.Addr, "redisPassword": "", "keyPrefix": "none"})
}

// RedisLock returns the component file of a lock on Redis.
func RedisLock(name string, r *Redis) string {
	return Component(name, "lock.redis", "v1", map[string]string{"redisHost": r.Addr, "redisPassword": "", "keyPrefix": "none"})
}

// SQLiteState returns the component file of a state store in a SQLite file. Writers wait for the
// file for as long as components/sqlite says. The sidecar's Folders must contain the file's folder.
func SQLiteState(name, file string) string {
	return Component(name, "state.sqlite", "v1", map[string]string{"connectionString": file, "busyTimeout": "10s", "keyPrefix": "none"})
}

// PostgresState returns the component file of a state store on PostgreSQL, version v1 or v2.
func PostgresState(name string, p *Postgres, version string) string {
	return Component(name, "state.postgresql", version, map[string]string{
		"connectionString": p.ConnString, "keyPrefix": "none",
		"tableName": "state_" + version, "metadataTableName": "meta_" + version,
	})
}

// Component returns the component file of a component of any kind.
func Component(name, kind, version string, metadata map[string]string) string {
	file := fmt.Sprintf("apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: %s\nspec:\n  type: %s\n  version: %s\n  metadata:\n", name, kind, version)
	for key, value := range metadata {
		file += fmt.Sprintf("  - name: %s\n    value: %q\n", key, value)
	}
	return file
}
