package embedded_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// dependency is a package that another package links.
type dependency struct{ path, module, folder string }

// dependencies returns the packages that a program links if it imports pkg, without the standard
// library and with it.
func dependencies(t *testing.T, pkg string) (others, all []dependency) {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-deps",
		"-f", "{{.ImportPath}}\t{{with .Module}}{{.Path}}{{end}}\t{{.Dir}}\t{{.Standard}}", "./"+pkg)
	list.Dir = filepath.Join("..", "..")
	list.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly")
	list.Stderr = t.Output()
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for line := range strings.Lines(string(out)) {
		fields := strings.Split(strings.TrimSpace(line), "\t")
		d := dependency{fields[0], fields[1], fields[2]}
		all = append(all, d)
		if fields[3] == "true" {
			continue
		}
		others = append(others, d)
		if d.module == module {
			// The go command runs the test again if a folder that it opened has changed.
			if _, err := os.ReadDir(d.folder); err != nil {
				t.Error(err)
			}
		}
	}
	return others, all
}

const module = "github.com/hexalith/eventstores-go"

// A program pays for the packages that it links: in size, in start-up time and in modules to audit.
// If this test fails, look for the new import first. Raise a bound only if the package cannot do
// without it.
func TestAProgramLinksOnlyWhatItsStoreNeeds(t *testing.T) {
	t.Parallel()
	if _, err := os.ReadFile(filepath.Join("..", "..", "go.mod")); err != nil { // so the go command runs the test again if go.mod changes
		t.Fatal(err)
	}
	var (
		redis   = []string{"redis"}
		azure   = []string{"azure", "microsoft-authentication"}
		sql     = []string{"database/sql", "sqlite", "pgx", "modernc.org/"}
		network = []string{"net/http", "google.golang.org/grpc"}
		dapr    = []string{"dapr"}
	)
	for _, test := range []struct {
		pkg     string
		without []string // parts of import paths
		atMost  int      // packages outside the standard library
	}{
		{"eventstore", slices.Concat(dapr, redis, azure, sql, network), 9},
		{"eventstore/driver", slices.Concat(dapr, redis, azure, sql, network), 1},
		{"eventstore/aggregate", slices.Concat(dapr, redis, azure, sql, network), 12},
		{"eventstore/sealed", slices.Concat(dapr, redis, azure, sql, network), 10},
		{"eventstore/transfer", slices.Concat(dapr, redis, azure, sql, network), 10},
		{"adapter/embedded/memory", slices.Concat(redis, azure, sql, network), 30},
		// Dapr's SQLite component imports pgx for code that it shares with the PostgreSQL
		// component.
		{"adapter/embedded/sqlite", slices.Concat(redis, azure, network), 70},
		// Dapr's component for Redis itself imports two Redis clients and the sign-in of Azure.
		{"adapter/embedded/redis", []string{"database/sql", "sqlite", "pgx", "google.golang.org/grpc"}, 220},
		{"adapter/sidecar", slices.Concat(redis, azure, sql, []string{"components-contrib"}), 195},
	} {
		t.Run(test.pkg, func(t *testing.T) {
			t.Parallel()
			others, all := dependencies(t, test.pkg)
			for _, d := range all {
				for _, part := range test.without {
					// The UUID library imports the interface of database/sql drivers, which
					// contains hardly any code.
					if strings.Contains(strings.ToLower(d.path), part) && d.path != "database/sql/driver" {
						t.Errorf("it links %s", d.path)
					}
				}
			}
			if len(others) > test.atMost {
				t.Errorf("it links %d packages outside the standard library, at most %d are allowed:", len(others), test.atMost)
				for _, d := range others {
					t.Log(d.path)
				}
			}
		})
	}
}

func TestTheCoreNeedsOneModule(t *testing.T) {
	t.Parallel()
	for _, pkg := range []string{"eventstore", "eventstore/driver", "eventstore/aggregate", "eventstore/sealed", "eventstore/transfer"} {
		allowed := []string{module, "github.com/google/uuid"}
		if pkg == "eventstore/aggregate" {
			allowed = append(allowed, "github.com/hashicorp/golang-lru/v2")
		}
		others, _ := dependencies(t, pkg)
		for _, d := range others {
			if !slices.Contains(allowed, d.module) {
				t.Errorf("%s links %s", pkg, d.path)
			}
		}
	}
}
