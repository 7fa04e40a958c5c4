package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/storetest"
	"github.com/hexalith/eventstores-go/integration/racing"
	"github.com/hexalith/eventstores-go/integration/servers"
)

// encrypted adds Dapr's automatic encryption to a component file. It returns that file and the file
// of the secret store with the key, and their folder.
func encrypted(t *testing.T, component string) (files []string, folder string) {
	t.Helper()
	folder = t.TempDir()
	secrets := filepath.Join(folder, "secrets.json")
	if err := os.WriteFile(secrets, []byte(fmt.Sprintf(`{"key":%q}`, strings.Repeat("0123456789abcdef", 2))), 0o644); err != nil {
		t.Fatal(err)
	}
	return []string{
		servers.Component("secrets", "secretstores.local.file", "v1", map[string]string{"secretsFile": secrets}),
		component + "  - name: primaryEncryptionKey\n    secretKeyRef:\n      name: key\nauth:\n  secretStore: secrets\n",
	}, folder
}

func TestAStoreThatDaprEncryptsSimplyWorks(t *testing.T) {
	t.Parallel()
	for name, component := range map[string]func(t *testing.T, folder string) string{
		"Redis": func(t *testing.T, _ string) string { return servers.RedisState("statestore", servers.StartRedis(t)) },
		"SQLite": func(t *testing.T, folder string) string {
			return servers.SQLiteState("statestore", filepath.Join(folder, "state.db"))
		},
		"PostgreSQL": func(t *testing.T, _ string) string {
			return servers.PostgresState("statestore", servers.StartPostgres(t), "v2")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := t.TempDir()
			files, folder := encrypted(t, component(t, data))
			d := servers.StartDaprd(t, servers.DaprdConfig{AppID: "bank", Components: files, Folders: []string{folder, data}})
			s := state(t, d)
			if s.Capabilities().Atomic {
				t.Error("the adapter uses transactions, which damage encrypted values")
			}
			p := provider(t, s, racing.NoLock{})
			session, err := p.Open(t.Context(), racing.Stream("1"))
			if err != nil {
				t.Fatal(err)
			}
			var acknowledged []racing.Ack
			for n := range 20 {
				version, err := session.Append(t.Context(), eventstore.ExpectVersion(int64(3*n)), racing.Event{N: n, Part: 0}, racing.Event{N: n, Part: 1}, racing.Event{N: n, Part: 2})
				if err != nil {
					t.Fatal(err)
				}
				acknowledged = append(acknowledged, racing.Ack{N: n, Events: 3, Version: version})
			}
			reader := p.Reader(racing.Stream("1"))
			racing.Compare(t, reader, acknowledged)
			found, err := reader.Verify(t.Context(), nil)
			if err != nil || !found.Sound() || found.Events != 60 {
				t.Errorf("verified %+v, %v", found, err)
			}
			storetest.TestEventStore(t, storetest.Target{State: s})
		})
	}
}
