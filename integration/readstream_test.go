package integration

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/hexalith/eventstores-go/adapter/embedded/redis"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/integration/servers"
	"github.com/hexalith/eventstores-go/internal/readstreamtest"
)

func TestTheReaderOnRedis(t *testing.T) {
	t.Parallel()
	r := servers.StartRedis(t)
	t.Run("in the process", func(t *testing.T) {
		t.Parallel()
		s, err := redis.Open(t.Context(), r.Addr, redis.WithDB(5))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		// The reader needs no more than this.
		if _, err := r.Do("ACL", "SETUSER", "ada", "on", ">s3c:r@t", "~*", "+hget", "+select"); err != nil {
			t.Fatal(err)
		}
		readstreamtest.Test(t, s, "redis://ada:s3c%3Ar%40t@"+r.Addr+"/5")
	})
	t.Run("through a sidecar", func(t *testing.T) {
		t.Parallel()
		// By default, keys begin with the id of the app.
		component := servers.Component("statestore", "state.redis", "v1", map[string]string{"redisHost": r.Addr, "redisPassword": ""})
		d := servers.StartDaprd(t, servers.DaprdConfig{AppID: "bank", Components: []string{component}})
		readstreamtest.Test(t, state(t, d), "redis://"+r.Addr, "--prefix", "bank")
	})
}

// The first query of docs/format.md for PostgreSQL is for version 2 of the component.
func TestTheDocumentsQueriesFindRecordsOnPostgreSQL(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("../docs/format.md")
	if err != nil {
		t.Fatal(err)
	}
	queries := regexp.MustCompile(`psql -At -c "(.+)"\n`).FindAllStringSubmatch(string(document), -1)
	if len(queries) != 2 {
		t.Fatalf("the document has %d queries", len(queries))
	}
	p := servers.StartPostgres(t)
	for i, version := range []string{"v2", "v1"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			component := servers.Component("statestore", "state.postgresql", version, map[string]string{
				"connectionString": p.ConnString, "keyPrefix": "name", "tableName": "state_" + version, "metadataTableName": "meta_" + version,
			})
			d := servers.StartDaprd(t, servers.DaprdConfig{AppID: "bank", Components: []string{component}})
			provider, err := eventstore.NewProvider(state(t, d))
			if err != nil {
				t.Fatal(err)
			}
			stream := eventstore.Stream{Database: "EventStores", Type: "Account", ID: "Ada/1"}
			if _, err := provider.Append(t.Context(), stream, eventstore.ExpectAny(), eventstore.Raw{Type: "opened", Payload: []byte("x")}); err != nil {
				t.Fatal(err)
			}
			query := queries[i][1]
			if version == "v1" { // version 2 has its table under the default name
				query = strings.Replace(query, " FROM state ", " FROM state_v1 ", 1)
			}
			if got := psql(t, p.Addr, query); !strings.HasPrefix(got, "eventstore/1 head ") {
				t.Errorf("%s finds %q", query, got)
			}
		})
	}
}

func TestTheDocumentsQueriesFindRecordsOnMariaDB(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("../docs/format.md")
	if err != nil {
		t.Fatal(err)
	}
	commands := regexp.MustCompile("(?m)^mysql (-N events .+)$").FindAllStringSubmatch(string(document), -1)
	if len(commands) != 2 {
		t.Fatalf("the document has %d commands", len(commands))
	}
	client, err := servers.Installed("mariadb", "mariadb-client")
	if err != nil {
		t.Fatal(err)
	}
	m := servers.StartMariaDB(t, "events")
	component := servers.Component("statestore", "state.mysql", "v1", map[string]string{
		"connectionString": m.ConnString, "keyPrefix": "name", "schemaName": "events",
	})
	d := servers.StartDaprd(t, servers.DaprdConfig{AppID: "bank", Components: []string{component}})
	provider, err := eventstore.NewProvider(state(t, d))
	if err != nil {
		t.Fatal(err)
	}
	stream := eventstore.Stream{Database: "EventStores", Type: "Account", ID: "Ada/1"}
	if _, err := provider.Append(t.Context(), stream, eventstore.ExpectAny(), eventstore.Raw{Type: "opened", Payload: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"eventstore/1 head ", "statestore||{EventStores:Account:Ada%2F1}:head\n"} {
		command := exec.CommandContext(t.Context(), "sh", "-c", `"$CLIENT" --no-defaults -h "$HOST" -P "$PORT" -u "$USER" `+commands[i][1])
		command.Env = append(command.Environ(), append(m.Login(), "CLIENT="+client)...)
		if got, err := command.CombinedOutput(); err != nil || !strings.HasPrefix(string(got), want) {
			t.Errorf("%s prints %q: %v", commands[i][0], got, err)
		}
	}
	query := exec.CommandContext(t.Context(), "sh", "-c", `"$CLIENT" --no-defaults -h "$HOST" -P "$PORT" -u "$USER" -N events -e "SELECT DISTINCT isbinary, LENGTH(eTag) FROM state"`)
	query.Env = append(query.Environ(), append(m.Login(), "CLIENT="+client)...)
	if got, err := query.CombinedOutput(); err != nil || string(got) != "1\t36\n" {
		t.Errorf("isbinary and the length of eTag are %q: %v", got, err)
	}
}
