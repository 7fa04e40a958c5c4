package servers

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"
)

// Etcd is an etcd server with one member.
type Etcd struct {
	*Part
	Addr    string // host:port
	Version string
}

// StartEtcd starts an etcd server as a local process.
func StartEtcd(t testing.TB) *Etcd {
	t.Helper()
	ports := FreePorts(t, 2)
	e := &Etcd{Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[0]))}
	client, peer := "http://"+e.Addr, "http://"+net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[1]))
	e.Part = start(t, program{
		name:  "etcd",
		local: installed("etcd", "etcd-server"),
		args: []string{"--name", "one", "--data-dir", t.TempDir(),
			"--listen-client-urls", client, "--advertise-client-urls", client,
			"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "one=" + peer},
		ready: func(ctx context.Context) (err error) { e.Version, err = etcdAnswers(ctx, client); return err },
	})
	return e
}

// EtcdState returns the component file of a state store on etcd.
func EtcdState(name string, e *Etcd) string {
	return Component(name, "state.etcd", "v2", map[string]string{"endpoints": e.Addr, "keyPrefixPath": "dapr", "tlsEnable": "false", "keyPrefix": "none"})
}

// etcdAnswers asks for the version, which etcd only answers when it has a leader.
func etcdAnswers(ctx context.Context, url string) (version string, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/health", nil)
	if err != nil {
		return "", err
	}
	for _, path := range []string{"/health", "/version"} {
		request.URL.Path = path
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return "", err
		}
		var says struct{ Health, Etcdserver string }
		err = json.NewDecoder(answer.Body).Decode(&says)
		_ = answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusOK {
			return "", fmt.Errorf("etcd answers %s to %s: %w", answer.Status, path, err)
		}
		version = says.Etcdserver
	}
	return version, nil
}
