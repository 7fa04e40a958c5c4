package stores

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	document   = "docs/stores.md"
	beginsWith = "<!-- what follows is written by the run -->\n"
	endsWith   = "<!-- to here -->\n"
)

// aliases maps kinds to the names under which they were run.
var aliases = map[string]string{"state.postgres": "state.postgresql", "state.sqlite3": "state.sqlite", "state.consul": "state.hashicorp.consul", "state.yugabyte": "state.yugabytedb"}

// wasRun reports whether the matrix contains a kind of store.
func wasRun(c component) bool {
	if c.kind == "state.etcd" {
		return true
	}
	for _, r := range rows {
		if kind, _, _ := strings.Cut(r.store, "/"); kind == c.kind || kind == aliases[c.kind] {
			return true
		}
	}
	return false
}

// write replaces the part of the document between its two marks with the results.
func write(t *testing.T, reports map[string]report, etcd etcdReport) {
	t.Helper()
	path := filepath.Join(root(t), filepath.FromSlash(document))
	before, rest, begins := strings.Cut(string(must(os.ReadFile(path))(t)), beginsWith)
	_, after, ends := strings.Cut(rest, endsWith)
	if !begins || !ends {
		t.Fatalf("%s lacks the line %q or, after it, %q", document, beginsWith, endsWith)
	}
	content := before + beginsWith + markdown(t, reports, etcd) + endsWith + after
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func markdown(t *testing.T, reports map[string]report, etcd etcdReport) string {
	t.Helper()
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("\n## The last full run\n")
	line("On %s, %s, Dapr %s:\n", time.Now().UTC().Format("2 January 2006"), machine(t), strings.TrimPrefix(moduleVersion(t, "github.com/dapr/dapr"), "v"))
	line("```")
	for _, r := range rows {
		line("%s", reports[r.name].line(r.store))
	}
	line("%s\n```\n", etcd.line())
	crash := reports["redis-crash"].Race
	line("When the killed Redis was up again, %d of the %d appends were acknowledged.\n", crash.AtCrash, crash.Acked)
	line("| store | server | how an append commits | operations in a transaction | a value, bytes | a key, bytes | append of 1 | read of 1,000 |")
	line("|---|---|---|---|---|---|---|---|")
	for _, r := range rows {
		x := reports[r.name]
		way := "the head alone"
		if x.Atomic {
			way = "one transaction"
		}
		line("| `%s` | %s | %s | %s | %s | %s | %s | %s |", r.store, x.Server, way,
			x.Limits.Operations, x.Limits.ValueBytes, x.Limits.KeyBytes, x.Append.cell(), x.Read.cell())
	}
	line("| `state.etcd/v2` | %s | refused | | | | | |", etcd.server)

	line("\n## Stores that were not run\n")
	line("Dapr %s also has these, according to the source of its components (`%s` %s).\n",
		strings.TrimPrefix(moduleVersion(t, "github.com/dapr/dapr"), "v"), contrib, moduleVersion(t, contrib))
	line("| store | ETags | transactions | TTL | most operations in one | how an append commits | what is known |")
	line("|---|---|---|---|---|---|---|")
	for _, c := range components(t) {
		if _, alias := aliases[c.kind]; alias || wasRun(c) {
			continue
		}
		way, why := decision(t, c)
		said := known[c.kind]
		if way == "refused" {
			way = "**refused**"
			if c.can("ETAG") {
				said = strings.TrimSpace("It " + why + ". " + said)
			}
		} else {
			way += ", not run"
		}
		line("| `%s` %s | %s | %s | %s | %s | %s | %s |", c.kind, strings.Join(c.versions, ", "),
			yes(c.can("ETAG")), yes(c.can("TRANSACTIONAL")), yes(c.can("TTL")), c.most, way, said)
	}
	line("")
	return b.String()
}

func yes(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}

// cell returns the comparison as text for a table.
func (c comparison) cell() string {
	return fmt.Sprintf("%.2f × %.2f ms", c.ratio(), float64(c.Raw.Microseconds())/1000)
}

// thousands returns a number with commas between the thousands.
func thousands(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// machine describes the machine of the run, without anything that identifies it.
func machine(t *testing.T) string {
	t.Helper()
	model := "unknown"
	if found := regexp.MustCompile(`(?m)^model name\s*:\s*(.+)$`).FindStringSubmatch(string(must(os.ReadFile("/proc/cpuinfo"))(t))); found != nil {
		model = found[1]
	}
	return fmt.Sprintf("%s, %d cores, %s, %s", model, runtime.NumCPU(), runtime.GOOS, runtime.Version())
}

func TestTheDocumentsTableOfStoresThatWereNotRunIsWhatTheSourceSays(t *testing.T) {
	t.Parallel()
	content := string(must(os.ReadFile(filepath.Join(root(t), filepath.FromSlash(document))))(t))
	_, want, _ := strings.Cut(markdown(t, map[string]report{}, etcdReport{}), "\n## Stores that were not run\n")
	if !strings.Contains(content, want) {
		t.Errorf("the table in %s is not what Dapr's source and the adapter say. Run make stores WRITE=1, or write this:\n%s", document, want)
	}
}
