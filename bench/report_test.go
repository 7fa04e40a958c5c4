package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/hexalith/eventstores-go/integration/servers"
)

// report holds the results of a run.
type report struct {
	results  []result
	memory   []memoryUse
	idle     []idleUse
	versions []string // of the servers and libraries that ran
	took     time.Duration
}

func (r report) rows() []string {
	var rows []string
	for _, result := range r.results {
		rows = append(rows, result.row())
	}
	for _, m := range r.memory {
		rows = append(rows, m.row())
	}
	for _, use := range r.idle {
		rows = append(rows, use.row())
	}
	return rows
}

// rivals describes the other libraries for the document.
var rivals = []struct{ name, what string }{
	{"hallgren", "`github.com/hallgren/eventsourcing/eventstore/sql` talks to the database directly, on the same\n" +
		"disk and the same server, and each commit is synced. SQLite: `modernc.org/sqlite` in WAL mode with\n" +
		"synchronous=FULL. PostgreSQL: pgx.\n\n" +
		"In `command` and `hot16` it does what its repository does: it loads an aggregate from all of its\n" +
		"events, decides, and saves. It starts again if another update was saved first."},
	{"eventhorizon", "`github.com/looplab/eventhorizon` has one event store that needs no server. It keeps copies of Go\n" +
		"values in the memory of the process and encodes nothing. It is compared with the event store on\n" +
		"`embedded/memory`, which encodes each event as JSON.\n\n" +
		"Its aggregate store loads an aggregate from all of its events and saves it. It starts again if\n" +
		"another update was saved first."},
	{"watermill", "`github.com/ThreeDotsLabs/watermill-sql` delivers messages from tables of PostgreSQL. Together with\n" +
		"a table of events it is an outbox: the message is inserted in the transaction of its event. It\n" +
		"talks to the database directly, through pgx, and decodes each message. Its subscriber looks for\n" +
		"messages every 20 ms, instead of every second as by default.\n\n" +
		"`feedappendloop` is an append by a provider with a feed, against the transaction. In `latency1`,\n" +
		"`latency100` and `latency1000`, writer, indexer and subscription of the event store are in one\n" +
		"process. `catchup` reads 10,000 events from the beginning, the library with a new consumer group."},
}

// sidesCompared returns what the event store is compared with.
func sidesCompared() []string {
	all := []string{"floor"}
	for _, rival := range rivals {
		all = append(all, rival.name)
	}
	return all
}

// against returns the results of the comparisons with one other side.
func (r report) against(what string) []result {
	return slices.Collect(func(yield func(result) bool) {
		for _, result := range r.results {
			if result.against == what && !yield(result) {
				return
			}
		}
	})
}

// columns returns the titles of all tables.
func columns(other string) []string {
	return []string{"case", "store", "ours", other, "ratio", "of rounds", "ours p99", other + " p99", "target", "met"}
}

// cells returns the cells of a result, one for each column.
func (r result) cells() []string {
	target, met := "", ""
	if r.limit != (limit{}) {
		target, met = r.limit.String(), "no"
		if r.limit.duration > 0 {
			target = human(micros(r.limit.duration))
		}
		if r.limit.met(r) {
			met = "yes"
		}
	}
	return []string{r.name, r.store, human(r.ours.median), human(r.other.median), fmt.Sprintf("%s ±%s", ratio(r.ratio), ratio(r.ratioError())),
		ratio(r.pairQ1) + "–" + ratio(r.pairQ3), human(r.ours.p99), human(r.other.p99), target, met}
}

// ratio formats a ratio for people.
func ratio(value float64) string {
	switch {
	case value < 0.1:
		return fmt.Sprintf("%.3f", value)
	case value < 10:
		return fmt.Sprintf("%.2f", value)
	default:
		return fmt.Sprintf("%.0f", value)
	}
}

// human formats a time in microseconds for people.
func human(us float64) string {
	unit := "µs"
	if us >= 1000 {
		us, unit = us/1000, "ms"
	}
	switch {
	case us >= 100:
		return fmt.Sprintf("%.0f %s", us, unit)
	case us >= 10:
		return fmt.Sprintf("%.1f %s", us, unit)
	default:
		return fmt.Sprintf("%.2f %s", us, unit)
	}
}

// table returns the report for a terminal.
func (r report) table() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, against := range sidesCompared() {
		if results := r.against(against); len(results) > 0 {
			fmt.Fprintln(w, strings.Join(columns(against), "\t"))
			for _, result := range results {
				fmt.Fprintln(w, strings.Join(result.cells(), "\t"))
			}
			fmt.Fprintln(w)
		}
	}
	_ = w.Flush()
	return b.String()
}

const (
	document   = "docs/benchmarks.md"
	picture    = "docs/benchmarks.svg"
	beginsWith = "<!-- what follows is written by the measurement -->\n"
	endsWith   = "<!-- to here -->\n"
)

// write puts the report between the two marks of the document, and writes the picture.
func (r report) write(t testing.TB) {
	t.Helper()
	root := must(servers.Root())(t)
	path := filepath.Join(root, filepath.FromSlash(document))
	text, err := between(read(t, path), beginsWith, r.markdown(t))
	if err != nil {
		t.Fatalf("%s: %v", document, err)
	}
	for path, content := range map[string]string{path: text, filepath.Join(root, filepath.FromSlash(picture)): r.plot()} {
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// between replaces the text of a document between a mark and the next mark endsWith.
func between(document, mark, content string) (string, error) {
	before, rest, begins := strings.Cut(document, mark)
	_, after, ends := strings.Cut(rest, endsWith)
	if !begins || !ends {
		return "", fmt.Errorf("the line %q is missing, or %q after it", strings.TrimSpace(mark), strings.TrimSpace(endsWith))
	}
	return before + mark + content + endsWith + after, nil
}

// markdown returns the report for the document.
func (r report) markdown(t testing.TB) string {
	t.Helper()
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("\n## The machine\n")
	line("Measured on %s. The run took %s.\n", time.Now().UTC().Format("2 January 2006"), r.took.Round(time.Second))
	for _, text := range machine(t) {
		line("- %s", text)
	}
	line("- %s", strings.Join(r.versions, ", "))
	line("\n## Against the floor\n")
	line("![The ratio of the event store to the floor, by case and store](benchmarks.svg)\n")
	for _, c := range comparisons {
		if c.against == "floor" {
			line("- **%s**: %s. Floor: %s.", c.name, c.what, c.floor)
		}
	}
	line("")
	b.WriteString(markdownTable("floor", r.against("floor")))
	for _, result := range r.results {
		for _, other := range result.more {
			line("\n`%s` on %s took %s times as long as `%s` (%s).", result.name, result.store, ratio(result.ours.median/other.median), other.name, human(other.median))
		}
	}
	for _, result := range r.against("floor") {
		if isHot := result.name == "hot16" || result.name == "hot4x4"; isHot && result.limit != (limit{}) {
			line("\n`%s` on %s made %.0f updates a second, %s times as many as one writer of the floor (%.0f).",
				result.name, result.store, result.ours.perSecond(), ratio(1/result.ratio), result.other.perSecond())
		}
	}
	line("\n### Allocations per event\n")
	line("| case | store | ours | | floor | |\n|---|---|---|---|---|---|")
	for _, result := range r.results {
		if a, f := result.ours.perEvent, result.other.perEvent; a != nil && f != nil {
			line("| %s | %s | %.1f | %d bytes | %.1f | %d bytes |", result.name, result.store, float64(a.objects)/100, a.bytes/100, float64(f.objects)/100, f.bytes/100)
		}
	}
	line("\n### Feeds\n")
	for _, result := range r.results {
		if result.name == "catchup" {
			line("- `catchup` on %s read %.0f events a second, `%s` %.0f.", result.store,
				float64(full.many)*result.ours.perSecond(), result.other.name, float64(full.many)*result.other.perSecond())
		}
		if result.name == "projectrebuild" {
			line("- `projectrebuild` on %s included %.0f events a second.", result.store, float64(full.many)*result.ours.perSecond())
		}
		if result.name == "projectlive" {
			line("- `projectlive` on %s included %.0f events a second.", result.store, result.ours.perSecond())
		}
		if result.reached > 0 && result.against == "floor" {
			line("- `%s` on %s made %.0f appends a second.", result.name, result.store, result.reached)
		}
	}
	line("\nWhat the cases sent to the store. In `feedappend1`, `feedappendloop`, `feedcommand` and `oldappend` it")
	line("is what one append sent, with what belongs to it: opening and closing its session, and what is sent")
	line("after it. In `oldindex` it includes what the indexer does until it ends. Bytes are those of keys and")
	line("values in both directions.\n")
	line("| case | store | requests | | keys | | bytes | |\n|---|---|---|---|---|---|---|---|")
	line("| | | ours | floor | ours | floor | ours | floor |")
	for _, result := range r.results {
		if a := result.ours.sent; a != nil {
			requests, keys, bytes := "", "", ""
			if f := result.other.sent; f != nil {
				requests, keys, bytes = fmt.Sprintf("%.2f", f.requests), fmt.Sprintf("%.2f", f.keys), fmt.Sprintf("%.0f", f.bytes)
			}
			line("| %s | %s | %.2f | %s | %.2f | %s | %.0f | %s |", result.name, result.store, a.requests, requests, a.keys, keys, a.bytes, bytes)
		}
	}
	line("\nWhat each of these sends each second while nothing happens. Each has a provider of its own, on a")
	line("store without a lock component.\n")
	line("| what | requests | keys | bytes |\n|---|---|---|---|")
	for _, use := range r.idle {
		line("| %s | %.2f | %.2f | %.0f |", use.what, use.sent.requests, use.sent.keys, use.sent.bytes)
	}
	line("\n### Memory\n")
	line("By how much the heap grew at most while a stream was read.")
	line("Target: reading %d events takes less than %d MiB more than reading %d events.\n", full.long, memoryLimit, full.batch)
	line("| store | %d events | %d events | difference | met |\n|---|---|---|---|---|", full.long, full.batch)
	for _, m := range r.memory {
		met := "no"
		if m.met() {
			met = "yes"
		}
		line("| %s | %.1f MiB | %.1f MiB | %.1f MiB | %s |", m.store, m.long, m.short, m.long-m.short, met)
	}
	line("\n## Against other Go libraries\n")
	line("These are what a Go user might pick instead.")
	for _, rival := range rivals {
		line("\n### %s\n\n%s\n", rival.name, rival.what)
		b.WriteString(markdownTable(rival.name, r.against(rival.name)))
	}
	line("\n## The rows\n")
	line("```\n%s\n```\n", strings.Join(r.rows(), "\n"))
	return b.String()
}

func markdownTable(other string, results []result) string {
	var b strings.Builder
	write := func(cells []string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	head := columns(other)
	write(head)
	b.WriteString(strings.Repeat("|---", len(head)) + "|\n")
	for _, r := range results {
		write(r.cells())
	}
	return b.String()
}
