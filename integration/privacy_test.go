package integration

import (
	"bytes"
	"database/sql"
	"encoding/base64"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hexalith/eventstores-go/adapter/embedded/redis"
	"github.com/hexalith/eventstores-go/adapter/embedded/sqlite"
	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/aggregate"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/sealed"
	"github.com/hexalith/eventstores-go/eventstore/transfer"
	"github.com/hexalith/eventstores-go/integration/servers"
)

// inFiles lists the files below a folder that contain a text, either as it is or in base64.
func inFiles(t *testing.T, folder, text string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for shift := range 3 { // the offset of the text within a group of 3 bytes in base64
			encoded := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + text))
			if bytes.Contains(data, []byte(text)) || bytes.Contains(data, []byte(encoded[4:len(encoded)-4])) {
				found = append(found, entry.Name())
				break
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// commands returns the lines of the code block of docs/privacy.md that begins with a given line.
func commands(t *testing.T, first string) []string {
	t.Helper()
	document, err := os.ReadFile("../docs/privacy.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, ok := strings.Cut(string(document), "\n```sql\n"+first)
	if !ok {
		_, block, ok = strings.Cut(string(document), "\n```sh\n"+first)
	}
	block, _, closed := strings.Cut(block, "\n```")
	if !ok || !closed {
		t.Fatalf("docs/privacy.md has no block that begins with %q", first)
	}
	return strings.Split(first+block, "\n")
}

// erasable is a store whose raw files a test can read, with the commands that docs/privacy.md
// prescribes after an erasure.
type erasable struct {
	state  driver.State
	folder string
	finish func(t *testing.T)
}

func erasableSQLite(t *testing.T) erasable {
	t.Helper()
	folder := t.TempDir()
	path := filepath.Join(folder, "events.db")
	s, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return erasable{s, folder, func(t *testing.T) {
		t.Helper()
		db, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		for _, command := range commands(t, "VACUUM;") {
			var busy, log, moved int
			if !strings.HasPrefix(command, "PRAGMA") {
				if _, err := db.ExecContext(t.Context(), command); err != nil {
					t.Fatalf("%s: %v", command, err)
				}
			} else if err := db.QueryRowContext(t.Context(), command).Scan(&busy, &log, &moved); err != nil || busy != 0 {
				t.Fatalf("%s: busy %d, %v", command, busy, err)
			}
		}
	}}
}

func erasableRedis(t *testing.T) erasable {
	t.Helper()
	folder := t.TempDir()
	r := servers.StartRedis(t, servers.DurableIn(folder))
	s, err := redis.Open(t.Context(), r.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return erasable{s, folder, func(t *testing.T) {
		t.Helper()
		for _, command := range commands(t, "redis-cli BGREWRITEAOF") {
			words := strings.Fields(strings.TrimPrefix(command, "redis-cli "))
			answer := redisCLI(t, r.Addr, words...)
			for words[0] == "INFO" && (!strings.Contains(answer, "aof_rewrite_in_progress:0") || !strings.Contains(answer, "aof_rewrite_scheduled:0")) {
				answer = redisCLI(t, r.Addr, words...) // ends with the test's context
			}
			if words[0] == "INFO" && !strings.Contains(answer, "aof_last_bgrewrite_status:ok") {
				t.Fatal(answer)
			}
		}
	}}
}

var erasables = map[string]func(*testing.T) erasable{"SQLite": erasableSQLite, "Redis": erasableRedis}

const personal = "Ada-Lovelace-Marker"

func TestADeletedStreamIsInTheRawFilesUntilTheCommandsOfThePrivacyPageAreRun(t *testing.T) {
	t.Parallel()
	for name, start := range erasables {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := start(t)
			type named struct{ Name string }
			registry, err := eventstore.NewRegistry(eventstore.Type[named]("Named"))
			if err != nil {
				t.Fatal(err)
			}
			p, err := eventstore.NewProvider(e.state, eventstore.WithRegistry(registry))
			if err != nil {
				t.Fatal(err)
			}
			s, err := p.Open(t.Context(), p.Stream("Customer", "1"))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if _, err := s.Append(t.Context(), eventstore.ExpectVersion(0), named{personal}, named{personal}); err != nil {
				t.Fatal(err)
			}
			if err := s.SaveSnapshot(t.Context(), 2, named{personal}); err != nil {
				t.Fatal(err)
			}
			if err := s.DeleteStream(t.Context(), eventstore.ExpectVersion(2)); err != nil {
				t.Fatal(err)
			}
			if len(inFiles(t, e.folder, personal)) == 0 {
				t.Fatal("no file has the name any more, although the commands were not run: change docs/privacy.md")
			}
			e.finish(t)
			if files := inFiles(t, e.folder, personal); len(files) > 0 {
				t.Errorf("%v still hold the name", files)
			}
		})
	}
}

// keyOf returns the key of a subject in base64, as the files of the key store hold it.
func keyOf(t *testing.T, keys *sealed.StateKeys, subject string) string {
	t.Helper()
	key, err := keys.Find(t.Context(), subject)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(key)
}

func TestADestroyedKeyIsInTheRawFilesUntilTheCommandsOfThePrivacyPageAreRun(t *testing.T) {
	t.Parallel()
	for name, start := range erasables {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := start(t)
			keys, err := sealed.NewStateKeys(e.state)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := keys.Create(t.Context(), "1"); err != nil {
				t.Fatal(err)
			}
			key := keyOf(t, keys, "1")
			if err := keys.Forget(t.Context(), "1"); err != nil {
				t.Fatal(err)
			}
			if len(inFiles(t, e.folder, key)) == 0 {
				t.Fatal("no file has the key any more, although the commands were not run: change docs/privacy.md")
			}
			e.finish(t)
			if files := inFiles(t, e.folder, key); len(files) > 0 {
				t.Errorf("%v still hold the key", files)
			}
		})
	}
}

type (
	shopCustomer struct {
		ID   string `json:"id" sealed:"subject"`
		Name string `json:"name" sealed:"data"`
	}
	shopOrdered struct {
		Cents int64 `json:"cents"`
	}
	shopState struct {
		ID    string `json:"id" sealed:"subject"`
		Name  string `json:"name" sealed:"data"`
		Spent int64  `json:"spent"`
	}
)

func TestAShopWithAnErasedCustomerLoadsCopiesAndVerifiesAndNothingHoldsTheName(t *testing.T) {
	t.Parallel()
	for name, start := range erasables {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			events, keyStore, elsewhere := start(t), start(t), start(t)
			keys, err := sealed.NewStateKeys(keyStore.state)
			if err != nil {
				t.Fatal(err)
			}
			codec, err := sealed.New(keys)
			if err != nil {
				t.Fatal(err)
			}
			registry, err := eventstore.NewRegistry(
				eventstore.Type[shopCustomer]("CustomerRegistered", eventstore.WithCodec(codec)), eventstore.Type[shopOrdered]("Ordered"),
				eventstore.Type[shopState]("Customer", eventstore.WithCodec(codec)))
			if err != nil {
				t.Fatal(err)
			}
			var logs bytes.Buffer
			provider := func(state driver.State) *eventstore.Provider {
				p, err := eventstore.NewProvider(state, eventstore.WithRegistry(registry), eventstore.WithLogger(slog.New(slog.NewTextHandler(&logs, &slog.HandlerOptions{Level: slog.LevelDebug}))))
				if err != nil {
					t.Fatal(err)
				}
				return p
			}
			fold := func(s shopState, event eventstore.Event) (shopState, error) {
				switch e := event.Data.(type) {
				case shopCustomer:
					s.ID, s.Name = e.ID, e.Name
				case shopOrdered:
					s.Spent += e.Cents
				}
				return s, nil
			}
			shop := provider(events.state)
			open := func(p *eventstore.Provider) *aggregate.Repository[shopState] {
				r, err := aggregate.NewRepository(p, "Customer", fold, aggregate.WithSnapshotEvery(2))
				if err != nil {
					t.Fatal(err)
				}
				return r
			}
			customers := open(shop)
			order := func(id string, decided ...any) {
				t.Helper()
				if _, err := customers.Update(t.Context(), id, func(shopState) ([]any, error) { return decided, nil }); err != nil {
					t.Fatal(err)
				}
			}
			for id, name := range map[string]string{"c-1": personal, "c-2": "Grace"} {
				order(id, shopCustomer{id, name}, shopOrdered{100}, shopOrdered{200})
			}
			if err := keys.Forget(t.Context(), "c-1"); err != nil {
				t.Fatal(err)
			}
			order("c-1", shopOrdered{400})

			copied := provider(elsewhere.state)
			for id, want := range map[string]shopState{"c-1": {"c-1", sealed.Marker, 700}, "c-2": {"c-2", "Grace", 300}} {
				if _, err := transfer.Copy(t.Context(), shop, copied, shop.Stream("Customer", id)); err != nil {
					t.Fatal(err)
				}
				for _, p := range []*eventstore.Provider{shop, copied} {
					loaded, err := open(p).Load(t.Context(), id)
					if err != nil || loaded.State != want {
						t.Errorf("got %+v, %v; want %+v", loaded.State, err, want)
					}
					r := p.Reader(p.Stream("Customer", id))
					found, err := r.Verify(t.Context(), nil)
					if err != nil || !found.Sound() || len(found.Unreadable) > 0 {
						t.Errorf("got %+v, %v", found, err)
					}
				}
			}
			for _, e := range []erasable{events, keyStore, elsewhere} {
				if files := inFiles(t, e.folder, personal); len(files) > 0 {
					t.Errorf("%v hold the name", files)
				}
			}
			if strings.Contains(logs.String(), personal) {
				t.Error("the log holds the name")
			}
		})
	}
}

func TestKeysAreWrappedByACryptoComponentOfARealSidecar(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "master"), []byte(`{"kty":"oct","k":"`+base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32))+`"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	d := servers.StartDaprd(t, servers.DaprdConfig{AppID: "vault", Folders: []string{folder}, Components: []string{
		servers.InMemoryState("statestore"),
		servers.Component("vault", "crypto.dapr.localstorage", "v1", map[string]string{"path": folder}),
	}})
	wrapper, err := sidecar.NewKeyWrapper(d.Client(t), "vault", "master", "A256KW")
	if err != nil {
		t.Fatal(err)
	}
	store := state(t, d)
	again := func() *sealed.StateKeys {
		keys, err := sealed.NewStateKeys(store, sealed.WithWrapper(wrapper))
		if err != nil {
			t.Fatal(err)
		}
		return keys
	}
	keys := again()
	if _, err := keys.Create(t.Context(), "1"); err != nil {
		t.Fatal(err)
	}
	if a, b := keyOf(t, keys, "1"), keyOf(t, again(), "1"); a != b {
		t.Errorf("got %s and %s", a, b)
	}
}
